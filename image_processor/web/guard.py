"""Checks of every request: known hosts, the API key, no cross-site requests, rate limits."""

import hashlib
import hmac
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import cast

from flask import Flask, Response, current_app, g, request, session

from image_processor.errors import CrossSite, TooManyRequests, Unauthorized, UntrustedHost
from image_processor.jobs import INBOX_PATH
from image_processor.urls import base_url_of

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SIGN_IN_PATH = "/sign-in"
HEALTH_PATH = "/healthz"
# Open without the key: hosted images have unguessable names, and received webhooks are signed.
OPEN_ENDPOINTS = (
    "api.processed_image", "api.receive_callback", "api.health", "pages.sign_in", "static", "bootstrap.static",
)  # fmt: skip
MAX_OPEN_BYTES = 64_000
WRONG_KEYS_PER_MINUTE = 10
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class RateLimit:
    """At most `per_minute` of something in any 60 seconds per client; 0 is no limit. For this process; thread-safe.

    `counted` names it in the plural.
    """

    MOST_CLIENTS = 10_000

    def __init__(self, per_minute: int, counted: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._counted = counted
        self._clock = clock
        self._lock = threading.Lock()
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def enter(self, client: str) -> None:
        """Count one more. Raises TooManyRequests, with the seconds to wait, if there were too many."""
        if not self._per_minute:
            return
        with self._lock:
            now = self._clock()
            times = self._times.setdefault(client, deque())
            self._times.move_to_end(client)
            if len(self._times) > self.MOST_CLIENTS:
                self._times.popitem(last=False)
            while times and times[0] <= now - 60:
                times.popleft()
            if len(times) >= self._per_minute:
                wait = int(times[0] + 60 - now) + 1
                raise TooManyRequests(
                    f"There were {self._per_minute} {self._counted} within a minute, which is the limit; "
                    f"try again in {wait} seconds.",
                    retry_after=wait,
                )
            times.append(now)

    def forget(self, client: str) -> None:
        """Reset the count of a client."""
        with self._lock:
            self._times.pop(client, None)


class Guard:
    """The checks that every request passes before it is handled."""

    def __init__(
        self,
        *,
        public_base_url: str | None,
        trusted_hosts: tuple[str, ...],
        api_key: str | None,
        uploads_per_minute: int,
    ) -> None:
        self._public_base_url = public_base_url
        self._trusted_hosts = trusted_hosts
        self._api_key = api_key.encode() if api_key else None
        self._uploads = RateLimit(uploads_per_minute, "uploads and dry runs")
        self._wrong_keys = RateLimit(WRONG_KEYS_PER_MINUTE, "wrong keys")

    def init_app(self, app: Flask) -> None:
        """Check every request of the application, and set the security headers of every response."""
        app.extensions["guard"] = self
        app.before_request(self._check_host)
        app.before_request(self._check_key)
        app.before_request(self._check_site)
        app.after_request(_add_security_headers)

    def sign_in(self, key: str) -> bool:
        """Sign in a visitor with the key; False for another key. Raises TooManyRequests after too many wrong keys."""
        if not self._is_key(key):
            return False
        session["key"] = self._fingerprint()
        return True

    def count_upload(self) -> None:
        """Count an upload or a dry run of this client. Raises TooManyRequests."""
        self._uploads.enter(request.remote_addr or "")

    @property
    def locked(self) -> bool:
        """Whether a key is required."""
        return self._api_key is not None

    def _check_host(self) -> None:
        """Set the base of all URLs in responses. `Host` is sent by the client, so only known names are accepted."""
        called = base_url_of(
            request.scheme,
            request.environ.get("HTTP_HOST", ""),
            int(request.environ["SERVER_PORT"]),
            self._trusted_hosts,
        )
        g.base_url = self._public_base_url or called
        # Health checks use the address of a server, not its name; their response has no URL.
        if called is None and request.path != HEALTH_PATH:
            raise UntrustedHost(
                "This host name is not served here. Use the name of the server, or add this name to "
                "IMAGE_PROCESSOR_TRUSTED_HOSTS."
            )

    def _check_key(self) -> None:
        if request.endpoint in OPEN_ENDPOINTS:
            request.max_content_length = MAX_OPEN_BYTES
            return
        if self._api_key is None or self._has_key() or self._is_signed_in():
            return
        raise Unauthorized("This server requires its API key: send it as `Authorization: Bearer …`, or sign in.")

    def _check_site(self) -> None:
        # Any web page can make a browser POST a form to a server on the visitor's machine, with cookies; none can make
        # it send the key.
        if request.method in SAFE_METHODS or request.path == INBOX_PATH or (self._api_key and self._has_key()):
            return
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site not in (None, "same-origin", "none") or (site is None and origin not in (None, g.base_url)):
            raise CrossSite(
                "Another web site sent this request, so it was refused. Send requests to the server directly."
            )

    def _has_key(self) -> bool:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._is_key(key.strip())

    def _is_key(self, key: str) -> bool:
        """Whether this is the key. Raises TooManyRequests, without comparing, after too many wrong keys."""
        client = request.remote_addr or ""
        self._wrong_keys.enter(client)
        right = self._api_key is not None and hmac.compare_digest(key.encode("utf-8", "replace"), self._api_key)
        if right:
            self._wrong_keys.forget(client)
        return right

    def _is_signed_in(self) -> bool:
        return hmac.compare_digest(str(session.get("key", "")), self._fingerprint())

    def _fingerprint(self) -> str:
        """The content of the signed cookie: another key ends all sessions, and the cookie does not reveal the key."""
        secret = str(current_app.secret_key).encode()
        return hmac.new(secret, self._api_key or b"", hashlib.sha256).hexdigest()


def guard() -> Guard:
    """The guard of the application that handles the current request."""
    return cast(Guard, current_app.extensions["guard"])


def _add_security_headers(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
