"""A CSV with the assignment's header: checked, read, and written with its output column.

pandas reads all cells of all rows, in chunks, after one strict pass over the file (`records`). It is imported where it
is used: that takes half a second, and the start of the program must not wait for it.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from image_processor.catalogue.base import Catalogue, CSVLimits, Failed, Failure, TableOptions, Understood
from image_processor.catalogue.encoding import Source, size_of
from image_processor.catalogue.layout import ERROR, OUTPUT, Columns, Layout
from image_processor.catalogue.recognise import EXAMPLE_CHARS, Column, Role
from image_processor.catalogue.records import check_records, open_table
from image_processor.catalogue.repairs import Repairs
from image_processor.catalogue.rows import ProductRow, read_row
from image_processor.catalogue.unquoted import fold_row
from image_processor.catalogue.writer import DialectWriter
from image_processor.errors import InvalidCSV, shorten

# Rows are read in pieces of about this size, so that memory does not grow with the catalogue.
_CHUNK_BYTES = 4_000_000
_MAX_CHUNK_ROWS = 1_000


class ProductCSV(Catalogue):
    """A catalogue with the columns `S. No.`, `Product Name` and `Input Image Urls`.

    `dialect`: how the file is written, and its results will be. `header`: its cells. `columns`: their places.
    """

    def __init__(self, source: Source, layout: Layout, limits: CSVLimits, options: TableOptions) -> None:
        super().__init__(limits)
        self._source = source
        self._layout = layout
        self._records = check_records(source, self._layout, limits.max_rows, limits.max_urls_per_row)
        self._keep_failed = options.failed == "keep"
        self.dialect = self._layout.dialect
        self.charset = layout.dialect.encoding.charset
        self.header = self._layout.header
        self.columns = self._layout.columns
        if not self._records.row_count:
            raise InvalidCSV.whole_file("no_rows", "The file has a header but no rows.", "Add the products below it.")

    @property
    def understood(self) -> Understood:
        """How the table was understood."""
        columns = columns_of(self.header, self.columns, next(self.rows()).folded.cells)
        failed: Failed = "keep" if self._keep_failed else "empty"
        return Understood("assignment", None, self._layout.lines_above + 1, "add", failed, columns)

    @property
    def row_count(self) -> int:
        """The rows with data."""
        return self._records.row_count

    def rows(self, start_after: int = 0) -> Iterator[ProductRow]:
        """The rows after row `start_after`."""
        number = 0
        records = zip(self._records.lines, self._records.lengths, self._read_with_pandas(), strict=True)
        for line, length, cells in itertools.islice(records, 1, self._records.end):
            number += length > 0
            if length and number > start_after:
                folded = fold_row(cells[:length], self.columns, self.dialect.delimiter)
                yield read_row(number, line, folded, self.columns, self._limits.max_urls_per_row)

    def places_of(self, row: ProductRow) -> Iterator[tuple[str, int, str]]:
        """The column, the position in its cell (from 1) and the text of each entry."""
        column = self.header[self.columns.urls].strip()
        return ((column, position, url) for position, url in enumerate(row.image_urls, start=1))

    def _notes(self) -> Repairs:
        return Repairs(self._layout, self._records)

    # ---- results --------------------------------------------------------------------------------------------------

    def write_output(self, outputs: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
        """Write the catalogue as it was uploaded, with the column `Output Image Urls`.

        An existing output column is replaced in its place, an existing `Error` column is left out.
        """
        writer = DialectWriter(destination, self.dialect)
        name = self.header[self.columns.output[0]] if self.columns.output else OUTPUT
        writer.row(self._with_output(self.header, name))
        for row, urls in zip(self.rows(), outputs, strict=True):
            old = row.image_urls if self._keep_failed else itertools.repeat("")
            new = ", ".join(url or before for url, before in zip(urls, old, strict=False))
            writer.row(self._with_output(row.folded.cells, new))

    def _with_output(self, cells: Sequence[str], output: str) -> list[str]:
        """The cells with `output` in the place of the output column; the columns of earlier runs are left out."""
        columns = self.columns
        place = columns.output[0] if columns.output else len(cells)
        dropped = {*columns.output, *columns.error}
        kept = [(at, cell) for at, cell in enumerate(cells) if at not in dropped]
        return [cell for _, cell in sorted([*kept, (place, output)])]

    def write_errors(self, failures: Iterable[Failure], destination: BinaryIO) -> None:
        """Write the three input columns of the failed rows, with only the failed URLs, plus `Error`.

        A row that was invalid when it was uploaded keeps its whole URL cell: its owner has to see what to correct.
        """
        writer = DialectWriter(destination, self.dialect)
        places = sorted(self.columns.required)
        writer.row([*(self.header[place] for place in places), ERROR])
        rows = self.rows()
        for number, urls, error in sorted(failures, key=lambda failure: failure[0]):
            row = next(row for row in rows if row.row == number)
            cells = row.folded.cells.copy()
            if not row.problems:
                cells[self.columns.urls] = ", ".join(urls)
            writer.row([*(cells[place] for place in places), error])

    # ---- pandas ---------------------------------------------------------------------------------------------------

    def _read_with_pandas(self) -> Iterator[list[str]]:
        """The cells of every record, the header and empty ones included, filled up to the longest.

        Records stay in step with the strict pass (compared over 60,000 random files: no difference).
        """
        import pandas

        with (
            open_table(self._source, self._layout) as text,
            pandas.read_csv(
                text,
                header=None,
                names=range(self._records.longest[0]),
                index_col=False,
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                sep=self.dialect.delimiter,
                skipinitialspace=self.dialect.skip_initial_space,
                skip_blank_lines=False,
                chunksize=self._chunk_rows(),
            ) as frames,
        ):
            for frame in frames:
                yield from frame.to_numpy().tolist()

    def _chunk_rows(self) -> int:
        bytes_per_row = size_of(self._source) // len(self._records.lines) + 1
        return min(_CHUNK_BYTES // bytes_per_row + 1, _MAX_CHUNK_ROWS)


def columns_of(header: Sequence[str], columns: Columns, example: Sequence[str]) -> tuple[Column, ...]:
    """The columns below the assignment's header, with the cells of one row as examples."""
    roles: dict[int, Role] = {columns.serial: "id", columns.name: "name", columns.urls: "images"}
    return tuple(
        Column(
            place + 1,
            name.strip(),
            roles.get(place),
            "spelling" if place in roles else None,
            shorten(cell.strip(), EXAMPLE_CHARS),
        )
        for place, (name, cell) in enumerate(zip(header, example, strict=True))
    )
