"""Where the table begins, its columns, and its dialect: recognised from the start of the file."""

import csv
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from image_processor.catalogue.encoding import Encoding, Source, open_text
from image_processor.errors import CSVProblem, InvalidCSV, listed, shorten

SERIAL, NAME, URLS = "S. No.", "Product Name", "Input Image Urls"
OUTPUT, ERROR = "Output Image Urls", "Error"

# Marketplace templates have some hundred.
MAX_COLUMNS = 1_000
DELIMITERS = (",", ";", "\t", "|")
HEAD_CHARS = 1_000_000
HEADER_RECORDS = 25  # one of the first is the header
_SAMPLE_RECORDS = 200

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

_SEP_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")
_BLANKS_AFTER_QUOTE = re.compile(r'(?<=[^\s"])("(?:"")*+) ++(?=[,;\t|\r\n]|\Z)')


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


def recognise_layout(source: Source, encoding: Encoding) -> Layout | None:
    """Find the assignment's header within the first records, and with it the delimiter; None for another header.

    Raises InvalidCSV when one of its columns is doubled, or when there are too many columns.
    """
    with open_text(source, encoding) as text:
        head = text.read(HEAD_CHARS)
    lines = io.StringIO(head, newline="").readlines()
    sep = _SEP_LINE.fullmatch(lines[0]) if lines else None
    header = _find_header(head, first_choice=sep[1] if sep else ",")
    columns = assignment_columns(header.cells, header.first_line) if header else None
    if header is None or columns is None:
        return None
    dialect = dialect_of(encoding, lines, header.delimiter, header.first_line, header.last_line)
    titles = _titles(lines[: header.first_line - 1], header.delimiter)
    if sep:
        dialect, titles = replace(dialect, sep_line=True), titles[1:]
    return Layout(dialect, header.cells, columns, header.first_line - 1, titles)


def dialect_of(encoding: Encoding, lines: list[str], delimiter: str, first_line: int, last_line: int) -> Dialect:
    """The dialect of a table, by the first and the last line of its header and the lines that follow."""
    end = _LINE_END.search(lines[last_line - 1])
    spaced = blanks_before_quotes(lines[first_line - 1 :], delimiter)
    return Dialect(encoding, delimiter, end[0] if end else "\r\n", skip_initial_space=spaced)


def assignment_columns(cells: list[str], line: int) -> Columns | None:
    """The places of the columns if a header is the assignment's, else None.

    Raises InvalidCSV when one of them is doubled, or when there are too many columns.
    """
    meanings = _meanings(cells)
    if not set(_REQUIRED) <= set(meanings):
        return None
    refuse_too_many_columns(cells, line)
    places = {meaning: [at for at, other in enumerate(meanings) if other == meaning] for meaning in _MEANINGS}
    if problems := [_doubled(name, places[name], cells, line) for name in _REQUIRED if len(places[name]) > 1]:
        raise InvalidCSV(" ".join(f"{problem.detail} {problem.hint}" for problem in problems), problems)
    serial, name, urls = (places[meaning][0] for meaning in _REQUIRED)
    return Columns(len(cells), serial, name, urls, tuple(places[OUTPUT]), tuple(places[ERROR]))


def refuse_too_many_columns(cells: Sequence[str], line: int) -> None:
    """Raise InvalidCSV for a header with more columns than are read."""
    if len(cells) > MAX_COLUMNS:
        detail = f"The header has more than {MAX_COLUMNS:,} columns."
        hint = "Remove the columns that are not needed."
        raise InvalidCSV.whole_file("too_many_columns", detail, hint, line=line)


def _doubled(meaning: str, places: Sequence[int], cells: list[str], line: int) -> CSVProblem:
    value = shorten(", ".join(cells[place] for place in places), 200)
    detail = f"The column “{meaning}” appears {len(places)} times."
    hint = f"Remove or rename all but one of them. The columns are {listed(cell.strip() for cell in cells)}."
    return CSVProblem(line, None, meaning, value, "duplicate_column", detail, hint)


def _find_header(head: str, first_choice: str) -> _Header | None:
    """The record that names most of the required columns; among equals the first, by the likeliest delimiter."""
    delimiters = sorted(DELIMITERS, key=lambda delimiter: delimiter != first_choice)
    candidates = itertools.chain.from_iterable(_candidates(head, delimiter) for delimiter in delimiters)
    return max(candidates, key=lambda header: (header.recognised, -header.first_line), default=None)


def _candidates(head: str, delimiter: str) -> Iterator[_Header]:
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    first_line = 1
    try:
        for cells in itertools.islice(reader, HEADER_RECORDS):
            yield _Header(delimiter, cells, first_line, reader.line_num)
            first_line = reader.line_num + 1
    except csv.Error:  # a cell beyond the limit; what was found before counts
        return


def _meanings(cells: Iterable[str]) -> list[str | None]:
    return [_MEANING_OF.get("".join(filter(str.isalpha, cell[:200])).lower()) for cell in cells]


def _titles(lines: Iterable[str], delimiter: str) -> list[tuple[int, str]]:
    texts = ((number, line.strip(delimiter + '"' + " \t\r\n")) for number, line in enumerate(lines, start=1))
    return [(number, shorten(text)) for number, text in texts if text]


def without_blanks(line: str) -> str:
    """A line of a table that is padded with blanks, without those between a closing quote and the next delimiter."""
    return _BLANKS_AFTER_QUOTE.sub(r"\1", line)


def blanks_before_quotes(lines: list[str], delimiter: str) -> bool:
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
