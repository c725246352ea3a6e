"""Webhooks: deliveries, their attempts, and received callbacks."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from sqlalchemy import ColumnElement, Update, delete, or_, select, update
from sqlalchemy.exc import IntegrityError

from image_processor.store.database import Database, execute_counting, now
from image_processor.store.models import DeliveryState, ReceivedCallback, WebhookAttempt, WebhookDelivery
from image_processor.urls import host_of

# A delivery whose `scheduled_at` is further in the future was scheduled before the clock was set back.
CLOCK_TOLERANCE = timedelta(seconds=5)
# An attempt takes at most 15 s. What a sender has not recorded or given back by then, another one sends.
SENDING = timedelta(seconds=60)


def new_delivery(job_id: str, url: str, body: str) -> WebhookDelivery:
    """A delivery that is due at once. Its id is the `webhook-id` of all its attempts."""
    at = now()
    return WebhookDelivery(
        id=f"msg_{uuid.uuid4().hex[:32]}",
        request_id=job_id,
        url=url,
        host=host_of(url),
        body=body,
        state=DeliveryState.PENDING,
        due_at=at,
        scheduled_at=at,
        created_at=at,
    )


class Outbox:
    """Records what is to be sent, what was sent, and what came in."""

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    def due(
        self, limit: int, without: Sequence[str] = (), without_hosts: Sequence[str] = ()
    ) -> Sequence[WebhookDelivery]:
        """Deliveries that are due, oldest first, except those with an id in `without` or a host in `without_hosts`.

        What was scheduled in the future is due, too: the clock was set back.
        """
        due = (
            select(WebhookDelivery)
            .where(
                *_is_due(now()),
                WebhookDelivery.id.not_in(without),
                WebhookDelivery.host.not_in(without_hosts),
            )
            .order_by(WebhookDelivery.due_at)
            .limit(limit)
        )
        with self._read() as session:
            return session.scalars(due).all()

    def take(self, delivery_id: str) -> WebhookDelivery | None:
        """Reserve a delivery for one attempt; None when another sender has it, or it is no longer due."""
        at = now()
        taken = update(WebhookDelivery).where(WebhookDelivery.id == delivery_id, *_is_due(at))
        with self._write() as session:
            if not execute_counting(session, taken.values(sending_until=at + SENDING)):
                return None
            return session.get(WebhookDelivery, delivery_id)

    def give_back(self, delivery: WebhookDelivery) -> None:
        """Make a delivery that was taken, and not sent, due for every sender."""
        with self._write() as session:
            session.execute(_free(delivery))

    def record_attempt(
        self, delivery: WebhookDelivery, attempt: WebhookAttempt, state: DeliveryState, wait: float | None
    ) -> None:
        """Record one attempt and the new state; the delivery is due again after `wait` seconds, unless None.

        A redelivery that was requested during the attempt stays due.
        """
        at = now()
        this = update(WebhookDelivery).where(WebhookDelivery.id == delivery.id)
        sent = this.values(attempts=WebhookDelivery.attempts + 1, last_status_code=attempt.status_code)
        next_state = this.where(WebhookDelivery.scheduled_at == delivery.scheduled_at).values(
            state=state,
            step=WebhookDelivery.step + 1,
            due_at=None if wait is None else at + timedelta(seconds=wait),
            scheduled_at=at,
        )
        with self._write() as session:
            if execute_counting(session, sent):  # else it was deleted with its job meanwhile
                session.add(attempt)
                session.execute(next_state)
                session.execute(_free(delivery))

    def redeliver(self, job_id: str, delivery_id: str) -> bool:
        """Make a delivery due again, from the start of the schedule. False when the job has no such delivery."""
        at = now()
        with self._write() as session:
            again = (
                update(WebhookDelivery)
                .where(WebhookDelivery.id == delivery_id, WebhookDelivery.request_id == job_id)
                .values(state=DeliveryState.PENDING, step=0, due_at=at, scheduled_at=at)
            )
            return bool(execute_counting(session, again))

    def deliveries(self, job_id: str) -> list[tuple[WebhookDelivery, list[WebhookAttempt]]]:
        """All deliveries of a job, each with its attempts, oldest first."""
        # One query, because between two another attempt may be recorded.
        both = (
            select(WebhookDelivery, WebhookAttempt)
            .outerjoin(WebhookAttempt, WebhookAttempt.delivery_id == WebhookDelivery.id)
            .where(WebhookDelivery.request_id == job_id)
            .order_by(WebhookDelivery.created_at, WebhookDelivery.id, WebhookAttempt.id)
        )
        with self._read() as session:
            rows = session.execute(both).all()
        return [
            (delivery, [attempt for _, attempt in group if attempt is not None])
            for delivery, group in groupby(rows, key=itemgetter(0))
        ]

    def store_callback(self, callback: ReceivedCallback) -> bool:
        """Store a received callback; False when one with its id is stored already."""
        try:
            with self._write() as session:
                session.add(callback)
        except IntegrityError:
            return False
        return True

    def received_callbacks(self, limit: int = 100) -> Sequence[ReceivedCallback]:
        """The newest received callbacks, newest first."""
        newest = select(ReceivedCallback).order_by(ReceivedCallback.received_at.desc()).limit(limit)
        with self._read() as session:
            return session.scalars(newest).all()

    def delete_callbacks(self, before: datetime) -> None:
        """Delete callbacks that were received before a moment."""
        with self._write() as session:
            session.execute(delete(ReceivedCallback).where(ReceivedCallback.received_at < before))


def _is_due(at: datetime) -> "tuple[ColumnElement[bool], ...]":
    until, latest = WebhookDelivery.sending_until, at + CLOCK_TOLERANCE
    return (
        WebhookDelivery.state == DeliveryState.PENDING,
        or_(WebhookDelivery.due_at <= at, WebhookDelivery.scheduled_at > latest),
        or_(until.is_(None), until <= at, until > latest + SENDING),
    )


def _free(delivery: WebhookDelivery) -> Update:
    """Ends the reservation, unless another sender has taken the delivery since."""
    mine = WebhookDelivery.id == delivery.id, WebhookDelivery.sending_until == delivery.sending_until
    return update(WebhookDelivery).where(*mine).values(sending_until=None)
