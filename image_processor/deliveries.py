"""The story of the webhooks: what is due is sent, the attempt is written down, and so is what follows from it."""

import logging
import random
from concurrent.futures import Future, ThreadPoolExecutor

from image_processor import webhook
from image_processor.models import DeliveryState, WebhookAttempt, WebhookDelivery
from image_processor.repository import Repository

log = logging.getLogger(__name__)

ATTEMPT_TIMEOUT = 15.0
SENDERS = 8


class Deliveries:
    """Sends what is due. A receiver that is slow holds one sender, never the others."""

    def __init__(
        self, repository: Repository, poster: webhook.Poster, secrets: tuple[str, ...], schedule: tuple[float, ...]
    ) -> None:
        self._repository = repository
        self._poster = poster
        self._secrets = secrets
        self._schedule = schedule
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        self._sending: dict[str, Future[None]] = {}

    def send_due(self) -> None:
        """Hand every delivery that is due to a sender, unless one has it already. Called again and again."""
        self._sending = {key: future for key, future in self._sending.items() if not self._is_over(key, future)}
        for delivery in self._repository.due_deliveries(limit=SENDERS + len(self._sending)):
            if delivery.id not in self._sending and len(self._sending) < SENDERS:
                self._sending[delivery.id] = self._senders.submit(self._deliver, delivery)

    def stop(self) -> None:
        """Begin nothing more."""
        self._senders.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, delivery: WebhookDelivery) -> None:
        request = self._repository.get_request(delivery.request_id)
        if request is None:
            return
        secrets = (request.webhook_secret,) if request.webhook_secret else self._secrets
        result = webhook.attempt(
            self._poster,
            delivery.url,
            delivery.id,
            delivery.body,
            secrets,
            timeout=ATTEMPT_TIMEOUT,
            own_base_url=request.base_url,
        )
        state, wait = self._verdict(delivery.attempts + 1, result)
        self._repository.record_attempt(delivery.id, _row(delivery, result), state, wait)
        log.info(
            "webhook %s of request %s: attempt %d, %s, now %s",
            delivery.id,
            delivery.request_id,
            delivery.attempts + 1,
            result.status_code or result.error,
            state,
        )

    def _verdict(self, attempts: int, result: webhook.AttemptResult) -> tuple[DeliveryState, float | None]:
        """What follows from an attempt: the new state and the seconds until the next attempt."""
        if result.delivered:
            return DeliveryState.DELIVERED, None
        if result.gone or attempts >= len(self._schedule):
            return DeliveryState.FAILED, None
        # Jitter: receivers that were down for everybody are not met by everybody at once when they come back.
        wait = self._schedule[attempts] * random.uniform(0.8, 1.2)
        return DeliveryState.PENDING, max(wait, result.retry_after)

    def _is_over(self, delivery_id: str, future: Future[None]) -> bool:
        if future.done() and (error := future.exception()):
            log.error("webhook %s could not be worked", delivery_id, exc_info=error)
        return future.done()


def _row(delivery: WebhookDelivery, result: webhook.AttemptResult) -> WebhookAttempt:
    return WebhookAttempt(
        delivery_id=delivery.id,
        attempted_at=result.at,
        duration_ms=result.duration_ms,
        status_code=result.status_code,
        answer=result.answer,
        error=result.error,
    )
