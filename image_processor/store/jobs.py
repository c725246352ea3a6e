"""Jobs, the rows of `requests`: the queries and transactions that concern a job as a whole.

Several processes may record the same job. A transaction that changes its images first locks its row (`lock_job`), and
counts what its statements have changed, so that the counters are exact whoever else records.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from image_processor.errors import ImageCancelled, InternalError, NotFound, shorten
from image_processor.store.database import Database, execute_counting, now
from image_processor.store.files import is_job_id
from image_processor.store.models import (
    PROCESSING_MESSAGE,
    UNFINISHED_IMAGES,
    UNFINISHED_JOBS,
    ImageStatus,
    Job,
    JobStatus,
    ProductImage,
    WebhookDelivery,
)


class Jobs:
    """Creates, claims, cancels, restarts, finishes and deletes jobs."""

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    def add(self, job: Job) -> Job:
        """Commit the job of an accepted upload, and return it.

        When another job was added first with the same Idempotency-Key, that one is returned and nothing is added.
        """
        job.created_at = job.updated_at = now()
        try:
            with self._write() as session:
                session.add(job)
        except IntegrityError:
            first = self.find_by_key(job.idempotency_key or "")
            if first is None:
                raise
            return first
        return job

    def find_by_key(self, idempotency_key: str) -> Job | None:
        """The job that was accepted with an Idempotency-Key."""
        with self._read() as session:
            return session.scalars(select(Job).where(Job.idempotency_key == idempotency_key)).one_or_none()

    def get(self, job_id: str) -> Job | None:
        """The job with this id, or None."""
        with self._read() as session:
            return session.get(Job, job_id)

    def find(self, job_id: str) -> Job:
        """The job with an id that a user gave. Raises NotFound."""
        job = self.get(job_id) if is_job_id(job_id) else None
        if job is None:
            raise NotFound(f"There is no job {shorten(job_id)!r}; check the id, or whether it was deleted.")
        return job

    def unfinished(self) -> Sequence[str]:
        """Ids of all jobs that are not done, oldest first."""
        return self._ids(Job.status.in_(UNFINISHED_JOBS))

    def existing(self, job_ids: Sequence[str]) -> Sequence[str]:
        """Those of some ids that belong to a job."""
        return self._ids(Job.id.in_(job_ids))

    def done_before(self, moment: datetime) -> Sequence[str]:
        """Ids of the jobs that were done before a moment."""
        return self._ids(Job.status.not_in(UNFINISHED_JOBS), Job.completed_at < moment)

    def _ids(self, *conditions: "ColumnElement[bool]") -> Sequence[str]:
        with self._read() as session:
            return session.scalars(select(Job.id).where(*conditions).order_by(Job.created_at)).all()

    def claim(self, job_id: str) -> Job | None:
        """Make an unfinished job `Processing` and return it; None when it is done or deleted.

        Its images stay as they are: another process may have some of them.
        """
        with self._write() as session:
            claimed = update_job(
                session,
                job_id,
                Job.status.in_(UNFINISHED_JOBS),
                status=JobStatus.PROCESSING,
                message=PROCESSING_MESSAGE,
                started_at=func.coalesce(Job.started_at, now()),
            )
            return session.get(Job, job_id) if claimed else None

    def set_message(self, job_id: str, message: str) -> None:
        """Set the message of a running job, unless it is being cancelled."""
        running = Job.status.in_(UNFINISHED_JOBS), Job.cancel_requested.is_(False)
        with self._write() as session:
            update_job(session, job_id, *running, message=message)

    def cancel(self, job_id: str) -> bool:
        """Mark an unfinished job to be cancelled by the worker. False when it is done already."""
        unfinished = Job.status.in_(UNFINISHED_JOBS)
        with self._write() as session:
            return update_job(session, job_id, unfinished, cancel_requested=True, message="Cancelling.")

    def cancel_requested(self, job_id: str) -> bool:
        """Whether a job is to be cancelled, or was deleted."""
        requested = select(Job.cancel_requested).where(Job.id == job_id)
        with self._read() as session:
            return session.scalar(requested) is not False

    def cancel_rest(self, job_id: str) -> None:
        """Make every image that is not final `Cancelled`."""
        why = {"error_code": ImageCancelled.code, "error_detail": ImageCancelled.sentence}
        with self._write() as session:
            if lock_job(session, job_id) in UNFINISHED_JOBS:
                count = _update_images(session, job_id, UNFINISHED_IMAGES, status=ImageStatus.CANCELLED, **why)
                update_job(session, job_id, cancelled=Job.cancelled + count, processing=0, progress=100.0)

    def fail_rest(self, job_id: str) -> None:
        """Make every image that is not final `Failed`, those whose rows were never read included."""
        why = {"error_code": InternalError.code, "error_detail": InternalError.sentence}
        with self._write() as session:
            if lock_job(session, job_id) in UNFINISHED_JOBS:
                _update_images(session, job_id, UNFINISHED_IMAGES, status=ImageStatus.FAILED, **why)
                failed = Job.total - Job.succeeded - Job.cancelled
                update_job(session, job_id, failed=failed, processing=0, progress=100.0)

    def restart(self, job_id: str) -> bool:
        """Begin a new run of a job that is done: images that failed or were cancelled are pending again.

        False when the job is not done, or every image succeeded.
        """
        with self._write() as session:
            restarted = update_job(
                session,
                job_id,
                Job.status.not_in(UNFINISHED_JOBS),
                or_(Job.failed + Job.cancelled > 0, Job.status == JobStatus.FAILED),
                status=JobStatus.PENDING,
                outcome=None,
                message="Accepted again; the images that failed are processed next.",
                failed=0,
                cancelled=0,
                processing=0,
                progress=0.0,
                run=Job.run + 1,
                run_base=Job.succeeded,
                cancel_requested=False,
                started_at=None,
                completed_at=None,
            )
            if restarted:
                again = ImageStatus.FAILED, ImageStatus.CANCELLED
                blank = dict.fromkeys(("error_code", "error_detail", "http_status"))
                _update_images(session, job_id, again, status=ImageStatus.PENDING, attempts=0, lost=0, **blank)
            return restarted

    def delete(self, job_id: str) -> bool:
        """Delete a job that is done, with everything that belongs to it. False when it is not done."""
        done = Job.id == job_id, Job.status.not_in(UNFINISHED_JOBS)
        with self._write() as session:
            return bool(execute_counting(session, delete(Job).where(*done)))

    def finish(self, job: Job, delivery: WebhookDelivery | None) -> bool:
        """Write the final state of a job and its webhook delivery in one transaction.

        Status, outcome, message and completed_at of `job` (detached) are written. False, and nothing is written, when
        the run of `job` was finished already, or an image of it is to be processed.
        """
        with self._write() as session:
            finished = lock_job(session, job.id) is not None and update_job(
                session,
                job.id,
                Job.status.in_(UNFINISHED_JOBS),
                Job.run == job.run,
                ~to_process(job.id).exists(),
                status=job.status,
                outcome=job.outcome,
                message=job.message,
                processing=0,
                completed_at=job.completed_at,
                updated_at=job.completed_at,
            )
            if finished and delivery is not None:
                session.add(delivery)
        return finished


def lock_job(session: Session, job_id: str) -> str | None:
    """Lock the row of a job until the transaction ends, and return its status; None when it was deleted.

    SQLite has one writer at a time anyway, and no such lock.
    """
    return session.scalar(select(Job.status).where(Job.id == job_id).with_for_update())


def to_process(job_id: str) -> Select[int]:
    """The ids of the images that are not final, without those that have the URL of another one."""
    return select(ProductImage.id).where(
        ProductImage.request_id == job_id,
        ProductImage.status.in_(UNFINISHED_IMAGES),
        ProductImage.same_as_id.is_(None),
    )


def update_job(session: Session, job_id: str, *conditions: "ColumnElement[bool]", **values: Any) -> bool:
    """Set columns of a job, if it meets some conditions. False when it does not, or was deleted."""
    changed = update(Job).where(Job.id == job_id, *conditions).values({"updated_at": now(), **values})
    return bool(execute_counting(session, changed.execution_options(synchronize_session=False)))


def _update_images(session: Session, job_id: str, statuses: Sequence[ImageStatus], **values: Any) -> int:
    with_status = ProductImage.request_id == job_id, ProductImage.status.in_(statuses)
    return execute_counting(session, update(ProductImage).where(*with_status).values(values))
