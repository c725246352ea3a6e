"""Excel and OpenDocument workbooks: their rows as text, and the same workbook with other text in a few cells.

Values are read by calamine. It gives no links, so those of xlsx and xlsm are found in the XML of the sheet; there they
are replaced, too, and every other member of the ZIP archive is copied. A workbook that a library saves anew loses
validations and macros, and Amazon refuses it.
"""

import io
import posixpath
import re
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Container, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from functools import cached_property, lru_cache
from typing import Any, Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr, unescape

from image_processor.catalogue import sheet_process
from image_processor.catalogue.sheet_rows import SheetRows, UnreadableWorkbook
from image_processor.errors import InvalidCSV

_MAX_UNPACKED: Final = 500_000_000
_ENCRYPTED: Final = "EncryptedPackage".encode("utf-16-le")
_MAX_LINKED: Final = 10_000
# What the libraries raise when they read a damaged or hostile workbook.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, ElementTree.ParseError, EOFError, LookupError, NotImplementedError, RuntimeError,
    StopIteration, ValueError,
)  # fmt: skip

# An element with a reference, what it is called, and what it holds: up to its own end, or the next one of its name. No
# part of a sheet is looked at twice, or `<c r="A1"` a hundred thousand times would take minutes.
_ELEMENT = (
    rb"<((?:\w+:)?)%(name)b((?>\s[^<>]*?\br=\"%(place)b\")[^<>/]*+(?:/(?!>)[^<>/]*+)*+)"
    rb"(?:/>|>([^<]*+(?:<(?!/?(?:\w+:)?%(name)b[\s/>])[^<]*+)*+)</\1%(name)b>)"
)
_ROW = re.compile(_ELEMENT % {b"name": b"row", b"place": rb"(\d+)"})
_CELL = re.compile(_ELEMENT % {b"name": b"c", b"place": rb"([A-Z]+)(\d+)"})
# Cells and rows that do not say where they are.
_NO_PLACE = re.compile(rb"<(?:\w+:)?(?:c|row)(?=[\s>/])(?![^<>]*?\sr=\")")
_LINK = re.compile(rb"<(?:\w+:)?hyperlink\s[^<>]*>")
_ATTRIBUTE = re.compile(rb"(?<![\w:])([\w:]++)\s*+=\s*+\"([^\"<>]*+)\"")
_FIRST_URL = re.compile(r"https?://[^\s,;|]+")
_FORMULA_URL = re.compile(r"\b(?:IMAGE|HYPERLINK)\(\s*\"((?:[^\"]|\"\")*+)\"", re.IGNORECASE)
_URL_FORMULAS = (b"IMAGE(", b"HYPERLINK(")
_FORMULA = re.compile(rb"<(?:\w+:)?f\b[^<>]*+>([^<]*+)</")

Place = tuple[int, int]


class Workbook:
    """A workbook in memory. Rows and columns count from 0, and from the top left corner of the sheet.

    `sheet` is the only one that is read, if given. Raises InvalidCSV when the file is encrypted, damaged, too large, or
    no workbook at all.
    """

    def __init__(self, data: bytes, called: str = "The file", sheet: str | None = None) -> None:
        self._data = data
        self._called = called
        self._check_size()
        self._sheets = self._open(sheet)
        self.sheet_names = self._sheets.names
        self.readable_sheets = self._sheets.readable

    def is_editable(self, sheet: str) -> bool:
        """Whether `with_cells` can be used: for xlsx and xlsm whose cells say where they are, as those of Excel do."""
        return self._is_xlsx and not _NO_PLACE.search(self._sheet_xml(sheet))

    @property
    def has_pictures(self) -> bool:
        """Whether pictures are embedded in the workbook."""
        return self._is_zip and any(
            "/media/" in name or name.startswith("Pictures/") for name in self._archive.namelist()
        )

    def rows(self, sheet: str, places: Collection[int] | None = None) -> Iterator[list[Any]]:
        """The rows of a sheet as text; as text in some places only, which is twice as fast for 20 columns."""
        for row in self._sheets.rows(sheet):
            for place in range(len(row)) if places is None else places:
                row[place] = _text(row[place])
            yield row

    def links(self, sheet: str) -> dict[Place, str]:
        """The URLs behind the cells of a sheet: hyperlinks, and the formulas IMAGE and HYPERLINK."""
        if not self._is_xlsx:
            return {}
        with self._reading():
            path = self._path_of(sheet)
            if not (self._targets(path) or self._has_formulas(path)):
                return {}
            xml = self._archive.read(path)
            links = {place: url for place, (url, _) in self._hyperlinks(path, xml).items()}
            has_formulas = self._has_formulas(path)
        for cell in _CELL.finditer(xml) if has_formulas else ():
            if url := _formula_url(cell[5] or b""):
                links[_place(cell[3], cell[4])] = url[1]
        return links

    def with_cells(self, sheet: str, new: Mapping[Place, str], kept: Container[Place] = ()) -> bytes:
        """The workbook with new text in some cells of a sheet; for links and formulas of IMAGE, with the new URL.

        `kept`: cells whose text stays, and only the link behind it changes. Cells that do not exist are added.
        """
        path = self._path_of(sheet)
        relations = _relations_path(path)
        changed = {path: self._changed_sheet(sheet, new, kept)}
        if relations in self._archive.namelist():
            changed[relations] = self._changed_relations(sheet, new)
        result = io.BytesIO()
        with zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in self._archive.infolist():
                content = changed.get(member.filename)
                # A copy: `writestr` changes it.
                archive.writestr(copy(member), self._archive.read(member) if content is None else content)
        return result.getvalue()

    # ---- reading --------------------------------------------------------------------------------------------------

    def _check_size(self) -> None:
        if not self._is_zip:
            return
        try:
            unpacked = sum(member.file_size for member in self._archive.infolist())
        except _DAMAGE as error:
            raise self._damaged() from error
        if unpacked > _MAX_UNPACKED:
            raise self._too_large(
                f"unpacks to {unpacked / 1e6:,.0f} MB; at most {_MAX_UNPACKED / 1e6:,.0f} MB are read."
            )

    def _too_large(self, reason: str) -> InvalidCSV:
        hint = "Remove what does not belong to the catalogue, or save the sheet as CSV."
        return InvalidCSV.whole_file("workbook_too_large", f"{self._called} {reason}", hint)

    def _open(self, sheet: str | None) -> SheetRows:
        try:
            return SheetRows(self._data, sheet)
        except UnreadableWorkbook as error:
            if error.exit_code == sheet_process.ENCRYPTED or _ENCRYPTED in self._data:
                raise self._encrypted() from error
            if error.exit_code == sheet_process.DAMAGED:
                raise self._damaged() from error
            raise self._too_large(
                "needs more memory or time to be read than is allowed; empty cells before the last one count."
            ) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Raise InvalidCSV for whatever the libraries raise when a workbook is damaged."""
        try:
            yield
        except _DAMAGE as error:
            raise self._damaged() from error

    def _encrypted(self) -> InvalidCSV:
        hint = "Save it without a password, or as CSV."
        return InvalidCSV.whole_file("encrypted_workbook", f"{self._called} is protected by a password.", hint)

    def _damaged(self) -> InvalidCSV:
        detail = f"{self._called} begins like a workbook, but cannot be read as one."
        return InvalidCSV.whole_file("damaged_workbook", detail, "Open it in Excel or LibreOffice, and save it again.")

    # ---- the XML of xlsx and xlsm ---------------------------------------------------------------------------------

    @property
    def _is_zip(self) -> bool:
        return self._data.startswith(b"PK")

    @property
    def _is_xlsx(self) -> bool:
        return self._is_zip and "xl/workbook.xml" in self._archive.namelist()

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(self._data))

    def _path_of(self, sheet: str) -> str:
        """The member of the archive that holds a sheet."""
        targets = self._targets("xl/workbook.xml")
        sheets = ElementTree.fromstring(self._archive.read("xl/workbook.xml")).iterfind(".//{*}sheet")
        attributes = next(one.attrib for one in sheets if one.attrib["name"] == sheet)
        # The namespace of the id depends on the version of the format.
        return next(targets[value] for name, value in attributes.items() if name.endswith("}id"))

    def _sheet_xml(self, sheet: str) -> bytes:
        with self._reading():
            return self._archive.read(self._path_of(sheet))

    def _targets(self, path: str) -> dict[str, str]:
        """What the ids in a member refer to: other members by their paths, links by their URLs."""
        try:
            relations = ElementTree.fromstring(self._archive.read(_relations_path(path)))
        except KeyError:
            return {}
        folder = posixpath.dirname(path)
        return {
            one.attrib["Id"]: one.attrib["Target"]
            if one.attrib.get("TargetMode") == "External"
            else posixpath.normpath(posixpath.join("/" + folder, one.attrib["Target"])).lstrip("/")
            for one in relations
        }

    def _has_formulas(self, path: str) -> bool:
        """Whether a sheet has formulas with URLs. Read in pieces: a sheet unpacks to hundreds of megabytes."""
        before = b""
        with self._archive.open(path) as file:
            while piece := file.read(1_000_000):
                if any(name in before + piece for name in _URL_FORMULAS):
                    return True
                before = piece[-20:]
        return False

    def _hyperlinks(self, path: str, xml: bytes) -> dict[Place, tuple[str, str]]:
        """The URL of each linked cell, and the id of its relation."""
        targets = self._targets(path)
        found: dict[Place, tuple[str, str]] = {}
        for tag in _LINK.findall(xml, max(xml.rfind(b"sheetData"), 0)) if targets else ():  # after the cells
            attributes = {name.decode(): value.decode() for name, value in _ATTRIBUTE.findall(tag)}
            relation = next((value for name, value in attributes.items() if name.endswith(":id")), "")
            if targets.get(relation, "").startswith(("http://", "https://")):
                found |= dict.fromkeys(_places(attributes.get("ref", "")), (targets[relation], relation))
        return found

    def _changed_sheet(self, sheet: str, new: Mapping[Place, str], kept: Container[Place]) -> bytes:
        by_row: dict[int, dict[int, str]] = defaultdict(dict)
        for (row, column), text in new.items():
            by_row[row][column] = text

        def change(match: "re.Match[bytes]") -> bytes:
            row = int(match[3]) - 1
            return _changed_row(match, row, by_row[row], kept) if row in by_row else match[0]

        return _ROW.sub(change, self._archive.read(self._path_of(sheet)))

    def _changed_relations(self, sheet: str, new: Mapping[Place, str]) -> bytes:
        path = self._path_of(sheet)
        content = self._archive.read(_relations_path(path))
        linked = self._hyperlinks(path, self._archive.read(path))
        urls = {place: _FIRST_URL.search(text) for place, text in new.items() if place in linked}
        ids = {linked[place][1].encode(): url[0] for place, url in urls.items() if url}

        def change(tag: "re.Match[bytes]") -> bytes:
            text = ids.get(dict(_ATTRIBUTE.findall(tag[0])).get(b"Id", b""))
            target = f"Target={quoteattr(text or '')}".encode()
            return tag[0] if text is None else re.sub(rb"Target=\"[^\"]*\"", lambda _: target, tag[0])

        return re.sub(rb"<(?:\w+:)?Relationship\s[^<>]*+>", change, content)


def _changed_row(match: "re.Match[bytes]", row: int, texts: Mapping[int, str], kept: Container[Place]) -> bytes:
    """A row with new text in some columns. `match` is one of `_ROW`."""
    missing = dict(sorted(texts.items()))
    prefix, content = match[1], match[4] or b""

    def change(cell: "re.Match[bytes]") -> bytes:
        column = _place(cell[3], cell[4])[1]
        return _changed_cell(cell, missing.pop(column), (row, column) in kept)

    def insert(cell: "re.Match[bytes]") -> bytes:
        column = _place(cell[3], cell[4])[1]
        before = [_new_cell(prefix, row, place, missing.pop(place)) for place in list(missing) if place < column]
        return b"".join(before) + cell[0]

    columns = b"|".join(_letters(column).encode() for column in texts)
    content = _cells(columns).sub(change, content)
    if missing:
        content = _CELL.sub(insert, content)
    after = b"".join(_new_cell(prefix, row, column, text) for column, text in missing.items())
    return b"<%brow%b>%b%b</%brow>" % (prefix, match[2], content, after, prefix)


def _changed_cell(cell: "re.Match[bytes]", text: str, keeps_text: bool) -> bytes:
    if url := _formula_url(cell[5] or b""):
        return _changed_formula(cell[0], url, text)
    return cell[0] if keeps_text else _inline(cell[1], re.sub(rb"(?<!\s)\s++t=\"[^\"]*+\"", b"", cell[2]), text)


def _changed_formula(cell: bytes, url: "re.Match[str]", text: str) -> bytes:
    """A cell with another URL in its formula, and in its value where that is the URL."""
    formula = url.string[: url.start(1)] + text.replace('"', '""') + url.string[url.end(1) :]
    start, end = _FORMULA.search(cell).span(1)  # type: ignore[union-attr]
    value = cell[end:].replace(b">%b<" % escape(url[1]).encode(), b">%b<" % escape(text).encode())
    return cell[:start] + escape(formula).encode() + value


def _new_cell(prefix: bytes, row: int, column: int, text: str) -> bytes:
    return _inline(prefix, f' r="{_letters(column)}{row + 1}"'.encode(), text) if text else b""


def _inline(prefix: bytes, attributes: bytes, text: str) -> bytes:
    return b'<%bc%b t="inlineStr"><%bis><%bt xml:space="preserve">%b</%bt></%bis></%bc>' % (
        prefix, attributes, prefix, prefix, escape(text).encode(), prefix, prefix, prefix,
    )  # fmt: skip


def _text(value: Any) -> str:
    """A value as a CSV would have it: whole numbers without `.0`."""
    if type(value) is str:
        return value
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _relations_path(path: str) -> str:
    folder, name = posixpath.split(path)
    return f"{folder}/_rels/{name}.rels"


@lru_cache(64)
def _cells(columns: bytes) -> "re.Pattern[bytes]":
    return re.compile(_ELEMENT % {b"name": b"c", b"place": rb"(%b)(\d+)" % columns})


def _formula_url(content: bytes) -> "re.Match[str] | None":
    formula = _FORMULA.search(content)
    return _FORMULA_URL.search(unescape(formula[1].decode(), {"&quot;": '"', "&apos;": "'"})) if formula else None


def _place(letters: bytes, row: bytes) -> Place:
    column = 0
    for letter in letters:
        column = 26 * column + letter - 64
    return int(row) - 1, column - 1


def _places(reference: str) -> list[Place]:
    """The places of a reference to one cell, or to a range."""
    corners = [
        _place(letters.encode(), row.encode()) for letters, row in re.findall(r"([A-Z]{1,3})(\d{1,7})", reference)
    ]
    if not corners:
        return []
    (top, left), (bottom, right) = corners[0], corners[-1]
    if (bottom - top + 1) * (right - left + 1) > _MAX_LINKED:
        return [(top, left)]
    return [(row, column) for row in range(top, bottom + 1) for column in range(left, right + 1)]


def _letters(column: int) -> str:
    letters = ""
    while column >= 0:
        column, letter = divmod(column, 26)
        letters = chr(65 + letter) + letters
        column -= 1
    return letters
