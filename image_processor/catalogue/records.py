"""The strict pass: `csv.reader` over the whole file, once, before pandas reads the rows.

It finds what pandas does not report: quotes that are never closed, text after a quote, NUL characters, the physical
line where a record starts, and how many cells it has.
"""

import csv
import io
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from image_processor.catalogue.encoding import Source, open_text
from image_processor.catalogue.layout import Layout
from image_processor.errors import InvalidCSV, UploadTooLarge

MAX_CELL_CHARS = 500_000  # fifteen times what a cell of Excel can hold
MAX_RECORD_CHARS = 2_000_000
MAX_EMPTY_ROWS = 1_000_000
# pandas fills every row up to the longest one: this many cells take 2 s, and 200,000 rows have room for 100 columns.
MAX_CELLS = 20_000_000
# Cells that a row may have beside one for each of its columns and URLs: commas of a name, empty cells.
_MORE_SURPLUS = 100

# Global to the process, and only this package reads CSV. Without it one open quote reads the whole upload.
csv.field_size_limit(MAX_CELL_CHARS)


@dataclass(slots=True)
class Records:
    """The records of the table, the header first: the line where each starts, and its number of cells (0: empty).

    `longest`: the most cells of any record, an empty one included, and its line.
    """

    lines: "array[int]" = field(default_factory=lambda: array("I"))
    lengths: "array[int]" = field(default_factory=lambda: array("I"))
    longest: tuple[int, int] = (0, 0)

    @property
    def row_count(self) -> int:
        """How many records below the header are not empty."""
        return len(self.lengths) - 1 - self.empty_count

    @property
    def empty_count(self) -> int:
        """How many records are empty."""
        return self.lengths.count(0)

    @property
    def end(self) -> int:
        """The place after the last record that is not empty. Spreadsheets write their million rows, used or not."""
        return next(place for place in range(len(self.lengths), 0, -1) if self.lengths[place - 1])

    @property
    def empty_lines(self) -> Iterator[int]:
        """The lines of the empty records."""
        return (line for line, length in zip(self.lines, self.lengths, strict=True) if not length)


def check_records(source: Source, layout: Layout, max_rows: int, max_urls: int) -> Records:
    """Read the whole file once.

    Raises InvalidCSV for broken quotes, UploadTooLarge for too many rows or one that is too large, UnicodeError for NUL
    characters and for bytes that are not of the encoding.
    """
    records = Records()
    line = layout.lines_above + 1
    with open_table(source, layout) as text:
        lines = Lines(text)
        spaced = layout.dialect.skip_initial_space
        reader = csv.reader(lines, strict=True, delimiter=layout.dialect.delimiter, skipinitialspace=spaced)
        try:
            for cells in reader:
                records.lines.append(line)
                records.lengths.append(len(cells) if "".join(cells).strip() else 0)
                if len(cells) > records.longest[0]:
                    records.longest = len(cells), line
                if len(records.lines) > max_rows + MAX_EMPTY_ROWS + 1:
                    break
                line = layout.lines_above + reader.line_num + 1
                lines.room = MAX_RECORD_CHARS
        except csv.Error as error:
            raise broken(str(error), line) from None
    _refuse_too_many(records, max_rows, layout.columns.width + max_urls + _MORE_SURPLUS)
    return records


def open_table(source: Source, layout: Layout) -> io.TextIOWrapper:
    """The text from the header line on."""
    text = open_text(source, layout.dialect.encoding)
    for _ in range(layout.lines_above):
        text.readline()
    return text


class Lines:
    """The lines of a file, for a `csv.reader`. `room`: how many characters the record may still have.

    Raises csv.Error for a record that is too long, UnicodeError for a NUL character.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.room = MAX_RECORD_CHARS

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(self.room + 1):
            self.room -= len(line)
            if self.room < 0:
                raise csv.Error("record larger than field limit")
            if "\0" in line:
                raise UnicodeError("NUL")
            yield line


def _refuse_too_many(records: Records, max_rows: int, max_cells: int) -> None:
    for what, count, most, hint in (
        ("rows", records.row_count, max_rows, "Split the catalogue into several files."),
        ("empty rows", records.empty_count, MAX_EMPTY_ROWS, "Remove them."),
    ):
        if count > most:
            raise UploadTooLarge.whole_file("too_many_rows", f"The file has more than {most:,} {what}.", hint)
    (longest, line), most = records.longest, min(max_cells, MAX_CELLS // records.end)
    if longest > most:
        raise UploadTooLarge.whole_file(
            "too_many_cells",
            f"The row that starts in line {line} has {longest:,} cells; at most {most:,} are read "
            f"in each of {records.row_count:,} rows.",
            'Put quotes (") round its URL list if it has none, or split the catalogue into several files.',
            line=line,
        )


def broken(error: str, line: int) -> InvalidCSV:
    """What `csv.reader` says about the record that starts in a line, for people."""
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
