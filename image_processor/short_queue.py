"""Bounds how many HTTP requests may wait for the same costly thing, and for how long."""

import select
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from image_processor.errors import Unavailable


class ShortQueue:
    """Lets `places` callers in at once; `waiting` more wait for at most `seconds`. Thread-safe."""

    def __init__(self, places: int, *, waiting: int, seconds: float) -> None:
        self._places = threading.BoundedSemaphore(places)
        self._callers = threading.BoundedSemaphore(places + waiting)
        self._seconds = seconds

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place. Raises Unavailable when too many wait already, or none comes free in time."""
        if not self._callers.acquire(blocking=False):
            raise _busy()
        try:
            if not self._places.acquire(timeout=self._seconds):
                raise _busy()
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._callers.release()


def _busy() -> Unavailable:
    return Unavailable("Too many images are being prepared for display at the moment; ask again.", retry_after=2)


def caller_is_gone(environ: Mapping[str, Any]) -> bool:
    """Whether the client of an HTTP request has closed its connection; always False under another server than gunicorn.

    `environ` is the WSGI environment of the request.
    """
    connection: socket.socket | None = environ.get("gunicorn.socket")
    if connection is None or not select.select([connection], [], [], 0)[0]:
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return True
