"""Log lines: one line for each event, for people or for programs, with the id of the HTTP request it belongs to.

The id is the `X-Request-ID` of the client, or one generated here; every response carries it. A job keeps the id of its
upload, in other threads and after a restart.
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


# Anything else that a client sends could break a log line or the headers of a response.
_VALID_ID = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,126}[\x21-\x7e])?")

_current: ContextVar[str | None] = ContextVar("http_request_id", default=None)


def http_request_id() -> str | None:
    """The id of the HTTP request to which this thread's log lines belong; None outside of one."""
    return _current.get()


@contextmanager
def with_http_request_id(value: str | None) -> Iterator[None]:
    """Let this thread's log lines belong to an earlier HTTP request, or to none."""
    token = _current.set(value)
    try:
        yield
    finally:
        _current.reset(token)


class HTTPRequestIds:
    """WSGI middleware that gives each request an id, and the response the header with it."""

    def __init__(self, wsgi_app: "WSGIApplication") -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        sent = environ.get("HTTP_X_REQUEST_ID", "")
        value = sent if _VALID_ID.fullmatch(sent) else uuid.uuid4().hex

        def start(status, headers, *exc_info):  # type: ignore[no-untyped-def]
            return start_response(status, [*headers, ("X-Request-ID", value)], *exc_info)

        with with_http_request_id(value):
            return self._wsgi_app(environ, start)


# Line ends and other control characters, including those of Unicode: some viewer starts or hides a line at each.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# How messages name a job: "job 5ba9aab8-…: 6 images in 3 rows".
_JOB = re.compile(r"\bjob ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


class OneLine(logging.Formatter):
    """Keeps a message on one line, whatever foreign text is in it. A traceback follows, indented.

    Lines of an HTTP request carry its id before the message, as `[X-Request-ID]` with %20 for a space.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        prefix = f"[{value.replace(' ', '%20')}] " if (value := http_request_id()) else ""
        record.message = prefix + escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is logging's
        # Indented, so that none of its lines can be taken for an event.
        return "    " + super().formatException(ei).replace("\n", "\n    ")  # type: ignore[arg-type]


class JSONLine(logging.Formatter):
    """One JSON object a line, in ASCII: `time` (RFC 3339, UTC), `level`, `logger`, `message`, and where they apply
    `request_id` (the job that the message names), `x_request_id` (the HTTP request) and `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        job = _JOB.search(message)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": message,
            "request_id": job and job[1],
            "x_request_id": http_request_id(),
            "traceback": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({name: value for name, value in line.items() if value is not None})


def formatter(log_format: Literal["text", "json"]) -> logging.Formatter:
    """The formatter for a value of the setting `LOG_FORMAT`."""
    return JSONLine() if log_format == "json" else OneLine()


def escaped(text: str) -> str:
    """The text with every control character escaped, as `\\n` or `\\x1b`."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
