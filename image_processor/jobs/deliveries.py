"""The story of the webhooks: what is due is sent, the attempt is written down, and so is what follows from it."""

import logging
import random
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor

from image_processor.jobs import webhook
from image_processor.jobs.metrics import Metrics
from image_processor.logs import with_http_request_id
from image_processor.store import DeliveryState, Job, Outbox, Repository, WebhookAttempt, WebhookDelivery

log = logging.getLogger(__name__)

ATTEMPT_TIMEOUT = 15.0
SENDERS = 32
SENDERS_PER_HOST = 2


class Deliveries:
    """Sends what is due. A receiver that is slow holds two senders, never those of the others."""

    def __init__(
        self,
        repository: Repository,
        outbox: Outbox,
        poster: webhook.Poster,
        secrets: tuple[str, ...],
        schedule: tuple[float, ...],
        metrics: Metrics,
    ) -> None:
        self._repository = repository
        self._outbox = outbox
        self._poster = poster
        self._secrets = secrets
        self._schedule = schedule
        self._metrics = metrics
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        self._sending: dict[str, tuple[str, Future[None]]] = {}

    def send_due(self) -> None:
        """Hand deliveries that are due to free senders, oldest first. Called again and again."""
        self._forget_sent()
        while len(self._sending) < SENDERS:
            senders = Counter(host for host, _ in self._sending.values())
            busy = [host for host, number in senders.items() if number >= SENDERS_PER_HOST]
            due = self._outbox.due(1, without=list(self._sending), without_hosts=busy)
            if not due:
                return
            self._sending[due[0].id] = (due[0].host, self._senders.submit(self._deliver, due[0]))

    def stop(self) -> None:
        """Begin nothing more."""
        self._senders.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, delivery: WebhookDelivery) -> None:
        request = self._repository.get_request(delivery.request_id)
        if request is not None:
            with with_http_request_id(request.call_id):
                self._send(delivery, request)

    def _send(self, delivery: WebhookDelivery, request: Job) -> None:
        secrets = (request.webhook_secret,) if request.webhook_secret else self._secrets
        result = webhook.attempt(
            self._poster,
            delivery.url,
            delivery.id,
            delivery.body,
            secrets,
            timeout=ATTEMPT_TIMEOUT,
            own_base_url=request.base_url,
            call_id=request.call_id or request.id,
        )
        self._metrics.count_webhook(result.status_code)
        state, wait = self._verdict(delivery, result)
        self._outbox.record_attempt(delivery.id, _row(delivery, result), state, wait)
        log.info(
            "webhook %s of request %s: attempt %d: %s; %s",
            delivery.id,
            delivery.request_id,
            delivery.attempts + 1,
            result.status_code or result.error,
            state.value,
        )

    def _verdict(self, delivery: WebhookDelivery, result: webhook.AttemptResult) -> tuple[DeliveryState, float | None]:
        """What follows from an attempt: the new state and the seconds until the next attempt."""
        step = delivery.step + 1
        if result.delivered:
            return DeliveryState.DELIVERED, None
        if result.gone or result.hopeless or step >= len(self._schedule):
            return DeliveryState.FAILED, None
        # Jitter: receivers that were down for everybody are not met by everybody at once when they come back.
        wait = self._schedule[step] * random.uniform(0.8, 1.2)
        return DeliveryState.PENDING, max(wait, result.retry_after)

    def _forget_sent(self) -> None:
        for delivery_id, (_, future) in list(self._sending.items()):
            if future.done():
                del self._sending[delivery_id]
                if not future.cancelled() and (error := future.exception()):
                    log.error("webhook %s could not be worked", delivery_id, exc_info=error)


def _row(delivery: WebhookDelivery, result: webhook.AttemptResult) -> WebhookAttempt:
    return WebhookAttempt(
        delivery_id=delivery.id,
        attempted_at=result.at,
        duration_ms=result.duration_ms,
        status_code=result.status_code,
        answer=result.answer,
        error=result.error,
    )
