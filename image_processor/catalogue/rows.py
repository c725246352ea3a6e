"""One row of the catalogue: what it means and what is wrong with it."""

import re
from dataclasses import dataclass

from image_processor.catalogue.layout import NAME, SERIAL, URLS, Columns
from image_processor.catalogue.unquoted import FoldedRow
from image_processor.errors import CSVProblem, shorten
from image_processor.urls import check_url, split_cell

MAX_NAME_CHARS = 10_000
# A list with more has one cause, not a hundred; and 64 MB hold seven million of them.
_BAD_URLS_PER_ROW = 100
_URL_HINT = "Write one or more URLs that start with http:// or https://, with commas between them."

# What makes a spreadsheet run a cell (https://owasp.org/www-community/attacks/CSV_Injection). Plain numbers are exempt:
# a price of -5 stays a number. Spreadsheets take the full-width signs for the ASCII ones.
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PLAIN_NUMBER = re.compile(r"[+-](?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?%?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One row: `row` is its place among the data rows (from 1), `line` where it starts in the file (from 1).

    Texts are as they stand in the file (without our own formula guard). `image_urls` holds one entry per slot, `""` an
    empty one. A row with `problems` is not to be processed. `folded` has all cells of the row.
    """

    row: int
    line: int
    serial_number: str
    product_name: str
    image_urls: tuple[str, ...]
    problems: tuple[CSVProblem, ...]
    folded: FoldedRow


def read_row(row: int, line: int, folded: FoldedRow, columns: Columns, max_urls: int) -> ProductRow:
    """The row, checked."""
    serial, name, url_cell = (unguard(folded.cells[place]) for place in columns.meaningful)
    check = _Check(row, line)
    urls: tuple[str, ...] = ()
    if folded.certain:
        check.text(SERIAL, "Serial number", serial)
        check.text(NAME, "Product name", name)
        urls = check.urls(url_cell, max_urls)
    else:
        check.too_many_cells(url_cell)
    return ProductRow(row, line, serial, name, urls, tuple(check.problems), folded)


def guard(cell: str) -> str:
    """The cell as it is safe to open in a spreadsheet: with a leading `'` if it would be run as a formula."""
    return "'" + cell if cell.startswith(_FORMULA_START) and not _PLAIN_NUMBER.fullmatch(cell) else cell


def unguard(cell: str) -> str:
    """The cell without the `'` that `guard` put before it."""
    return cell[1:] if cell.startswith("'") and guard(cell[1:]) == cell else cell


class _Check:
    """Collects what is wrong with one row."""

    def __init__(self, row: int, line: int) -> None:
        self._row = row
        self._line = line
        self.problems: list[CSVProblem] = []

    def text(self, column: str, called: str, value: str) -> None:
        if not value.strip():
            self._add(column, value, "empty", f"{called} is empty.", "Fill in the cell, or remove the row.")
        elif len(value) > MAX_NAME_CHARS:
            detail = f"{called} has {len(value):,} characters; at most {MAX_NAME_CHARS:,} are allowed."
            self._add(column, value, "too_long", detail, "Shorten it, or look for a quote that is not closed.")

    def urls(self, cell: str, max_urls: int) -> tuple[str, ...]:
        """The entries of the cell; none of them when there are too many."""
        entries = split_cell(cell)
        if not entries:
            self._add(URLS, cell, "no_url", "There is no image URL.", _URL_HINT)
        elif len(entries) > max_urls:
            detail = f"There are {len(entries):,} image URLs; at most {max_urls:,} are allowed in a row."
            self._add(URLS, cell, "too_many_urls", detail, "Split the row into several rows.")
            return ()
        self._check_each(entries)
        return tuple(entries)

    def _check_each(self, entries: list[str]) -> None:
        bad = 0
        for position, entry in enumerate(entries, start=1):
            if not entry or (complaint := check_url(entry)) is None:
                continue
            if (bad := bad + 1) > _BAD_URLS_PER_ROW:
                detail = (
                    f"After {_BAD_URLS_PER_ROW} addresses that are not valid, the rest of the list was not checked."
                )
                self._add(URLS, entry, "invalid_url", detail, "Correct the addresses that are named, and try again.")
                return
            detail = complaint if len(entries) == 1 else f"URL {position} of {len(entries)}: {complaint}"
            self._add(URLS, entry, "invalid_url", detail, "Correct this address, or take it out of the list.")

    def too_many_cells(self, cell: str) -> None:
        detail = "The row has more cells than the header has columns, and it cannot be told where they belong."
        hint = 'Put quotes (") round every name and URL list that contains the delimiter.'
        self._add(None, cell, "too_many_cells", detail, hint)

    def _add(self, column: str | None, value: str, code: str, detail: str, hint: str) -> None:
        self.problems.append(CSVProblem(self._line, self._row, column, shorten(value, 200), code, detail, hint))
