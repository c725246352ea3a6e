"""Who asks goes first: work that is about to begin waits a moment while somebody is being answered.

There is one interpreter. An answer gives it away and asks for it again at every system call, and each time it queued
behind sixteen downloads and three compress threads: 22 ms for a status that takes 4.
"""

import threading
import time
from math import inf
from typing import Final

SECONDS: Final = 0.02


class RightOfWay:
    """Knows whether somebody is being answered. Thread-safe.

    A call has the right for `seconds` from when it came: a client that drips its upload must not hold the work up.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._ends: dict[object, float] = {}  # of the right of each call
        self._changed = threading.Condition()

    def begin(self, call: object) -> None:
        """`call` (whatever names it, and can be hashed) is being answered from now on."""
        with self._changed:
            self._ends[call] = time.monotonic() + self._seconds

    def end(self, call: object) -> None:
        """`call` has been answered."""
        with self._changed:
            self._ends.pop(call, None)
            if self._seconds_left() <= 0:
                self._changed.notify_all()

    def give_way(self, at_most: float = inf) -> None:
        """Return when nobody has the right of way, and in any case when those have lost it who have it now.

        Nor does it last longer than `at_most` seconds.
        """
        if not self._ends:
            return
        with self._changed:
            if (seconds := self._seconds_left()) > 0:
                self._changed.wait(min(seconds, at_most))

    def _seconds_left(self) -> float:
        return max(self._ends.values(), default=0.0) - time.monotonic()
