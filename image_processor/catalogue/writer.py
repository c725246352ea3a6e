"""The CSVs that are written: output.csv and errors.csv in the dialect of the catalogue, problems and the sample."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from typing import BinaryIO

from image_processor.catalogue.encoding import UTF8, UTF8_BOM
from image_processor.catalogue.layout import DELIMITERS, ERROR, NAME, OUTPUT, SERIAL, URLS, Dialect
from image_processor.catalogue.reader import ProductCSV, read_products
from image_processor.catalogue.rows import guard
from image_processor.errors import CSVProblem


class DialectWriter:
    """Writes rows of text cells to `destination`, in a dialect, safe for spreadsheets."""

    def __init__(self, destination: BinaryIO, dialect: Dialect) -> None:
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
        self._writer.writerow([guard(cell) for cell in cells])

    def write(self, line: str) -> None:
        """Write a line that the csv module has formatted. What the encoding lacks becomes `?`."""
        text = line.removesuffix(self._quoted) + self._dialect.line_terminator
        self._destination.write(text.encode(self._dialect.encoding.name, "replace"))


def write_output(catalogue: ProductCSV, outputs: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
    """Write output.csv: the catalogue as it was uploaded, with the column `Output Image Urls`.

    `outputs` has one sequence per data row, in order, with one URL (or None) per entry of its `image_urls`. An existing
    output column is replaced in its place, an existing `Error` column is left out.
    """
    writer = DialectWriter(destination, catalogue.dialect)
    name = catalogue.header[catalogue.columns.output[0]] if catalogue.columns.output else OUTPUT
    writer.row(_with_output(catalogue, catalogue.header, name))
    for row, urls in zip(catalogue.rows(), outputs, strict=True):
        writer.row(_with_output(catalogue, row.folded.cells, ", ".join(url or "" for url in urls)))


def write_errors(
    catalogue: ProductCSV, failures: Iterable[tuple[int, Sequence[str], str]], destination: BinaryIO
) -> None:
    """Write errors.csv: the three input columns of the failed rows, with only the failed URLs, plus `Error`.

    `failures`: the row number, its failed URLs, what went wrong. A row that was invalid when it was uploaded keeps its
    whole URL cell: its owner has to see what to correct.
    """
    writer = DialectWriter(destination, catalogue.dialect)
    places = sorted(catalogue.columns.required)
    writer.row([*(catalogue.header[place] for place in places), ERROR])
    rows = catalogue.rows()
    for number, urls, error in sorted(failures, key=lambda failure: failure[0]):
        row = next(row for row in rows if row.row == number)
        cells = row.folded.cells.copy()
        if not row.problems:
            cells[catalogue.columns.urls] = ", ".join(urls)
        writer.row([*(cells[place] for place in places), error])


def write_problems(problems: Iterable[CSVProblem], destination: BinaryIO) -> None:
    """Write every problem as CSV (UTF-8 with a byte order mark, which Excel needs)."""
    writer = DialectWriter(destination, Dialect(UTF8_BOM))
    writer.row(member.name for member in fields(CSVProblem))
    for problem in problems:
        writer.row("" if value is None else str(value) for value in astuple(problem))


def sample_csv(base_url: str, products: Sequence[tuple[str, Sequence[str]]]) -> bytes:
    """A catalogue that can be uploaded as it is: per product its name and its image files under `/static/samples/`."""
    file = io.BytesIO()
    writer = DialectWriter(file, Dialect(UTF8))
    writer.row((SERIAL, NAME, URLS))
    for number, (name, files) in enumerate(products, start=1):
        writer.row((f"{number}.", name, ", ".join(f"{base_url}/static/samples/{file}" for file in files)))
    return file.getvalue()


def warm_up() -> None:
    """Import pandas and read a tiny catalogue, so that the first upload does not wait for it. Takes about 0.5 s."""
    list(read_products(sample_csv("http://localhost", [("Warm-up", ["1.jpg"])])).rows())


def _with_output(catalogue: ProductCSV, cells: Sequence[str], output: str) -> list[str]:
    """The cells with `output` in the place of the output column; the columns of earlier runs are left out."""
    columns = catalogue.columns
    place = columns.output[0] if columns.output else len(cells)
    dropped = {*columns.output, *columns.error}
    kept = [(at, cell) for at, cell in enumerate(cells) if at not in dropped]
    return [cell for _, cell in sorted([*kept, (place, output)])]
