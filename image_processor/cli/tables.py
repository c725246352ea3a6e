"""Tables of text for a terminal."""

from collections.abc import Sequence

from image_processor.errors import CSVProblem, shorten
from image_processor.logs import escaped

PROBLEMS_SHOWN = 100
WIDEST_CELL = 60


def problem_table(problems: Sequence[CSVProblem]) -> str:
    """The first problems of a catalogue, and how many more there are."""
    rows = [
        (str(one.line or "–"), one.column or "–", one.value, f"{one.detail} {one.hint}")
        for one in problems[:PROBLEMS_SHOWN]
    ]
    more = f"\n… and {len(problems) - PROBLEMS_SHOWN} more." if len(problems) > PROBLEMS_SHOWN else ""
    return table(("LINE", "COLUMN", "VALUE", "PROBLEM"), rows) + more


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in columns. All but the last are shortened to WIDEST_CELL."""
    cells = [head, *([*(shorten(escaped(text), WIDEST_CELL) for text in row[:-1]), escaped(row[-1])] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head) - 1)]
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in cells
    )
