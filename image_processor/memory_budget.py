"""Memory as something to queue for: work begins while what all of it needs stays within a limit."""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_TRIM_BYTES: Final = 100_000_000


def trim() -> None:
    """Give freed memory back to the system, where the C library can: glibc kept 0.5 GB after some large pictures."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class MemoryBudget:
    """Lets work begin while the memory of all that runs stays within `limit` bytes.

    What needs more than everything waits until it is alone. First come, first served, so that a large picture is not
    overtaken for ever.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._next_ticket = 0
        self._serving = 0
        self._lock = threading.Lock()  # entered without Python's help, unlike the condition
        self._changed = threading.Condition(self._lock)

    @contextmanager
    def hold(self, needed: int) -> Iterator[None]:
        """Wait for `needed` bytes, and give them back at the end."""
        needed = min(needed, self._limit)
        with self._lock:
            ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
            self._changed.wait_for(lambda: ticket == self._serving and self._used + needed <= self._limit)
            self._used += needed
            self._serving += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            if needed >= _TRIM_BYTES:
                trim()
            with self._lock:
                self._used -= needed
                self._changed.notify_all()


class Backlog:
    """Bytes that were fetched and wait for the next step. While there are too many, nothing more is to be fetched.

    Not a hard limit: what is being fetched when it is reached still comes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting = 0
        self._lock = threading.Lock()  # entered without Python's help, unlike the condition
        self._changed = threading.Condition(self._lock)

    def add(self, size: int) -> None:
        """`size` bytes wait from now on."""
        with self._lock:
            self._waiting += size

    def remove(self, size: int) -> None:
        """They wait no longer."""
        with self._lock:
            was_full = self._waiting >= self._limit
            self._waiting -= size
            if was_full:
                self._changed.notify_all()

    def wait_for_room(self, stop: threading.Event) -> None:
        """Return when fewer bytes than the limit wait, or when `stop` is set (within half a second)."""
        with self._lock:
            while self._waiting >= self._limit and not stop.is_set():
                self._changed.wait(0.5)
