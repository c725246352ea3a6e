"""All images of one request: downloaded, compressed, stored, recorded.

The request thread decides and records; the two pools do the work. A pool thread never touches the database, the request
thread never the network. The one pool hands the bytes to the other; what becomes of an image comes back to the request
thread as an event: something to call.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from math import inf

from image_processor.alone import AloneCompressor
from image_processor.compressor import CompressedPicture, CompressOptions, Compressor
from image_processor.downloader import Downloader, retry_delay
from image_processor.errors import ImageCancelled, ImageError, InternalError, StoreUnavailable
from image_processor.image_window import ImageWindow, Turn
from image_processor.memory_budget import Backlog
from image_processor.metrics import Metrics
from image_processor.models import WORKING, ImageStatus, ProcessingRequest
from image_processor.politeness import HostLimits
from image_processor.repository import ImageRecord, ImageTask, Repository
from image_processor.right_of_way import RightOfWay
from image_processor.status import waiting_message
from image_processor.storage import Storage, image_name
from image_processor.suspects import InHand

log = logging.getLogger(__name__)

# Images that may be in flight beyond those that are downloading: compressing, or downloaded and waiting for it.
DOWNLOADED = 32
MAX_BACKLOG_BYTES = 256_000_000  # downloaded and not yet compressed, of all requests together
GATHER_SECONDS = 0.01
COMPRESS_WAIT_SECONDS = 0.01  # for whoever is being answered; three threads do not make up for more
BATCH_SECONDS = 0.4
BATCH_IMAGES = 256
WAKE_SECONDS = 0.125
WAITING_SECONDS = 1.0
CANCEL_CHECK_SECONDS = 0.5
CANCEL_GRACE_SECONDS = 2.0


class Stopped(Exception):
    """The process is ending. The request goes on at the next start, from what is recorded."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """What the compress pool gives back: the file's name, the size of its source, and what the picture is now."""

    name: str
    bytes_in: int
    picture: CompressedPicture


class FairShare:
    """How many requests are having their images worked, so that they share what may be in flight.

    `in_flight` is the number of images of all requests together that are downloading, compressing or between the two.
    """

    def __init__(self, in_flight: int) -> None:
        self._in_flight = in_flight
        self._working = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self._working += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._working -= 1

    @property
    def images(self) -> int:
        """How many images one request may have in flight now."""
        return max(4, self._in_flight // max(1, self._working))


@dataclass(frozen=True, slots=True)
class Workshop:
    """The tools all requests share."""

    storage: Storage
    downloader: Downloader
    compressor: Compressor
    limits: HostLimits
    download_pool: ThreadPoolExecutor
    compress_pool: ThreadPoolExecutor
    alone: AloneCompressor
    alone_pool: ThreadPoolExecutor
    in_hand: InHand
    max_attempts: int
    stop: threading.Event
    share: FairShare
    backlog: Backlog
    right_of_way: RightOfWay
    metrics: Metrics


class ImageWork:
    """Works the images of one request that are not final. Lives in the request thread that calls `run`."""

    def __init__(self, request: ProcessingRequest, repository: Repository, workshop: Workshop) -> None:
        self._request = request
        self._repository = repository
        self._workshop = workshop
        self._options = CompressOptions(request.quality, request.max_dimension, request.format)  # type: ignore[arg-type]
        self._window = ImageWindow(partial(repository.pending_images, request.id), workshop.limits)
        self._events: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._in_flight = 0
        self._in_hand: dict[int, ImageTask] = {}
        self._records: list[ImageRecord] = []
        self._begun = 0
        self._left = False
        self._told = WORKING
        self._recorded_at = self._busy_at = time.monotonic()
        self._checked_at = -inf  # somebody may have cancelled before the first image

    def run(self) -> None:
        """Work until every image is final and recorded, or somebody cancels.

        Raises Stopped when the process ends first, OSError or StoreUnavailable when nothing can be written just now.
        """
        with self._workshop.share:
            try:
                while (self._in_flight or not self._window.empty) and not self._is_cancelled():
                    self._begin_turns()
                    self._handle_events()
                    self._record_if_due()
                    self._tell_if_waiting()
                self._let_go()
            finally:
                self._left = True  # what is still being downloaded goes no further: its request may be deleted by then
            self._record()

    # ---- in the request thread: decide ----------------------------------------------------------------------------

    def _begin_turns(self) -> None:
        while self._in_flight < self._workshop.share.images and (turn := self._window.take()):
            self._in_hand[turn.image.id] = turn.image
            if turn.refusal:
                self._fail(turn, turn.refusal)
            else:
                self._in_flight += 1
                self._begun += 1
                download = self._workshop.download_pool.submit(self._download, turn.image)
                download.add_done_callback(partial(self._downloaded, turn))

    def _is_cancelled(self) -> bool:
        if time.monotonic() - self._checked_at < CANCEL_CHECK_SECONDS:
            return False
        self._checked_at = time.monotonic()
        return self._repository.cancel_requested(self._request.id)

    def _tell_if_waiting(self) -> None:
        """Say so when all that is left waits for its hosts, and take it back when it goes on."""
        now = time.monotonic()
        if self._in_flight:
            self._busy_at = now
        hosts = self._window.waiting_hosts if now - self._busy_at > WAITING_SECONDS else []
        message = waiting_message(hosts) if hosts else WORKING
        if message != self._told:
            self._told = message
            self._repository.say(self._request.id, message)

    def _let_go(self) -> None:
        """When cancelled: what is nearly done may become so; what still hangs after a moment is left."""
        patience = time.monotonic() + CANCEL_GRACE_SECONDS
        while self._in_flight and time.monotonic() < patience:
            self._handle_events()

    def _handle_events(self) -> None:
        """Wait a moment for a pool to be done with something, then see to everything that is there."""
        try:
            event = self._events.get(timeout=WAKE_SECONDS)
            # More is done in a moment. A wake-up for each would take the interpreter from the pools.
            self._workshop.stop.wait(GATHER_SECONDS)
            while not self._workshop.stop.is_set():
                event()
                event = self._events.get_nowait()
        except queue.Empty:
            pass
        if self._workshop.stop.is_set():
            raise Stopped

    def _retry_or_fail(self, turn: Turn, error: BaseException) -> None:
        self._in_flight -= 1
        turn = replace(turn, attempts=turn.attempts + 1)
        if isinstance(error, (OSError, StoreUnavailable)):
            raise error  # the disk's fault, not the image's
        if not isinstance(error, ImageError):
            log.error("request %s: image %d", self._request.id, turn.image.id, exc_info=error)
            self._fail(turn, InternalError())
        elif error.retryable and turn.attempts < self._workshop.max_attempts:
            self._window.wait_again(turn, retry_delay(error, turn.attempts))
        else:
            self._fail(turn, error)

    # ---- in the pools: work, and tell the request thread ----------------------------------------------------------

    def _download(self, image: ImageTask) -> bytes:
        """In a download thread: the bytes behind the image's URL, within all limits."""
        failed: ImageError | None = InternalError()
        self._workshop.backlog.wait_for_room(self._workshop.stop)
        self._workshop.right_of_way.give_way()
        try:
            with self._workshop.metrics.timed("download"):
                body = self._workshop.downloader.download(image.url, own_base_url=self._request.base_url)
            failed = None
        except ImageError as error:
            failed = error
            raise
        finally:
            self._workshop.limits.leave(image.host, failed)
        return body

    def _downloaded(self, turn: Turn, done: Future[bytes]) -> None:
        """In the download thread, when it is done: the bytes go on to be compressed."""
        if self._left or done.cancelled():
            return
        if error := done.exception():
            self._events.put(partial(self._retry_or_fail, turn, error))
            return
        source = done.result()
        self._workshop.backlog.add(len(source))
        try:
            pool = self._workshop.alone_pool if turn.image.suspect else self._workshop.compress_pool
            compress = pool.submit(self._compress, turn.image, source)
        except RuntimeError as error:  # the pool takes nothing more, or can start no thread
            self._workshop.backlog.remove(len(source))
            self._events.put(partial(self._retry_or_fail, turn, error))
        else:
            compress.add_done_callback(partial(self._compressed, turn, len(source)))

    def _compressed(self, turn: Turn, size: int, done: Future[StoredImage]) -> None:
        """In the compress thread, when it is done."""
        self._workshop.backlog.remove(size)
        if done.cancelled():
            return
        if error := done.exception():
            self._events.put(partial(self._retry_or_fail, turn, error))
        else:
            self._events.put(partial(self._succeed, turn, done.result()))

    def _compress(self, image: ImageTask, source: bytes) -> StoredImage:
        """In a compress thread: the bytes become a smaller file, stored under the image's own name."""
        self._workshop.right_of_way.give_way(COMPRESS_WAIT_SECONDS)
        if self._left:
            raise ImageCancelled
        compressor = self._workshop.alone if image.suspect else self._workshop.compressor
        with self._workshop.storage.new_image(self._request.id) as new, self._workshop.in_hand.hold(image.id):
            with self._workshop.metrics.timed("compress"):
                picture = compressor.compress(source, new.file, self._options)
            name = image_name(image.row, image.position, picture.extension)
            new.keep(name)
        return StoredImage(name, len(source), picture)

    # ---- in the request thread: record ----------------------------------------------------------------------------

    def _succeed(self, turn: Turn, stored: StoredImage) -> None:
        self._in_flight -= 1
        picture = stored.picture
        self._conclude(
            ImageRecord(
                image=turn.image,
                status=ImageStatus.COMPLETED,
                attempts=turn.attempts + 1,
                output_url=self._workshop.storage.url(self._request.base_url, self._request.id, stored.name),
                kept_original=picture.kept_original,
                note=picture.note,
                bytes_in=stored.bytes_in,
                bytes_out=picture.bytes_out,
                width=picture.width,
                height=picture.height,
            )
        )

    def _fail(self, turn: Turn, error: ImageError) -> None:
        log.info("request %s: image %d failed: %s", self._request.id, turn.image.id, error.code)
        self._conclude(
            ImageRecord(
                image=turn.image,
                status=ImageStatus.FAILED,
                attempts=turn.attempts,
                error_code=error.code,
                error_detail=error.detail,
                http_status=error.http_status,
            )
        )

    def _conclude(self, record: ImageRecord) -> None:
        del self._in_hand[record.image.id]
        self._records.append(record)

    def _record_if_due(self) -> None:
        waited = time.monotonic() - self._recorded_at
        news = self._records or self._begun
        if len(self._records) >= BATCH_IMAGES or (news and waited >= BATCH_SECONDS):
            self._record()

    def _record(self) -> None:
        self._workshop.right_of_way.give_way()
        with self._workshop.metrics.timed("record"):
            self._repository.record_images(self._request.id, list(self._in_hand.values()), self._records)
        self._workshop.metrics.count_images(self._records)
        self._records = []
        self._begun = 0
        self._recorded_at = time.monotonic()
