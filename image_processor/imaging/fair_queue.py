"""A queue for a few places that no owner can fill: the owner that has used them least is next."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from image_processor.errors import ImageCancelled

LOOK_SECONDS: Final = 0.25


@dataclass(slots=True)
class _Owner:
    used: float  # seconds of places, since the owner came
    running: int = 0
    waiting: deque[threading.Event] = field(default_factory=deque)


class FairQueue:
    """Hands out `places` places among owners (jobs, for example). Thread-safe.

    While there are several owners, each gets its share of the places and no more, and a free place goes to the one that
    has used them for the shortest time. So 16 images of 30 seconds hold up only the job that has them.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._free = places
        self._owners: dict[str, _Owner] = {}
        self._lock = threading.Lock()

    @contextmanager
    def place(self, name: str, is_abandoned: Callable[[], bool]) -> Iterator[None]:
        """Wait for a place and hold it. Raises ImageCancelled when `is_abandoned` says so meanwhile."""
        turn = threading.Event()
        with self._lock:
            least = min((owner.used for owner in self._owners.values()), default=0.0)
            owner = self._owners.setdefault(name, _Owner(least))
            owner.waiting.append(turn)
            self._hand_out()
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
                self._hand_out()

    def _hand_out(self) -> None:
        while self._free:
            share = max(1, self._places // len(self._owners)) if self._owners else 0
            ready = [owner for owner in self._owners.values() if owner.waiting and owner.running < share]
            if not ready:
                return
            owner = min(ready, key=lambda owner: owner.used)
            owner.waiting.popleft().set()
            owner.running += 1
            self._free -= 1
