"""One line for each event, whatever is in it."""

import logging
import sys

import pytest

from image_processor.logs import OneLine


def line(message: str, **more: object) -> str:
    record = logging.LogRecord("skulight", logging.INFO, "f", 1, "%s", (message,), more.get("exc_info"))  # type: ignore[arg-type]
    return OneLine().format(record)


@pytest.mark.parametrize("text", ["a\nINFO forged", "a\r\nb", "a\x1b[2Jb", "a\x85b", "a\u2028b", "a\x00b", "a\x0bb"])
def test_a_message_stays_on_its_line(text: str) -> None:
    formatted = line(text)

    assert len(formatted.splitlines()) == 1
    assert formatted.isprintable()


def test_a_traceback_cannot_be_taken_for_an_event() -> None:
    try:
        raise ValueError("x\n2026-01-01 INFO forged")
    except ValueError:
        formatted = line("failed", exc_info=sys.exc_info())

    first, *others = formatted.splitlines()
    assert first.endswith("skulight failed")
    assert others and all(other.startswith("    ") for other in others)
