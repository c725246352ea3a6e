"""The one way out: HTTP to addresses that strangers wrote. The only module that knows requests.

Every connection goes to exactly the address that was checked, every redirect is checked like a first URL, and one
deadline covers all of it. What requests gives are the messages, `PreparedRequest` and `Response`, and the place where
one's own way to send them goes: a transport adapter. Its `Session` is left out on purpose: it would bring in the
environment's proxies and `.netrc`, carry cookies from host to host, and read the whole body of a redirect.
"""

import contextlib
import functools
import http.client
import logging
import re
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import Any, BinaryIO, Final
from urllib.parse import urljoin, urlsplit

import certifi
import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from image_processor.download.addresses import AddressHoles
from image_processor.download.connections import Connections, Server
from image_processor.download.connector import Dialler
from image_processor.download.content_coding import unpack
from image_processor.download.deadline import Deadline, Watchdog
from image_processor.download.name_lookup import NameLookup, Resolver, system_resolver
from image_processor.download.response import BoundedResponse, save
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
from image_processor.urls import DEFAULT_PORTS, check_url, normalise

log = logging.getLogger(__name__)

_MAX_POST_ANSWER = 4_096
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Below /static/samples/: plain names only, so that no spelling of `..` or of a slash has to be understood.
_SAMPLE = re.compile(r"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)*[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:\?.*)?")
# Names of one server: the sample is fetched as 127.0.0.1 by a program and uploaded at localhost by a browser. Whoever
# uploads chooses among them anyway, by the name under which he calls.
_LOOPBACK_NAME = re.compile(r"\A(https?://)(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/])")

# What may stand in a line that goes out: else a header could bring another one along.
_LINE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

_FOREIGN = (OSError, UnicodeError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. `headers` does not care about case; `url` is the final one, after redirects.

    `size` is the number of bytes of the body that were written into the file of a `get`; `body` is the beginning of the
    answer to a `post` (at most 4 KB of it).
    """

    status: int
    headers: Mapping[str, str]
    url: str
    size: int = 0
    body: bytes = b""


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
        self._headers_of_get = CaseInsensitiveDict(self._headers | {"Accept": "image/*,*/*;q=0.8"})
        self._total_timeout = total_timeout
        self._max_bytes = max_bytes
        self._max_redirects = max_redirects
        self._lookup = NameLookup(resolver or system_resolver)
        self._dialler = Dialler(self._lookup, holes, connect_timeout)
        self._watchdog = Watchdog()
        context = _tls_context(ca_bundle or certifi.where())
        self._adapter = _Adapter(Connections(self._dialler, context, pool_size))

    def get(
        self,
        url: str,
        file: BinaryIO,
        *,
        own_base_url: str | None = None,
        is_abandoned: Callable[[], bool] | None = None,
    ) -> Answer:
        """Fetch `url`, following redirects, each checked like a first URL. The body of a 200 goes into `file`, whole.

        `own_base_url` is this server's own address: the samples below `/static/samples/` there may be fetched even if
        it is private, though not through a redirect. The exchange is cut soon after `is_abandoned` says yes. Raises the
        ImageError that says what went wrong, StoreUnavailable when the disk does not take the body.
        """

        def follow(deadline: Deadline) -> Answer:
            return self._follow(url, file, own_base_url, deadline)

        return self._bounded(self._total_timeout, follow, is_abandoned)

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
            fields = CaseInsensitiveDict(self._headers | dict(headers))
            request = _Request("POST", target, fields, body, deadline=deadline, own=own)
            with contextlib.closing(self._adapter.send(request)) as response:
                return Answer(response.status_code, response.headers, target, body=_beginning(response))

        return self._bounded(timeout, exchange)

    def cut(self) -> None:
        """Cut every exchange under way, at once: its `get` or `post` raises. The client can be used again."""
        self._watchdog.cut_all()
        self._lookup.wake()

    def close(self) -> None:
        """Cut what is under way and close every kept connection."""
        self.cut()
        self._adapter.close()

    def _bounded(
        self, seconds: float, work: Callable[[Deadline], Answer], is_abandoned: Callable[[], bool] | None = None
    ) -> Answer:
        """Do `work` within `seconds` and turn whatever goes wrong in it into one ImageError."""
        with self._watchdog.watch(seconds, is_abandoned) as deadline:
            try:
                return work(deadline)
            except (ImageError, *_FOREIGN) as error:
                log.debug("an exchange failed", exc_info=True)
                failure = _failure(deadline, error)
        # Raised outside the handler and fresh: an error that is kept for a report must not keep the frames, and with
        # them the bytes, of a download.
        raise failure

    def _follow(self, url: str, file: BinaryIO, own_base_url: str | None, deadline: Deadline) -> Answer:
        hop = _wire_form(url)
        own = _is_own_sample(hop, own_base_url)
        for _ in range(self._max_redirects + 1):
            request = _Request("GET", hop, self._headers_of_get, deadline=deadline, own=own)
            with contextlib.closing(self._adapter.send(request)) as response:
                target = _redirect_target(response)
                if target is None:
                    size = 0
                    if response.status_code == HTTPStatus.OK:
                        size = _save_body(response, file, self._max_bytes, deadline)
                    return Answer(response.status_code, response.headers, hop, size)
            hop, own = _next_hop(hop, target), False
        raise TooManyRedirects


# Requests


def _wire_form(url: str) -> str:
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


class _Request(requests.PreparedRequest):
    """What goes out to `url` (in its wire form), with what the guard must know: until when, and whether it may reach
    this very server.

    Filled in by hand: `prepare` would write the URL anew.
    """

    def __init__(
        self,
        method: str,
        url: str,
        headers: CaseInsensitiveDict[str],
        body: bytes | None = None,
        *,
        deadline: Deadline,
        own: bool,
    ) -> None:
        super().__init__()
        self.method, self.url = method, url
        self.body: bytes | None = body
        self.headers = headers
        self.deadline = deadline
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        self.server = _server(scheme, authority, own)
        # The target as it stands in the URL: any rewriting spoils signed URLs.
        self.lines = [f"{method} {slash}{path} HTTP/1.1", f"Host: {authority}"]

    def wire(self) -> bytes:
        """The bytes that go out. Raises ValueError for what cannot stand in a line."""
        lines = self.lines + [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body is not None:
            lines.append(f"Content-Length: {len(self.body)}")
        if not all(map(_LINE.fullmatch, lines)):
            raise ValueError("A header holds a character that would end its line.")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (self.body or b"")


@functools.lru_cache(256)  # the same few, for every picture
def _server(scheme: str, authority: str, own: bool) -> Server:
    parts = urlsplit(f"{scheme}://{authority}/")
    return Server(scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[scheme], own)


# Sending


class _Adapter(BaseAdapter):
    """requests' way to send: over guarded connections that are kept."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self._connections = connections

    def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
        """Send a `_Request` and return the answer, its body unread."""
        sock = self._connections.take(request.server, request.deadline)
        if sock is not None:
            try:
                return self._exchange(request, sock)
            except _FOREIGN as error:
                # A server may close a kept connection in the very moment it is used again (RFC 9112, section 9.3.1).
                if request.method != "GET" or not _is_hang_up(error):
                    raise
        return self._exchange(request, self._connections.dial(request.server, request.deadline))

    def close(self) -> None:
        """Close every kept connection."""
        self._connections.close()

    def _exchange(self, request: _Request, sock: socket.socket) -> requests.Response:
        done = functools.partial(self._give_back, request, sock)
        answer = BoundedResponse(sock, request.method or "", request.deadline.note_answer, done)
        try:
            request.deadline.check()
            sock.sendall(request.wire())
            answer.begin()
        except BaseException:
            answer.close()
            raise
        response = requests.Response()
        response.status_code, response.headers, response.raw = answer.status, answer.headers, answer
        return response

    def _give_back(self, request: _Request, sock: socket.socket, reusable: bool) -> None:
        if reusable:
            request.deadline.release()  # it would cut whoever has the connection next
            self._connections.keep(request.server, sock)
        else:
            sock.close()


@functools.cache
def _tls_context(ca_bundle: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_bundle)
    context.hostname_checks_common_name = False  # as browsers: RFC 9110, section 4.3.4
    context.set_alpn_protocols(["http/1.1"])
    return context


# Bodies


def _save_body(response: requests.Response, file: BinaryIO, limit: int, deadline: Deadline) -> int:
    """Write the whole body into `file`, unpacked, and give its size in bytes."""
    answer: Any = response.raw
    if answer.length is not None and answer.length > limit:
        raise TooLarge
    coding = response.headers.get("Content-Encoding")
    packed = BytesIO()
    try:
        size: int = answer.read_body(packed if coding else file, limit + 1)
    except (http.client.IncompleteRead, OSError) as error:
        raise Truncated from error
    deadline.check()
    if size > limit:
        raise TooLarge
    if coding:
        body = unpack(packed.getvalue(), coding, limit)
        save(file, body)
        return len(body)
    return size


def _beginning(response: requests.Response) -> bytes:
    """The first bytes of an answer whose status is what counts: that they stop early, or drip, is no failure."""
    answer: Any = response.raw
    body = b""
    with contextlib.suppress(*_FOREIGN):
        while room := _MAX_POST_ANSWER - len(body):
            piece = answer.read1(room)
            if not piece:
                break
            body += piece
        if answer.length == 0:
            answer.read(1)  # finishes the answer, so that its connection is kept
    return body


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
    return any(isinstance(cause, (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)) for cause in _causes(error))


def _translated(error: Exception) -> ImageError:
    """The ImageError for what http.client, ssl or the system raised."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError):
            return _tls_failure(cause)
        if isinstance(cause, TimeoutError):
            return FetchTimeout()
        if isinstance(cause, http.client.IncompleteRead):
            return Truncated()
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, ConnectionError):
            return FetchConnectionError(
                "The server does not answer like a web server; check the address.", answered=True
            )
        if isinstance(cause, UnicodeError):
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
