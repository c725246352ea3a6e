"""What every uploaded catalogue has in common: rows that are read and checked, and results in its own form."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Protocol

from image_processor.catalogue.recognise import Column
from image_processor.catalogue.rows import Row
from image_processor.errors import CSVProblem, InvalidCSV, UploadTooLarge
from image_processor.urls import host_of

SPLIT = "Split the catalogue into several files."
# Problems kept in memory. The others are read from the file again when needed: a hostile file has millions.
_PROBLEMS_KEPT = 1_000

Output = Literal["add", "replace"]
Failed = Literal["keep", "empty"]
# A row number, its URLs without a result, and why.
Failure = tuple[int, Sequence[str], str]


@dataclass(frozen=True, slots=True)
class CSVLimits:
    """How large a catalogue may be."""

    max_bytes: int = 64_000_000
    max_rows: int = 200_000
    max_urls_per_row: int = 1_000
    max_images: int = 1_000_000


@dataclass(frozen=True, slots=True)
class TableOptions:
    """What an upload says about its table; what is left out is recognised. Columns: a header or a 1-based number.

    `sheet`: name of the sheet of a workbook. `image_base_url` completes relative paths. `output`: put the new URLs into
    an added column, or in place of the old ones. `failed`: keep the URL of an image that failed, or leave it empty.
    """

    images_column: tuple[str, ...] = ()
    name_column: str | None = None
    id_column: str | None = None
    sheet: str | None = None
    image_base_url: str | None = None
    output: Output | None = None
    failed: Failed | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are given."""
        return tuple(column for column in (*self.images_column, self.name_column, self.id_column) if column)


@dataclass(frozen=True, slots=True)
class Understood:
    """How a table was understood: the platform that wrote it, its sheet, its header and columns, and the results.

    `suggested_images_column` is the column whose values look like images, when none is recognised.
    """

    profile: str
    sheet: str | None
    header_line: int
    output: Output
    failed: Failed
    columns: tuple[Column, ...]
    suggested_images_column: str | None = None


class Notes(Protocol):
    """Collects the warnings about a catalogue while its rows are read."""

    def note(self, row: Any) -> None:
        """Look at one row."""

    def warnings(self) -> list[str]:
        """The warnings, as sentences."""


@dataclass(frozen=True, slots=True)
class _Survey:
    row_count: int
    valid_row_count: int
    hosts: dict[str, int]
    problems: Sequence[CSVProblem]
    warnings: list[str]
    refused: bool  # because of a problem of the whole file


class Catalogue(ABC):
    """An uploaded catalogue. Made by `read_catalogue`.

    `charset` is that of its CSV results. The counts, problems and warnings need every row to be read and checked, which
    is done when the first of them is used; then UploadTooLarge is raised for more rows or images than the limits allow.
    """

    charset: str
    takes_avif = True  # whether the platform accepts AVIF

    def __init__(self, limits: CSVLimits) -> None:
        self._limits = limits
        self._survey: _Survey | None = None

    @property
    def is_editable(self) -> bool:
        """Whether it is a workbook that `write_workbook` can write."""
        return False

    @property
    @abstractmethod
    def understood(self) -> Understood:
        """How the table was understood."""

    def _refusal(self) -> CSVProblem | None:
        """Why the table cannot be processed whatever its rows are, if so."""
        return None

    @abstractmethod
    def rows(self, start_after: int = 0) -> Iterator[Row]:
        """The rows after row `start_after`, read from the source again: memory does not grow with the catalogue."""

    @abstractmethod
    def write_output(self, outputs: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
        """Write output.csv. `outputs` has a sequence per row: a URL, or None, per entry of its `image_urls`."""

    @abstractmethod
    def write_errors(self, failures: Iterable[Failure], destination: BinaryIO) -> None:
        """Write errors.csv: the failed rows with only their failed URLs, plus `Error`; it can be uploaded again."""

    def write_workbook(self, outputs: Iterable[Sequence[str | None]], destination: BinaryIO) -> None:
        """Write the uploaded workbook with the new URLs; only for one that `is_editable`."""
        raise NotImplementedError

    @abstractmethod
    def places_of(self, row: Any) -> Iterator[tuple[str, int, str]]:
        """The column, the position in its cell (from 1) and the text of each entry of a row's `image_urls`."""

    @abstractmethod
    def _notes(self) -> Notes:
        """Collects the warnings."""

    @property
    def row_count(self) -> int:
        """The rows with data."""
        return self._surveyed.row_count

    @property
    def valid_row_count(self) -> int:
        """The rows without problems."""
        return self._surveyed.valid_row_count

    @property
    def hosts(self) -> dict[str, int]:
        """The number of URLs in the valid rows, by host."""
        return self._surveyed.hosts

    @property
    def problems(self) -> Sequence[CSVProblem]:
        """All of them, in the order of the file."""
        return self._surveyed.problems

    @property
    def warnings(self) -> list[str]:
        """A sentence for everything that was repaired or left out."""
        return self._surveyed.warnings

    @property
    def image_count(self) -> int:
        """The number of URLs in the valid rows; empty slots do not count."""
        return sum(self.hosts.values())

    @property
    def is_valid(self) -> bool:
        """Whether nothing has a problem."""
        return not self.problems

    @property
    def is_refused(self) -> bool:
        """Whether its only problem is one of the whole file."""
        return self._surveyed.refused

    def raise_if_invalid(self) -> None:
        """Raise InvalidCSV with all problems, if there are any."""
        if self.is_refused:
            raise InvalidCSV(f"{self.problems[0].detail} {self.problems[0].hint}", self.problems)
        if not self.is_valid:
            bad = self.row_count - self.valid_row_count
            verb = "needs" if bad == 1 else "need"
            raise InvalidCSV(f"{bad:,} of {self.row_count:,} rows {verb} fixing.", self.problems)

    @property
    def _surveyed(self) -> _Survey:
        # Not a cached_property, whose lock (up to Python 3.11) is one for all catalogues.
        self._survey = self._survey or self._read_all()
        return self._survey

    def _read_all(self) -> _Survey:
        hosts: Counter[str] = Counter()
        kept: list[CSVProblem] = []
        problem_count = row_count = valid_row_count = image_count = 0
        notes = self._notes()
        for row in self.rows():
            row_count += 1
            notes.note(row)
            if row.problems:
                problem_count += len(row.problems)
                kept.extend(row.problems[: _PROBLEMS_KEPT - len(kept)])
            else:
                valid_row_count += 1
                hosts.update(host_of(url) for url in row.image_urls if url)
                image_count += len(row.image_urls) - row.image_urls.count("")
            self._refuse_too_many(row_count, image_count)
        refusal = self._refusal() or _nothing_to_do(row_count, image_count + problem_count)
        problems = [refusal] if refusal else _Problems(self, kept, problem_count)
        return _Survey(row_count, valid_row_count, dict(hosts), problems, notes.warnings(), refusal is not None)

    def _refuse_too_many(self, row_count: int, image_count: int) -> None:
        limits = self._limits
        if row_count > limits.max_rows:
            raise UploadTooLarge.whole_file("too_many_rows", f"The file has more than {limits.max_rows:,} rows.", SPLIT)
        if image_count > limits.max_images:
            raise UploadTooLarge.whole_file(
                "too_many_images", f"The file has more than {limits.max_images:,} image URLs.", SPLIT
            )


def _nothing_to_do(row_count: int, found: int) -> CSVProblem | None:
    if not row_count:
        detail, hint = "The file has a header but no rows.", "Add the products below it."
        return CSVProblem(None, None, None, "", "no_rows", detail, hint)
    if not found:
        detail, hint = "No row has an image URL.", "Check that the export includes the URLs of the images."
        return CSVProblem(None, None, None, "", "no_url", detail, hint)
    return None


class _Problems(Sequence[CSVProblem]):
    """All problems of a catalogue: the first ones in memory, the others read from the file again when needed."""

    def __init__(self, catalogue: Catalogue, kept: list[CSVProblem], count: int) -> None:
        self._catalogue = catalogue
        self._kept = kept
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[CSVProblem]:
        if len(self._kept) == self._count:
            return iter(self._kept)
        return (problem for row in self._catalogue.rows() for problem in row.problems)

    def __getitem__(self, index: Any) -> Any:
        stop = index.stop if isinstance(index, slice) else index + 1
        return self._kept[index] if stop and 0 < stop <= len(self._kept) else list(self)[index]
