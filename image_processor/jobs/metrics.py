"""Metrics for monitoring systems. The only module that knows prometheus-client.

Counters and times are those of this process since its start; the queue is read from the database at every scrape, so
any process of the installation reports all of it.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from image_processor.errors import StoreUnavailable
from image_processor.store import ImageRecord, ImageStatus

Step = Literal["download", "compress", "record"]
STEPS: tuple[Step, ...] = get_args(Step)
# From a record of a few images to a download at its deadline, 30 s by default.
STEP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The metrics of one application. Thread-safe.

    `queue` returns how many jobs are not done, and how many of their images are not final.
    """

    def __init__(self, queue: Callable[[], tuple[int, int]]) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Queue(queue))
        counter = partial(Counter, registry=registry)
        self._images = counter(
            "skulight_images",
            "Images that became final: succeeded, kept_original (no smaller result was found), failed.",
            ["outcome"],
        )
        self._failures = counter("skulight_image_failures", "Images that failed, by error code.", ["code"])
        self._bytes = counter(
            "skulight_image_bytes",
            "Bytes of compressed images: in as downloaded, out as stored. A file that fills several slots counts once.",
            ["direction"],
        )
        seconds = Histogram(
            "skulight_step_seconds",
            "Seconds in each step: the download or the compression of one image, the record of one batch.",
            ["step"],
            buckets=STEP_SECONDS,
            registry=registry,
        )
        self._steps = {step: seconds.labels(step) for step in STEPS}
        self._webhooks = counter(
            "skulight_webhook_attempts",
            "Attempts to deliver a webhook: delivered (2xx), refused (another status), unanswered.",
            ["result"],
        )
        self._begin_at_zero()

    def _begin_at_zero(self) -> None:
        # A series that appears with its first event hides that event from rate().
        for outcome in ("succeeded", "kept_original", "failed"):
            self._images.labels(outcome)
        for direction in ("in", "out"):
            self._bytes.labels(direction)
        for result in ("delivered", "refused", "unanswered"):
            self._webhooks.labels(result)

    def timed(self, step: Step) -> AbstractContextManager[object]:
        """Time a block, whether it succeeds or not."""
        return self._steps[step].time()

    def observe(self, step: Step, seconds: float) -> None:
        """Record a time that was measured elsewhere."""
        self._steps[step].observe(seconds)

    def count_images(self, records: Sequence[ImageRecord]) -> None:
        """Count a batch of images that are recorded as final."""
        outcomes, failures, transferred = Tally[str](), Tally[str](), Tally[str]()
        for record in records:
            slots = record.image.slots
            if record.status is ImageStatus.COMPLETED:
                outcomes["kept_original" if record.kept_original else "succeeded"] += slots
                transferred["in"] += record.bytes_in or 0
                transferred["out"] += record.bytes_out or 0
            else:
                outcomes["failed"] += slots
                failures[record.error_code or ""] += slots
        for counter, tally in ((self._images, outcomes), (self._failures, failures), (self._bytes, transferred)):
            for label, amount in tally.items():
                counter.labels(label).inc(amount)

    def count_webhook(self, status_code: int | None) -> None:
        """Count an attempt to deliver; `status_code` is None when there was no response."""
        if status_code is None:
            result = "unanswered"
        else:
            result = "delivered" if 200 <= status_code < 300 else "refused"
        self._webhooks.labels(result).inc()

    def page(self, accept: str) -> tuple[bytes, str]:
        """All metrics in the format that the `Accept` header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


class _Queue(Collector):
    """The queue, read at every scrape. Left out while the database cannot be read."""

    def __init__(self, queue: Callable[[], tuple[int, int]]) -> None:
        self._queue = queue

    def describe(self) -> Iterable[Metric]:
        """Without this, the registry would read the database at the start."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The gauges as they are now."""
        try:
            jobs, images = self._queue()
        except StoreUnavailable:
            return
        yield GaugeMetricFamily("skulight_requests_unfinished", "Jobs that are not done.", value=jobs)
        yield GaugeMetricFamily(
            "skulight_images_waiting", "Images of unfinished jobs that are not final yet.", value=images
        )
