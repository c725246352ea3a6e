"""Writing CSV: rows in the dialect of a catalogue, problems and replacements."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from typing import BinaryIO

from image_processor.catalogue.encoding import UTF8, UTF8_BOM
from image_processor.catalogue.layout import DELIMITERS, Dialect
from image_processor.catalogue.rows import guard
from image_processor.errors import CSVProblem


class DialectWriter:
    """Writes rows of text cells to `destination`, in a dialect. `guarded`: formulas are made safe for spreadsheets."""

    def __init__(self, destination: BinaryIO, dialect: Dialect, *, guarded: bool = True) -> None:
        self._guarded = guarded
        self._destination = destination
        self._dialect = dialect
        # The writer quotes cells that contain a character of its line end. The other delimiters belong to it because a
        # spreadsheet may split the file at one of them, and a lone CR because it would make two rows of a cell. `write`
        # puts the dialect's own line end there.
        self._quoted = "\r\n" + "".join(DELIMITERS).replace(dialect.delimiter, "")
        self._writer = csv.writer(self, delimiter=dialect.delimiter, lineterminator=self._quoted)
        destination.write(dialect.encoding.bom)
        if dialect.sep_line:
            self.write(f"sep={dialect.delimiter}")

    def row(self, cells: Iterable[str]) -> None:
        """Write one row."""
        self._writer.writerow([guard(cell) for cell in cells] if self._guarded else cells)

    def write(self, line: str) -> None:
        """Write a line that the csv module has formatted. What the encoding lacks becomes `?`."""
        text = line.removesuffix(self._quoted) + self._dialect.line_terminator
        self._destination.write(text.encode(self._dialect.encoding.name, "replace"))


def write_problems(problems: Iterable[CSVProblem], destination: BinaryIO) -> None:
    """Write every problem as CSV (UTF-8 with a byte order mark, which Excel needs)."""
    writer = DialectWriter(destination, Dialect(UTF8_BOM))
    writer.row(member.name for member in fields(CSVProblem))
    for problem in problems:
        writer.row("" if value is None else str(value) for value in astuple(problem))


def write_replacements(replacements: Iterable[Sequence[object]], destination: BinaryIO) -> None:
    """Write replacements.csv, in UTF-8: row, column, position in the cell, old URL, new URL, error."""
    writer = DialectWriter(destination, Dialect(UTF8))
    writer.row(("row", "column", "position", "old_url", "new_url", "error"))
    for cells in replacements:
        writer.row("" if cell is None else str(cell) for cell in cells)
