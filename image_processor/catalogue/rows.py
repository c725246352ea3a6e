"""One row of the catalogue: what it means and what is wrong with it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from image_processor.catalogue.layout import NAME, SERIAL, URLS, Columns
from image_processor.catalogue.unquoted import FoldedRow
from image_processor.errors import CSVProblem, shorten
from image_processor.urls import check_url, split_cell

MAX_NAME_CHARS = 10_000
# A list with more has one cause, not a hundred; and 64 MB hold seven million of them.
_BAD_URLS_PER_ROW = 100
_URL_HINT = "Write one or more URLs that start with http:// or https://, with commas between them."

# Column, value (None: the cell of URLs), code, detail and hint of a problem.
Finding = tuple[str | None, str | None, str, str, str]
_SURPLUS = "The row has more cells than the header has columns, and it is not clear where they belong."
_QUOTE_HINT = 'Put quotes (") round every name and URL list that contains the delimiter.'

# What a spreadsheet runs as a formula (https://owasp.org/www-community/attacks/CSV_Injection). Numbers are exempt: a
# price of -5 stays a number. Spreadsheets take the full-width signs for the ASCII ones.
_FORMULA_START = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PLAIN_NUMBER = re.compile(r"[+-](?:\d+(?:[.,]\d+)*|[.,]\d+)(?:[eE][+-]?\d+)?%?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `row` is its place among the data rows (from 1), `line` where it starts in the file (from 1).

    `image_urls` are the URLs to download, in order, `""` for an empty slot. A row with `problems` is not processed.
    """

    row: int
    line: int
    serial_number: str
    product_name: str
    image_urls: tuple[str, ...]
    problems: tuple[CSVProblem, ...]


@dataclass(frozen=True, slots=True)
class ProductRow(Row):
    """One row below the assignment's header. `folded` has all its cells; texts are without our own formula guard."""

    folded: FoldedRow


def read_row(row: int, line: int, folded: FoldedRow, columns: Columns, max_urls: int) -> ProductRow:
    """The row, checked."""
    serial, name, cell = (unguard(folded.cells[place]) for place in columns.required)
    urls = tuple(split_cell(cell)) if folded.certain else ()
    if folded.certain:
        found = [
            *text_problems(SERIAL, "Serial number", serial),
            *text_problems(NAME, "Product name", name),
            *url_problems(urls, max_urls),
        ]
    else:
        found = [(None, None, "too_many_cells", _SURPLUS, _QUOTE_HINT)]
    problems = tuple(
        CSVProblem(line, row, column, shorten(cell if value is None else value, 200), code, detail, hint)
        for column, value, code, detail, hint in found
    )
    return ProductRow(row, line, serial, name, urls if len(urls) <= max_urls else (), problems, folded)


def guard(cell: str) -> str:
    """The cell as it is safe to open in a spreadsheet: with a leading `'` if it would be taken for a formula."""
    return "'" + cell if cell.startswith(_FORMULA_START) and not _PLAIN_NUMBER.fullmatch(cell) else cell


def unguard(cell: str) -> str:
    """The cell without the `'` that `guard` put before it."""
    return cell[1:] if cell.startswith("'") and guard(cell[1:]) == cell else cell


def text_problems(column: str, called: str, value: str) -> Iterator[Finding]:
    if not value.strip():
        yield column, value, "empty", f"{called} is empty.", "Fill in the cell, or remove the row."
    elif len(value) > MAX_NAME_CHARS:
        detail = f"{called} has {len(value):,} characters; at most {MAX_NAME_CHARS:,} are allowed."
        yield column, value, "too_long", detail, "Shorten it, or look for a quote that is not closed."


def url_problems(urls: Sequence[str], max_urls: int) -> Iterator[Finding]:
    if not urls:
        yield URLS, None, "no_url", "There is no image URL.", _URL_HINT
    if len(urls) > max_urls:
        detail = f"There are {len(urls):,} image URLs; at most {max_urls:,} are allowed in a row."
        yield URLS, None, "too_many_urls", detail, "Split the row into several rows."
        return
    checked = ((position, url, check_url(url)) for position, url in enumerate(urls, start=1) if url)
    wrong = ((position, url, complaint) for position, url, complaint in checked if complaint)
    for position, url, complaint in islice(wrong, _BAD_URLS_PER_ROW):
        detail = complaint if len(urls) == 1 else f"URL {position} of {len(urls)}: {complaint}"
        yield URLS, url, "invalid_url", detail, "Correct this URL, or take it out of the list."
    for _, url, _ in islice(wrong, 1):
        detail = f"After {_BAD_URLS_PER_ROW} URLs that are not valid, the rest of the list was not checked."
        yield URLS, url, "invalid_url", detail, "Correct the URLs that are named, and try again."
