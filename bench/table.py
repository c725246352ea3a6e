"""A table of text, for the terminal and for a document."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MET: Final = {True: "yes", False: "NO"}


@dataclass(frozen=True)
class Table:
    """A head, rows of text, and a note below. A row that ends in NO missed its bar."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    note: str = ""

    def as_text(self) -> str:
        """For the terminal."""
        cells = [self.head, *self.rows]
        widths = [max(len(row[place]) for row in cells) for place in range(len(self.head))]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:], *self._note()])

    def as_markdown(self) -> str:
        """For the document."""
        rule = "|---" + "|---:" * (len(self.head) - 1) + "|"
        lines = [f"| {' | '.join(row)} |" for row in (self.head, *self.rows)]
        return "\n".join([lines[0], rule, *lines[1:], *self._note()])

    def _note(self) -> list[str]:
        return ["", self.note] if self.note else []

    @property
    def missed(self) -> list[str]:
        """The first cells of the rows that missed their bar."""
        return [row[0] for row in self.rows if row[-1] == MET[False]]
