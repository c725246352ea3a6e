"""Reads the sheets of a workbook, in a process of its own: `sheet_process.py [SHEET] < workbook > rows`.

calamine has room for every cell between the first and the last one: two cells in opposite corners of a sheet need
550 GB, and the process that asks for them ends. So this one may, within its limits of memory and CPU time. The rows are
written with marshal, in lists of some hundred, each after its size; None after the last of a sheet; then the names of
all sheets and the places of those that are written.
"""

import datetime
import io
import marshal
import resource
import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO, Final

ENCRYPTED: Final = 3
DAMAGED: Final = 4
MEMORY_BYTES: Final = 1_000_000_000
CPU_SECONDS: Final = 60
# Others can be given by their names.
MOST_SHEETS: Final = 20
ROWS_PER_BATCH: Final = 500
SIZE_BYTES: Final = 8


def main() -> int:
    """Read the workbook from stdin; the exit code says why that failed."""
    import python_calamine

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
        _write_sheets(book, sys.argv[1:], sys.stdout.buffer)
    except python_calamine.PasswordError:
        return ENCRYPTED
    except python_calamine.CalamineError:
        return DAMAGED
    return 0


def _write_sheets(book: Any, wanted: list[str], file: BinaryIO) -> None:
    # Those that people see come first: templates of marketplaces hide sheets with old or technical data.
    names = [sheet.name for sheet in sorted(book.sheets_metadata, key=_is_hidden)]
    places = {}
    for name in wanted or names[:MOST_SHEETS]:
        if name in names:
            places[name] = file.tell()
            for rows in _batches(book.get_sheet_by_name(name)):
                _write(rows, file)
            _write(None, file)
    end = file.tell()
    _write((names, places), file)
    file.write(end.to_bytes(SIZE_BYTES, "big"))


def _is_hidden(sheet: Any) -> bool:
    return str(sheet.visible).rpartition(".")[2] != "Visible"


def _batches(sheet: Any) -> Iterator[list[list[Any]]]:
    """The rows in lists."""
    before = [""] * (sheet.start or (0, 0))[1]  # calamine begins with the first column that is used
    rows = (before + values for values in sheet.iter_rows())
    while batch := list(islice(rows, ROWS_PER_BATCH)):
        yield batch


def _write(values: Any, file: BinaryIO) -> None:
    try:
        content = marshal.dumps(values)
    except ValueError:  # marshal has no dates
        content = marshal.dumps([[_plain(value) for value in row] for row in values])
    file.write(len(content).to_bytes(SIZE_BYTES, "big") + content)


def _plain(value: Any) -> Any:
    """Dates and times as ISO 8601."""
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value if isinstance(value, (str, int, float, bool)) else str(value)


if __name__ == "__main__":
    sys.exit(main())
