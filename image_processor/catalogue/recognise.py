"""Which columns hold the images, the name and the id: recognised by their headers, confirmed by their values."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from image_processor.catalogue.cells import IMAGE_SUFFIX
from image_processor.catalogue.layout import HEADER_RECORDS
from image_processor.catalogue.profiles import (
    ID,
    IMAGES,
    IMAGES_IN_ENGLISH,
    LINKS,
    NAME,
    PROFILES,
    Profile,
    spelling,
    spellings,
)
from image_processor.errors import InvalidCSV, listed, shorten

Role = Literal["images", "name", "id"]
How = Literal["given", "spelling", "values"]

HEAD_RECORDS: Final = HEADER_RECORDS + 200  # what columns are recognised by: the header and rows below it
EXAMPLE_CHARS: Final = 200

_RANKS: Final = {"name": spellings(NAME), "id": spellings(ID)}
_IMAGES: Final = {*IMAGES_IN_ENGLISH, *spellings(IMAGES)}
_LINKS: Final = spellings(LINKS)
_RESULT: Final = spelling("Output Image Urls")
_GENERAL: Final = Profile("general", ())
_CELL_CHARS: Final = 2_000  # of a list of URLs the beginning is enough

_SEPARATORS = re.compile(r"[\s,;|\"'\[\]()<>]+")
# Bounded, so that no text takes long.
_FILE = rf"[^\s?#]{{1,1000}}{IMAGE_SUFFIX}(?:[?#~/]\S*+)?"
_OTHER_FILE = r"(?!\S{0,500}\.(?:pdf|docx?|xlsx?|csv|txt|zip|html?|mp[34]|m4v|mov|webm|glb|usdz)(?:[?#]|\Z))"
_URL = re.compile(rf"(?:https?:)?//{_OTHER_FILE}[^\s/]{{1,255}}\.\S++", re.IGNORECASE)
_IMAGE_FILE = re.compile(_FILE, re.IGNORECASE)
_IMAGE_URL = re.compile(rf"(?:https?:)?//{_FILE}", re.IGNORECASE)
_REMARK = re.compile(r"#\s*[^\s#]")  # but `#` alone is a number
# What programs write for no image, such as `[]` and `nan`.
_NOTHING = re.compile(r"[\W_]*+(?:n/?a|nan|none|null|nil)?[\W_]*+", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """One column of the uploaded table: its 1-based number, its header, its role and how that is known.

    `example` is the first filled cell below the header, shortened.
    """

    number: int
    name: str
    role: Role | None = None
    how: How | None = None
    example: str = ""


@dataclass(frozen=True)
class Recognised:
    """The columns of a table and the platform that wrote it.

    `suggested_images_column` is the name of the one whose values look like images, when none is recognised. `paths` are
    columns of images that have no role because they hold only paths, beside others with URLs. `others` are columns
    without a role whose values are URLs of images.
    """

    profile: Profile
    columns: tuple[Column, ...]
    suggested_images_column: str | None = None
    paths: tuple[Column, ...] = ()
    others: tuple[Column, ...] = ()

    @property
    def certainty(self) -> tuple[bool, int]:
        """Whether images were found, and how many of the three roles: what the likeliest header has most of."""
        return bool(self.of("images")), len({column.role for column in self.columns if column.role})

    def of(self, role: Role) -> list[Column]:
        """The columns of a role, from left to right."""
        return [column for column in self.columns if column.role == role]


def find_table(records: Sequence[Sequence[str]], wanted: Sequence[str] = ()) -> tuple[int, Recognised]:
    """The place of the header among the first 25 of some records, and its columns by the records below it.

    It is the record that has most of the `wanted` columns, then the one by which most roles are recognised, the last
    among equals: Amazon writes its header in two languages. Without images it is the first among equals. A record that
    begins with `#` is a remark; the last record is no header, unless there is no other. Raises InvalidCSV when there is
    none.
    """
    places = [place for place, cells in enumerate(records) if any(map(str.strip, cells))]
    candidates = [place for place in places if place < HEADER_RECORDS and not _REMARK.match(records[place][0])]
    tables = [
        (place, recognise(records[place], records[place + 1 :]))
        for place in candidates
        if place != places[-1] or place == candidates[0]
    ]
    if not tables:
        hint = "Check that the export includes the names of the columns."
        raise InvalidCSV.whole_file("no_header", "No line of the file can be the header of a table.", hint)
    place, found = max(tables, key=lambda table: _likelihood(table[0], table[1], wanted))
    return place, replace(found, others=tuple(_others(found, records[place + 1 :])))


def _likelihood(place: int, found: Recognised, wanted: Sequence[str]) -> tuple[int, tuple[bool, int], int]:
    names = {column.name for column in found.columns}
    return (
        sum(name in names and not name.isdecimal() for name in wanted),
        found.certainty,
        place if found.of("images") else -place,
    )


def _others(found: Recognised, rows: Sequence[Sequence[str]]) -> Iterator[Column]:
    imported = spelling(found.profile.import_column or "")
    for column in found.columns:
        if column.role is None and column.example and spelling(column.name) not in (imported, _RESULT):
            cells = [row[column.number - 1] for row in rows if column.number <= len(row) and row[column.number - 1]]
            if not _are_nothing(cells) and _share(cells, _IMAGE_URL) >= 0.5:
                yield column


def recognise(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Recognised:
    """The columns of a table by its header and by some of the rows below it."""
    values = [
        [row[place].strip() for row in rows if place < len(row) and row[place].strip()] for place in range(len(header))
    ]
    columns = [
        Column(number, name.strip(), example=next(iter(cells), "")[:EXAMPLE_CHARS])
        for number, (name, cells) in enumerate(zip(header, values, strict=True), start=1)
    ]
    found = {spelling(name) for name in header}
    profile = next((one for one in PROFILES if found.issuperset(map(spelling, one.anchors))), _GENERAL)
    for names in set(spellings(profile.images)), _IMAGES:
        if not any(column.role for column in columns):
            columns = [
                replace(column, role="images", how="spelling")
                if spelling(column.name) in names and holds_images(cells)
                else column
                for column, cells in zip(columns, values, strict=True)
            ]
    paths = _only_paths(columns, values) if profile is _GENERAL else ()
    columns = [replace(column, role=None, how=None) if column in paths else column for column in columns]
    suggested = None
    if not any(cells for column, cells in zip(columns, values, strict=True) if column.role == "images"):
        columns, suggested = _by_values(columns, values)
    for role in ("name", "id"):
        own = spellings(getattr(profile, role))
        columns = _with_best(columns, role, {**{name: rank + len(own) for name, rank in _RANKS[role].items()}, **own})
    return Recognised(profile, tuple(columns), suggested, paths)


def holds_images(cells: Sequence[str]) -> bool:
    """Whether at least half of some filled cells name an image, by URL or by path."""
    return _share(cells, _URL, _IMAGE_FILE) >= 0.5


def _are_nothing(cells: Sequence[str]) -> bool:
    return all(map(_NOTHING.fullmatch, cells))


def names_image_files(cell: str) -> bool:
    """Whether a cell names a file of an image, by URL or by path; a URL may lead to an image, too, or to a page."""
    return _share([cell], _IMAGE_URL, _IMAGE_FILE) == 1


def _share(cells: Sequence[str], *patterns: re.Pattern[str]) -> float:
    """The share of the cells that have an entry of one of the patterns, among those that do not say “no image”."""
    filled = [cell for cell in cells if not _NOTHING.fullmatch(cell)]
    named = sum(
        any(pattern.fullmatch(entry) for entry in _SEPARATORS.split(cell[:_CELL_CHARS]) for pattern in patterns)
        for cell in filled
        if "." in cell  # most columns have none
    )
    return named / len(filled) if filled else 1.0


def _only_paths(columns: list[Column], values: list[list[str]]) -> tuple[Column, ...]:
    """The columns of images that hold only paths, where others hold URLs: they cannot be fetched as they are."""
    images = [column for column in columns if column.role and column.example]
    paths = tuple(column for column in images if _share(values[column.number - 1], _URL) < 0.5)
    return paths if len(paths) < len(images) else ()


def _by_values(columns: list[Column], values: list[list[str]]) -> tuple[list[Column], str | None]:
    """Use the only column with images if it is called no more than `url` or `link`; else propose the likeliest."""
    filled = [column for column in columns if not _are_nothing(values[column.number - 1])]
    for pattern in _IMAGE_URL, _IMAGE_FILE, _URL:
        found = [column for column in filled if _share(values[column.number - 1], pattern) >= 0.5]
        if pattern is _URL:  # which also occur in free text
            found = [column for column in found if _SEPARATORS.sub("", column.example).startswith(("http", "//"))]
        elif len(found) == 1 and spelling(found[0].name) in _LINKS:
            place = found[0].number - 1
            columns[place] = replace(columns[place], role="images", how="values")
            return columns, None
        if found:
            return columns, found[0].name
    return columns, None


def _with_best(columns: list[Column], role: Role, ranks: dict[str, int]) -> list[Column]:
    """Give a role to the best of the columns that are called so, have no other role, and are not empty."""
    free = [column for column in columns if column.role is None and column.example and spelling(column.name) in ranks]
    best = min(free, key=lambda column: ranks[spelling(column.name)], default=None)
    return [replace(column, role=role, how="spelling") if column is best else column for column in columns]


def given(found: Recognised, columns: Sequence[str], role: Role) -> Recognised:
    """The columns with a role given to some of them, by header or by number; others lose it.

    Raises InvalidCSV for one that is not there, or whose name is there more than once.
    """
    numbers = {_number(found, column) for column in columns}
    return replace(
        found,
        columns=tuple(
            replace(column, role=role, how="given")
            if column.number in numbers
            else replace(column, role=None, how=None)
            if column.role == role
            else column
            for column in found.columns
        ),
    )


def _number(found: Recognised, wanted: str) -> int:
    named = [column.number for column in found.columns if column.name == wanted.strip()]
    if len(named) == 1:
        return named[0]
    if not named and wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(found.columns):
        return int(wanted)
    if named:
        raise InvalidCSV.whole_file(
            "ambiguous_column",
            f"{len(named)} columns are called “{shorten(wanted)}”: {', '.join(map(str, named))}.",
            "Give the number of the one that is meant.",
            column=wanted,
        )
    raise InvalidCSV.whole_file(
        "unknown_column",
        f"There is no column “{shorten(wanted)}”. The columns are {listed(column.name for column in found.columns)}.",
        "Give a column by its name as it is written there, or by its number, from 1.",
        column=wanted,
    )
