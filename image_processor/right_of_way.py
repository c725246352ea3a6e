"""Who asks goes first: work that is about to begin waits a moment while somebody is being answered.

There is one interpreter. An answer gives it away and asks for it again some thirty times, at every read of the socket
and of the database, and each time it queued behind sixteen downloads: 22 ms for a status that takes 4.
"""

import threading
import time
from typing import Final

SECONDS: Final = 0.02


class RightOfWay:
    """Knows whether somebody is being answered. Thread-safe.

    The right lasts for the first `seconds` of an answer: a client that drips its upload must not hold the work up.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._answering = 0
        self._until = 0.0
        self._changed = threading.Condition()

    def begin(self) -> None:
        """Somebody is being answered from now on."""
        with self._changed:
            self._answering += 1
            self._until = time.monotonic() + self._seconds

    def end(self) -> None:
        """The answer that began has ended."""
        with self._changed:
            self._answering -= 1
            if not self._answering:
                self._changed.notify_all()

    def give_way(self) -> None:
        """Return when nobody is being answered, or when the newest answer of this moment has lost its right."""
        with self._changed:
            if self._answering:
                self._changed.wait(self._until - time.monotonic())
