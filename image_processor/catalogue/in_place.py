"""A CSV as it was uploaded, with other text in a few cells: every other byte stays.

A CSV writer cannot do that: it does not know which cells were quoted. So each record is read as its own text, and the
cells are found in it by the rules of `csv.reader`.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from functools import cache

from image_processor.catalogue.layout import Dialect, without_blanks
from image_processor.catalogue.records import MAX_RECORD_CHARS, Lines, broken


def records(text: io.TextIOWrapper, dialect: Dialect, first_line: int) -> Iterator[tuple[int, str, list[str]]]:
    """Each record of the rest of a text: its line, its own text with the line end, and its cells.

    Raises InvalidCSV for one that cannot be read, UnicodeError for NUL characters.
    """
    taken: list[str] = []
    lines = Lines(text)

    def take() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield without_blanks(line) if dialect.skip_initial_space else line

    line = first_line
    reader = csv.reader(take(), strict=True, delimiter=dialect.delimiter, skipinitialspace=dialect.skip_initial_space)
    try:
        for cells in reader:
            yield line, "".join(taken), cells
            line = first_line + reader.line_num
            taken.clear()
            lines.room = MAX_RECORD_CHARS
    except csv.Error as error:
        raise broken(str(error), line) from None


def with_cells(record: str, new: Mapping[int, str], dialect: Dialect) -> str:
    """The text of a record with new text in some cells (place from 0), quoted if it was quoted or has to be.

    Cells are added at the end for places that the record does not have.
    """
    if not new:
        return record
    parts, at, count = [], 0, 0
    for place, (start, end) in enumerate(_spans(record, dialect)):
        count += 1
        if place in new:
            parts += [record[at:start], _written(new[place], record[start:end], dialect)]
            at = end
    missing = range(count, max(new) + 1)
    added = "".join(dialect.delimiter + _written(new.get(place, ""), "", dialect) for place in missing)
    rest = record[at:]
    body = rest.rstrip("\r\n") if added else rest
    return "".join([*parts, body, added, rest[len(body) :]])


def _spans(record: str, dialect: Dialect) -> Iterator[tuple[int, int]]:
    cell, at = _cell(dialect.delimiter, dialect.skip_initial_space), 0
    while match := cell.match(record, at):
        yield match.span(1)
        at = match.end()
        if not record.startswith(dialect.delimiter, at):
            return
        at += 1


@cache
def _cell(delimiter: str, skip_initial_space: bool) -> "re.Pattern[str]":
    blanks = " *+" if skip_initial_space else ""
    return re.compile(rf'{blanks}("(?:[^"]|"")*+"|[^{re.escape(delimiter)}\r\n]*+){blanks}')


def _written(text: str, before: str, dialect: Dialect) -> str:
    needs_quotes = any(char in text for char in (dialect.delimiter, "\r", "\n")) or text.startswith('"')
    if needs_quotes or before.startswith('"') or ('"' in text and '"' not in before):
        return '"' + text.replace('"', '""') + '"'
    return text  # quotes inside a cell that was not quoted, such as ["https://…"], are text
