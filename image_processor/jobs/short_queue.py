"""Bounds how many HTTP requests may wait for the same costly result, and for how long."""

import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from image_processor.errors import ImageCancelled, Unavailable
from image_processor.imaging import FairQueue


class ShortQueue:
    """Admits `places` threads at once; `waiting` more wait for at most `seconds`. Thread-safe."""

    def __init__(self, places: int, *, waiting: int, seconds: float) -> None:
        self._places = FairQueue(places)
        self._admitted = threading.BoundedSemaphore(places + waiting)
        self._seconds = seconds

    @contextmanager
    def place(self, is_abandoned: Callable[[], bool]) -> Iterator[None]:
        """Hold a place. Raises Unavailable when too many wait, none is free in time, or `is_abandoned` returns True."""
        latest = time.monotonic() + self._seconds
        if not self._admitted.acquire(blocking=False):
            raise _busy()
        with ExitStack() as stack:
            stack.callback(self._admitted.release)
            try:
                stack.enter_context(self._places.place("", lambda: is_abandoned() or time.monotonic() > latest))
            except ImageCancelled as error:
                raise _busy() from error
            yield


def _busy() -> Unavailable:
    return Unavailable("Too many images are being prepared for display at the moment; try again.", retry_after=2)


def client_is_gone(environ: Mapping[str, Any]) -> bool:
    """Whether the client of an HTTP request has closed its connection; always False under another server than gunicorn.

    `environ` is the WSGI environment of the request.
    """
    connection: socket.socket | None = environ.get("gunicorn.socket")
    if connection is None:
        return False
    poller = select.poll()  # `select.select` supports no descriptor above 1,023
    poller.register(connection, select.POLLIN)
    if not poller.poll(0):
        return False
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return True
