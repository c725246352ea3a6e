"""A table of any shape with columns of images: a shop's export, a spreadsheet, a list of URLs.

Its rows are those of the file; what a column means comes from `recognise`, or from the upload's options. Where the rows
come from, and how they are written, is left to the two kinds of tables, in a text and in a workbook.
"""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import BinaryIO

from image_processor.catalogue.base import Catalogue, CSVLimits, Failed, Failure, Output, TableOptions, Understood
from image_processor.catalogue.cells import Entry, entries, names_an_image, replaced
from image_processor.catalogue.layout import ERROR, MAX_COLUMNS, OUTPUT, Dialect
from image_processor.catalogue.profiles import ASSIGNMENT
from image_processor.catalogue.recognise import Recognised, Role, given
from image_processor.catalogue.repairs import RowWarnings
from image_processor.catalogue.rows import Finding, Row, text_problems, url_problems
from image_processor.catalogue.writer import DialectWriter
from image_processor.errors import CSVProblem, shorten
from image_processor.urls import check_url

_BASE_HINT = "If it is a path, give the URL that it is below as image_base_url (“Base URL of relative paths”)."
_SAMPLE_CELLS = 20_000
_LEAST_ROWS = 35
_TEXTS: tuple[Role, ...] = ("id", "name")
_SURPLUS = "The row has more cells than the header has columns, so it is not clear which of them hold images."
_QUOTE_HINT = 'Put quotes (") round every cell that contains the delimiter.'


@dataclass(frozen=True, slots=True)
class TableRow(Row):
    """One row. `images` are its entries, by place of the column (from 0) and in order; `cells` are all of it.

    `left` are the entries that name no image, such as `n/a`.
    """

    cells: Sequence[str]
    images: tuple[tuple[int, Entry], ...]
    left: tuple[tuple[int, Entry], ...]


class Table(Catalogue):
    """A table: `found` are its columns, `header_line` the line of its header (0: a list without one).

    A row has more to it when the header is the assignment's: each must have a serial number, a name and an image.
    """

    def __init__(self, found: Recognised, header_line: int, limits: CSVLimits, options: TableOptions) -> None:
        super().__init__(limits)
        self.found = found
        self.header_line = header_line
        self.takes_avif = found.profile.takes_avif
        self.sheet: str | None = None
        self._is_strict = found.profile is ASSIGNMENT
        self._profile = "given" if options.columns else found.profile.key
        self._output: Output = options.output or ("add" if self._is_strict else "replace")
        self._failed: Failed = options.failed or ("keep" if self._output == "replace" else "empty")
        self._base_url = options.image_base_url or found.profile.image_base_url
        self._places = {role: next((one.number - 1 for one in found.of(role)), None) for role in _TEXTS}
        self._images = [column.number - 1 for column in found.of("images")]
        self._results = dict(self._places_of_results())

    def _places_of_results(self) -> Iterator[tuple[int, int]]:
        """For each column of images the place of the column with its results."""
        names = [column.name for column in self.found.columns]
        if self._output == "add":
            added = len(names)
            for place, name in zip(self._images, self.added_columns, strict=True):
                yield place, names.index(name) if name in names else added
                added += name not in names
            return
        new = self.found.profile.import_column
        for place in self._images:
            yield place, names.index(new) if new in names else place

    @property
    def added_columns(self) -> list[str]:
        """The names of the columns with the new URLs, for `output=add`."""
        if len(self._images) == 1:
            return [OUTPUT]
        return [f"Output {self.found.columns[place].name}" for place in self._images]

    @property
    def understood(self) -> Understood:
        """How the table was understood."""
        return Understood(
            self._profile, self.sheet, self.header_line, self._output, self._failed, self.found.columns,
            self.found.suggested_images_column,
        )  # fmt: skip

    # ---- rows -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def _records(self) -> Iterator[tuple[int, Sequence[str]]]:
        """The line and the cells of each record below the header that is not empty."""

    def rows(self, start_after: int = 0) -> Iterator[TableRow]:
        """The rows after row `start_after`. One without a name takes that of the row before it with the same id."""
        group = "", ""
        for number, (line, cells) in enumerate(self._records(), start=1):
            id_, name = self._cell(cells, "id"), self._cell(cells, "name")
            if not name and id_ and id_ == group[0]:
                name = group[1]
            group = id_, name
            if number > start_after:
                yield self._row(number, line, cells, id_, name)

    def _row(self, number: int, line: int, cells: Sequence[str], id_: str, name: str) -> TableRow:
        images: list[tuple[int, Entry]] = []
        left: list[tuple[int, Entry]] = []
        for place in self._images:
            cell = cells[place] if place < len(cells) else ""
            for entry in entries(cell, self._base_url) if cell else ():
                is_image = names_an_image(cell[entry.start : entry.end], self._base_url)
                (images if is_image else left).append((place, entry))
        urls = tuple(entry.url for _, entry in images)
        problems = tuple(
            CSVProblem(line, number, column, shorten(value or "", 200), code, detail, hint)
            for column, value, code, detail, hint in self._findings(cells, id_, name, images)
        )
        if len(urls) > self._limits.max_urls_per_row:
            urls = ()
        if not self._is_strict:
            id_ = id_ or str(number)
        return TableRow(number, line, id_, name, urls, problems, cells, tuple(images), tuple(left))

    def _cell(self, cells: Sequence[str], role: Role) -> str:
        place = self._places[role]
        return cells[place].strip() if place is not None and place < len(cells) else ""

    def _has_surplus(self, cells: Sequence[str]) -> bool:
        width = len(self.found.columns)
        return len(cells) > width and any(map(str.strip, cells[width:]))

    def _findings(
        self, cells: Sequence[str], id_: str, name: str, images: Sequence[tuple[int, Entry]]
    ) -> Iterator[Finding]:
        if self._has_surplus(cells):
            yield None, ", ".join(cells[len(self.found.columns) :]), "too_many_cells", _SURPLUS, _QUOTE_HINT
        if self._is_strict:
            for role, called, value in (("id", "Serial number", id_), ("name", "Product name", name)):
                yield from text_problems(self.found.of(role)[0].name, called, value)  # type: ignore[arg-type]
        elif len(images) <= self._limits.max_urls_per_row and not any(check_url(entry.url) for _, entry in images):
            return  # the common case
        for place, of_column in groupby(images, key=lambda one: one[0]):
            yield from self._url_findings(self.found.columns[place].name, [entry.url for _, entry in of_column])
        if self._is_strict and not images:
            yield from self._url_findings(self.found.columns[self._images[0]].name, [])

    def _url_findings(self, column: str, urls: Sequence[str]) -> Iterator[Finding]:
        for _, url, code, detail, hint in url_problems(urls, self._limits.max_urls_per_row):
            relative = code == "invalid_url" and self._base_url is None and "://" not in (url or "")
            yield column, url, code, detail, _BASE_HINT if relative else hint

    def places_of(self, row: TableRow) -> Iterator[tuple[str, int, str]]:
        """The column, the position in its cell (from 1) and the text of each entry."""
        before, position = -1, 0
        for place, entry in row.images:
            position = position + 1 if place == before else 1
            before = place
            yield self.found.columns[place].name, position, row.cells[place][entry.start : entry.end]

    # ---- results --------------------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _dialect(self) -> Dialect:
        """How output.csv and errors.csv are written."""

    def new_cells(self, row: TableRow, urls: Sequence[str | None]) -> dict[int, str]:
        """The new text of the cells of a row that change, by place; none where it is not clear which cell is which."""
        new: dict[int, str] = {}
        if self._has_surplus(row.cells):
            return new
        links = dict(zip(row.images, urls, strict=False))  # a row with too many URLs has none
        for place in self._images:
            mine = {entry: links[place, entry] for at, entry in row.images if at == place and (at, entry) in links}
            if self._output == "add":
                new[self._results[place]] = self._added(row.cells[place] if mine else "", mine)
            elif mine:
                self._replace(row.cells[place], place, mine, new)
        return new

    def _added(self, cell: str, links: dict[Entry, str | None]) -> str:
        keeps = self._failed == "keep"
        return ", ".join(url or (cell[entry.start : entry.end] if keeps else "") for entry, url in links.items())

    def _replace(self, cell: str, place: int, links: dict[Entry, str | None], new: dict[int, str]) -> None:
        failed = "" if self._failed == "empty" else None
        text = replaced(cell, list(links), [failed if url is None else url for url in links.values()])
        if text != cell or self._results[place] != place:
            new[self._results[place]] = text

    def write_errors(self, failures: Iterable[Failure], destination: BinaryIO) -> None:
        """Write id, name and images of the failed rows, with only the failed URLs, plus `Error`.

        A row that was invalid when it was uploaded keeps its cells: its owner has to see what to correct.
        """
        writer = DialectWriter(destination, self._dialect)
        columns = [*self.found.of("id"), *self.found.of("name"), *self.found.of("images")]
        writer.row([*(column.name for column in columns), ERROR])
        rows = self.rows()
        for number, urls, error in sorted(failures, key=lambda failure: failure[0]):
            row = next(row for row in rows if row.row == number)
            cells = {column.number - 1: _at(row.cells, column.number - 1) for column in columns}
            if not row.problems:
                for place in self._images:
                    failed = [entry.url for at, entry in row.images if at == place and entry.url in urls]
                    cells[place] = ", ".join(failed)
            writer.row([*cells.values(), error])

    # ---- warnings -------------------------------------------------------------------------------------------------

    def _notes(self) -> "TableNotes":
        return TableNotes(self)


class TableNotes:
    """The warnings about the rows of a table."""

    def __init__(self, table: Table, *about_file: str) -> None:
        self._columns = table.found.columns
        self._most = table.found.profile.most_images
        self._about_file = [*about_file, *_left_columns(table.found)]
        self._of_rows = RowWarnings()

    def note(self, row: TableRow) -> None:
        """Note the entries that were left as they are, and lists that are too long for the platform."""
        for place, entry in row.left:
            left = f"“{shorten(entry.url)}” in “{self._columns[place].name}” is not a URL and stays as it is."
            self._of_rows.add("an entry is not a URL and stays as it is", f"Row {row.row}: {left}")
        if self._most and len(row.images) > self._most:
            for place in {place for place, _ in row.images}:
                count = sum(at == place for at, _ in row.images)
                if count > self._most:
                    self._note_long_list(row.row, place, count)

    def _note_long_list(self, row: int, place: int, count: int) -> None:
        sentence = f"“{self._columns[place].name}” has {count} images; the platform takes at most {self._most}."
        self._of_rows.add(f"a list has more than {self._most} images", f"Row {row}: {sentence}")

    def warnings(self) -> list[str]:
        """The sentences: about the file, then about the rows."""
        return [*self._about_file, *self._of_rows.sentences()]


def _left_columns(found: Recognised) -> Iterator[str]:
    """About columns that hold images, perhaps, and stay as they are; nothing when the user has chosen the columns."""
    if any(column.how == "given" for column in found.of("images")) or not found.of("images"):
        return
    left = {column.number for column in found.columns if column.role is None}
    for column in found.paths:
        if column.number in left:
            yield (
                f"“{shorten(column.name)}” holds paths, not URLs, and stays as it is. To process it, too, give the URL "
                "that they are below as image_base_url."
            )
    for column in found.others:
        if column.number in left:
            yield f"“{shorten(column.name)}” holds URLs of images, too, and stays as it is unless it is chosen."


def sample(head: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The first rows of a table, fewer of a wide one: each of the first 25 is tried as the header of all below it.

    With 1,000 columns and 225 rows that took 20 s.
    """
    width = max(map(len, head), default=1)
    return [cells[: MAX_COLUMNS + 1] for cells in head[: max(_SAMPLE_CELLS // max(width, 1), _LEAST_ROWS)]]


def as_given(found: Recognised, options: TableOptions) -> Recognised:
    """The columns with the roles that the options give them. Raises InvalidCSV for columns that do not exist."""
    roles: dict[Role, tuple[str | None, ...]] = {
        "images": options.images_column, "name": (options.name_column,), "id": (options.id_column,)
    }  # fmt: skip
    if options.image_base_url and found.paths:  # with it they can be fetched
        of_paths = {column.number: column for column in found.paths}
        columns = tuple(of_paths.get(column.number, column) for column in found.columns)
        found = replace(found, columns=columns)
    for role, names in roles.items():
        if chosen := [name for name in names if name]:
            found = given(found, chosen, role)
    return found


def _at(cells: Sequence[str], place: int) -> str:
    return next(islice(cells, place, None), "")
