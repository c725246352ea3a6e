"""How large a sheet of a workbook is for calamine, by its XML."""

import re
from typing import Final

# calamine has room for every cell between the first and the last one, 32 bytes each: a table of two cells in opposite
# corners of a sheet takes 550 GB, and the process ends.
MAX_CELLS: Final = 20_000_000
# Cells and rows that do not say where they are.
NO_PLACE = re.compile(rb"<(?:\w+:)?(?:c|row)(?=[\s>/])(?![^<>]*?\sr=\")")
# How a place may be written otherwise: r='A1', r = "A1".
_ODD_PLACES = (b"r='", b"r =", b"r\t=", b"r\n=", b"r\r=", b"r= ", b"r=\t", b"r=\n", b"r=\r")


def extent(xml: bytes) -> tuple[int, int]:
    """The rows and columns that calamine makes room for, or more."""
    if NO_PLACE.search(xml) or any(odd in xml for odd in _ODD_PLACES):
        return _counted_extent(xml)
    columns = max(map(column_number, set(re.findall(rb'r="([A-Za-z]+)\d', xml))), default=1)
    rows = max(map(int, re.findall(rb'r="[A-Za-z]*(\d{6,})', xml)), default=99_999)
    if rows * columns > MAX_CELLS:
        rows = max(map(int, re.findall(rb'r="[A-Za-z]*(\d+)', xml)), default=1)
    return rows, columns


def _counted_extent(xml: bytes) -> tuple[int, int]:
    """The same where cells and rows are counted, or say where they are in another way than those of Excel."""
    places = set(re.findall(rb"\br\s*=\s*[\"']([A-Za-z]*)(\d+)", xml))
    columns = max((column_number(letters) for letters, _ in places), default=0)
    rows = max((int(row) for _, row in places), default=0)
    counted = re.compile(rb"<(?:\w+:)?c(?=[\s>/])(?![^<>]*?\sr\s*=)")
    return (
        rows + len(re.findall(rb"<(?:\w+:)?row(?=[\s>/])(?![^<>]*?\sr\s*=)", xml)),
        columns + max(len(counted.findall(row)) for row in re.split(rb"</(?:\w+:)?row", xml)),
    )


def column_number(letters: bytes) -> int:
    """The number of a column, from 1."""
    column = 0
    for letter in letters.upper():
        column = 26 * column + letter - 64
    return column
