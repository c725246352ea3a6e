"""How a log line looks: one line an event, which nobody outside can forge."""

import logging
import re

# Line ends and other control characters, the Unicode ones included: each would start or hide a line somewhere.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class OneLine(logging.Formatter):
    """Keeps a message on one line, whatever text of strangers is in it. A traceback follows, indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """The line without a traceback."""
        record.message = escaped(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - the name is logging's
        """The traceback, indented, so that none of its lines can pass for an event."""
        return "    " + super().formatException(ei).replace("\n", "\n    ")  # type: ignore[arg-type]


def escaped(text: str) -> str:
    """The text with every control character written out, as `\\n` or `\\x1b`."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
