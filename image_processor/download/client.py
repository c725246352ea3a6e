"""The one way out: HTTP to addresses that strangers wrote.

Every connection goes to exactly the address that was checked, every redirect is checked like a first URL, and one
deadline covers all of it. The transport is requests' HTTPAdapter over urllib3's pools, without the Session: that would
bring in the environment's proxies and `.netrc`, carry cookies from host to host, and read the whole body of a redirect.
"""

import contextlib
import functools
import http.client
import logging
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, BinaryIO, Final
from urllib.parse import urljoin

import certifi
import requests
import urllib3
from requests.structures import CaseInsensitiveDict

from image_processor.download.addresses import AllowedAddresses
from image_processor.download.connections import GuardedAdapter, tls_context
from image_processor.download.connector import Dialler
from image_processor.download.deadline import LONG_HEAD, Deadline
from image_processor.download.name_lookup import NameLookup, Resolver, system_resolver
from image_processor.errors import (
    FetchConnectionError,
    FetchTimeout,
    ImageError,
    InvalidURL,
    StoreUnavailable,
    TLSError,
    TooLarge,
    TooManyRedirects,
    Truncated,
    UnsupportedFormat,
)
from image_processor.urls import check_url, normalise

log = logging.getLogger(__name__)

_MAX_POST_ANSWER = 4_096
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Below /static/samples/: plain names only, so that no spelling of `..` or of a slash has to be understood.
_SAMPLE = re.compile(r"(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)*[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:\?.*)?")
# Names of one server: the sample is fetched as 127.0.0.1 by a program and uploaded at localhost by a browser. A
# client chooses among them anyway, by the name that it connects to.
_LOOPBACK_NAME = re.compile(r"\A(https?://)(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/])")

_CODINGS: Final = ("gzip", "x-gzip", "deflate")
# Small enough that a bomb of empty gzip members, which are copied one by one, costs little.
_PIECE: Final = 65_536

_FOREIGN = (OSError, http.client.HTTPException, urllib3.exceptions.HTTPError)  # those of requests are OSErrors

IsAbandoned = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Response:
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

    `user_agent` is sent along. `allowed` are the private addresses that may be reached. Times are seconds:
    `connect_timeout` for a name lookup and again for a connection, `total_timeout` for all of a `get`, redirects
    included. `max_bytes` bounds a body, unpacked. `pool_size` connections are kept per host. `resolver` stands in for
    the system's (host and port in, socket addresses out), `ca_bundle` (a path) for certifi's certificates.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        allowed: AllowedAddresses,
        connect_timeout: float = 5.0,
        total_timeout: float = 30.0,
        max_bytes: int = 20_000_000,
        max_redirects: int = 5,
        pool_size: int = 32,
        resolver: Resolver | None = None,
        ca_bundle: str | None = None,
    ) -> None:
        # identity, because an image gains nothing from being packed and a bomb has to be.
        self._headers = {"User-Agent": re.sub(r"[^\x20-\x7e]", "?", user_agent), "Accept-Encoding": "identity"}
        self._total_timeout = total_timeout
        self._max_bytes = max_bytes
        self._max_redirects = max_redirects
        dialler = Dialler(NameLookup(resolver or system_resolver), allowed, connect_timeout)
        context = tls_context(ca_bundle or certifi.where())
        # A connection that was let through to this very server must serve nothing else.
        self._adapters = {
            own: GuardedAdapter(functools.partial(dialler.dial, own=own), context, pool_size) for own in (False, True)
        }
        self._stop = threading.Event()

    def get(
        self, url: str, file: BinaryIO, *, own_base_url: str | None = None, is_abandoned: IsAbandoned | None = None
    ) -> Response:
        """Fetch `url`, following redirects, each checked like a first URL. The body of a 200 goes into `file`, whole.

        `own_base_url` is this server's own address: the samples below `/static/samples/` there may be fetched even if
        it is private, though not through a redirect. The exchange is cut soon after `is_abandoned` says yes. Raises the
        ImageError that says what went wrong, StoreUnavailable when the disk does not take the body.
        """
        deadline = Deadline(self._total_timeout, self._stop.is_set, is_abandoned)
        return _with_one_error(lambda: self._follow(url, file, own_base_url, deadline))

    def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float = 15.0,
        own_base_url: str | None = None,
    ) -> Response:
        """Send `body` to `url`, within `timeout` seconds in all. Redirects are returned, not followed.

        `own_base_url` is this server's own address: its `/webhooks/inbox` may be posted to even if it is private.
        Raises the ImageError that says what went wrong.
        """
        deadline = Deadline(timeout, self._stop.is_set)

        def exchange() -> Response:
            target = normalise(url)
            length = {"Content-Length": str(len(body))}
            own = _one_name(target) == _own(own_base_url, "/webhooks/inbox")
            with self._send("POST", target, self._headers | dict(headers) | length, deadline, own, body) as response:
                deadline.expect_body(_MAX_POST_ANSWER)
                return Response(response.status_code, response.headers, target, body=_beginning(response.raw))

        return _with_one_error(exchange)

    def cut(self) -> None:
        """Cut every exchange under way, within a quarter of a second: its `get` or `post` raises.

        The client can be used again.
        """
        stop, self._stop = self._stop, threading.Event()
        stop.set()

    def close(self) -> None:
        """Cut what is under way and close every kept connection."""
        self.cut()
        for adapter in self._adapters.values():
            adapter.close()

    def _follow(self, url: str, file: BinaryIO, own_base_url: str | None, deadline: Deadline) -> Response:
        headers = self._headers | {"Accept": "image/*,*/*;q=0.8"}
        hop = normalise(url)
        own = _is_own_sample(hop, own_base_url)
        for _ in range(self._max_redirects + 1):
            with self._send("GET", hop, headers, deadline, own) as response:
                target = _redirect_target(response)
                if target is None:
                    size = 0
                    if response.status_code == HTTPStatus.OK:
                        deadline.expect_body(self._max_bytes)
                        size = _save_body(response.raw, file, self._max_bytes)
                    return Response(response.status_code, response.headers, hop, size)
            hop, own = _next_hop(hop, target), False
        raise TooManyRedirects

    def _send(
        self, method: str, url: str, headers: dict[str, str], deadline: Deadline, own: bool, body: bytes | None = None
    ) -> requests.Response:
        """Send a request for `url`, in its wire form, and return the response, its body unread."""
        request = requests.PreparedRequest()  # filled in by hand: `prepare` would write the URL anew
        request.method, request.url, request.body = method, url, body
        request.headers = CaseInsensitiveDict(headers)
        while True:
            deadline.begin("/" + url.split("/", 3)[3])
            try:
                response = self._adapters[own].send(request, stream=True, timeout=deadline)
            except _FOREIGN as error:
                # A server may close a kept connection in the very moment it is used again (RFC 9112, section 9.3.1).
                if deadline.dialled or method != "GET" or not _is_hang_up(error):
                    raise
            else:
                if response.raw.length_remaining == 0:
                    response.raw.read(1)  # finishes the response, so that its connection is kept
                return response


# Requests


def _next_hop(url: str, target: str) -> str:
    try:
        return normalise(urljoin(url, target))
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


@functools.lru_cache(64)  # the same few of a server, for every image
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


# Bodies


def _save_body(raw: Any, file: BinaryIO, limit: int) -> int:
    """Write the whole body into `file`, unpacked, and give its size in bytes."""
    if (raw.length_remaining or 0) > limit:
        raise TooLarge
    coding = raw.headers.get("Content-Encoding", "identity").strip().lower()
    # Two codings, one over the other, could unpack to terabytes of nothing within one call of `read`.
    if coding not in ("", "identity", *_CODINGS):
        raise UnsupportedFormat("The server sent the image packed in a way that was not asked for and is not known.")
    size = 0
    try:
        while piece := raw.read(min(_PIECE, limit + 1 - size), decode_content=coding in _CODINGS):
            size += len(piece)
            if size > limit:
                raise TooLarge
            _write(file, piece)
    except _FOREIGN as error:
        raise Truncated from error
    return size


def _write(file: BinaryIO, piece: bytes) -> None:
    try:
        file.write(piece)
    except OSError as error:
        raise StoreUnavailable(f"The downloaded image could not be written: {error.strerror}.") from error


def _beginning(raw: Any) -> bytes:
    """The first bytes of an answer whose status is what counts: that they stop early, or drip, is no failure."""
    body = b""
    with contextlib.suppress(ImageError, *_FOREIGN):
        while (room := _MAX_POST_ANSWER - len(body)) and (piece := raw.read1(room, decode_content=False)):
            body += piece
    return body


# Errors


def _with_one_error(work: Callable[[], Response]) -> Response:
    """Do `work` and turn whatever goes wrong in it into one ImageError."""
    try:
        return work()
    except (ImageError, *_FOREIGN) as error:
        log.debug("an exchange failed", exc_info=True)
        failure = error if isinstance(error, ImageError) else _translated(error)
    # Raised outside the handler and bare: an error that is kept for a report must not keep the frames, and with them
    # the bytes, of a download.
    failure.__traceback__ = failure.__context__ = failure.__cause__ = None
    raise failure


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
        if type(cause) is http.client.HTTPException:  # more than 100 headers
            return TooLarge(LONG_HEAD)
        if isinstance(cause, urllib3.exceptions.InvalidHeader):  # two lengths
            return Truncated()
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, ConnectionError):
            return FetchConnectionError(
                "The server does not answer like a web server; check the address.", answered=True
            )
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
