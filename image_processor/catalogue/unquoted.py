"""Rows with more cells than the header: an unquoted URL list, or an unquoted comma in a name, folded back. Pure.

    1,SKU1,https://a.example/1.jpg,https://a.example/2.jpg     4 cells, 3 columns: the list was not quoted
    1,Shirt, blue,https://a.example/1.jpg                      4 cells, 3 columns: the name was not quoted

A row is only folded when there is one way to read it. Other rows are reported as problems.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from image_processor.catalogue.layout import Columns
from image_processor.urls import starts_like_url

# After one of these a further cell is a cell of its own ("…/1.jpg,5"), not the rest of the URL ("…/w_300,h_200/1.jpg").
_COMPLETE_IMAGE = re.compile(r".*\.(?:jpe?g|png|gif|webp|avif|bmp|tiff?)", re.IGNORECASE | re.DOTALL)

_MOST_NAME_PIECES = 50


@dataclass(frozen=True, slots=True)
class FoldedRow:
    """A row with exactly the header's columns. Not `certain`: the surplus is kept, but perhaps not in its column."""

    cells: list[str]
    certain: bool = True
    folded_urls: bool = False
    folded_name: bool = False

    @property
    def as_written(self) -> bool:
        """Whether the row had no surplus cells."""
        return self.certain and not self.folded_urls and not self.folded_name


def fold_row(cells: list[str], columns: Columns, delimiter: str) -> FoldedRow:
    """The row in the columns of the header; missing cells are empty, surplus ones folded where that is unambiguous."""
    if len(cells) > columns.width:
        cells = _without_empty_tail(cells, columns)
    surplus = len(cells) - columns.width
    if surplus <= 0:
        return FoldedRow(cells + [""] * -surplus)
    extra = _extra_cells(cells, columns, surplus, delimiter)
    if extra is None:
        return FoldedRow(_glued(cells, columns, (delimiter, delimiter), (0, surplus)), certain=False)
    for_name, for_urls = extra
    # A tab is white space in a URL list, where only a comma keeps an empty entry.
    glue = (delimiter, "," if delimiter == "\t" else delimiter)
    return FoldedRow(_glued(cells, columns, glue, extra), True, for_urls > 0, for_name > 0)


def _without_empty_tail(cells: list[str], columns: Columns) -> list[str]:
    """Surplus delimiters at the end of the row mean nothing – unless a second URL shows that cells have shifted."""
    after_urls = columns.urls + 1
    if after_urls < len(cells) and starts_like_url(cells[after_urls]):
        return cells
    end = len(cells)
    while end > columns.width and not cells[end - 1].strip():
        end -= 1
    return cells[:end]


def _extra_cells(cells: list[str], columns: Columns, surplus: int, delimiter: str) -> tuple[int, int] | None:
    """How many surplus cells belong to the name and how many to the URLs; None where that is ambiguous."""
    if columns.name < columns.urls:
        # A name with more than fifty commas is no name; looking no further keeps hostile rows cheap.
        nearby = range(columns.urls, min(columns.urls + _MOST_NAME_PIECES, len(cells)))
        start = next((place for place in nearby if starts_like_url(cells[place])), None)
        if start is None:
            return None
        for_name = start - columns.urls
    else:
        start = columns.urls
        last = max((place for place, cell in enumerate(cells) if starts_like_url(cell)), default=start)
        for_name = surplus - (last - start)
    for_urls = surplus - for_name
    end = start + 1 + for_urls
    if min(for_name, for_urls) < 0 or not _is_url_list(cells[start:end], columns, delimiter):
        return None
    if any(map(starts_like_url, cells[:start])) or any(map(starts_like_url, cells[end:])):
        return None
    if for_name and not _is_name(cells, columns, for_name, for_urls):
        return None
    return for_name, for_urls


def _is_url_list(cells: Sequence[str], columns: Columns, delimiter: str) -> bool:
    """Whether the cells are a URL, and then each another one, the rest of the one before it, or an empty entry."""
    if not starts_like_url(cells[0]):
        return False
    pieces: list[str] = []
    for cell in cells:
        if not starts_like_url(cell) and cell.strip():
            pieces.append(cell)
        elif _is_one_url(pieces, columns, delimiter):
            pieces = [cell]
        else:
            return False
    return _is_one_url(pieces, columns, delimiter)


def _is_one_url(pieces: list[str], columns: Columns, delimiter: str) -> bool:
    """Whether the pieces are one URL that its own commas cut: `…/w_300,h_200/1.jpg` or `…?crop=1,2,3`.

    Not `…/1.jpg,5` or `…/1,red`: those may be cells of their own. No URL contains tabs, or blanks beside its commas.
    """
    if len(pieces) <= 1:
        return True
    in_path = any("/" in piece for piece in pieces[1:])
    in_query = "?" in pieces[0] and columns.urls == columns.width - 1
    blank = any(re.search(r"\s", piece) for piece in (pieces[0].lstrip(), *pieces[1:]))
    complete = any(map(_COMPLETE_IMAGE.fullmatch, pieces[:-1]))
    return bool(pieces[0]) and delimiter != "\t" and (in_path or in_query) and not blank and not complete


def _is_name(cells: list[str], columns: Columns, for_name: int, for_urls: int) -> bool:
    """Whether the surplus can only be the name's: no other free text on its side of the URLs, no gap, no “1,000”."""
    before_urls = columns.name < columns.urls
    side = range(columns.urls) if before_urls else range(columns.urls + 1, columns.width)
    if not set(side) <= {columns.serial, columns.name}:
        return False
    shift = 0 if before_urls else for_urls
    start = columns.name + shift
    pieces = [piece.strip() for piece in cells[start : start + 1 + for_name]]
    serial = cells[start - 1].strip() if columns.serial == columns.name - 1 else ""
    thousands = re.fullmatch(r"\d{1,3}", serial) and re.fullmatch(r"\d{3}", pieces[0])
    return all(pieces) and not thousands


def _glued(cells: list[str], columns: Columns, glue: tuple[str, str], extra: tuple[int, int]) -> list[str]:
    """The row in the header's columns; name and URLs take one cell each, plus `extra`, joined with `glue`."""
    special = {columns.name: (glue[0], extra[0]), columns.urls: (glue[1], extra[1])}
    glued, at = [], 0
    for column in range(columns.width):
        delimiter, more = special.get(column, ("", 0))
        glued.append(delimiter.join(cells[at : at + 1 + more]))
        at += 1 + more
    return glued
