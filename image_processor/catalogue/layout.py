"""Where the table begins, its columns, and its dialect: recognised from the start of the file."""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from image_processor.catalogue.encoding import Encoding, Source, open_text
from image_processor.errors import CSVProblem, InvalidCSV, shorten

SERIAL, NAME, URLS = "S. No.", "Product Name", "Input Image Urls"
OUTPUT, ERROR = "Output Image Urls", "Error"

# Marketplace templates have some hundred.
MAX_COLUMNS = 1_000
DELIMITERS = (",", ";", "\t", "|")
_HEAD_CHARS = 1_000_000
_HEAD_RECORDS = 25
_SAMPLE_RECORDS = 200
_LISTED_COLUMNS = 30

# A header cell is compared by its letters alone, in lower case: “S. No.”, “S.No”, “ SNO ” are one spelling.
_MEANINGS = {
    SERIAL: ("sno", "slno", "srno", "serialno", "serialnumber"),
    NAME: ("productname",),
    URLS: ("inputimageurls", "inputimageurl"),
    OUTPUT: ("outputimageurls", "outputimageurl"),
    ERROR: ("error",),
}
_MEANING_OF = {spelling: meaning for meaning, spellings in _MEANINGS.items() for spelling in spellings}
_REQUIRED = (SERIAL, NAME, URLS)
_EXPECTED = f"Expected the columns “{SERIAL}” (or “Serial Number”), “{NAME}” and “{URLS}”"

_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the uploaded file is written, and how its output.csv and errors.csv will be.

    `sep_line`: the first line is Excel's `sep=;`. `skip_initial_space`: blanks follow the delimiters, outside the
    quotes.
    """

    encoding: Encoding
    delimiter: str = ","
    line_terminator: str = "\r\n"
    sep_line: bool = False
    skip_initial_space: bool = False


@dataclass(frozen=True, slots=True)
class Columns:
    """The number of columns, and the places (from 0) of those that are used here."""

    width: int
    serial: int
    name: int
    urls: int
    output: tuple[int, ...] = ()
    error: tuple[int, ...] = ()

    @property
    def required(self) -> tuple[int, int, int]:
        """The places of serial, name and URLs."""
        return self.serial, self.name, self.urls


@dataclass(frozen=True, slots=True)
class Layout:
    """The dialect, the header and its columns, and the lines above the header.

    `lines_above` counts them; `titles` are those with text: (line, text).
    """

    dialect: Dialect
    header: list[str]
    columns: Columns
    lines_above: int
    titles: list[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class _Header:
    delimiter: str
    cells: list[str]
    first_line: int
    last_line: int

    @property
    def recognised(self) -> int:
        return len(set(_meanings(self.cells)) & set(_REQUIRED))


def recognise_layout(source: Source, encoding: Encoding, called: str) -> Layout:
    """Find the header within the first records, and with it the delimiter.

    Raises InvalidCSV when there is none, or when columns are missing, doubled or too many; then it says what was
    expected and what was found.
    """
    with open_text(source, encoding) as text:
        head = text.read(_HEAD_CHARS)
    lines = io.StringIO(head, newline="").readlines()
    sep = _SEP_LINE.fullmatch(lines[0]) if lines else None
    header = _find_header(head, first_choice=sep[1] if sep else ",")
    if header is None or not header.recognised:
        raise _no_header(head, called)
    columns = _columns(header.cells, header.first_line)
    end = _LINE_END.search(lines[header.last_line - 1])
    spaced = _blanks_before_quotes(lines[header.first_line - 1 :], header.delimiter)
    dialect = Dialect(encoding, header.delimiter, end[0] if end else "\r\n", sep is not None, spaced)
    titles = _titles(lines[: header.first_line - 1], header.delimiter)
    return Layout(dialect, header.cells, columns, header.first_line - 1, titles[1:] if sep else titles)


def _find_header(head: str, first_choice: str) -> _Header | None:
    """The record that names most of the required columns; among equals the first, by the likeliest delimiter."""
    delimiters = sorted(DELIMITERS, key=lambda delimiter: delimiter != first_choice)
    candidates = itertools.chain.from_iterable(_candidates(head, delimiter) for delimiter in delimiters)
    return max(candidates, key=lambda header: (header.recognised, -header.first_line), default=None)


def _candidates(head: str, delimiter: str) -> Iterator[_Header]:
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    first_line = 1
    try:
        for cells in itertools.islice(reader, _HEAD_RECORDS):
            yield _Header(delimiter, cells, first_line, reader.line_num)
            first_line = reader.line_num + 1
    except csv.Error:  # a cell beyond the limit; what was found before counts
        return


def _meanings(cells: Iterable[str]) -> list[str | None]:
    return [_MEANING_OF.get("".join(filter(str.isalpha, cell[:200])).lower()) for cell in cells]


def _titles(lines: Iterable[str], delimiter: str) -> list[tuple[int, str]]:
    texts = ((number, line.strip(delimiter + '"' + " \t\r\n")) for number, line in enumerate(lines, start=1))
    return [(number, shorten(text)) for number, text in texts if text]


def _columns(cells: list[str], line: int) -> Columns:
    if len(cells) > MAX_COLUMNS:
        detail = f"The header has {len(cells):,} columns; at most {MAX_COLUMNS:,} are allowed."
        hint = "Remove the columns that are not needed."
        raise InvalidCSV.whole_file("too_many_columns", detail, hint, line=line)
    meanings = _meanings(cells)
    places = {meaning: [at for at, other in enumerate(meanings) if other == meaning] for meaning in _MEANINGS}
    wrong = [meaning for meaning in _REQUIRED if len(places[meaning]) != 1]
    if problems := [_column_problem(meaning, places[meaning], cells, line) for meaning in wrong]:
        raise InvalidCSV(" ".join(problem.detail for problem in problems) + f" {problems[0].hint}", problems)
    serial, name, urls = (places[meaning][0] for meaning in _REQUIRED)
    return Columns(len(cells), serial, name, urls, tuple(places[OUTPUT]), tuple(places[ERROR]))


def _column_problem(meaning: str, places: Sequence[int], cells: list[str], line: int) -> CSVProblem:
    found = ", ".join(f"“{shorten(cell.strip(), 60)}”" for cell in cells[:_LISTED_COLUMNS])
    hint = f"{_EXPECTED}; found {found}{', …' * (len(cells) > _LISTED_COLUMNS)}."
    value = shorten(", ".join(cells[place] for place in places), 200)
    if places:
        detail = f"The column “{meaning}” appears {len(places)} times."
        return CSVProblem(line, None, meaning, value, "duplicate_column", detail, hint)
    return CSVProblem(line, None, meaning, value, "missing_column", f"The column “{meaning}” is missing.", hint)


def _no_header(head: str, called: str) -> InvalidCSV:
    first = next((line.strip() for line in head[:10_000].splitlines() if line.strip()), "")
    if not first:
        hint = "Check that the export wrote something."
        return InvalidCSV.whole_file("empty_file", f"{called} contains nothing but empty lines.", hint)
    return InvalidCSV.whole_file(
        "no_header",
        f"No header line was found. {_EXPECTED}; found “{shorten(first)}” in the first line.",
        "Put the names of the columns into the first line, separated by commas.",
        line=1,
        value=first,
    )


def _blanks_before_quotes(lines: list[str], delimiter: str) -> bool:
    """Whether the file is written `1, "Shirt, blue", "https://…"`: the blanks must go for the quotes to be quotes.

    Decided for the whole file by its first records: only if they all fit the header then, and do not as they are.
    """
    if not any(f'{delimiter} "' in line for line in lines[: 2 * _SAMPLE_RECORDS]):
        return False
    return not _is_rectangular(lines, delimiter, False) and _is_rectangular(lines, delimiter, True)


def _is_rectangular(lines: list[str], delimiter: str, skip_initial_space: bool) -> bool:
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=skip_initial_space, strict=True)
    try:
        width = len(next(reader))
        return all(len(cells) <= width for cells in itertools.islice(reader, _SAMPLE_RECORDS))
    except csv.Error:
        return False
