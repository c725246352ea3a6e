"""requests' adapter, over connections that are made by the connector."""

import contextlib
import functools
import http.client
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from image_processor.download.deadline import BoundedSocket, BoundedTLSSocket, Deadline

# With 16 connections to each, still below the usual limit of 1,024 open files.
_KEPT_SERVERS: Final = 32

# It logs a warning with a traceback for each odd header.
logging.getLogger("urllib3").setLevel(logging.ERROR)

Connect = Callable[[str, int, Deadline], BoundedSocket]


class GuardedAdapter(HTTPAdapter):
    """Sends requests over sockets made by `connect`, with `context` for https; keeps `per_server` to each server.

    The `timeout` of `send` must be a Deadline. Environment, proxies, redirects and cookies are handled by the Session,
    which is not used.
    """

    def __init__(self, connect: Connect, context: ssl.SSLContext, per_server: int) -> None:
        self._connect = connect
        self._context = context
        super().__init__(pool_connections=_KEPT_SERVERS, pool_maxsize=per_server, max_retries=urllib3.Retry(False))

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **_: Any) -> None:
        self.poolmanager = urllib3.PoolManager(connections, maxsize=maxsize, block=block, ssl_context=self._context)
        self.poolmanager.pool_classes_by_scheme = {
            "http": functools.partial(_HTTPPool, connect=self._connect),
            "https": functools.partial(_HTTPSPool, connect=self._connect),
        }

    def get_connection_with_tls_context(self, request: Any, *_: Any, **__: Any) -> Any:
        """The pool for a request: no proxy, and no TLS settings but those of the context."""
        parts = urlsplit(request.url)
        return self.poolmanager.connection_from_host(parts.hostname, parts.port, parts.scheme)

    def cert_verify(self, *_: Any) -> None:
        """Do nothing: the context has the settings."""

    def request_url(self, *_: Any) -> str:
        """A placeholder: urllib3 would rewrite the target, which spoils signed URLs. The Deadline has the real one."""
        return "/"

    def build_response(self, req: Any, resp: Any) -> requests.Response:
        """The response, without what requests would do here: parse the cookies of untrusted servers."""
        if resp.length_remaining == 0:
            resp.read(1)  # finishes the response, so that its connection is kept
        response = requests.Response()
        response.status_code, response.headers, response.raw = resp.status, resp.headers, resp
        return response


@functools.cache
def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """Verifies https servers as browsers do. Cached, because making one costs 23 ms."""
    context = ssl.create_default_context(cafile=ca_bundle)
    context.hostname_checks_common_name = False  # RFC 9110, section 4.3.4
    context.sslsocket_class = BoundedTLSSocket
    return context


class _Response(http.client.HTTPResponse):
    """http.client's reading, with its gaps closed."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._sock = sock

    def begin(self) -> None:
        """Read up to the body. http.client skips interim responses only when they are a 100."""
        super().begin()
        while 100 <= self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment]
            super().begin()
        if self.length == 0:
            self.chunked = False  # 204 and 304 have no body, whatever their headers say
        elif self.chunked and self.headers.get("content-length"):
            self.will_close = True  # an attempt at response splitting: RFC 9112, section 6.3

    def _read_next_chunk_size(self) -> int:
        # A size of -1 would be read without end.
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]  # not in the stubs
        if size < 0:
            raise ValueError
        return size

    def _close_conn(self) -> None:
        # At the end. Bytes behind it are lost with the buffer: their rest would be taken for the next response.
        with contextlib.suppress(OSError, ValueError):  # closed already, or TLS with nothing to read
            self._sock.settimeout(None)
            if self.fp.peek():
                self._sock.shutdown(socket.SHUT_RDWR)  # urllib3 notices it
        super()._close_conn()  # type: ignore[misc]  # not in the stubs


class _Connection(HTTPConnection):
    response_class = _Response

    def __init__(self, *args: Any, connect: Connect, **options: Any) -> None:
        super().__init__(*args, **options)
        self._connect = connect

    def _new_conn(self) -> BoundedSocket:
        deadline: Any = self.timeout
        deadline.connected = True
        return self._connect(self._dns_host, self.port, deadline)

    def putrequest(self, method: str, url: str, *args: Any, **options: Any) -> None:
        deadline: Any = self.timeout
        super().putrequest(method, deadline.target, *args, **options)


class _TLSConnection(_Connection, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TLSConnection
