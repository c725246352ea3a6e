"""HTTP to untrusted addresses: image URLs of catalogues, and webhook URLs.

Every connection goes to exactly the address that was checked, every redirect is checked like a first URL, and one
deadline covers all of it. The transport is requests' HTTPAdapter over urllib3's pools, without the Session: that would
bring in the environment's proxies and `.netrc`, carry cookies from host to host, and read the whole body of a redirect.
"""

import contextlib
import functools
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, BinaryIO, Final
from urllib.parse import urljoin

import certifi
import requests
from requests.structures import CaseInsensitiveDict

from image_processor.download.addresses import AllowedAddresses
from image_processor.download.connections import GuardedAdapter, tls_context
from image_processor.download.connector import Connector
from image_processor.download.deadline import Deadline
from image_processor.download.failures import FOREIGN_ERRORS, is_hang_up, raises_image_errors
from image_processor.download.name_lookup import NameLookup, Resolver, system_resolver
from image_processor.errors import (
    ImageError,
    InvalidURL,
    StoreUnavailable,
    TooLarge,
    TooManyRedirects,
    Truncated,
    UnsupportedFormat,
)
from image_processor.urls import check_url, normalise

_MAX_REDIRECTS: Final = 5
_MAX_POST_RESPONSE: Final = 4_096
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Paths of this server, after the first slash. Plain names only: no spelling of `..` or of a slash has to be understood.
_SAMPLE = re.compile(r"static/samples/(?:[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)*[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:\?.*)?")
_INBOX = re.compile(r"webhooks/inbox")
# Names of one server: a program fetches the sample from 127.0.0.1, a browser uploads it to localhost. A client chooses
# among them anyway, by the name that it connects to.
_LOOPBACK_NAME = re.compile(r"\A(https?://)(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/])")

_CODINGS: Final = ("gzip", "x-gzip", "deflate")
# Small enough that a bomb of empty gzip members, which are copied one by one, costs little.
_PIECE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Response:
    """A server's response. `headers` does not care about case.

    `size` is the number of bytes of the body that were written into the file of a `get`; `body` is the beginning of the
    response to a `post` (at most 4 KB of it).
    """

    status: int
    headers: Mapping[str, str]
    size: int = 0
    body: bytes = b""


class GuardedClient:
    """Fetches from and posts to public addresses only. Thread-safe; connections are kept and shared.

    `user_agent` is sent along. `allowed` are the private addresses that may be reached. Times are seconds:
    `connect_timeout` for a name lookup and again for a connection, `total_timeout` for all of a `get`, redirects
    included. `max_bytes` bounds a body, unpacked. `pool_size` connections are kept per host. `resolver` replaces the
    system's (host and port in, socket addresses out), `ca_bundle` (a path) the certificates of certifi.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        allowed: AllowedAddresses,
        connect_timeout: float = 5.0,
        total_timeout: float = 30.0,
        max_bytes: int = 20_000_000,
        pool_size: int = 32,
        resolver: Resolver = system_resolver,
        ca_bundle: str | None = None,
    ) -> None:
        # identity, because an image gains nothing from being packed and a bomb has to be.
        self._headers = {"User-Agent": re.sub(r"[^\x20-\x7e]", "?", user_agent), "Accept-Encoding": "identity"}
        self._total_timeout = total_timeout
        self._max_bytes = max_bytes
        connector = Connector(NameLookup(resolver), allowed, connect_timeout)
        context = tls_context(ca_bundle or certifi.where())
        # A connection that was allowed because it leads to this very server must not be used for anything else.
        self._adapters = {
            own: GuardedAdapter(functools.partial(connector.connect, own=own), context, pool_size)
            for own in (False, True)
        }
        self._stop = threading.Event()

    @raises_image_errors
    def get(
        self,
        url: str,
        file: BinaryIO,
        *,
        own_base_url: str | None = None,
        is_abandoned: Callable[[], bool] | None = None,
    ) -> Response:
        """Fetch `url`, following redirects, each checked like a first URL. The body of a 200 goes into `file`, whole.

        `own_base_url` is the base URL of this server: the samples below `/static/samples/` there may be fetched even if
        it is private, though not through a redirect. The download stops soon after `is_abandoned` returns True. Raises
        the ImageError that says what went wrong, StoreUnavailable when the body cannot be written.
        """
        deadline = Deadline(self._total_timeout, self._stop.is_set, is_abandoned)
        headers = self._headers | {"Accept": "image/*,*/*;q=0.8"}
        url = normalise(url)
        own = _is_own(url, own_base_url, _SAMPLE)
        for _ in range(_MAX_REDIRECTS + 1):
            with self._send("GET", url, headers, deadline, own) as response:
                target = _redirect_target(response)
                if target is None:
                    size = 0
                    if response.status_code == HTTPStatus.OK:
                        deadline.expect_body(self._max_bytes)
                        size = _save_body(response.raw, file, self._max_bytes)
                    return Response(response.status_code, response.headers, size)
            url, own = _next_url(url, target), False
        raise TooManyRedirects

    @raises_image_errors
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

        `own_base_url` is the base URL of this server: its `/webhooks/inbox` may be posted to even if it is private.
        Raises the ImageError that says what went wrong.
        """
        deadline = Deadline(timeout, self._stop.is_set)
        url = normalise(url)
        own = _is_own(url, own_base_url, _INBOX)
        sent = self._headers | dict(headers) | {"Content-Length": str(len(body))}
        with self._send("POST", url, sent, deadline, own, body) as response:
            deadline.expect_body(_MAX_POST_RESPONSE)
            return Response(response.status_code, response.headers, body=_beginning(response.raw))

    def cut(self) -> None:
        """Stop every `get` and `post` that is under way: they raise within 0.25 s. The client can be used again."""
        stop, self._stop = self._stop, threading.Event()
        stop.set()

    def close(self) -> None:
        """Stop what is under way and close every kept connection."""
        self.cut()
        for adapter in self._adapters.values():
            adapter.close()

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
                return self._adapters[own].send(request, stream=True, timeout=deadline)
            except FOREIGN_ERRORS as error:
                # A server may close a kept connection in the very moment it is used again (RFC 9112, section 9.3.1).
                if deadline.connected or method != "GET" or not is_hang_up(error):
                    raise


# Requests


def _next_url(url: str, target: str) -> str:
    try:
        return normalise(urljoin(url, target))
    except (InvalidURL, ValueError):
        raise InvalidURL("The URL redirects to something that cannot be fetched.") from None


def _redirect_target(response: requests.Response) -> str | None:
    location = response.headers.get("Location", "").strip(" \t")
    if response.status_code not in _REDIRECTS or not location:
        return None
    # http.client reads headers as Latin-1; servers that put bare UTF-8 in there mean UTF-8.
    with contextlib.suppress(UnicodeError):
        return location.encode("latin-1").decode("utf-8")
    return location


def _is_own(url: str, own_base_url: str | None, path: re.Pattern[str]) -> bool:
    """Whether `url`, in its wire form, is such a path of this server."""
    base, url = _own_root(own_base_url or ""), _one_name(url)
    return base is not None and url.startswith(base) and path.fullmatch(url, len(base)) is not None


@functools.lru_cache(64)  # the same few of a server, for every image
def _own_root(base_url: str) -> str | None:
    return None if check_url(base_url) else _one_name(normalise(base_url.rstrip("/") + "/"))


def _one_name(url: str) -> str:
    return _LOOPBACK_NAME.sub(r"\1localhost", url)


# Bodies


def _save_body(raw: Any, file: BinaryIO, limit: int) -> int:
    """Write the whole body into `file`, unpacked, and return its size in bytes."""
    if (raw.length_remaining or 0) > limit:
        raise TooLarge
    coding = raw.headers.get("Content-Encoding", "identity").strip().lower()
    # Two codings, one over the other, could unpack to terabytes of nothing within one `read`.
    if coding not in ("", "identity", *_CODINGS):
        raise UnsupportedFormat("The server sent the image packed in a way that was not asked for and is not known.")
    size = 0
    try:
        while piece := raw.read(min(_PIECE, limit + 1 - size), decode_content=coding in _CODINGS):
            size += len(piece)
            if size > limit:
                raise TooLarge
            _write(file, piece)
    except FOREIGN_ERRORS as error:
        raise Truncated from error
    return size


def _write(file: BinaryIO, piece: bytes) -> None:
    try:
        file.write(piece)
    except OSError as error:
        raise StoreUnavailable(f"The downloaded image could not be written: {error.strerror}.") from error


def _beginning(raw: Any) -> bytes:
    """The first bytes of a response whose status is what counts: it is no failure if they stop early, or drip."""
    body = b""
    with contextlib.suppress(ImageError, *FOREIGN_ERRORS):
        while (room := _MAX_POST_RESPONSE - len(body)) and (piece := raw.read1(room, decode_content=False)):
            body += piece
    return body
