"""Who may come in: hosts that are ours, callers with the key, no other web site in a visitor's name, not too often."""

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
# Open without the key: images are public by their unguessable names, and a callback shows its signature instead.
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
    """At most `per_minute` calls in any 60 seconds for each client; 0 is no limit. Thread-safe, of this process."""

    MOST_CLIENTS = 10_000

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: OrderedDict[str, deque[float]] = OrderedDict()

    def enter(self, client: str) -> None:
        """Count a call. Raises TooManyRequests, with the seconds to wait, when there were too many."""
        if not self._per_minute:
            return
        with self._lock:
            now = self._clock()
            calls = self._calls.setdefault(client, deque())
            self._calls.move_to_end(client)
            if len(self._calls) > self.MOST_CLIENTS:
                self._calls.popitem(last=False)
            while calls and calls[0] <= now - 60:
                calls.popleft()
            if len(calls) >= self._per_minute:
                wait = int(calls[0] + 60 - now) + 1
                raise TooManyRequests(
                    f"There were {self._per_minute} calls within a minute, which is the limit; "
                    f"try again in {wait} seconds.",
                    retry_after=wait,
                )
            calls.append(now)

    def forget(self, client: str) -> None:
        """Begin to count this client's calls anew."""
        with self._lock:
            self._calls.pop(client, None)


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
        self._uploads = RateLimit(uploads_per_minute)
        self._wrong_keys = RateLimit(WRONG_KEYS_PER_MINUTE)

    def init_app(self, app: Flask) -> None:
        """Check every request of the application, and set the security headers of every response."""
        app.extensions["guard"] = self
        app.before_request(self._know_the_host)
        app.before_request(self._know_the_caller)
        app.before_request(self._refuse_other_sites)
        app.after_request(_be_strict)

    def sign_in(self, key: str) -> bool:
        """Take a visitor in who knows the key. Raises TooManyRequests for one who guesses."""
        if not self._is_key(key):
            return False
        session["key"] = self._fingerprint()
        return True

    def count_upload(self) -> None:
        """Count an upload or a dry run of this caller. Raises TooManyRequests."""
        self._uploads.enter(request.remote_addr or "")

    @property
    def locked(self) -> bool:
        """Whether a key is needed at all."""
        return self._api_key is not None

    def _know_the_host(self) -> None:
        """Fix the base of all URLs given out. `Host` is the caller's word: only names that are ours count."""
        called = base_url_of(
            request.scheme,
            request.environ.get("HTTP_HOST", ""),
            int(request.environ["SERVER_PORT"]),
            self._trusted_hosts,
        )
        g.base_url = self._public_base_url or called
        # What watches over a server calls it by its address, whatever its name is; no URL is given out there.
        if called is None and request.path != HEALTH_PATH:
            raise UntrustedHost(
                "This host name is not served here. Call the server by the name it is known under, or add the name to "
                "IMAGE_PROCESSOR_TRUSTED_HOSTS."
            )

    def _know_the_caller(self) -> None:
        if request.endpoint in OPEN_ENDPOINTS:
            request.max_content_length = MAX_OPEN_BYTES
            return
        if self._api_key is None or self._shows_key() or self._is_signed_in():
            return
        raise Unauthorized("This server needs its API key: send it as `Authorization: Bearer …`, or sign in.")

    def _refuse_other_sites(self) -> None:
        # Any web page can make a browser POST a form to a server on the visitor's own machine, with his cookies. No
        # page can make it send the key.
        if request.method in SAFE_METHODS or request.path == INBOX_PATH or (self._api_key and self._shows_key()):
            return
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if site not in (None, "same-origin", "none") or (site is None and origin not in (None, g.base_url)):
            raise CrossSite("Another web site sent this call; it was not served. Call the server directly.")

    def _shows_key(self) -> bool:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._is_key(key.strip())

    def _is_key(self, shown: str) -> bool:
        """Whether this is the key. Raises TooManyRequests, before it compares, after too many wrong ones in a row."""
        client = request.remote_addr or ""
        self._wrong_keys.enter(client)
        right = self._api_key is not None and hmac.compare_digest(shown.encode("utf-8", "replace"), self._api_key)
        if right:
            self._wrong_keys.forget(client)
        return right

    def _is_signed_in(self) -> bool:
        return hmac.compare_digest(str(session.get("key", "")), self._fingerprint())

    def _fingerprint(self) -> str:
        """What the signed cookie holds: another key signs everybody out, and the cookie does not tell the key."""
        secret = str(current_app.secret_key).encode()
        return hmac.new(secret, self._api_key or b"", hashlib.sha256).hexdigest()


def guard() -> Guard:
    """The guard of the application that handles the current request."""
    return cast(Guard, current_app.extensions["guard"])


def _be_strict(answer: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer
