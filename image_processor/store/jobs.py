"""Jobs, the rows of `requests`: every query and every commit about one as a whole.

What is not committed here has not happened.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from image_processor.errors import ImageCancelled, InternalError
from image_processor.store.database import Database, execute_counting, now
from image_processor.store.models import (
    UNFINISHED_IMAGES,
    UNFINISHED_JOBS,
    WORKING,
    ImageStatus,
    Job,
    JobStatus,
    ProductImage,
    WebhookDelivery,
)


class Jobs:
    """The record of jobs: accepted, claimed, cancelled, started again, finished, deleted."""

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    def create_request(self, request: Job) -> Job:
        """Commit an accepted upload. When this returns, the request exists whatever happens to the process.

        Gives the request that exists: another one, when that one came first with the same Idempotency-Key.
        """
        request.created_at = request.updated_at = now()
        try:
            with self._write() as session:
                session.add(request)
        except IntegrityError:
            first = self.find_by_key(request.idempotency_key or "")
            if first is None:
                raise
            return first
        return request

    def find_by_key(self, idempotency_key: str) -> Job | None:
        """The request that was accepted with an Idempotency-Key."""
        with self._read() as session:
            return session.scalars(select(Job).where(Job.idempotency_key == idempotency_key)).one_or_none()

    def get_request(self, request_id: str) -> Job | None:
        """One request, detached, or None."""
        with self._read() as session:
            return session.get(Job, request_id)

    def unfinished_requests(self) -> Sequence[str]:
        """Ids of all requests that are not done, oldest first."""
        ids = select(Job.id).where(Job.status.in_(UNFINISHED_JOBS)).order_by(Job.created_at)
        with self._read() as session:
            return session.scalars(ids).all()

    def existing(self, request_ids: Sequence[str]) -> set[str]:
        """Those of some ids that belong to a request."""
        with self._read() as session:
            return set(session.scalars(select(Job.id).where(Job.id.in_(request_ids))))

    def done_before(self, moment: datetime) -> Sequence[str]:
        """Ids of the requests that were done before a moment."""
        old = select(Job.id).where(Job.status.not_in(UNFINISHED_JOBS), Job.completed_at < moment)
        with self._read() as session:
            return session.scalars(old).all()

    def claim(self, request_id: str) -> Job | None:
        """Take an unfinished request up: it is `Processing` from here on. None when there is nothing to take up."""
        with self._write() as session:
            claimed = execute_counting(
                session,
                update(Job)
                .where(Job.id == request_id, Job.status.in_(UNFINISHED_JOBS))
                .values(
                    status=JobStatus.PROCESSING,
                    message=WORKING,
                    started_at=func.coalesce(Job.started_at, now()),
                    processing=0,
                    updated_at=now(),
                ),
            )
            if not claimed:
                return None
            session.execute(
                update(ProductImage)
                .where(ProductImage.request_id == request_id, ProductImage.status == ImageStatus.PROCESSING)
                .values(status=ImageStatus.PENDING)
            )
            return session.get(Job, request_id)

    def say(self, request_id: str, message: str) -> None:
        """Set the message of a job that is running, unless it is being cancelled."""
        row = Job
        with self._write() as session:
            session.execute(
                update(row)
                .where(row.id == request_id, row.cancel_requested.is_(False))
                .values(message=message, updated_at=now())
            )

    def ask_to_cancel(self, request_id: str) -> bool:
        """Ask whoever works an unfinished request to end it. False when it is done already."""
        with self._write() as session:
            asked = execute_counting(
                session,
                update(Job)
                .where(Job.id == request_id, Job.status.in_(UNFINISHED_JOBS))
                .values(cancel_requested=True, message="Cancelling.", updated_at=now()),
            )
            return bool(asked)

    def cancel_requested(self, request_id: str) -> bool:
        """Whether somebody asked to cancel a request, or deleted it."""
        asked = select(Job.cancel_requested).where(Job.id == request_id)
        with self._read() as session:
            return session.scalar(asked) is not False

    def cancel_rest(self, request_id: str) -> None:
        """Make every image that is not final `Cancelled`."""
        row = Job
        with self._write() as session:
            cancelled = execute_counting(
                session,
                update(ProductImage)
                .where(ProductImage.request_id == request_id, ProductImage.status.in_(UNFINISHED_IMAGES))
                .values(
                    status=ImageStatus.CANCELLED,
                    error_code=ImageCancelled.code,
                    error_detail=ImageCancelled.sentence,
                ),
            )
            session.execute(
                update(row)
                .where(row.id == request_id)
                .values(cancelled=row.cancelled + cancelled, processing=0, progress=100.0, updated_at=now())
            )

    def fail_rest(self, request_id: str) -> None:
        """Make every image that is not final `Failed`, those whose rows were never read included."""
        row = Job
        with self._write() as session:
            session.execute(
                update(ProductImage)
                .where(ProductImage.request_id == request_id, ProductImage.status.in_(UNFINISHED_IMAGES))
                .values(status=ImageStatus.FAILED, error_code=InternalError.code, error_detail=InternalError.sentence)
            )
            session.execute(
                update(row)
                .where(row.id == request_id)
                .values(failed=row.total - row.succeeded - row.cancelled, processing=0, progress=100.0)
            )

    def start_again(self, request_id: str) -> bool:
        """Begin a new run of a request that is done: what failed or was cancelled is pending again.

        False when the request is not done, or has nothing to repeat.
        """
        row, again = Job, (ImageStatus.FAILED, ImageStatus.CANCELLED)
        with self._write() as session:
            started = execute_counting(
                session,
                update(row)
                .where(
                    row.id == request_id,
                    row.status.not_in(UNFINISHED_JOBS),
                    or_(row.failed + row.cancelled > 0, row.status == JobStatus.FAILED),
                )
                .values(
                    status=JobStatus.PENDING,
                    outcome=None,
                    message="Accepted again; what failed is worked next.",
                    failed=0,
                    cancelled=0,
                    processing=0,
                    progress=0.0,
                    run=row.run + 1,
                    run_base=row.succeeded,
                    cancel_requested=False,
                    started_at=None,
                    completed_at=None,
                    updated_at=now(),
                ),
            )
            if not started:
                return False
            session.execute(
                update(ProductImage)
                .where(ProductImage.request_id == request_id, ProductImage.status.in_(again))
                .values(
                    status=ImageStatus.PENDING,
                    attempts=0,
                    error_code=None,
                    error_detail=None,
                    http_status=None,
                )
            )
            return True

    def delete_request(self, request_id: str) -> bool:
        """Remove a request that is done, with everything that belongs to it. False when it is not done."""
        with self._write() as session:
            gone = execute_counting(
                session,
                delete(Job).where(Job.id == request_id, Job.status.not_in(UNFINISHED_JOBS)),
            )
            return bool(gone)

    def finish(self, request: Job, delivery: WebhookDelivery | None) -> None:
        """Write the final state and the webhook's delivery row in one transaction: never the one without the other.

        Of `request` (detached) status, outcome, message and completed_at are written.
        """
        with self._write() as session:
            session.execute(
                update(Job)
                .where(Job.id == request.id)
                .values(
                    status=request.status,
                    outcome=request.outcome,
                    message=request.message,
                    processing=0,
                    completed_at=request.completed_at,
                    updated_at=request.completed_at,
                )
            )
            if delivery is not None:
                session.add(delivery)
