"""A few places are shared fairly: the owner that has used them for the shortest time is next."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from image_processor.errors import ImageCancelled

LOOK_SECONDS: Final = 0.25  # between two checks whether the result is still wanted


@dataclass(slots=True)
class _Owner:
    used: float  # seconds of all its places
    running: int = 0
    waiting: deque[threading.Event] = field(default_factory=deque)


class FairQueue:
    """Shares `places` places among owners, such as jobs. Thread-safe.

    Among several owners each gets its share of the places and no more, and a free place goes to the one that has used
    them for the shortest time since it came. An owner that was alone keeps the places it has until it frees them.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._free = places
        self._owners: dict[str, _Owner] = {}
        self._lock = threading.Lock()

    @contextmanager
    def place(self, name: str, is_abandoned: Callable[[], bool]) -> Iterator[None]:
        """Wait for a place and hold it. Raises ImageCancelled when `is_abandoned()` is true meanwhile."""
        turn = threading.Event()
        with self._lock:
            least = min((owner.used for owner in self._owners.values()), default=0.0)
            owner = self._owners.setdefault(name, _Owner(least))
            owner.waiting.append(turn)
            self._assign()
        began = time.monotonic()
        try:
            while not turn.wait(LOOK_SECONDS):
                if is_abandoned():
                    raise ImageCancelled
            began = time.monotonic()
            yield
        finally:
            with self._lock:
                if turn.is_set():
                    self._free += 1
                    owner.running -= 1
                    owner.used += time.monotonic() - began
                else:
                    owner.waiting.remove(turn)
                if not owner.running and not owner.waiting:
                    del self._owners[name]
                self._assign()

    def _assign(self) -> None:
        share = max(1, self._places // max(1, len(self._owners)))
        while self._free:
            ready = [owner for owner in self._owners.values() if owner.waiting and owner.running < share]
            if not ready:
                return
            owner = min(ready, key=lambda owner: owner.used)
            owner.waiting.popleft().set()
            owner.running += 1
            self._free -= 1
