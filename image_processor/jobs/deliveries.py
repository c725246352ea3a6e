"""Sends webhooks that are due, records each attempt, and schedules the next one."""

import logging
import random
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor

from image_processor.download import GuardedClient
from image_processor.errors import StoreUnavailable
from image_processor.jobs import webhook
from image_processor.jobs.metrics import Metrics
from image_processor.logs import with_http_request_id
from image_processor.store import DeliveryState, Health, Job, Jobs, Outbox, WebhookDelivery

log = logging.getLogger(__name__)

SENDERS = 32
SENDERS_PER_HOST = 2


class Deliveries:
    """Sends webhooks in threads. A slow receiver occupies two of them, the others stay free."""

    def __init__(
        self,
        jobs: Jobs,
        outbox: Outbox,
        client: GuardedClient,
        secrets: tuple[str, ...],
        schedule: tuple[float, ...],
        metrics: Metrics,
        health: Health,
    ) -> None:
        self._jobs = jobs
        self._outbox = outbox
        self._client = client
        self._secrets = secrets
        self._schedule = schedule
        self._metrics = metrics
        self._health = health
        self._stopped = threading.Event()
        self._threads = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        self._sending: dict[str, tuple[str, Future[None]]] = {}

    def send_due(self) -> None:
        """Give deliveries that are due to free threads, oldest first; none while no attempt can be recorded."""
        self._remove_sent()
        if not self._health.check_if_due():
            return
        while len(self._sending) < SENDERS:
            senders = Counter(host for host, _ in self._sending.values())
            busy = [host for host, number in senders.items() if number >= SENDERS_PER_HOST]
            due = self._outbox.due(1, without=list(self._sending), without_hosts=busy)
            if not due:
                return
            self._sending[due[0].id] = (due[0].host, self._threads.submit(self._deliver, due[0]))

    def stop(self) -> None:
        """Begin no more deliveries, and record none that is cut from now on: they are still due at the next start."""
        self._stopped.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _deliver(self, due: WebhookDelivery) -> None:
        delivery = self._outbox.take(due.id)
        job = self._jobs.get(due.request_id)
        if delivery is not None and job is not None:
            with with_http_request_id(job.call_id):
                self._send(delivery, job)

    def _send(self, delivery: WebhookDelivery, job: Job) -> None:
        secrets = (job.webhook_secret,) if job.webhook_secret else self._secrets
        result = webhook.attempt(self._client, delivery, secrets, job.base_url, job.call_id or job.id)
        if self._stopped.is_set() and result.attempt.status_code is None:
            self._outbox.give_back(delivery)
            return
        self._metrics.count_webhook(result.attempt.status_code)
        state, wait = self._next_state(delivery, result)
        outcome = result.attempt.status_code or result.attempt.error
        number = delivery.attempts + 1
        self._outbox.record_attempt(delivery, result.attempt, state, wait)
        log.info("webhook %s of job %s: attempt %d: %s; %s", delivery.id, job.id, number, outcome, state.value)

    def _next_state(
        self, delivery: WebhookDelivery, result: webhook.AttemptResult
    ) -> tuple[DeliveryState, float | None]:
        """The state after an attempt, and the seconds until the next one."""
        step = delivery.step + 1
        if result.delivered:
            return DeliveryState.DELIVERED, None
        if result.permanent or step >= len(self._schedule):
            return DeliveryState.FAILED, None
        # Jitter, so that a receiver that was down does not get all of its webhooks at once.
        wait = self._schedule[step] * random.uniform(0.8, 1.2)
        return DeliveryState.PENDING, max(wait, result.retry_after)

    def _remove_sent(self) -> None:
        for delivery_id, (_, future) in list(self._sending.items()):
            if future.done():
                del self._sending[delivery_id]
                error = None if future.cancelled() else future.exception()
                if isinstance(error, StoreUnavailable):
                    self._health.pause(error)
                elif error:
                    log.error("webhook %s could not be sent", delivery_id, exc_info=error)
