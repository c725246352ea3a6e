"""Log lines: one line an event, for people or for programs, with the id of the HTTP request that it belongs to.

The id is the `X-Request-ID` of the client, or one made here, in every response and log line. What an upload starts
keeps the id of the upload, in other threads and after a restart.
"""

import json
import logging
import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


HEADER = "X-Request-ID"
# Printable ASCII and nothing longer: whatever else a caller sends could break a log line or an answer's headers.
_SANE = re.compile(r"[\x20-\x7e]{1,128}")

_current: ContextVar[str | None] = ContextVar("call_id", default=None)


def current_call() -> str | None:
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


# Line ends and other control characters, the Unicode ones included: each would start or hide a line somewhere.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# The house's way to name a request in a message: "request 5ba9aab8-…: 6 images in 3 rows".
_REQUEST = re.compile(r"\brequest ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


class OneLine(logging.Formatter):
    """Keeps a message on one line, whatever text of strangers is in it. A traceback follows, indented.

    Lines of an HTTP call carry its id: `[X-Request-ID]`, with %20 for a space, before the message.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """The line without a traceback."""
        call_id = current_call()
        belongs = f"[{call_id.replace(' ', '%20')}] " if call_id else ""
        record.message = belongs + escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is logging's
        """The traceback, indented, so that none of its lines can pass for an event."""
        return "    " + super().formatException(ei).replace("\n", "\n    ")  # type: ignore[arg-type]


class JSONLine(logging.Formatter):
    """One JSON object a line: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and where they apply `request_id`
    (the request that the message is about), `x_request_id` (the HTTP call) and `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """The object, in ASCII: no character of a stranger can end the line."""
        message = record.getMessage()
        about = _REQUEST.search(message)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            "request_id": about and about[1],
            "x_request_id": current_call(),
            "traceback": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({name: value for name, value in line.items() if value is not None})


def formatter(log_format: Literal["text", "json"]) -> logging.Formatter:
    """The formatter for a value of the setting `LOG_FORMAT`."""
    return JSONLine() if log_format == "json" else OneLine()


def escaped(text: str) -> str:
    """The text with every control character written out, as `\\n` or `\\x1b`."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
