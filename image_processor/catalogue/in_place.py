"""A CSV as it was uploaded, with other text in a few cells: every other byte stays.

A CSV writer cannot do that: it does not know which cells were quoted. So each record is read as its own text, and the
cells are found in it by the rules of `csv.reader`.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache


def records(lines: Iterable[str], delimiter: str, skip_initial_space: bool = False) -> Iterator[tuple[str, list[str]]]:
    """Each record of a table: its own text, with its line end, and its cells. Raises csv.Error."""
    taken: list[str] = []

    def take() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    for cells in csv.reader(take(), delimiter=delimiter, skipinitialspace=skip_initial_space, strict=True):
        yield "".join(taken), cells
        taken.clear()


def with_cells(record: str, new: Mapping[int, str], delimiter: str, skip_initial_space: bool = False) -> str:
    """The text of a record with new text in some cells (place from 0), quoted if it was quoted or has to be."""
    if not new:
        return record
    parts, at, special = [], 0, f'{delimiter}"\r\n'
    for place, (start, end) in enumerate(_spans(record, delimiter, skip_initial_space)):
        if place in new:
            parts += [record[at:start], _written(new[place], record[start:end], special)]
            at = end
    return "".join([*parts, record[at:]])


def _spans(record: str, delimiter: str, skip_initial_space: bool) -> Iterator[tuple[int, int]]:
    cell, at = _cell(delimiter, skip_initial_space), 0
    while match := cell.match(record, at):
        yield match.span(1)
        at = match.end()
        if not record.startswith(delimiter, at):
            return
        at += 1


@cache
def _cell(delimiter: str, skip_initial_space: bool) -> "re.Pattern[str]":
    blanks = " *+" if skip_initial_space else ""
    return re.compile(rf'{blanks}("(?:[^"]|"")*+"|[^{re.escape(delimiter)}\r\n]*+)')


def _written(text: str, before: str, special: str) -> str:
    if before.startswith('"') or any(char in text for char in special):
        return '"' + text.replace('"', '""') + '"'
    return text
