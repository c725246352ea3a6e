"""Which call a log line belongs to: the `X-Request-ID` of the caller, or one made here, in every answer and log line.

What an upload starts goes on under the upload's id, in other threads and after a restart: its log lines, its webhook.

Plain WSGI, so that no answer is without it: not those of the door, not the framework's own, not the static files.
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-ID"
# Printable ASCII and nothing longer: whatever else a caller sends could break a log line or an answer's headers.
_SANE = re.compile(r"[\x20-\x7e]{1,128}")

_current: ContextVar[str | None] = ContextVar("call_id", default=None)


def current() -> str | None:
    """The id of the call that this thread serves; None where none is served."""
    return _current.get()


@contextmanager
def belonging_to(call_id: str | None) -> Iterator[None]:
    """What this thread does in here belongs to a call that was served before, or to none."""
    token = _current.set(call_id)
    try:
        yield
    finally:
        _current.reset(token)


class CallIds:
    """Wraps a WSGI application: each call has an id while it is served, and its answer says which."""

    def __init__(self, serve: "WSGIApplication") -> None:
        self._serve = serve

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Serve one call."""
        call_id = _sane(environ.get("HTTP_X_REQUEST_ID", "")) or uuid.uuid4().hex

        def start(status, headers, *exc_info):  # type: ignore[no-untyped-def]
            return start_response(status, [*headers, (HEADER, call_id)], *exc_info)

        with belonging_to(call_id):
            return self._serve(environ, start)


def _sane(text: str) -> str | None:
    return text if _SANE.fullmatch(text) and text.strip() == text else None
