"""The images of a portion: one function downloads, compresses and stores each; the outcomes are recorded in batches.

The job thread decides and records, download threads process. A download thread never uses the database, the job thread
never the network.
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import BinaryIO

from image_processor.download import Downloader, HostLimits, retry_delay
from image_processor.errors import ImageCancelled, ImageError, InternalError, StoreUnavailable
from image_processor.imaging import CompressOptions, Compressor, ImagePool, compress_file
from image_processor.jobs.image_queue import ImageWindow, Turn
from image_processor.jobs.metrics import Metrics
from image_processor.jobs.status import waiting_message
from image_processor.store import (
    PROCESSING_MESSAGE,
    ImageRecord,
    ImageStatus,
    ImageTask,
    Job,
    Jobs,
    Portion,
    Products,
    Storage,
    image_name,
)

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.4
BATCH_IMAGES = 256
COLLECT_SECONDS = 0.125
WAITING_SECONDS = 1.0
CANCEL_CHECK_SECONDS = 0.5


class Interrupted(Exception):
    """The process ends. The job continues at the next start, from what is recorded."""


@dataclass(frozen=True, slots=True)
class ImageProcessor:
    """Processes single images of any job. Thread-safe."""

    storage: Storage
    downloader: Downloader
    limits: HostLimits
    compressor: Compressor
    pool: ImagePool
    metrics: Metrics

    def process(
        self, job_id: str, base_url: str, image: ImageTask, options: CompressOptions, is_abandoned: Callable[[], bool]
    ) -> ImageRecord:
        """Download, compress and store one image, whose place at the host was taken and is given back.

        Raises the ImageError that says what is wrong (ImageCancelled once `is_abandoned` returns True),
        StoreUnavailable or OSError when nothing can be written.
        """
        with ExitStack() as stack:
            original, size = self._download(image, base_url, stack, is_abandoned)
            result = stack.enter_context(self.storage.new_image(job_id))
            paths = original.name, result.path
            compressed = self.pool.run(job_id, is_abandoned, compress_file, self.compressor, *paths, options)
            self.metrics.observe("compress", compressed.seconds)
            if is_abandoned():  # the job may have been deleted since
                raise ImageCancelled
            name = image_name(image.row, image.position, compressed.extension)
            result.keep(name)
        return ImageRecord(
            image,
            ImageStatus.COMPLETED,
            output_url=self.storage.url(base_url, job_id, name),
            kept_original=compressed.kept_original,
            note=compressed.note,
            bytes_in=size,
            bytes_out=compressed.bytes_out,
            width=compressed.width,
            height=compressed.height,
        )

    def _download(
        self, image: ImageTask, base_url: str, stack: ExitStack, is_abandoned: Callable[[], bool]
    ) -> tuple[BinaryIO, int]:
        """The original, open until `stack` ends, and its size. Gives the place at the host back in any case."""
        failure: ImageError | None = ImageCancelled()
        try:
            if is_abandoned():
                raise ImageCancelled
            file = stack.enter_context(self.storage.original())
            with self.metrics.timed("download"):
                size = self.downloader.download(image.url, file, own_base_url=base_url, is_abandoned=is_abandoned)
            failure = None
        except ImageError as error:
            if not is_abandoned():  # else it does not count against the host
                failure = error
            raise
        finally:
            self.limits.release(image.host, failure)
        return file, size


class DownloadThreads:
    """The threads that process images, shared among running jobs. `stopping` is set when the process ends."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool = ThreadPoolExecutor(number, thread_name_prefix="download")
        self._jobs = 0
        self._lock = threading.Lock()
        self.stopping = threading.Event()

    @property
    def share(self) -> int:
        """How many images one job may have in progress now: downloading, being compressed, or waiting for that."""
        return max(4, self._number // max(1, self._jobs))

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Count one more job while its images are processed."""
        with self._lock:
            self._jobs += 1
        try:
            yield
        finally:
            with self._lock:
                self._jobs -= 1

    def submit(self, process: Callable[[], ImageRecord]) -> Future[ImageRecord]:
        """Run a function in one of the threads. Raises StoreUnavailable when no thread can be started."""
        try:
            return self._pool.submit(copy_context().run, process)  # with the id of the HTTP request, for the log
        except RuntimeError as error:  # "can't start new thread", or the process ends
            raise StoreUnavailable("The system has no threads left at the moment.") from error

    def stop(self) -> None:
        """Begin no more images."""
        self.stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)


class ImageJob:
    """Processes the images of a portion that are pending, for the job thread that calls `run`.

    `max_attempts` is the most downloads of one image.
    """

    def __init__(
        self,
        job: Job,
        portion: Portion,
        *,
        jobs: Jobs,
        products: Products,
        processor: ImageProcessor,
        threads: DownloadThreads,
        limits: HostLimits,
        metrics: Metrics,
        max_attempts: int,
    ) -> None:
        self._job = job
        self._isolated = portion.isolated
        self._jobs = jobs
        self._products = products
        self._processor = processor
        self._threads = threads
        self._limits = limits
        self._metrics = metrics
        self._max_attempts = max_attempts
        self._options = CompressOptions(job.quality, job.max_dimension, job.format)  # type: ignore[arg-type]
        self._window = ImageWindow(products, portion, limits)
        self._running: dict[Future[ImageRecord], Turn] = {}
        self._finished: queue.SimpleQueue[Future[ImageRecord]] = queue.SimpleQueue()
        self._started = False  # an image since the last batch
        self._abandoned = False
        self._records: list[ImageRecord] = []
        self._message = PROCESSING_MESSAGE
        self._recorded_at = self._busy_at = time.monotonic()
        self._checked_at = -inf  # it may have been cancelled before the first image

    def run(self) -> None:
        """Process until every image of the portion is final and recorded, or the job is cancelled.

        Raises Interrupted when the process ends first, OSError or StoreUnavailable when nothing can be written.
        """
        with self._threads.shared():
            try:
                while (self._running or not self._window.empty) and not self._is_cancelled():
                    self._start_images()
                    self._collect()
                    self._record_if_due()
                    self._update_message()
            finally:
                self._abandoned = True  # images that still run are given up: the job may be deleted meanwhile
            self._record()

    # ---- start and collect ----------------------------------------------------------------------------------------

    def _start_images(self) -> None:
        share = 1 if self._isolated else self._threads.share
        while len(self._running) < share and (turn := self._window.take()):
            if turn.refusal:  # thousands in a row where a host is dead: a batch at a time
                self._fail(turn, turn.refusal)
                if len(self._records) >= BATCH_IMAGES:
                    return
            else:
                self._start(turn)

    def _start(self, turn: Turn) -> None:
        job, process = self._job, self._processor.process
        # What raises here is queued all the same: it gives the place at the host back when it runs, abandoned.
        future = self._threads.submit(
            partial(process, job.id, job.base_url, turn.image, self._options, lambda: self._abandoned)
        )
        self._running[future] = turn
        self._started = True
        future.add_done_callback(self._finished.put)

    def _collect(self) -> None:
        """Wait a moment for results, then take all that are there."""
        with contextlib.suppress(queue.Empty):
            self._take_result(self._finished.get(timeout=COLLECT_SECONDS))
            while True:
                self._take_result(self._finished.get_nowait())
        self._check_stop()

    def _take_result(self, future: Future[ImageRecord]) -> None:
        self._check_stop()  # before the result: when the process ends, its images fail
        turn = self._running.pop(future)
        if error := future.exception():
            self._retry_or_fail(turn, error)
        else:
            self._records.append(replace(future.result(), attempts=turn.attempts + 1))

    def _check_stop(self) -> None:
        if self._threads.stopping.is_set():
            raise Interrupted

    def _retry_or_fail(self, turn: Turn, error: BaseException) -> None:
        turn = replace(turn, attempts=turn.attempts + 1)
        if isinstance(error, (OSError, StoreUnavailable)):
            raise error  # nothing is wrong with the image
        if not isinstance(error, ImageError):
            log.error("job %s: image %d", self._job.id, turn.image.id, exc_info=error)
            self._fail(turn, InternalError())
        elif error.retryable and turn.attempts < self._max_attempts:
            self._window.wait_again(turn, retry_delay(error, turn.attempts))
        else:
            self._fail(turn, error)

    def _is_cancelled(self) -> bool:
        if time.monotonic() - self._checked_at < CANCEL_CHECK_SECONDS:
            return False
        self._checked_at = time.monotonic()
        return self._jobs.cancel_requested(self._job.id)

    def _update_message(self) -> None:
        """Name the hosts while all remaining images wait for them."""
        now = time.monotonic()
        if self._running:
            self._busy_at = now
        hosts = self._window.waiting_hosts if now - self._busy_at > WAITING_SECONDS else []
        message = waiting_message(hosts) if hosts else PROCESSING_MESSAGE
        if message != self._message:
            self._message = message
            self._jobs.set_message(self._job.id, message)

    # ---- record ---------------------------------------------------------------------------------------------------

    def _fail(self, turn: Turn, error: ImageError) -> None:
        log.info("job %s: image %d failed: %s", self._job.id, turn.image.id, error.code)
        self._records.append(
            ImageRecord(
                turn.image,
                ImageStatus.FAILED,
                turn.attempts,
                error_code=error.code,
                error_detail=error.detail,
                http_status=error.http_status,
            )
        )

    def _record_if_due(self) -> None:
        is_due = time.monotonic() - self._recorded_at >= BATCH_SECONDS and (self._records or self._started)
        if is_due or len(self._records) >= BATCH_IMAGES:
            self._record()

    def _record(self) -> None:
        running = [turn.image for turn in self._running.values()]
        with self._metrics.timed("record"):
            recorded = self._products.record_images(self._job.id, running, self._records)
        self._metrics.count_images(recorded)
        self._records = []
        self._started = False
        self._recorded_at = time.monotonic()
