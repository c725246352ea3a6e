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
_FOREIGN_TEXT = (
    (re.compile(r"\s*<(?:!doctype|html|head|body|table|!--)", re.IGNORECASE), "an HTML page"),
    (re.compile(r"\s*<\?xml|\s*<[a-z]", re.IGNORECASE), "an XML document"),
    (re.compile(r"\s*[\[{]\s*[\[{\"\]}]"), "a JSON document"),
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the uploaded file is written, and how its output.csv and errors.csv will be.

    `encoding` is the Python codec. `sep_line`: Excel's `sep=;` stands in the first line. `skip_initial_space`: blanks
    follow the delimiters, outside the quotes.
    """

    encoding: str
    bom: bool
    delimiter: str
    line_terminator: str
    sep_line: bool = False
    skip_initial_space: bool = False

    @property
    def charset(self) -> str:
        """The name for a Content-Type header (IANA); UTF-16 without a byte order mark has to name the byte order."""
        if self.encoding == "cp1252":
            return "windows-1252"
        return (
            "utf-16"
            if self.bom and self.encoding.startswith("utf-16")
            else self.encoding.replace("-le", "le").replace("-be", "be")
        )


@dataclass(frozen=True, slots=True)
class Columns:
    """The number of columns, and the places (from 0) of those that mean something."""

    width: int
    serial: int
    name: int
    urls: int
    output: tuple[int, ...] = ()
    error: tuple[int, ...] = ()

    @property
    def meaningful(self) -> tuple[int, int, int]:
        """The places of serial, name and URLs."""
        return self.serial, self.name, self.urls


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the table begins: the dialect, the header and its columns, and what stands above the header.

    `lines_above` counts the physical lines before the header, `titles` are those with text: (line, text).
    """

    encoding: Encoding
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
    above: list[tuple[int, list[str]]]

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
    _refuse_foreign_text(head, called)
    lines = io.StringIO(head, newline="").readlines()
    sep = _SEP_LINE.fullmatch(lines[0]) if lines else None
    header = _find_header(head, first_choice=sep[1] if sep else ",")
    if header is None or not header.recognised:
        raise _no_header(head, called)
    columns = _columns(header.cells, header.first_line)
    end = _LINE_END.search(lines[header.last_line - 1])
    spaced = _blanks_before_quotes(lines[header.first_line - 1 :], header.delimiter)
    dialect = Dialect(
        encoding.name, bool(encoding.bom), header.delimiter, end[0] if end else "\r\n", sep is not None, spaced
    )
    titles = [(line, _joined(cells)) for line, cells in header.above if _joined(cells)]
    return Layout(encoding, dialect, header.cells, columns, header.first_line - 1, titles[1:] if sep else titles)


def _find_header(head: str, first_choice: str) -> _Header | None:
    """The record that names most of the required columns; among equals the first, by the likeliest delimiter."""
    delimiters = sorted(DELIMITERS, key=lambda delimiter: delimiter != first_choice)
    candidates = itertools.chain.from_iterable(_candidates(head, delimiter) for delimiter in delimiters)
    return max(candidates, key=lambda header: (header.recognised, -header.first_line), default=None)


def _candidates(head: str, delimiter: str) -> Iterator[_Header]:
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    above: list[tuple[int, list[str]]] = []
    try:
        for _ in range(_HEAD_RECORDS):
            first_line = reader.line_num + 1
            cells = next(reader)
            yield _Header(delimiter, cells, first_line, reader.line_num, above.copy())
            above.append((first_line, cells))
    except (StopIteration, csv.Error):  # the end, or a monstrous cell; what was found before counts
        return


def _meanings(cells: Iterable[str]) -> list[str | None]:
    return [_MEANING_OF.get("".join(filter(str.isalpha, cell[:200])).lower()) for cell in cells]


def _columns(cells: list[str], line: int) -> Columns:
    if len(cells) > MAX_COLUMNS:
        raise InvalidCSV.whole_file(
            "too_many_columns",
            f"The header has {len(cells):,} columns; at most {MAX_COLUMNS:,} are read.",
            "Remove the columns that are not needed.",
            line=line,
        )
    places = {meaning: [at for at, other in enumerate(_meanings(cells)) if other == meaning] for meaning in _MEANINGS}
    problems = [problem for meaning in _REQUIRED if (problem := _column_problem(meaning, places[meaning], cells, line))]
    if problems:
        raise InvalidCSV(" ".join(problem.detail for problem in problems) + f" {problems[0].hint}", problems)
    serial, name, urls = (places[meaning][0] for meaning in _REQUIRED)
    return Columns(len(cells), serial, name, urls, tuple(places[OUTPUT]), tuple(places[ERROR]))


def _column_problem(meaning: str, places: Sequence[int], cells: list[str], line: int) -> CSVProblem | None:
    if len(places) == 1:
        return None
    found = ", ".join(f"“{shorten(cell.strip(), 60)}”" for cell in cells[:30]) + (", …" if len(cells) > 30 else "")
    if places:
        code, detail = "duplicate_column", f"The column “{meaning}” is there {len(places)} times."
    else:
        code, detail = "missing_column", f"The column “{meaning}” is missing."
    value = ", ".join(cells[place] for place in places)
    return CSVProblem(line, None, meaning, shorten(value, 200), code, detail, f"{_EXPECTED}; found {found}.")


def _refuse_foreign_text(head: str, called: str) -> None:
    kind = next((kind for pattern, kind in _FOREIGN_TEXT if pattern.match(head)), None)
    if kind:
        hint = "Export the catalogue as CSV and upload that."
        raise InvalidCSV.whole_file("not_a_csv", f"{called} is {kind}, not a CSV file.", hint)


def _no_header(head: str, called: str) -> InvalidCSV:
    first = next((line.strip() for line in head[:10_000].splitlines() if line.strip()), "")
    if not first:
        hint = "Check that the export wrote something."
        return InvalidCSV.whole_file("empty_file", f"{called} contains nothing but empty lines.", hint)
    return InvalidCSV.whole_file(
        "no_header",
        f"No header line was found. {_EXPECTED}; found “{shorten(first, 100)}” in the first line.",
        "Put the names of the columns into the first line, separated by commas.",
        line=1,
        value=first,
    )


def _joined(cells: Iterable[str]) -> str:
    return " ".join(cell.strip() for cell in cells if cell.strip())


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
    except (StopIteration, csv.Error):
        return False
