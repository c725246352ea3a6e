"""Connections to servers, kept for the next picture of the same one. The only module that knows ssl's sockets."""

import collections
import contextlib
import socket
import ssl
import threading
from typing import Final, NamedTuple

from image_processor.download.connector import Dialler
from image_processor.download.deadline import Deadline

# With 16 connections to each, still below the usual limit of 1,024 open files.
_KEPT_SERVERS: Final = 32


class Server(NamedTuple):
    """Whom a connection leads to. `own`: it was let through to this very server, and must serve nothing else."""

    scheme: str
    host: str
    port: int
    own: bool


class Connections:
    """Dials through the guard, and keeps connections. Thread-safe.

    `context` verifies https servers (one for all: making one costs 23 ms). `per_server` connections are kept to each
    server, to the 32 that were used last.
    """

    def __init__(self, dialler: Dialler, context: ssl.SSLContext, per_server: int) -> None:
        self._dialler = dialler
        self._context = context
        self._per_server = per_server
        self._kept: collections.OrderedDict[Server, list[socket.socket]] = collections.OrderedDict()
        self._closed = False
        self._lock = threading.Lock()

    def take(self, server: Server, deadline: Deadline) -> socket.socket | None:
        """A kept connection, held by `deadline`, or None. Raises like `deadline.check`."""
        while True:
            with self._lock:
                kept = self._kept.get(server)
                sock = kept.pop() if kept else None
            if sock is None:
                return None
            try:
                deadline.hold_kept(sock)
                if _is_silent(sock):
                    return sock
            except BaseException:
                sock.close()
                raise
            sock.close()

    def dial(self, server: Server, deadline: Deadline) -> socket.socket:
        """A new connection, held by `deadline`. Raises ImageError, OSError, UnicodeError."""
        sock = self._dialler.dial(server.host, server.port, deadline, own=server.own)
        try:
            if server.scheme == "https":
                name = server.host.rstrip(".")
                # Else a connection that an attacker cuts looks like the end of a body without a length.
                sock = self._context.wrap_socket(sock, server_hostname=name, suppress_ragged_eofs=False)
            # The deadline bounds it all from here. With a time-out, Python would ask before each read whether there is
            # something to read: twice the system calls, and twice as often another thread takes the interpreter.
            sock.settimeout(None)
        except BaseException:
            sock.close()
            raise
        return sock

    def keep(self, server: Server, sock: socket.socket) -> None:
        """Take `sock` back, to be used again: the answer on it was read to its end."""
        surplus = [sock]
        with self._lock:
            kept = self._kept.setdefault(server, [])
            self._kept.move_to_end(server)
            if len(kept) < self._per_server and not self._closed:
                kept.append(surplus.pop())
            if len(self._kept) > _KEPT_SERVERS:
                surplus += self._kept.popitem(last=False)[1]
        _close(surplus)

    def close(self) -> None:
        """Close everything that is kept, and keep nothing more."""
        with self._lock:
            self._closed = True
            kept = [sock for socks in self._kept.values() for sock in socks]
            self._kept.clear()
        _close(kept)


def _is_silent(sock: socket.socket) -> bool:
    """Whether the server has said nothing since the last answer, not even good-bye.

    What it says unasked (a 408 for a connection that was idle for long) must not be taken for the next answer.
    """
    if isinstance(sock, ssl.SSLSocket) and sock.pending():
        return False
    with contextlib.suppress(OSError):
        try:
            socket.socket.recv(sock, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)  # below TLS
        except BlockingIOError:
            return True
    return False


def _close(socks: list[socket.socket]) -> None:
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.close()
