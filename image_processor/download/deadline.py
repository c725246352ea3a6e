"""Cuts sockets whose time is over, with one thread for all of them.

A socket's own time-out bounds the wait for the next byte, never the whole: a server that drips a byte a second runs for
ever. Only shutting the socket down from outside ends the read that hangs on it.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

from image_processor.errors import FetchConnectionError, FetchTimeout

_STOPPED = "The download was stopped because the server is shutting down; it can be tried again."
# Seconds the thread stays when there is nothing to watch.
_IDLE_SECONDS = 5.0
_LOOK_SECONDS = 0.25  # between two looks at whether anybody still waits


class Deadline:
    """The moment one exchange must be over, and the socket to cut then."""

    __slots__ = ("_descriptor", "_kept", "_lock", "_stopped", "answered", "at", "is_abandoned", "is_cut")

    def __init__(self, at: float, is_abandoned: Callable[[], bool] | None = None) -> None:
        self.at = at
        self.is_abandoned = is_abandoned
        self.is_cut = False
        self.answered = False
        self._stopped = False
        self._lock = threading.Lock()
        self._descriptor = -1
        self._kept: socket.socket | None = None

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(self.at - time.monotonic(), 0.0)

    def check(self) -> None:
        """Raise FetchTimeout when the time is over, FetchConnectionError when the exchange was stopped."""
        if self._stopped:
            raise FetchConnectionError(_STOPPED)
        if self.is_cut or time.monotonic() >= self.at:
            raise FetchTimeout(answered=self.answered)

    def note_answer(self) -> None:
        """The server has begun to answer. For the report: too slow is not the same as dead."""
        self.answered = True

    def hold(self, sock: socket.socket) -> None:
        """Make the new socket `sock` the one to cut. Raises like `check` when it is too late for that."""
        # A duplicate, because `sock` gives its descriptor away when TLS is put over it, and a handshake can hang, too.
        duplicate = os.dup(sock.fileno())
        with self._lock:
            self._drop()
            self._descriptor = duplicate
        if self.is_cut:
            self.release()
        self.check()

    def hold_kept(self, sock: socket.socket) -> None:
        """Make `sock`, which is connected and had its handshake, the one to cut. Raises like `check`."""
        # No duplicate, which costs two system calls for each picture. Should its owner close it in the very moment in
        # which it is cut, the cut may hit the next socket of that number: its exchange fails and is tried again.
        with self._lock:
            self._drop()  # a hop before this one may have dialled
            self._kept = sock
        self.check()

    def release(self) -> None:
        """Let go of the socket."""
        with self._lock:
            self._drop()

    def is_due(self, now: float) -> bool:
        """Whether the exchange is to be cut: its time is over, or nobody waits for it any more."""
        return not self.is_cut and (self.at <= now or (self.is_abandoned is not None and self.is_abandoned()))

    def cut(self, *, stopped: bool = False) -> None:
        """Shut the socket down now; whoever reads from it wakes up."""
        with self._lock:
            self._stopped = self._stopped or (stopped and not self.is_cut)
            self.is_cut = True
            if self._descriptor >= 0:
                held = socket.socket(fileno=self._descriptor)
                _shut_down(held)
                held.detach()
            elif self._kept is not None:
                _shut_down(self._kept)

    def _drop(self) -> None:
        self._kept = None
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _shut_down(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # not connected any more
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which would meddle with the reader's state


class Watchdog:
    """Watches any number of deadlines with one thread, which runs only while there are some."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # entered without Python's help, unlike the condition
        self._changed = threading.Condition(self._lock)
        self._watched: set[Deadline] = set()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0

    @contextlib.contextmanager
    def watch(self, seconds: float, is_abandoned: Callable[[], bool] | None = None) -> Iterator[Deadline]:
        """Cut what the yielded deadline holds when the block takes longer than `seconds`, or when it is abandoned."""
        deadline = Deadline(time.monotonic() + seconds, is_abandoned)
        with self._lock:
            self._see_to(deadline)
            self._watched.add(deadline)
        try:
            yield deadline
        finally:
            with self._lock:
                self._watched.discard(deadline)
            deadline.release()

    def cut_all(self) -> None:
        """Cut everything that is being watched, at once."""
        with self._lock:
            watched = list(self._watched)
        for deadline in watched:
            deadline.cut(stopped=True)

    def _see_to(self, deadline: Deadline) -> None:
        if self._thread is None:
            self._wakes_at = deadline.at
            thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
            thread.start()  # where it cannot, nothing begins that nobody would cut
            self._thread = thread
        elif deadline.at < self._wakes_at or deadline.is_abandoned is not None:
            self._changed.notify()

    def _run(self) -> None:
        try:
            while (due := self._locked_wait()) is not None:
                for deadline in due:
                    deadline.cut()
        finally:  # whatever ends it, the next exchange starts another one
            self._thread = None

    def _locked_wait(self) -> list[Deadline] | None:
        with self._lock:
            due = self._wait()
            if due is None:
                self._thread = None
            return due

    def _wait(self) -> list[Deadline] | None:
        """Sleep until something may be due and return what is; None when there was nothing to watch for a while."""
        now = time.monotonic()
        waiting = [
            deadline.at if deadline.is_abandoned is None else min(deadline.at, now + _LOOK_SECONDS)
            for deadline in self._watched
            if not deadline.is_cut
        ]
        self._wakes_at = min(waiting, default=now + _IDLE_SECONDS)
        if self._wakes_at > now:
            self._changed.wait(self._wakes_at - now)
        now = time.monotonic()
        if not self._watched and now >= self._wakes_at:
            return None
        return [deadline for deadline in self._watched if deadline.is_due(now)]
