"""How a log line looks: one line an event, for people or for programs, which nobody outside can forge."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Literal

from image_processor import call_ids

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
        call_id = call_ids.current()
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
            "x_request_id": call_ids.current(),
            "traceback": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({name: value for name, value in line.items() if value is not None})


def formatter(log_format: Literal["text", "json"]) -> logging.Formatter:
    """The formatter for a value of the setting `LOG_FORMAT`."""
    return JSONLine() if log_format == "json" else OneLine()


def escaped(text: str) -> str:
    """The text with every control character written out, as `\\n` or `\\x1b`."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
