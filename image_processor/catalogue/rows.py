"""One row of the catalogue: what it means, what is wrong with it, and what was repaired in reading it."""

from collections import Counter
from dataclasses import dataclass

from image_processor.catalogue.dialect import NAME, SERIAL, URLS, unguard
from image_processor.catalogue.unquoted import FoldedRow
from image_processor.errors import CSVProblem
from image_processor.urls import check_url, split_cell

MAX_NAME_CHARS = 10_000
_WARNINGS_PER_KIND = 20
# A list with more has one cause, not a hundred; and 64 MB hold seven million of them.
_BAD_URLS_PER_ROW = 100
_URL_HINT = "Write one or more URLs that start with http:// or https://, with commas between them."


@dataclass(frozen=True, slots=True)
class ProductRow:
    """One row: `row` is its place among the data rows (from 1), `line` where it starts in the file (from 1).

    Texts are as they stand in the file (without our own formula guard). `image_urls` holds one entry per slot, `""` an
    empty one; `url_cell` is the cell they come from. A row with `problems` is not to be worked.
    """

    row: int
    line: int
    serial_number: str
    product_name: str
    image_urls: tuple[str, ...]
    problems: tuple[CSVProblem, ...]
    url_cell: str


def read_row(row: int, line: int, folded: FoldedRow, max_urls: int) -> ProductRow:
    """The row whose serial, name and URL cells are `folded`, checked."""
    serial, name, url_cell = map(unguard, folded.cells)
    check = _Check(row, line)
    urls: tuple[str, ...] = ()
    if folded.certain:
        check.text(SERIAL, "Serial number", serial)
        check.text(NAME, "Product name", name)
        urls = check.urls(url_cell, max_urls)
    else:
        check.too_many_cells(url_cell)
    return ProductRow(row, line, serial, name, urls, tuple(check.problems), url_cell)


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
        self.problems.append(CSVProblem(self._line, self._row, column, value[:200], code, detail, hint))


class Repairs:
    """A sentence for every row that was repaired; after the first twenty of a kind only their number."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._counts: Counter[str] = Counter()

    def note(self, row: ProductRow, folded: FoldedRow) -> None:
        """Note what was done to the row, if anything."""
        if folded.folded_urls:
            count = sum(map(bool, row.image_urls))
            read = "1 URL was read" if count == 1 else f"{count} URLs were read"
            self._add("the URL list was not quoted", f"Row {row.row}: the URL list was not quoted; {read}.")
        if folded.folded_name:
            name = row.product_name.strip()
            shown = name if len(name) <= 100 else name[:99] + "…"
            self._add(
                "the product name was not quoted",
                f"Row {row.row}: the product name was not quoted; it was read as “{shown}”.",
            )

    def warnings(self) -> list[str]:
        """The sentences, in the order of the rows."""
        more = {kind: count - _WARNINGS_PER_KIND for kind, count in self._counts.items() if count > _WARNINGS_PER_KIND}
        return self._sentences + [f"In {count:,} more rows {kind}." for kind, count in more.items()]

    def _add(self, kind: str, sentence: str) -> None:
        self._counts[kind] += 1
        if self._counts[kind] <= _WARNINGS_PER_KIND:
            self._sentences.append(sentence)
