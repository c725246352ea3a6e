"""A table in a text file: CSV in any dialect, or a plain list of URLs."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO

from image_processor.catalogue.base import CSVLimits, TableOptions
from image_processor.catalogue.encoding import Encoding, Source, open_text
from image_processor.catalogue.in_place import records, with_cells
from image_processor.catalogue.layout import (
    DELIMITERS,
    HEAD_CHARS,
    Dialect,
    blanks_before_quotes,
    dialect_of,
    recognise_layout,
    refuse_too_many_columns,
    without_blanks,
)
from image_processor.catalogue.messages import no_images
from image_processor.catalogue.profiles import ASSIGNMENT, LIST
from image_processor.catalogue.reader import columns_of
from image_processor.catalogue.recognise import HEAD_RECORDS, Column, Recognised, find_table
from image_processor.catalogue.table import Table, TableNotes, as_given, sample
from image_processor.errors import CSVProblem, InvalidCSV


class TextTable(Table):
    """A table in a text file. Results are written in its dialect, and all that does not change byte by byte."""

    def __init__(
        self, source: Source, dialect: Dialect, found: Recognised, header_line: int, limits: CSVLimits,
        options: TableOptions,
    ) -> None:  # fmt: skip
        super().__init__(found, header_line, limits, options)
        self.charset = dialect.encoding.charset
        self._source = source
        self._of_file = dialect

    @property
    def _dialect(self) -> Dialect:
        return self._of_file

    def write_output(self, outputs: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
        """Write the same text with new URLs; every other byte stays."""
        encoding = self._of_file.encoding
        waiting = zip(self.rows(), outputs, strict=True)
        destination.write(encoding.bom)
        for line, record, cells in self._all_records():
            if line > self.header_line and _is_filled(cells):
                record = with_cells(record, self.new_cells(*next(waiting)), self._of_file)
            elif line == self.header_line and self._output == "add":
                record = with_cells(
                    record, dict(zip(self._results.values(), self.added_columns, strict=True)), self._of_file
                )
            destination.write(record.encode(encoding.name))

    def _records(self) -> Iterator[tuple[int, Sequence[str]]]:
        return (
            (line, cells) for line, _, cells in self._all_records() if line > self.header_line and _is_filled(cells)
        )

    def _all_records(self) -> Iterator[tuple[int, str, list[str]]]:
        with open_text(self._source, self._of_file.encoding) as text:
            for line in range(1, self.header_line):  # what is above the header need not be a table
                yield line, text.readline(), []
            yield from records(text, self._of_file, max(self.header_line, 1))

    def _refusal(self) -> CSVProblem | None:
        return no_images(self.found, self.header_line) if not self.found.of("images") else None

    def _notes(self) -> TableNotes:
        return TableNotes(self, *filter(None, [self._of_file.encoding.warning]))


def _is_filled(cells: Sequence[str]) -> bool:
    return any(map(str.strip, cells))


def read_text(source: Source, encoding: Encoding, limits: CSVLimits, options: TableOptions) -> TextTable:
    """The table in a text file, whatever its header. Raises InvalidCSV when there is none."""
    with open_text(source, encoding) as text:
        head = text.read(HEAD_CHARS)
    lines = io.StringIO(head, newline="").readlines()
    filled = [line.strip() for line in lines if line.strip()]
    if not filled:
        hint = "Check that the export wrote something."
        raise InvalidCSV.whole_file("empty_file", "The file contains nothing but empty lines.", hint)
    if all(line.startswith(("http://", "https://")) for line in filled):
        found = Recognised(LIST, (Column(1, "URL", "images", "values", filled[0]),))
        dialect = dialect_of(encoding, lines, "\t", 1, 1)  # no URL contains a tab
        return TextTable(source, dialect, found, 0, limits, options)
    if not options.columns and (layout := recognise_layout(source, encoding)):
        found = Recognised(ASSIGNMENT, columns_of(layout.header, layout.columns, [""] * len(layout.header)))
        return TextTable(source, layout.dialect, found, layout.lines_above + 1, limits, options)
    return _recognised(source, encoding, lines, limits, options)


def _recognised(
    source: Source, encoding: Encoding, lines: list[str], limits: CSVLimits, options: TableOptions
) -> TextTable:
    bare = list(map(without_blanks, lines)) if any(' "' in line for line in lines) else lines
    tables = [(delimiter, *_table(lines, bare, delimiter, options)) for delimiter in DELIMITERS]
    delimiter, (first, last), header, found, _ = max(
        tables, key=lambda table: (table[3].certainty, len(table[2]) > 1, table[4], len(table[2]))
    )
    refuse_too_many_columns(header, first)
    dialect = dialect_of(encoding, bare, delimiter, first, last)
    return TextTable(source, dialect, as_given(found, options), first, limits, options)


def _table(
    lines: list[str], bare: list[str], delimiter: str, options: TableOptions, padded: bool = False
) -> tuple[tuple[int, int], list[str], Recognised, float]:
    """If this is the delimiter: the lines of the header, its cells, the columns, and the share of rows that fit.

    `bare`: the lines without the blanks that may pad the cells of the table; `padded`: whether they do.
    """
    spans, cells = _head(lines, delimiter, padded)
    place, found = find_table(sample(cells), options.columns)
    if not padded and blanks_before_quotes(bare[spans[place][0] - 1 :], delimiter):
        return _table(bare, bare, delimiter, options, padded=True)
    below = cells[place + 1 :]
    share = sum(len(row) <= len(cells[place]) for row in below) / max(len(below), 1)
    return spans[place], cells[place], found, share


def _head(lines: list[str], delimiter: str, padded: bool) -> tuple[list[tuple[int, int]], list[list[str]]]:
    """The first and last line of each of the first records, and their cells."""
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=padded)
    spans: list[tuple[int, int]] = []
    cells: list[list[str]] = []
    with suppress(StopIteration, csv.Error):  # the end, or a monstrous cell; what was read before counts
        while len(cells) < HEAD_RECORDS:
            first = reader.line_num + 1
            cells.append(next(reader))
            spans.append((first, reader.line_num))
    return spans, cells
