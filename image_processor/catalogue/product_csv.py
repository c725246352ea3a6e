"""The catalogue: an uploaded CSV that is read and asked, and the CSVs that answer it.

Two readers work together, because each sees what the other cannot: `csv_records` walks the file strictly first, then
`pandas.read_csv` reads the rows. Bytes become text in `csv_encoding`, header and dialect are found in `csv_dialect`,
rows with too many cells are folded in `surplus_cells`, a row is judged in `product_rows`.

The only module that knows pandas. It is imported where it is used: it takes half a second, and the start of the program
must not wait for it.
"""

import io
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import BinaryIO, overload

from image_processor.catalogue.dialect import (
    ERROR,
    NAME,
    OUTPUT,
    SERIAL,
    URLS,
    Dialect,
    DialectWriter,
    Layout,
    recognise_layout,
)
from image_processor.catalogue.encoding import Source, recognise_encoding, size_of
from image_processor.catalogue.records import check_records, open_table, read_records
from image_processor.catalogue.rows import ProductRow, Repairs, read_row
from image_processor.catalogue.unquoted import FoldedRow, fold_row
from image_processor.errors import CSVProblem, InvalidCSV, UploadTooLarge
from image_processor.urls import host_of

__all__ = [
    "CSVLimits",
    "Dialect",
    "ProductCSV",
    "ProductRow",
    "read_products",
    "sample_csv",
    "warm_up",
    "write_errors",
    "write_output",
    "write_problems",
]

# Rows are read in pieces of about this size, so that memory does not grow with the catalogue. pandas keeps the
# interpreter to itself for a whole piece: 10,000 rows take 10 ms, a thousand 1.7, and all rows together no longer.
_CHUNK_BYTES = 4_000_000
_MAX_CHUNK_ROWS = 1_000
# Problems kept in memory. The others are found again when somebody asks: a hostile file has millions.
_PROBLEMS_KEPT = 1_000
# Surplus cells that are looked into, beyond the URLs a row may have: commas of a name, empty cells.
_MORE_SURPLUS = 100


@dataclass(frozen=True, slots=True)
class CSVLimits:
    """How large a catalogue may be."""

    max_bytes: int = 64_000_000
    max_rows: int = 200_000
    max_urls_per_row: int = 1_000
    max_images: int = 1_000_000


@dataclass(frozen=True, slots=True)
class _Survey:
    """What is known of a catalogue once every row was read."""

    valid_row_count: int
    hosts: dict[str, int]
    problems: Sequence[CSVProblem]
    warnings: list[str]


class ProductCSV:
    """An uploaded catalogue. Made by `read_products`.

    `dialect`: how the file is written, and its answers will be. `header`: its cells. `columns`: where they stand.
    `row_count`: the data rows. The other figures need every row to be read and judged, which is done when one of them
    is first asked for, and not for a caller that only wants the rows. Then UploadTooLarge is raised when the valid rows
    have more images than `limits` allow.
    """

    def __init__(self, source: Source, layout: Layout, limits: CSVLimits) -> None:
        self._source = source
        self._layout = layout
        self._limits = limits
        self._records = check_records(source, layout, limits.max_rows)
        self.dialect = layout.dialect
        self.header = layout.header
        self.columns = layout.columns
        self.row_count = self._records.row_count
        self._survey: _Survey | None = None
        if not self.row_count:
            raise InvalidCSV.whole_file("no_rows", "The file has a header but no rows.", "Add the products below it.")

    @property
    def valid_row_count(self) -> int:
        """The rows without problems."""
        return self._surveyed.valid_row_count

    @property
    def hosts(self) -> dict[str, int]:
        """How many URLs of the valid rows each host has."""
        return self._surveyed.hosts

    @property
    def problems(self) -> Sequence[CSVProblem]:
        """All of them, in the order of the file."""
        return self._surveyed.problems

    @property
    def warnings(self) -> list[str]:
        """A sentence for every repair."""
        return [*_layout_warnings(self._layout), *self._records.warnings(), *self._surveyed.warnings]

    @property
    def image_count(self) -> int:
        """How many URLs the valid rows have; empty slots do not count."""
        return sum(self.hosts.values())

    @property
    def is_valid(self) -> bool:
        """Whether every row can be worked."""
        return self.valid_row_count == self.row_count

    def raise_if_invalid(self) -> None:
        """Raise InvalidCSV with all problems, if there are any."""
        if not self.is_valid:
            bad = self.row_count - self.valid_row_count
            verb = "needs" if bad == 1 else "need"
            raise InvalidCSV(f"{bad:,} of {self.row_count:,} rows {verb} fixing.", self.problems)

    def rows(self, start_after: int = 0) -> Iterator[ProductRow]:
        """The rows after row `start_after`, read from the source again: memory does not grow with the catalogue."""
        return (row for row, _ in self._read(start_after))

    def table(self) -> Iterator[list[str]]:
        """The cells of every data row as they stand in the file, in the columns of the header."""
        return (self._fold(cells).cells for cells in read_records(self._source, self._layout))

    def is_valid_row(self, cells: Sequence[str]) -> bool:
        """Whether a row of `table` can be worked."""
        wanted = [cells[place] for place in self.columns.meaningful]
        return not read_row(0, 0, FoldedRow(wanted), self._limits.max_urls_per_row).problems

    @property
    def _surveyed(self) -> _Survey:
        # Not a cached_property, whose lock (up to Python 3.11) is one for all catalogues.
        if self._survey is None:
            self._survey = self._look_at_all()
        return self._survey

    def _look_at_all(self) -> _Survey:
        origins: Counter[str] = Counter()
        kept: list[CSVProblem] = []
        problem_count = valid_row_count = image_count = 0
        repairs = Repairs()
        for row, folded in self._read(start_after=0):
            repairs.note(row, folded)
            if row.problems:
                problem_count += len(row.problems)
                kept.extend(row.problems[: _PROBLEMS_KEPT - len(kept)])
            else:
                valid_row_count += 1
                origins.update(_origin(url) for url in row.image_urls if url)
                image_count += len(row.image_urls) - row.image_urls.count("")
                if image_count > self._limits.max_images:
                    raise _too_many_images(self._limits.max_images)
        hosts: Counter[str] = Counter()
        for origin, count in origins.items():
            hosts[host_of(origin)] += count
        return _Survey(valid_row_count, dict(hosts), _Problems(self, kept, problem_count), repairs.warnings())

    def _read(self, start_after: int) -> Iterator[tuple[ProductRow, FoldedRow]]:
        """Every row, and what was folded to read it."""
        number = 0
        for record, (line, cells) in enumerate(zip(self._records.lines, self._read_with_pandas(), strict=True)):
            if not line:  # an empty row
                continue
            number += 1
            if number > start_after:
                folded = self._refold(record) or FoldedRow(cells)
                yield read_row(number, line, folded, self._limits.max_urls_per_row), folded

    def _refold(self, record: int) -> FoldedRow | None:
        """Serial, name and URLs of a record with surplus cells; None when it has none."""
        surplus = self._records.surplus.get(record)
        if surplus is None:
            return None
        folded = self._fold(surplus.decode().split("\0"))
        wanted = [folded.cells[place] for place in self.columns.meaningful]
        return FoldedRow(wanted, folded.certain, folded.folded_urls, folded.folded_name)

    def _fold(self, cells: list[str]) -> FoldedRow:
        return fold_row(cells, self.columns, self.dialect.delimiter, self._limits.max_urls_per_row + _MORE_SURPLUS)

    def _read_with_pandas(self) -> Iterator[list[str]]:
        """The serial, name and URL cell of every record below the header, empty records included.

        The header is read along and thrown away: from it the parser learns how many cells a row may have. With
        `usecols` it ignores surplus cells instead of dropping the row, so records stay in step with the checking pass
        (compared over 40,000 random files: no difference).
        """
        import pandas

        places = self.columns.meaningful
        with (
            open_table(self._source, self._layout) as text,
            pandas.read_csv(
                text,
                header=None,
                names=range(max(places) + 1),
                usecols=sorted(places),
                index_col=False,
                dtype=str,
                keep_default_na=False,
                na_filter=False,
                sep=self.dialect.delimiter,
                skipinitialspace=self.dialect.skip_initial_space,
                skip_blank_lines=False,
                engine="c",
                chunksize=self._chunk_rows(),
            ) as frames,
        ):
            chunks = (zip(*(frame[place].tolist() for place in places), strict=True) for frame in frames)
            yield from map(list, itertools.islice(itertools.chain.from_iterable(chunks), 1, None))

    def _chunk_rows(self) -> int:
        bytes_per_row = size_of(self._source) // len(self._records.lines) + 1
        return min(_CHUNK_BYTES // bytes_per_row + 1, _MAX_CHUNK_ROWS)


class _Problems(Sequence[CSVProblem]):
    """All problems of a catalogue: the first ones at hand, the others read from the file again when they are wanted."""

    def __init__(self, catalogue: ProductCSV, kept: list[CSVProblem], count: int) -> None:
        self._catalogue = catalogue
        self._kept = kept
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[CSVProblem]:
        if len(self._kept) == self._count:
            return iter(self._kept)
        return (problem for row in self._catalogue.rows() for problem in row.problems)

    @overload
    def __getitem__(self, index: int) -> CSVProblem: ...
    @overload
    def __getitem__(self, index: slice) -> list[CSVProblem]: ...
    def __getitem__(self, index: int | slice) -> CSVProblem | list[CSVProblem]:
        if isinstance(index, int):
            return next(itertools.islice(self, range(self._count)[index], None))
        wanted = range(self._count)[index]
        enough = self._kept if max(wanted, default=0) < len(self._kept) else list(self)
        return [enough[place] for place in wanted]


def read_products(source: Source, limits: CSVLimits | None = None, *, filename: str | None = None) -> ProductCSV:
    """Read and check a catalogue, from its bytes or from the path of the kept upload: both give the same rows.

    Problems of single rows are in `.problems`, for the caller to decide. Raises InvalidCSV when the file as a whole
    cannot be read and UploadTooLarge when it exceeds `limits`. `filename` is only used in sentences.
    """
    limits = limits or CSVLimits()
    if size_of(source) > limits.max_bytes:
        raise UploadTooLarge.whole_file(
            "too_large",
            # In bytes: one byte too many is not to read as “1.0 MB; at most 1 MB”.
            f"The file has {size_of(source):,} bytes; at most {limits.max_bytes:,} ({limits.max_bytes / 1e6:g} MB) "
            "are accepted.",
            "Split the catalogue into several files.",
        )
    called = f"“{filename[:100]}”" if filename else "The file"
    layout = recognise_layout(source, recognise_encoding(source, called), called)
    return ProductCSV(source, layout, limits)


def write_output(catalogue: ProductCSV, outputs: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
    """Write output.csv: the catalogue as it was uploaded, with the column `Output Image Urls`.

    `outputs` has one sequence per data row, in order, with one URL (or None) per entry of its `image_urls`. An existing
    output column is replaced in its place, an existing `Error` column is left out.
    """
    writer = DialectWriter(destination, catalogue.dialect)
    name = catalogue.header[catalogue.columns.output[0]] if catalogue.columns.output else OUTPUT
    writer.row(_with_output(catalogue, catalogue.header, name))
    for cells, urls in zip(catalogue.table(), outputs, strict=True):
        writer.row(_with_output(catalogue, cells, ", ".join(url or "" for url in urls)))


def write_errors(
    catalogue: ProductCSV, failures: Iterable[tuple[int, Sequence[str], str]], destination: BinaryIO
) -> None:
    """Write errors.csv: the three input columns of the failed rows, with only the failed URLs, plus `Error`.

    `failures`: the row number, its failed URLs, what went wrong. A row that was invalid as it was uploaded keeps its
    whole URL cell, whatever URLs are named: its owner has to see what to correct.
    """
    writer = DialectWriter(destination, catalogue.dialect)
    urls_place, places = catalogue.columns.urls, sorted(catalogue.columns.meaningful)
    writer.row([*(catalogue.header[place] for place in places), ERROR])
    table = enumerate(catalogue.table(), start=1)
    number, cells = 0, list[str]()
    for row, urls, error in sorted(failures, key=lambda failure: failure[0]):
        while number < row:
            number, cells = next(table)
        if catalogue.is_valid_row(cells):
            cells = [", ".join(urls) if place == urls_place else cell for place, cell in enumerate(cells)]
        writer.row([*(cells[place] for place in places), error])


def write_problems(problems: Iterable[CSVProblem], destination: BinaryIO) -> None:
    """Write every problem as CSV (UTF-8 with the byte order mark by which Excel knows it)."""
    writer = DialectWriter(destination, Dialect("utf-8", True, ",", "\r\n"))
    writer.row(member.name for member in fields(CSVProblem))
    for problem in problems:
        writer.row("" if value is None else str(value) for value in astuple(problem))


def sample_csv(base_url: str, pictures: Sequence[tuple[str, Sequence[str]]]) -> bytes:
    """A catalogue that works as it is: per product its name and its picture files under `/static/samples/`."""
    file = io.BytesIO()
    writer = DialectWriter(file, Dialect("utf-8", False, ",", "\r\n"))
    writer.row((SERIAL, NAME, URLS))
    for number, (name, files) in enumerate(pictures, start=1):
        writer.row((f"{number}.", name, ", ".join(f"{base_url}/static/samples/{file}" for file in files)))
    return file.getvalue()


def warm_up() -> None:
    """Import pandas and read a tiny catalogue, so that the first upload does not wait for it. Takes about 0.5 s."""
    list(read_products(sample_csv("http://localhost", [("Warm-up", ["1.jpg"])])).rows())


def _too_many_images(max_images: int) -> UploadTooLarge:
    detail = f"The file has more than {max_images:,} image URLs."
    return UploadTooLarge.whole_file("too_many_images", detail, "Split the catalogue into several files.")


def _origin(url: str) -> str:
    """The URL up to the slash after its host: as good for `host_of`, and thousands of pictures share it."""
    return url[: url.find("/", len("https://")) + 1 or None]


def _with_output(catalogue: ProductCSV, cells: Sequence[str], output: str) -> list[str]:
    """The cells with `output` in the place of the output column; the columns of earlier runs are left out."""
    columns = catalogue.columns
    place = columns.output[0] if columns.output else len(cells)
    dropped = {*columns.output, *columns.error}
    before, after = (
        [cell for at, cell in enumerate(cells) if at not in dropped and (at < place) is wanted]
        for wanted in (True, False)
    )
    return [*before, output, *after]


def _layout_warnings(layout: Layout) -> list[str]:
    warnings = [f"Line {line} was skipped, it stands above the header: “{text}”." for line, text in layout.titles]
    if layout.encoding.name == "cp1252":
        warnings.insert(0, "The file is not UTF-8; it was read as Windows-1252. Check letters with accents.")
    if layout.dialect.skip_initial_space:
        warnings.append("Blanks between the delimiters and the quotes were left out.")
    if layout.columns.output:
        warnings.append(f"The column “{OUTPUT}” is there already; it is replaced.")
    if layout.columns.error:
        warnings.append(f"The column “{ERROR}” is there already; it is left out of the output.")
    return warnings
