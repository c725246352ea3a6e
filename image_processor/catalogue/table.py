"""A table of any shape with columns of images: a shop's export, a spreadsheet, a list of URLs.

Its rows are those of the file; what a column means comes from `recognise`, or from the upload's options.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from image_processor.catalogue.cells import Entry, entries, replaced
from image_processor.catalogue.encoding import Encoding, Source, open_text
from image_processor.catalogue.in_place import records, with_cells
from image_processor.catalogue.layout import DELIMITERS
from image_processor.catalogue.profiles import LIST
from image_processor.catalogue.recognise import Column, Recognised, Role, find_table, given
from image_processor.errors import CSVProblem, shorten
from image_processor.urls import check_url

_HEAD_CHARS = 1_000_000
_HEAD_RECORDS = 225  # 25 that may be the header, and 200 below it


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What an upload says about its table. Columns are given by their header or by their 1-based number.

    `image_base_url` completes relative paths. `output`: put the new links in place of the old ones or into added
    columns. `failed`: keep the old link of a failed image, or leave it empty.
    """

    images_columns: tuple[str, ...] = ()
    name_column: str | None = None
    id_column: str | None = None
    sheet: str | None = None
    image_base_url: str | None = None
    output: Literal["add", "replace"] = "replace"
    failed: Literal["keep", "empty"] = "keep"


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row with its images: `row` counts the data rows from 1, `line` the lines (or the sheet's rows) from 1.

    `images` are its entries, by column (from 0) and in order; `problems` says what is wrong with them.
    """

    row: int
    line: int
    id: str
    name: str
    images: tuple[tuple[int, Entry], ...]
    problems: tuple[CSVProblem, ...]


class Table:
    """An uploaded table. Made by `read_table`.

    `found` are its columns, `header_line` is the line of the header (0: a list without one), `delimiter` stands between
    cells (empty for a workbook and a list).
    """

    def __init__(self, found: Recognised, header_line: int, options: TableOptions, delimiter: str = "") -> None:
        self.found = found
        self.header_line = header_line
        self.delimiter = delimiter
        self.options = options
        self._images = [column.number - 1 for column in found.of("images")]
        self._base_url = options.image_base_url or found.profile.image_base_url

    def rows(self) -> Iterator[TableRow]:
        """The rows, in order. One without a name takes that of the row with the same id before it."""
        name_of_id = "", ""
        for number, (line, cells, _) in enumerate(self._records(), start=1):
            id_, name = (self._cell(cells, role) for role in ("id", "name"))
            if not name and id_ and id_ == name_of_id[0]:
                name = name_of_id[1]
            name_of_id = id_, name
            images = tuple(
                (place, entry)
                for place in self._images
                if place < len(cells)
                for entry in entries(cells[place], self._base_url)
            )
            problems = tuple(self._problems(number, line, images))
            yield TableRow(number, line, id_ or str(number), name or id_ or str(number), images, problems)

    def write(self, urls: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
        """Write the table with new addresses: per row one for each image, None for a failed one."""
        raise NotImplementedError

    def _records(self) -> Iterator[tuple[int, list[str], str]]:
        """The line, the cells and the text of each record below the header that is not empty."""
        raise NotImplementedError

    def _cell(self, cells: Sequence[str], role: Role) -> str:
        return next(
            (cells[column.number - 1].strip() for column in self.found.of(role) if column.number <= len(cells)), ""
        )

    def _problems(self, row: int, line: int, images: Iterable[tuple[int, Entry]]) -> Iterator[CSVProblem]:
        for place, entry in images:
            if complaint := check_url(entry.url):
                name = self.found.columns[place].name
                hint = "Correct this address, or take it out of the cell."
                if self._base_url is None and "://" not in entry.url:
                    hint = "Give the address that such paths belong to as image_base_url."
                yield CSVProblem(line, row, name, shorten(entry.url, 200), "invalid_url", complaint, hint)

    def _new_cells(self, cells: Sequence[str], urls: Sequence[str | None]) -> dict[int, str]:
        """The new text of the image cells of a record, by column."""
        waiting, new = iter(urls), {}
        for place in self._images:
            found = entries(cells[place], self._base_url) if place < len(cells) else []
            links = [next(waiting) or ("" if self.options.failed == "empty" else None) for _ in found]
            if any(link is not None for link in links):
                new[place] = replaced(cells[place], found, links)
        return new


class TextTable(Table):
    """A table in a text file."""

    def __init__(self, source: Source, encoding: Encoding, *table: Any) -> None:
        super().__init__(*table)
        self._source = source
        self._encoding = encoding

    def write(self, urls: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
        """Write the same text with new addresses; every other byte stays."""
        waiting = iter(urls)
        destination.write(self._encoding.bom)
        for line, cells, record in self._all_records():
            if line > self.header_line and _is_filled(cells):
                record = with_cells(record, self._new_cells(cells, next(waiting)), self.delimiter or "\0")
            destination.write(record.encode(self._encoding.name))

    def _records(self) -> Iterator[tuple[int, list[str], str]]:
        return (record for record in self._all_records() if record[0] > self.header_line and _is_filled(record[1]))

    def _all_records(self) -> Iterator[tuple[int, list[str], str]]:
        line = 1
        with open_text(self._source, self._encoding) as text:
            for _ in range(self.header_line - 1):  # what is above the header need not be a table
                above = text.readline()
                yield line, [], above
                line += 1
            pairs = records(text, self.delimiter) if self.delimiter else ((one, [one.strip()]) for one in text)
            for record, cells in pairs:
                yield line, cells, record
                line += max(len(record.splitlines()), 1)


def _is_filled(cells: Sequence[str]) -> bool:
    return any(map(str.strip, cells))


def read_text(source: Source, encoding: Encoding, options: TableOptions) -> TextTable:
    """The table in a text file."""
    with open_text(source, encoding) as text:
        head = text.read(_HEAD_CHARS)
    lines = head.splitlines()
    if _is_list(lines):
        column = Column(1, "", "images", "values", lines[0].strip())
        return TextTable(source, encoding, Recognised(LIST, (column,)), 0, options, "")
    candidates = [(delimiter, *_header(head, delimiter)) for delimiter in DELIMITERS]
    delimiter, line, found = max(candidates, key=lambda one: (one[2].certainty, len(one[2].columns)))
    return TextTable(source, encoding, _as_given(found, options), line, options, delimiter)


def _as_given(found: Recognised, options: TableOptions) -> Recognised:
    roles: dict[Role, tuple[str | None, ...]] = {
        "images": options.images_columns, "name": (options.name_column,), "id": (options.id_column,)
    }  # fmt: skip
    for role, columns in roles.items():
        if chosen := [column for column in columns if column]:
            found = given(found, chosen, role)
    return found


def _is_list(lines: Sequence[str]) -> bool:
    """Whether the file is a plain list of addresses, one in each line."""
    filled = [line.strip() for line in lines if line.strip()]
    return bool(filled) and all(line.startswith(("http://", "https://")) for line in filled)


def _header(head: str, delimiter: str) -> tuple[int, Recognised]:
    """The line of the header, and its columns, if this is the delimiter."""
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    found: list[tuple[int, list[str]]] = []
    try:
        while len(found) < _HEAD_RECORDS:
            line = reader.line_num + 1
            found.append((line, next(reader)))
    except (StopIteration, csv.Error):  # the end, or a monstrous cell; what was read before counts
        pass
    place, recognised = find_table([cells for _, cells in found])
    return found[place][0], recognised
