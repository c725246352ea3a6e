"""The one way out: HTTP to addresses that strangers wrote. The only module that knows requests and urllib3.

Every connection goes to exactly the address that was checked, every redirect is checked like a first URL, and one
deadline covers all of it. A `requests.Session` is left out on purpose: it would bring in the environment's proxies and
`.netrc`, carry cookies from host to host, and read the whole body of a redirect. What remains of requests is its
adapter, which keeps the connections.
"""

import contextlib
import functools
import http.client
import logging
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import urljoin, urlsplit

import certifi
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from image_processor.addresses import AddressHoles
from image_processor.bounded_response import BoundedResponse, declared_length
from image_processor.content_coding import unpack
from image_processor.deadlines import Deadline, Watchdog
from image_processor.dialler import Dialler
from image_processor.errors import (
    FetchConnectionError,
    FetchTimeout,
    ImageError,
    InvalidURL,
    TLSError,
    TooLarge,
    TooManyRedirects,
    Truncated,
)
from image_processor.name_lookup import NameLookup, Resolver, system_resolver
from image_processor.urls import check_url, normalise

log = logging.getLogger(__name__)
# urllib3 warns of every odd header, with a traceback and with text that strangers chose.
logging.getLogger("urllib3").setLevel(logging.ERROR)

# Hosts whose connections are kept: with 16 connections to each, still below the usual limit of 1,024 open files.
_KEPT_HOSTS = 32
_PIECE = 262_144
_MAX_POST_ANSWER = 4_096
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Below /static/samples/: plain names only, so that no spelling of `..` or of a slash has to be understood.
_SAMPLE = re.compile(r"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)*[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:\?.*)?")
# Names of one server: the sample is fetched as 127.0.0.1 by a program and uploaded at localhost by a browser. Whoever
# uploads chooses among them anyway, by the name under which he calls.
_LOOPBACK_NAME = re.compile(r"\A(https?://)(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/])")

_FOREIGN = (OSError, UnicodeError, urllib3.exceptions.HTTPError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. `headers` does not care about case; `url` is the final one, after redirects.

    The body is read for a `get` that is answered 200 (and is then whole) and for a `post` (at most 4 KB of it).
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


class GuardedClient:
    """Fetches from and posts to public addresses only. Thread-safe; connections are kept and shared.

    `user_agent` is sent along. `holes` are the addresses that are allowed although they are private. Times are seconds:
    `connect_timeout` for a name lookup and again for a connection, `total_timeout` for all of a `get`, redirects
    included. `max_bytes` bounds a body, unpacked. `pool_size` connections are kept per host. `resolver` stands in for
    the system's (host and port in, socket addresses out), `ca_bundle` (a path) for certifi's certificates.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        holes: AddressHoles,
        connect_timeout: float = 5.0,
        total_timeout: float = 30.0,
        max_bytes: int = 20_000_000,
        max_redirects: int = 5,
        pool_size: int = 32,
        resolver: Resolver | None = None,
        ca_bundle: str | None = None,
    ) -> None:
        # identity, because a picture gains nothing from being packed and a bomb has to be.
        self._headers = {"User-Agent": re.sub(r"[^\x20-\x7e]", "?", user_agent), "Accept-Encoding": "identity"}
        self._total_timeout = total_timeout
        self._max_bytes = max_bytes
        self._max_redirects = max_redirects
        self._lookup = NameLookup(resolver or system_resolver)
        self._dialler = Dialler(self._lookup, holes, connect_timeout)
        self._watchdog = Watchdog()
        context = _tls_context(ca_bundle or certifi.where())
        self._public = _Adapter(context, pool_size)
        # Connections that were let through to this very server must never serve a URL that would not have been.
        self._own = _Adapter(context, pool_size)

    def get(self, url: str, *, own_base_url: str | None = None) -> Answer:
        """Fetch `url`, following redirects, each checked like a first URL.

        `own_base_url` is this server's own address: the samples below `/static/samples/` there may be fetched even if
        it is private, though not through a redirect. Raises the ImageError that says what went wrong.
        """
        return self._bounded(self._total_timeout, lambda deadline: self._follow(url, own_base_url, deadline))

    def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float = 15.0,
        own_base_url: str | None = None,
    ) -> Answer:
        """Send `body` to `url`, within `timeout` seconds in all. Redirects are returned, not followed.

        `own_base_url` is this server's own address: its `/webhooks/inbox` may be posted to even if it is private.
        Raises the ImageError that says what went wrong.
        """

        def exchange(deadline: Deadline) -> Answer:
            target = _wire_form(url)
            own = _one_name(target) == _own(own_base_url, "/webhooks/inbox")
            response = self._send(_request("POST", target, self._headers | dict(headers), body), deadline, own)
            with contextlib.closing(response.raw):
                return Answer(response.status_code, response.headers, _beginning(response.raw), target)

        return self._bounded(timeout, exchange)

    def cut(self) -> None:
        """Cut every exchange under way, at once: its `get` or `post` raises. The client can be used again."""
        self._watchdog.cut_all()
        self._lookup.wake()

    def close(self) -> None:
        """Cut what is under way and close every kept connection."""
        self.cut()
        self._public.close()
        self._own.close()

    def _bounded(self, seconds: float, work: Callable[[Deadline], Answer]) -> Answer:
        """Do `work` within `seconds` and turn whatever goes wrong in it into one ImageError."""
        with self._watchdog.watch(seconds) as deadline:
            try:
                return work(deadline)
            except (ImageError, *_FOREIGN) as error:
                log.debug("an exchange failed", exc_info=True)
                failure = _failure(deadline, error)
        # Raised outside the handler and fresh: an error that is kept for a report must not keep the frames, and with
        # them the bytes, of a download.
        raise failure

    def _follow(self, url: str, own_base_url: str | None, deadline: Deadline) -> Answer:
        hop = _wire_form(url)
        own = _is_own_sample(hop, own_base_url)
        headers = self._headers | {"Accept": "image/*,*/*;q=0.8"}
        for _ in range(self._max_redirects + 1):
            response = self._send(_request("GET", hop, headers), deadline, own)
            with contextlib.closing(response.raw):
                target = _redirect_target(response)
                if target is None:
                    return self._answer(response, hop, deadline)
                _keep_connection_if_empty(response)
            hop, own = _next_hop(hop, target), False
        raise TooManyRedirects

    def _send(self, request: requests.PreparedRequest, deadline: Deadline, own: bool) -> requests.Response:
        """Send the request and return the answer, its body unread."""
        try:
            return self._send_once(request, deadline, own)
        except _FOREIGN as error:
            # A server may close a kept connection in the very moment it is used again (RFC 9112, section 9.3.1).
            if request.method != "GET" or not _current.exchange.reused or not _is_hang_up(error):
                raise
        return self._send_once(request, deadline, own)

    def _send_once(self, request: requests.PreparedRequest, deadline: Deadline, own: bool) -> requests.Response:
        deadline.check()
        _current.exchange = _Exchange(self._dialler, deadline, own, request.path_url)
        # The deadline bounds it all. With time-outs, Python would ask for each read whether there is something to read:
        # twice the system calls, and twice as often another thread takes the interpreter.
        return (self._own if own else self._public).send(request, stream=True, timeout=None)

    def _answer(self, response: requests.Response, url: str, deadline: Deadline) -> Answer:
        body = b""
        if response.status_code == 200:
            body = _whole_body(response, self._max_bytes, deadline)
        else:
            _keep_connection_if_empty(response)
        return Answer(response.status_code, response.headers, body, url)


# Requests


def _wire_form(url: str) -> str:
    if reason := check_url(url):
        raise InvalidURL(reason)
    return normalise(url)


def _next_hop(url: str, target: str) -> str:
    try:
        return _wire_form(urljoin(url, target))
    except (InvalidURL, ValueError):
        raise InvalidURL("The address forwards to something that is not a web address that can be fetched.") from None


def _redirect_target(response: requests.Response) -> str | None:
    location = response.headers.get("Location", "").strip(" \t")
    if response.status_code not in _REDIRECTS or not location:
        return None
    # http.client reads headers as Latin-1; servers that put bare UTF-8 in there mean UTF-8.
    with contextlib.suppress(UnicodeError):
        return location.encode("latin-1").decode("utf-8")
    return location


@functools.lru_cache(64)  # the same few of a server, for every picture
def _own(own_base_url: str | None, path: str) -> str | None:
    url = (own_base_url or "").rstrip("/") + path
    return None if check_url(url) else _one_name(normalise(url))


def _one_name(url: str) -> str:
    """A URL in its wire form, with one name for all names of loopback; only to be compared."""
    return _LOOPBACK_NAME.sub(r"\1localhost", url)


def _is_own_sample(url: str, own_base_url: str | None) -> bool:
    url = _one_name(url)
    folder = _own(own_base_url, "/static/samples/")
    return folder is not None and url.startswith(folder) and _SAMPLE.fullmatch(url, len(folder)) is not None


def _request(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> requests.PreparedRequest:
    # Filled in by hand: `prepare` would write the URL anew, and it is in its wire form already.
    request = requests.PreparedRequest()
    request.method, request.url, request.body = method, url, body
    request.headers = CaseInsensitiveDict(headers)
    if body is not None:  # without its length, the body would go out in chunks
        request.headers["Content-Length"] = str(len(body))
    return request


# Connections


@dataclass(slots=True)
class _Exchange:
    """What a connection must know of the request it is used for."""

    dialler: Dialler
    deadline: Deadline
    own: bool
    target: str
    dialled: bool = False
    reused: bool = False


class _Current(threading.local):
    """Hands the exchange to urllib3's connections, whose signatures leave no room for it."""

    exchange: _Exchange


_current = _Current()


class _Response(BoundedResponse):
    def note_sign_of_life(self) -> None:
        _current.exchange.deadline.answered = True


class _GuardedHTTPConnection(HTTPConnection):
    """Dials through the guard, and lets the exchange's deadline cut the socket."""

    response_class = _Response

    def _new_conn(self) -> socket.socket:
        # The ImageErrors that the dialler raises are no OSErrors: urllib3 neither wraps nor repeats them.
        exchange = _current.exchange
        exchange.dialled = True
        port = int(self.port or self.default_port)
        return exchange.dialler.dial(self._dns_host, port, exchange.deadline, own=exchange.own)

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        exchange = _current.exchange
        if self.sock is not None and not exchange.dialled:
            exchange.reused = True
            exchange.deadline.hold_kept(self.sock)
        # The target as it stands in the URL: urllib3's rewriting of %2f and [] spoils signed URLs.
        super().request(method, exchange.target, *args, **kwargs)


class _GuardedHTTPSConnection(_GuardedHTTPConnection, HTTPSConnection):
    """The same, with TLS over it: the name that is checked stays the name of the URL."""


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPSConnection


class _Adapter(HTTPAdapter):
    """requests' adapter over guarded connections, with one TLS context for all (making one costs 23 ms)."""

    def __init__(self, context: ssl.SSLContext, pool_size: int) -> None:
        self._context = context
        super().__init__(pool_connections=_KEPT_HOSTS, pool_maxsize=pool_size)
        # No retries here: urllib3's sleep in the thread for as long as a stranger's Retry-After says.
        self.max_retries = urllib3.Retry(False, redirect=False)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        """The pool for a request: never a proxy's, and without TLS members in its key, for all share the context."""
        url = urlsplit(request.url)
        return self.poolmanager.connection_from_host(url.hostname, url.port, url.scheme)

    def request_url(self, request: Any, proxies: Any) -> str:
        """The path alone: there is no proxy that would want all of it."""
        return str(request.path_url)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context verifies, and requests would load the whole bundle again for every connection."""

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """The answer without cookies, which nobody here keeps."""
        response = requests.Response()
        response.status_code, response.raw = resp.status, resp
        response.headers = resp.headers
        return response


@functools.cache
def _tls_context(ca_bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_bundle)


# Bodies


def _whole_body(response: requests.Response, limit: int, deadline: Deadline) -> bytes:
    length = declared_length(response.headers)
    if length is not None and length > limit:
        raise TooLarge
    try:
        body = _read(response.raw, limit + 1 if length is None else length)
    except (urllib3.exceptions.ProtocolError, urllib3.exceptions.SSLError) as error:
        raise Truncated from error
    deadline.check()
    if len(body) > limit:
        raise TooLarge
    if coding := response.headers.get("Content-Encoding"):
        return unpack(body, coding, limit)
    return body


def _read(raw: Any, at_most: int) -> bytes:
    """Read to the end of the body, but no more than `at_most` bytes."""
    body = BytesIO(raw.read(min(_PIECE, at_most) or 1, decode_content=False))
    size = body.seek(0, 2)
    while size < at_most and (piece := raw.read(min(_PIECE, at_most - size), decode_content=False)):
        size += body.write(piece)
    return body.getvalue()


def _beginning(raw: Any) -> bytes:
    """The first bytes of an answer whose status is what counts: that they stop early, or drip, is no failure."""
    body = b""
    with contextlib.suppress(*_FOREIGN):
        while room := _MAX_POST_ANSWER - len(body):
            piece = raw.read1(room, decode_content=False)
            if not piece:
                break
            body += piece
    return body


def _keep_connection_if_empty(response: requests.Response) -> None:
    """Finish an answer without a body, so that its connection is kept. A body is not read: closing is cheaper."""
    if response.raw.length_remaining == 0:
        response.raw.read(1)


# Errors


def _failure(deadline: Deadline, error: Exception) -> ImageError:
    """The one ImageError to raise for `error`, without what it drags along."""
    failure = error if isinstance(error, ImageError) else _translated(error)
    if failure.retryable:
        # Whatever else seems to be wrong when the socket was cut comes from cutting it.
        try:
            deadline.check()
        except ImageError as cut:
            failure = cut
    failure.__traceback__ = failure.__context__ = failure.__cause__ = None
    return failure


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_hang_up(error: BaseException) -> bool:
    return any(isinstance(cause, (ConnectionResetError, BrokenPipeError)) for cause in _causes(error))


def _translated(error: Exception) -> ImageError:
    """The ImageError for what requests, urllib3, ssl or the system raised."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _tls_failure(cause)
        if isinstance(cause, (TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError)):
            return FetchTimeout()
        if isinstance(cause, (http.client.IncompleteRead, urllib3.exceptions.InvalidHeader)):
            return Truncated()
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, ConnectionError):
            return FetchConnectionError(
                "The server does not answer like a web server; check the address.", answered=True
            )
        if isinstance(cause, (UnicodeError, http.client.InvalidURL, urllib3.exceptions.LocationValueError)):
            return InvalidURL()
    return FetchConnectionError()


_CERTIFICATE_FAULTS = {  # X509_V_ERR_… of OpenSSL's x509_vfy.h
    10: "has expired",
    18: "is signed by nobody but itself",
    19: "is signed by nobody but itself",
    62: "belongs to another name",
    64: "belongs to another address",
}


def _tls_failure(error: ssl.SSLError) -> ImageError:
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return FetchConnectionError()
    if not isinstance(error, ssl.SSLCertVerificationError):
        return TLSError(
            "The secure connection failed: the server speaks no HTTPS here, or only a form that is not safe."
        )
    fault = _CERTIFICATE_FAULTS.get(error.verify_code, "is not signed by an authority that browsers know")
    return TLSError(f"The secure connection failed: the server's certificate {fault}.")
