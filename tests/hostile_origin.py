"""A web server on loopback that misbehaves as a test needs it, and a name server with given responses.

A behaviour is a function of a `Visit`; it writes raw bytes and returns True to keep the connection. The origin records
what it saw: every request, and whether the client hung up while it was still sending.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

LOOPBACK = "127.0.0.1"
# No behaviour outlives this, whatever the client does.
LIFETIME = 600.0


@dataclass(frozen=True)
class Hit:
    """One request as the origin saw it. `connection` counts the connections from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class Visit:
    connection: socket.socket
    hit: Hit
    ended: threading.Event

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def drip(self, data: bytes, pause: float) -> None:
        """Send one byte at a time, until the data or the origin ends."""
        for byte in data:
            self.send(bytes([byte]))
            if self.ended.wait(pause):
                return

    def hang(self) -> None:
        """Send nothing until the client hangs up or the origin ends."""
        self.connection.settimeout(LIFETIME)
        with contextlib.suppress(OSError):
            self.connection.recv(1)


Behaviour = Callable[[Visit], bool | None]


def response(body: bytes = b"picture", status: str = "200 OK", **headers: str) -> Behaviour:
    """A well-formed response with a Content-Length; `headers` are written with - for _."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    whole = "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + body

    def behave(visit: Visit) -> bool:
        visit.send(whole)
        return True

    return behave


def raw(data: bytes) -> Behaviour:
    """Exactly these bytes, then the end of the connection."""
    return lambda visit: visit.send(data)


def redirect(target: str, status: str = "302 Found", body: bytes = b"") -> Behaviour:
    return response(body, status, Location=target)


def endless(head: bytes, piece: bytes) -> Behaviour:
    """`head`, then `piece` for ever, as fast as the client takes it."""

    def behave(visit: Visit) -> None:
        visit.send(head)
        until = time.monotonic() + LIFETIME
        while time.monotonic() < until and not visit.ended.is_set():
            visit.send(piece)

    return behave


def dripping(head: bytes, data: bytes, pause: float = 0.05) -> Behaviour:
    def behave(visit: Visit) -> None:
        visit.send(head)
        visit.drip(data, pause)

    return behave


def silent(visit: Visit) -> None:
    visit.hang()


def reset(head: bytes) -> Behaviour:
    """`head`, then a TCP reset in place of an orderly end."""

    def behave(visit: Visit) -> None:
        visit.send(head)
        time.sleep(1)  # the client must have read the head: a reset discards what it has not
        visit.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return behave


@dataclass
class HostileOrigin:
    """Serves `routes` (path without query -> behaviour) on 127.0.0.1; use it as a context manager."""

    routes: dict[str, Behaviour] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    hits: list[Hit] = field(default_factory=list)
    connections: int = 0
    aborts: int = 0

    def __enter__(self) -> "HostileOrigin":
        self._listener = socket.create_server((LOOPBACK, 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._ended = threading.Event()
        self._abort_seen = threading.Condition()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(120)

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def url(self, path: str, host: str | None = None) -> str:
        return f"{'https' if self.tls else 'http'}://{host or LOOPBACK}:{self.port}{path}"

    def paths(self) -> list[str]:
        return [hit.path for hit in self.hits]

    def wait_for_abort(self, seconds: float = 120.0) -> bool:
        """Whether a client hung up on a behaviour that was still sending, within `seconds`."""
        with self._abort_seen:
            return self._abort_seen.wait_for(lambda: self.aborts > 0, seconds)

    def wait_for_hits(self, count: int, seconds: float = 120.0) -> bool:
        with self._abort_seen:
            return self._abort_seen.wait_for(lambda: len(self.hits) >= count, seconds)

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._converse, args=(connection, self.connections), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(LIFETIME)
        self._open.add(connection)
        try:
            with contextlib.suppress(OSError):  # a TLS handshake that the client broke off
                if self.tls:
                    plain, connection = connection, self.tls.wrap_socket(connection, server_side=True)
                    self._open.symmetric_difference_update({plain, connection})
                while hit := _read_request(connection, number):
                    with self._abort_seen:
                        self.hits.append(hit)
                        self._abort_seen.notify_all()
                    if not self._behave(Visit(connection, hit, self._ended)):
                        break
        finally:
            self._open.discard(connection)
            connection.close()

    def _behave(self, visit: Visit) -> bool:
        behaviour = self.routes.get(visit.hit.path.partition("?")[0], response(b"not here", "404 Not Found"))
        try:
            return bool(behaviour(visit))
        except OSError:
            with self._abort_seen:
                self.aborts += 1
                self._abort_seen.notify_all()
            return False


def _read_request(connection: socket.socket, number: int) -> Hit | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65_536)
        if not piece:
            return None
        data += piece
        if data.startswith(b"\x16"):  # a TLS greeting
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return None
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65_536)
    return Hit(first.split()[0], first.split()[1], headers, body, number)


class FakeResolver:
    """A resolver: `names` maps a host to its socket addresses, or to an exception.

    A callable value is called each time. Names that are not there do not exist.
    """

    def __init__(self, names: dict[str, object]) -> None:
        self.names = names
        self.asked: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, host: str, port: int) -> list[tuple[str, int]]:
        with self._lock:
            self.asked.append(host)
        found = self.names.get(host, socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
        if callable(found):
            found = found()
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, list)
        return found


@contextlib.contextmanager
def full_backlog() -> Iterator[int]:
    """A port that never accepts: its queue is full, so that connecting hangs as to a dead machine."""
    with socket.create_server((LOOPBACK, 0), backlog=0) as listener, contextlib.ExitStack() as fillers:
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
