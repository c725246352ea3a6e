"""A table in a sheet of a workbook: Excel (xlsx, xlsm, xlsb, xls) or OpenDocument (ods)."""

import io
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO

from image_processor.catalogue.base import CSVLimits, TableOptions
from image_processor.catalogue.encoding import UTF8, Source
from image_processor.catalogue.layout import HEADER_RECORDS, Dialect, assignment_columns, refuse_too_many_columns
from image_processor.catalogue.messages import no_images
from image_processor.catalogue.profiles import ASSIGNMENT
from image_processor.catalogue.reader import columns_of
from image_processor.catalogue.recognise import HEAD_RECORDS, Recognised, find_table
from image_processor.catalogue.table import Table, as_given, sample
from image_processor.catalogue.workbook import Place, Workbook
from image_processor.catalogue.writer import DialectWriter
from image_processor.errors import CSVProblem, InvalidCSV, listed, shorten

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_SHEETS = re.compile(r"xl/workbook\.(?:xml|bin)|content\.xml")
_BROKEN_WORKBOOK = re.compile(rb"PK\x03\x04.*(?:xl/|opendocument.spreadsheet)", re.DOTALL)


class SheetTable(Table):
    """A table in a sheet. A cell of images with a link behind it counts as the URL of the link."""

    def __init__(
        self, book: Workbook, sheet: str, links: Mapping[Place, str], found: Recognised, header_row: int,
        limits: CSVLimits, options: TableOptions,
    ) -> None:  # fmt: skip
        super().__init__(found, header_row, limits, options)
        self.charset = "utf-8"
        self.sheet = sheet
        self._book = book
        self._links = links

    @property
    def is_editable(self) -> bool:
        """Whether `write_workbook` can write it."""
        return self._book.is_editable(self.sheet or "")

    @property
    def _dialect(self) -> Dialect:
        return Dialect(UTF8)

    def _all_rows(self, places: Collection[int] | None = None) -> Iterator[tuple[int, list[str]]]:
        """The rows of the sheet, numbered from 1, with the URLs of links in the columns of images.

        They are text, or other values but in some places.
        """
        for number, cells in enumerate(self._book.rows(self.sheet or "", places), start=1):
            for place in self._images:
                if url := self._links.get((number - 1, place)):
                    cells[place] = _linked(cells[place], url)
            yield number, cells

    def _records(self) -> Iterator[tuple[int, Sequence[str]]]:
        used = [column.number - 1 for column in self.found.columns if column.role]
        return ((line, cells) for line, cells in self._all_rows(used) if line > self.header_line and _is_filled(cells))

    def write_output(self, outputs: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
        """Write the sheet as CSV."""
        writer = DialectWriter(destination, self._dialect, guarded=self._output == "add")
        new = self._changes(outputs)
        line, changed = next(new, (0, {}))
        empty = 0
        for number, cells in self._all_rows():
            if not any(cells) and number != line:
                empty += 1
                continue
            for _ in range(empty):  # but those at the end are not written: a spreadsheet may have a million
                writer.row([""] * len(cells))
            empty = 0
            if number == line:
                cells += [""] * (max(changed, default=0) + 1 - len(cells))
                for place, text in changed.items():
                    cells[place] = text
                line, changed = next(new, (0, {}))
            writer.row(cells)

    def write_workbook(self, outputs: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
        """Write the workbook with the new URLs; all else in it stays."""
        new: dict[Place, str] = {}
        for line, changed in self._changes(outputs):
            new |= {(line - 1, place): text for place, text in changed.items()}
        destination.write(self._book.with_cells(self.sheet or "", new, self._texts_behind_links(new)))

    def _changes(self, outputs: Iterable[Sequence[str | None]]) -> Iterator[tuple[int, dict[int, str]]]:
        """The row numbers with the new texts of their cells, by place."""
        if self._output == "add":
            yield self.header_line, dict(zip(self._results.values(), self.added_columns, strict=True))
        for row, urls in zip(self.rows(), outputs, strict=True):
            yield row.line, self.new_cells(row, urls)

    def _texts_behind_links(self, new: dict[Place, str]) -> set[Place]:
        """The changed cells with a link behind a text that is no URL."""
        linked = {place for place in self._links if new.get(place)}
        if not linked:
            return set()
        rows = enumerate(self._book.rows(self.sheet or ""))
        return {
            (row, place) for row, cells in rows for place, text in enumerate(cells)
            if (row, place) in linked and not _is_url(text)
        }  # fmt: skip

    def _refusal(self) -> CSVProblem | None:
        return no_images(self.found, self.header_line, self._book.has_pictures) if not self._images else None


def _is_filled(cells: Sequence[Any]) -> bool:
    return any(cell.strip() if isinstance(cell, str) else True for cell in cells)


def is_workbook(source: Source) -> bool:
    """Whether a file is a workbook, or the remains of one."""
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        head = file.read(4_096)
        if head.startswith(_OLE):
            return True
        if not head.startswith(b"PK\x03\x04"):
            return False
        try:
            return any(map(_SHEETS.fullmatch, zipfile.ZipFile(file).namelist()))
        except (zipfile.BadZipFile, NotImplementedError):
            return _BROKEN_WORKBOOK.match(head) is not None


def read_workbook(source: Source, called: str, limits: CSVLimits, options: TableOptions) -> SheetTable:
    """The table in a workbook: in the sheet that is given, else in the first whose images are recognised.

    Raises InvalidCSV when there is none, or when the workbook cannot be read.
    """
    book = Workbook(source if isinstance(source, bytes) else source.read_bytes(), called, options.sheet)
    if options.sheet and options.sheet not in book.sheet_names:
        detail = f"The workbook has no sheet “{shorten(options.sheet)}”. Its sheets are {listed(book.sheet_names)}."
        raise InvalidCSV.whole_file("unknown_sheet", detail, "Give the name of one of them.", value=options.sheet)
    tables = []
    for sheet in book.readable_sheets:
        if table := _table(book, sheet, limits, options):
            tables.append(table)
            if table.found.of("images"):
                return table
    if not tables:
        hint = "Check that the export wrote something."
        raise InvalidCSV.whole_file("empty_file", f"{called} has no sheet with a table.", hint)
    return tables[0]


def _table(book: Workbook, sheet: str, limits: CSVLimits, options: TableOptions) -> SheetTable | None:
    """The table in a sheet, None in an empty one."""
    links = book.links(sheet)
    head = [
        [_linked(cell, links.get((row, column))) for column, cell in enumerate(cells)]
        for row, cells in enumerate(islice(book.rows(sheet), HEAD_RECORDS))
    ]
    if not any(any(map(str.strip, cells)) for cells in head):
        return None
    for row, cells in enumerate(head[:HEADER_RECORDS]) if not options.columns else ():
        if columns := assignment_columns(cells, row + 1):
            found = Recognised(ASSIGNMENT, columns_of(cells, columns, [""] * len(cells)))
            return SheetTable(book, sheet, links, found, row + 1, limits, options)
    place, found = find_table(sample(head), options.columns)
    refuse_too_many_columns(head[place], place + 1)
    return SheetTable(book, sheet, links, as_given(found, options), place + 1, limits, options)


def _linked(text: str, link: str | None) -> str:
    """What a cell says: the URL of its link, unless its text holds URLs, which are what people see."""
    return link if link and not _is_url(text) else text


def _is_url(text: str) -> bool:
    return "://" in text
