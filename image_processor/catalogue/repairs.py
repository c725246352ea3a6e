"""What was repaired or left out when a catalogue was read, as sentences for its owner."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from image_processor.catalogue.layout import ERROR, OUTPUT, Layout
from image_processor.catalogue.records import Records
from image_processor.catalogue.rows import ProductRow
from image_processor.errors import shorten
from image_processor.urls import starts_like_url

_WARNINGS_PER_KIND = 20
_NAMED = 10
# A column of URLs beside the image URLs is no mistake when its name says so.
_WORDS_OF_URLS = ("url", "link", "image", "picture", "photo", "page", "site", "web", "href", "src")


class RowWarnings:
    """Sentences about rows: of each kind the first twenty, then the number of the others."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, sentence: str) -> None:
        """Add the sentence about one row."""
        self._counts[kind] += 1
        if self._counts[kind] <= _WARNINGS_PER_KIND:
            self._sentences.append(sentence)

    def sentences(self) -> list[str]:
        """The sentences, in the order of the rows."""
        more = {kind: count - _WARNINGS_PER_KIND for kind, count in self._counts.items() if count > _WARNINGS_PER_KIND}
        return [*self._sentences, *(f"In {count:,} more rows {kind}." for kind, count in more.items())]


class Repairs:
    """The warnings about a catalogue. Of each kind of repair the first twenty rows are named, the others counted."""

    def __init__(self, layout: Layout, records: Records) -> None:
        self._of_file = [*_layout_warnings(layout), *_empty_rows_warning(records)]
        self._neighbour = _suspicious_neighbour(layout)
        self._rows_with_neighbour: list[int] = []
        self._of_rows = RowWarnings()

    def note(self, row: ProductRow) -> None:
        """Note what was repaired in the row, if anything."""
        if row.folded.folded_urls:
            count = sum(map(bool, row.image_urls))
            self._add(row, "the URL list was not quoted", "1 URL was read" if count == 1 else f"{count} URLs were read")
        if row.folded.folded_name:
            name = shorten(row.product_name.strip())
            self._add(row, "the product name was not quoted", f"it was read as “{name}”")
        if self._neighbour and row.folded.as_written and starts_like_url(row.folded.cells[self._neighbour]):
            self._rows_with_neighbour.append(row.row)

    def warnings(self) -> list[str]:
        """The sentences: about the whole file, then about the rows in their order."""
        return [*self._of_file, *self._neighbour_warning(), *self._of_rows.sentences()]

    def _neighbour_warning(self) -> list[str]:
        if not (rows := self._rows_with_neighbour):
            return []
        found = f"The column after the image URLs holds URLs, too ({_named('row', rows, len(rows))})."
        return [f"{found} If they belong to the images, put quotes round the whole URL list."]

    def _add(self, row: ProductRow, kind: str, done: str) -> None:
        self._of_rows.add(kind, f"Row {row.row}: {kind}; {done}.")


def _layout_warnings(layout: Layout) -> list[str]:
    warnings = [f"Line {line} was skipped because it is above the header: “{text}”." for line, text in layout.titles]
    if warning := layout.dialect.encoding.warning:
        warnings.insert(0, warning)
    if layout.dialect.skip_initial_space:
        warnings.append("Blanks between the delimiters and the quotes were removed.")
    if layout.columns.output:
        warnings.append(f"The column “{OUTPUT}” exists already; it is replaced.")
    if layout.columns.error:
        warnings.append(f"The column “{ERROR}” exists already; it is left out of the output.")
    return warnings


def _empty_rows_warning(records: Records) -> list[str]:
    if not (count := records.empty_count):
        return []
    what = "1 empty row was" if count == 1 else f"{count:,} empty rows were"
    return [f"{what} skipped ({_named('line', records.empty_lines, count)})."]


def _suspicious_neighbour(layout: Layout) -> int:
    """The column after the URLs, unless its name explains URLs in it; 0 for none."""
    column = layout.columns.urls + 1
    if column >= layout.columns.width or column in (*layout.columns.output, layout.columns.serial, layout.columns.name):
        return 0
    return 0 if any(word in layout.header[column].lower() for word in _WORDS_OF_URLS) else column


def _named(kind: str, numbers: Iterable[int], count: int) -> str:
    first = ", ".join(map(str, islice(numbers, _NAMED)))
    return f"{kind}{'s' if count > 1 else ''} {first}" + (f" and {count - _NAMED:,} more" if count > _NAMED else "")
