"""The image URLs in one cell, each with its place in the text, so that it can be replaced alone.

Exports separate them by commas, semicolons, pipes, blanks or line ends, write JSON lists, or `name.jpg (https://…)`.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

IMAGE_SUFFIX = r"\.(?:jpe?g|jfif|png|gif|webp|avif|bmp|tiff?|heic|heif|svg)"

_URL_START = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_LIST = re.compile(r"\s*+\[.*\]\s*+", re.DOTALL)
_LIST_ITEM = re.compile(r"'((?:[^'\\]|\\.)*+)'|\"((?:[^\"\\]|\\.)*+)\"", re.DOTALL)
_NAMED = re.compile(r"\((https?://[^()\s]++)\)", re.IGNORECASE)
_RUN = re.compile(r"[\s,;|]++")
_HARD = re.compile(r"[,;|]")
_IMAGE_END = re.compile(rf"{IMAGE_SUFFIX}\Z", re.IGNORECASE)
_ONE_URL = re.compile(r"https?://[^\s,;|\"'<>()\[\]\\]++")
_NO_IMAGE = {"n/a", "na", "none", "null", "nan", "nil", "no_selection", "no image", "no-image", "tbd", "false", "0"}
_LIKE_URL = re.compile(r"(?:[a-z][a-z0-9+.\-]*:)?/|[a-z][a-z0-9+.\-]*:\S|www\.", re.IGNORECASE)
_IMAGE_PATH = re.compile(rf"{IMAGE_SUFFIX}(?:[?#~/]|\Z)", re.IGNORECASE)
_WRAPPING = "\"'<>"


class Entry(NamedTuple):
    """One entry of a cell: `cell[start:end]` is as it was written, `url` what is fetched."""

    start: int
    end: int
    url: str


def entries(cell: str, image_base_url: str | None = None) -> list[Entry]:
    """The entries of a cell, in order. Empty ones are none.

    `//host/…` becomes https; a path becomes a URL below `image_base_url` if there is one, else it stays a path.
    """
    if _ONE_URL.fullmatch(cell):  # the common case
        return [Entry(0, len(cell), cell)]
    spans = _list_items(cell) if _LIST.fullmatch(cell) else _named(cell) or _separated(cell)
    return [Entry(start, end, _url(cell[start:end], image_base_url)) for start, end in spans if start < end]


def names_an_image(entry: str, image_base_url: str | None = None) -> bool:
    """Whether an entry, as it is written, names an image: not when it says that there is none, or is other text.

    Without a base URL it must look like a URL or like the path of an image.
    """
    if entry.startswith(("https://", "http://")):
        return True
    if entry.casefold() in _NO_IMAGE or not any(map(str.isalnum, entry)):
        return False
    return image_base_url is not None or bool(_LIKE_URL.match(entry) or _IMAGE_PATH.search(entry))


def replaced(cell: str, found: Sequence[Entry], urls: Sequence[str | None]) -> str:
    """The cell with a new URL for each entry; None keeps what was written. All else stays as it is."""
    if any(urls) and cell[found[0].start - 1 : found[0].start] == "(":  # what imports take is the URLs alone
        return ",".join(
            cell[entry.start : entry.end] if url is None else url for entry, url in zip(found, urls, strict=True)
        )
    parts, at = [], 0
    for entry, url in zip(found, urls, strict=True):
        if url is not None:
            parts += [cell[at : entry.start], url]
            at = entry.end
    return "".join([*parts, cell[at:]])


def _list_items(cell: str) -> list[tuple[int, int]]:
    return [match.span(match.lastindex or 0) for match in _LIST_ITEM.finditer(cell)]


def _named(cell: str) -> list[tuple[int, int]]:
    """The URLs of `name.jpg (https://…), name.jpg (https://…)`, if the cell is written so."""
    first = _URL_START.search(cell)
    return [match.span(1) for match in _NAMED.finditer(cell)] if first and cell[: first.start()].endswith("(") else []


def _separated(cell: str) -> Iterator[tuple[int, int]]:
    start = 0
    for run in _RUN.finditer(cell):
        if start == run.start() == 0:  # a separator at the beginning
            start = run.end()
        elif _is_boundary(cell, start, run):
            yield _bare(cell, start, run.start())
            start = run.end()
    yield _bare(cell, start, len(cell))


def _is_boundary(cell: str, start: int, run: "re.Match[str]") -> bool:
    """Whether a separator ends an entry: blanks and commas occur in URLs, too."""
    if run.end() == len(cell) or _URL_START.match(cell, run.end()):
        return True
    if _IMAGE_END.search(cell, max(start, run.start() - 8), run.start()):
        return True
    hard = _HARD.search(run[0]) is not None
    return "\n" in run[0] or "\r" in run[0] or (hard and (len(run[0]) > 1 or cell.startswith("/", run.end())))


def _bare(cell: str, start: int, end: int) -> tuple[int, int]:
    while start < end and cell[start] in _WRAPPING:
        start += 1
    while start < end and cell[end - 1] in _WRAPPING:
        end -= 1
    return start, end


def _url(entry: str, base: str | None) -> str:
    entry = entry.replace("\\/", "/")  # as PHP writes JSON
    if entry.startswith("//"):
        return f"https:{entry}"
    if base is None or ":" in entry.split("/", 1)[0]:
        return entry
    return f"{base.rstrip('/')}/{entry.lstrip('/')}"
