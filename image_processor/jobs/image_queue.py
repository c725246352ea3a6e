"""Which image is processed next: a bounded window over the pending images of a portion of a job.

Images wait in queues, one per host, which take turns. A host at its limit, or an image whose retry is not due, delays
no other. When one host fills its queue, further images are fetched without it, and that queue is refilled from where
it stopped – so a job of 100,000 images takes the memory of a window and 20,000 URLs of a slow host do not hide the
others.
"""

import heapq
import itertools
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from image_processor.download import HostLimits
from image_processor.errors import ImageError
from image_processor.store import ImageTask, Portion, Products

CHUNK = 128
LOOK_AHEAD = 512
FULL_QUEUE = 128
MAX_FULL_QUEUES = 200


@dataclass(frozen=True, slots=True)
class Turn:
    """An image whose turn it is. `attempts` counts its downloads so far; `refusal` says why to begin no other."""

    image: ImageTask
    attempts: int = 0
    refusal: ImageError | None = None


class ImageWindow:
    """The images of a portion that wait. Used by its job thread only."""

    def __init__(self, products: Products, portion: Portion, limits: HostLimits) -> None:
        self._pending = partial(products.pending_images, portion.job_id, last_id=portion.last_id)
        self._limits = limits
        self._queues: dict[str, deque[Turn]] = {}
        self._full: dict[str, int | None] = {}  # host -> last id fetched; None: it has no more
        self._later: list[tuple[float, int, Turn]] = []
        self._numbers = itertools.count()
        self._waiting = 0
        self._cursor: int | None = portion.after_id  # last id fetched for all other hosts; None: they have no more

    @property
    def empty(self) -> bool:
        """Whether nothing waits and nothing more can come."""
        return not self._waiting and self._cursor is None and all(at is None for at in self._full.values())

    @property
    def waiting_hosts(self) -> list[str]:
        """The hosts whose images wait, those that wait for a retry last."""
        return list(dict.fromkeys([*self._queues, *(turn.image.host for _, _, turn in self._later)]))

    def take(self) -> Turn | None:
        """The next image, with a place taken at its host (unless refused); None when all must wait."""
        self._wake()
        self._refill()
        for host in list(self._queues):
            refusal = self._limits.refusal(host)
            if refusal or self._limits.acquire(host, self):
                return self._pop(host, refusal)
        return None

    def wait_again(self, turn: Turn, seconds: float) -> None:
        """Give an image another turn, not before `seconds` have passed."""
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._numbers), replace(turn, refusal=None)))
        self._waiting += 1

    def _pop(self, host: str, refusal: ImageError | None) -> Turn:
        queue = self._queues.pop(host)
        turn = queue.popleft()
        if queue:
            self._queues[host] = queue  # to the end: the other hosts come first
        self._waiting -= 1
        return replace(turn, refusal=refusal)

    def _wake(self) -> None:
        while self._later and self._later[0][0] <= time.monotonic():
            turn = heapq.heappop(self._later)[2]
            self._queues.setdefault(turn.image.host, deque()).append(turn)

    def _refill(self) -> None:
        while self._waiting < LOOK_AHEAD:
            if not (self._refill_full() or self._refill_any()):
                return

    def _refill_any(self) -> bool:
        if self._cursor is None or (len(self._full) >= MAX_FULL_QUEUES and self._waiting):
            return False
        images = self._pending(self._cursor, CHUNK, without=list(self._full))
        self._append(images)
        self._cursor = images[-1].id if len(images) == CHUNK else None
        if self._cursor is not None:
            for host in {image.host for image in images}:
                if len(self._queues[host]) >= FULL_QUEUE:
                    self._full[host] = self._cursor
        return True

    def _refill_full(self) -> bool:
        for host, after_id in self._full.items():
            if after_id is not None and len(self._queues.get(host, ())) < FULL_QUEUE // 2:
                images = self._pending(after_id, FULL_QUEUE, host=host)
                self._append(images)
                self._full[host] = images[-1].id if len(images) == FULL_QUEUE else None
                return True
        return False

    def _append(self, images: Sequence[ImageTask]) -> None:
        for image in images:
            self._queues.setdefault(image.host, deque()).append(Turn(image))
        self._waiting += len(images)
