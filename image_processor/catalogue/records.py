"""The checking pass: `csv.reader(strict=True)` over the whole file, within bounds, before pandas reads the rows.

It sees what pandas cannot: quotes that are never closed, text after a quote, the physical line of every record, and the
cells a row has too many. 100,000 rows take 0.1 s.
"""

import csv
import io
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_processor.catalogue.dialect import Layout
from image_processor.catalogue.encoding import Source, open_text
from image_processor.errors import InvalidCSV, UploadTooLarge
from image_processor.urls import starts_like_url

MAX_CELL_CHARS = 500_000  # fifteen times what a cell of Excel can hold
MAX_RECORD_CHARS = 2_000_000
MAX_EMPTY_ROWS = 1_000_000
_NAMED = 10

# Global to the process, and only this family of modules reads CSV. Without it one open quote reads the whole upload.
csv.field_size_limit(MAX_CELL_CHARS)

# A column of web addresses beside the image URLs is no surprise when its name says so.
_WORDS_OF_ADDRESSES = ("url", "link", "image", "picture", "photo", "page", "site", "web", "href", "src")


@dataclass(slots=True)
class Records:
    """What the checking pass remembers of the records below the header.

    `lines`: the physical line where each starts, 0 for an empty one. `surplus`: the cells of those with more cells than
    the header, by index, as UTF-8 with NUL between them (compact: there may be as many as the file has rows; NUL was
    refused before). `empty_lines` and `neighbours` name the first lines or rows of their kind and count all.
    """

    lines: "array[int]" = field(default_factory=lambda: array("I"))
    surplus: dict[int, bytes] = field(default_factory=dict)
    row_count: int = 0
    empty_lines: list[int] = field(default_factory=list)
    empty_count: int = 0
    neighbours: list[int] = field(default_factory=list)
    neighbour_count: int = 0

    def add(self, line: int, cells: list[str], width: int, neighbour: int) -> None:
        """Remember one record; `neighbour` is the column that should not hold a URL (0: there is none)."""
        if is_empty(cells):
            self.lines.append(0)
            self.empty_count += 1
            if len(self.empty_lines) < _NAMED:
                self.empty_lines.append(line)
            return
        if len(cells) > width:
            self.surplus[len(self.lines)] = "\0".join(cells).encode()
        self.lines.append(line)
        self.row_count += 1
        if neighbour and neighbour < len(cells) <= width and starts_like_url(cells[neighbour]):
            self.neighbour_count += 1
            if len(self.neighbours) < _NAMED:
                self.neighbours.append(self.row_count)

    def warnings(self) -> list[str]:
        """A sentence each about the empty rows and about URLs in the column after the image URLs."""
        sentences = []
        if self.empty_count:
            what = "1 empty row was" if self.empty_count == 1 else f"{self.empty_count:,} empty rows were"
            sentences.append(f"{what} skipped ({_named('line', self.empty_lines, self.empty_count)}).")
        if self.neighbour_count:
            sentences.append(
                f"The column after the image URLs holds web addresses too "
                f"({_named('row', self.neighbours, self.neighbour_count)}). "
                "If they belong to the images, put quotes round the whole URL list."
            )
        return sentences


def check_records(source: Source, layout: Layout, max_rows: int) -> Records:
    """Walk the whole file. Raises InvalidCSV for broken quotes, UploadTooLarge for too many rows or a monstrous one."""
    records = Records()
    width, neighbour = layout.columns.width, _suspicious_neighbour(layout)
    with open_table(source, layout) as text:
        lines = _Lines(text, layout.lines_above)
        reader = _reader(lines, layout)
        try:
            next(reader)  # the header
            while True:
                line = lines.next_record()
                records.add(line, next(reader), width, neighbour)
                if records.row_count > max_rows or records.empty_count > MAX_EMPTY_ROWS:
                    raise _too_many_rows(records, max_rows)
        except StopIteration:
            return records
        except csv.Error as error:
            raise _broken(str(error), lines.record_start) from None


def read_records(source: Source, layout: Layout) -> Iterator[list[str]]:
    """The cells of every row below the header, empty rows left out. For a file that `check_records` accepted."""
    with open_table(source, layout) as text:
        reader = _reader(text, layout)
        next(reader)
        yield from (cells for cells in reader if not is_empty(cells))


def open_table(source: Source, layout: Layout) -> io.TextIOWrapper:
    """The text from the header line on."""
    text = open_text(source, layout.encoding)
    for _ in range(layout.lines_above):
        text.readline()
    return text


def is_empty(cells: list[str]) -> bool:
    """Whether the row has nothing but blanks."""
    return not cells or (not cells[0].strip() and not "".join(cells).strip())


class _RecordTooLong(csv.Error):
    """The record has more characters than any product needs."""


class _Lines:
    """The lines of a file, for a `csv.reader`; refuses to go on when one record swallows too many characters."""

    def __init__(self, text: io.TextIOWrapper, lines_above: int) -> None:
        self._readline = text.readline
        self._number = lines_above
        self._room = MAX_RECORD_CHARS
        self.record_start = lines_above + 1

    def next_record(self) -> int:
        """A new record begins: it has all the room again. Returns the line it starts in."""
        self._room = MAX_RECORD_CHARS
        self.record_start = self._number + 1
        return self.record_start

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._readline(self._room + 1)
        if not line:
            raise StopIteration
        self._number += 1
        self._room -= len(line)
        if self._room < 0:
            raise _RecordTooLong("record larger than field limit")
        return line


def _reader(lines: Iterator[str], layout: Layout) -> Iterator[list[str]]:
    dialect = layout.dialect
    return csv.reader(lines, strict=True, delimiter=dialect.delimiter, skipinitialspace=dialect.skip_initial_space)


def _suspicious_neighbour(layout: Layout) -> int:
    """The column after the URLs, unless its name explains URLs in it; 0 for none."""
    column = layout.columns.urls + 1
    if column >= layout.columns.width or column in (*layout.columns.output, layout.columns.serial, layout.columns.name):
        return 0
    return 0 if any(word in layout.header[column].lower() for word in _WORDS_OF_ADDRESSES) else column


def _too_many_rows(records: Records, max_rows: int) -> UploadTooLarge:
    what, most = ("empty rows", MAX_EMPTY_ROWS) if records.row_count <= max_rows else ("rows", max_rows)
    hint = "Remove them." if what == "empty rows" else "Split the catalogue into several files."
    return UploadTooLarge.whole_file("too_many_rows", f"The file has more than {most:,} {what}.", hint)


def _broken(error: str, line: int) -> InvalidCSV:
    """The errors of the standard library's reader, in words for the file's owner."""
    where = f"In the row that starts in line {line}"
    if "field limit" in error:
        return UploadTooLarge.whole_file(
            "cell_too_large",
            f"{where}, a cell has more than {MAX_CELL_CHARS:,} characters, or the row more than {MAX_RECORD_CHARS:,}; "
            'perhaps a quote (") is opened there and never closed.',
            "Close the quote, or split the row into several rows.",
            line=line,
        )
    if "unexpected end" in error:
        detail, code = f'{where}, a quote (") is opened and never closed.', "unclosed_quote"
    elif "expected after" in error:
        detail, code = f'{where}, text follows after a closing quote (").', "text_after_quote"
    else:
        detail, code = f"{where}, the file is not valid CSV.", "not_a_csv"
    hint = 'Close every quote; a quote inside quoted text is written twice ("").'
    return InvalidCSV.whole_file(code, detail, hint, line=line)


def _named(kind: str, numbers: list[int], count: int) -> str:
    more = f" and {count - len(numbers):,} more" if count > len(numbers) else ""
    return f"{kind}{'s' if count > 1 else ''} {', '.join(map(str, numbers))}{more}"
