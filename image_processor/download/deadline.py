"""The time and the bytes that one exchange may take, and sockets that enforce them.

A socket's own timeout bounds the wait for the next byte, never the whole: a server that sends one byte per second would
hold the connection for ever. These sockets wait in slices, and check the deadline before each.
"""

import copy
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from image_processor.errors import FetchConnectionError, FetchTimeout, ImageError, TooLarge, Truncated

T = TypeVar("T")

SLICE: Final = 0.25
_MAX_HEAD_BYTES: Final = 65_536  # of all headers of a response, interim responses included
_STOPPED: Final = "The download was stopped because the server is shutting down; it can be tried again."
LONG_HEAD: Final = "The server sent more headers than are accepted before the image."


class Deadline(float):
    """The timeout of one exchange, redirects included, in seconds from its creation.

    It is a number because urllib3 takes a number for a timeout and passes it on, as it is, to the connection and to its
    socket. `target` is what goes into the request line, `connected` whether a new connection was needed, `responded`
    whether the server has sent anything.
    """

    def __new__(cls, seconds: float, *_: Any) -> "Deadline":
        return super().__new__(cls, seconds)

    def __init__(
        self, seconds: float, is_stopped: Callable[[], bool], is_abandoned: Callable[[], bool] | None = None
    ) -> None:
        self._at = time.monotonic() + seconds
        self._is_stopped = is_stopped
        self._is_abandoned = is_abandoned
        self.responded = False
        self.begin("/")

    def begin(self, target: str) -> None:
        """The next request is for `target`; headers follow."""
        self.target = target
        self.connected = False
        self._in_head, self._bytes_left = True, _MAX_HEAD_BYTES

    def expect_body(self, limit: int) -> None:
        """A body of at most `limit` bytes follows. Its framing may take as much again."""
        self._in_head, self._bytes_left = False, 2 * limit + _MAX_HEAD_BYTES

    def within(self, seconds: float) -> "Deadline":
        """A deadline for a part of the exchange."""
        part = copy.copy(self)
        part._at = min(self._at, time.monotonic() + seconds)
        return part

    def remaining(self) -> float:
        return max(self._at - time.monotonic(), 0.0)

    def check(self) -> None:
        """Raise FetchTimeout when the time is over or the exchange is abandoned, FetchConnectionError after a stop."""
        if self._is_stopped():
            raise FetchConnectionError(_STOPPED)
        if not self.remaining() or (self._is_abandoned is not None and self._is_abandoned()):
            raise FetchTimeout(responded=self.responded)

    def count(self, size: int) -> None:
        """Count `size` bytes that the server sent, 0 at the end. Raises TooLarge, Truncated."""
        if self._in_head and not size and self._bytes_left < _MAX_HEAD_BYTES:
            raise Truncated  # http.client takes it for the end of the headers
        self.responded = self.responded or size > 0
        self._bytes_left -= size
        if self._bytes_left < 0:
            raise TooLarge(LONG_HEAD if self._in_head else None)


class BoundedSocket(socket.socket):
    """A socket whose timeout is a Deadline. Its methods raise what `Deadline.check` and `count` do.

    With the timeout None, it returns what has arrived and waits for nothing.
    """

    deadline: Deadline | None = None

    def settimeout(self, value: Any) -> None:
        self.deadline = value
        if super().gettimeout() != SLICE:
            super().settimeout(SLICE)

    def gettimeout(self) -> Any:
        """The Deadline. `SSLContext.wrap_socket` sets it on the socket that it makes."""
        return self.deadline

    def recv_into(self, *args: Any) -> int:
        if self.deadline is None and not self._has_decrypted():
            raise BlockingIOError
        size = self._wait(super().recv_into, *args)
        if self.deadline is not None:
            self.deadline.count(size)
        return size

    def _has_decrypted(self) -> bool:
        return False  # bytes that arrived and that no poll of the system can see

    def send(self, *args: Any) -> int:
        return self._wait(super().send, *args)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all bytes; the system's own `sendall` cannot be continued after a timeout."""
        view = memoryview(data)
        while view:
            view = view[self.send(view, flags) :]

    def _wait(self, operation: Callable[..., T], *args: Any) -> T:
        while self.deadline is not None:
            self.deadline.check()
            try:
                return operation(*args)
            except TimeoutError:
                continue
        return operation(*args)


class BoundedTLSSocket(BoundedSocket, ssl.SSLSocket):
    """The same over TLS. Not made directly: an SSLContext does, whose `sslsocket_class` it is."""

    def _has_decrypted(self) -> bool:
        return self.pending() > 0

    def do_handshake(self, block: bool = False) -> None:
        # Else a connection that an attacker cuts looks like the end of a body without a length.
        self.suppress_ragged_eofs = False
        try:
            self._wait(super().do_handshake, block)
        except ImageError:  # `wrap_socket` closes the socket after an OSError only
            self.close()
            raise
