"""Workbooks come back as they were, member by member, with other URLs in their image cells alone."""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import openpyxl
import pytest
from openpyxl.worksheet.datavalidation import DataValidation
from platform_markets import MYNTRA_IMAGES
from test_platforms import FILES
from workbook_files import CHANGING, PAGE, ROWS, URLS, A, B, C, D, E, members, opendocument, packed, unpacked

from image_processor.catalogue import TableOptions, read_catalogue
from image_processor.errors import InvalidCSV

SHEET, RELATIONS = sorted(CHANGING, key=len)
NEW = [f"https://img.example/i/{number}.jpg?x=1&y=2" for number in range(len(URLS))]
BOOKS = {"xlsx": packed(members()), "xlsm": packed(members(macros=True))}
every_book = pytest.mark.parametrize("kind", BOOKS)


def read(data: bytes, kind: str = "xlsx", **options: Any) -> Any:
    return read_catalogue(data, options=TableOptions(**options), filename=f"products.{kind}")


def outputs(catalogue: Any, new: Sequence[str | None]) -> list[list[str | None]]:
    waiting = iter(new)
    return [[next(waiting) for _ in row.image_urls] for row in catalogue.rows()]


def workbook(catalogue: Any, new: Sequence[str | None]) -> bytes:
    destination = io.BytesIO()
    catalogue.write_workbook(outputs(catalogue, new), destination)
    return destination.getvalue()


def table(catalogue: Any, new: Sequence[str | None]) -> list[list[str]]:
    destination = io.BytesIO()
    catalogue.write_output(outputs(catalogue, new), destination)
    return list(csv.reader(io.StringIO(destination.getvalue().decode("utf-8-sig"), newline="")))


def names(catalogue: Any, role: str) -> list[str]:
    return [column.name for column in catalogue.understood.columns if column.role == role]


def without(sheet: bytes, *cells: str) -> bytes:
    """The XML of a sheet without these cells."""
    for cell in cells:
        sheet, count = re.subn(rb'<c r="%b"[^>]*?(?:/>|>.*?</c>)' % cell.encode(), b"", sheet, flags=re.DOTALL)
        assert count == 1, cell
    return sheet


def shown(sheet: bytes) -> dict[str, tuple[str | None, str]]:
    """The style and the text, or formula, of each cell that has one in the XML itself."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    found = {}
    for cell in ElementTree.fromstring(sheet).iter(f"{space}c"):
        formula = cell.find(f"{space}f")
        texts = [formula.text or ""] if formula is not None else [one.text or "" for one in cell.iter(f"{space}t")]
        found[cell.attrib["r"]] = cell.get("s"), "".join(texts)
    return found


@every_book
def test_the_sheet_its_columns_and_its_links_are_found(kind: str) -> None:
    catalogue = read(BOOKS[kind], kind)

    assert (catalogue.understood.sheet, catalogue.understood.header_line) == ("Products & more", 3)
    assert {role: names(catalogue, role) for role in ("images", "name", "id")} == {
        "images": ["Image", "Image 2"], "name": ["Name"], "id": ["SKU"],
    }  # fmt: skip
    rows = list(catalogue.rows())
    assert [url for row in rows for url in row.image_urls] == URLS
    assert [row.line for row in rows] == [4, 5, 6, 7, 8]
    assert list(catalogue.problems) == []


def test_a_link_behind_a_name_is_not_the_name() -> None:
    assert [(row.serial_number, row.product_name) for row in read(BOOKS["xlsx"]).rows()] == ROWS


@every_book
def test_every_other_member_is_the_same(kind: str) -> None:
    data = workbook(read(BOOKS[kind], kind), NEW)

    old, new = unpacked(BOOKS[kind]), unpacked(data)
    assert list(old) == list(new)
    assert {name for name in old if old[name] != new[name]} == CHANGING
    before, after = (zipfile.ZipFile(io.BytesIO(file)).infolist() for file in (BOOKS[kind], data))
    assert [(one.date_time, one.compress_type) for one in before] == [
        (one.date_time, one.compress_type) for one in after
    ]


@every_book
def test_every_other_cell_is_the_same(kind: str) -> None:
    changed = ("C4", "D4", "D5", "C6", "D6", "C8")  # the text of C5 stays, the link behind it changes

    new = unpacked(workbook(read(BOOKS[kind], kind), NEW))

    assert without(new[SHEET], *changed) == without(members()[SHEET], *changed)


def test_the_image_cells_have_their_new_urls_and_keep_their_formats() -> None:
    sheet = unpacked(workbook(read(BOOKS["xlsx"]), NEW))[SHEET]
    new = shown(sheet)

    assert b'<c r="C5" s="2" t="s"><v>9</v></c>' in sheet  # “view”, whose link changes
    assert {place: new[place] for place in ("C4", "D4", "C6", "D6", "C8")} == {
        "C4": ("2", NEW[0]),
        "D4": ("3", NEW[1]),
        "C6": ("2", NEW[4]),
        "D6": (None, f"{NEW[5]}, {NEW[6]}"),
        "C8": ("2", f"{NEW[7]} ; "),
    }
    assert new["D5"] == ("3", f'_xlfn.IMAGE("{NEW[3]}","jar ""x""")')


def test_only_the_targets_of_image_links_change() -> None:
    new = unpacked(workbook(read(BOOKS["xlsx"]), NEW))[RELATIONS].decode()

    expected = members()[RELATIONS].decode()
    for old, url in ((C, NEW[2]), (E, NEW[4])):
        expected = expected.replace(old.replace("&", "&amp;"), url.replace("&", "&amp;"))
    assert new == expected
    assert PAGE.replace("&", "&amp;") in new


@every_book
def test_a_workbook_whose_images_all_failed_is_the_same(kind: str) -> None:
    catalogue = read(BOOKS[kind], kind)

    assert unpacked(workbook(catalogue, [None] * len(URLS))) == unpacked(BOOKS[kind])


def test_a_failed_image_keeps_its_url_or_is_left_empty() -> None:
    new = [None, NEW[1], *NEW[2:]]

    kept = unpacked(workbook(read(BOOKS["xlsx"]), new))[SHEET]
    assert b'<c r="C4" s="2" t="s"><v>7</v></c>' in kept
    assert shown(kept)["D4"] == ("3", NEW[1])
    emptied = shown(unpacked(workbook(read(BOOKS["xlsx"], failed="empty"), new))[SHEET])
    assert (emptied["C4"], emptied["D4"]) == (("2", ""), ("3", NEW[1]))


def test_the_csv_of_a_workbook_has_its_texts_and_the_new_urls() -> None:
    rows = table(read(BOOKS["xlsx"]), NEW)

    header = rows.index(["SKU", "Name", "Image", "Image 2", "Price"])
    filled = [row for row in rows[header + 1 :] if any(row)]
    assert filled == [
        ["M1", "Mug", NEW[0], NEW[1], "12.5"],
        ["8809782555508", "Cup", NEW[2], NEW[3], "25"],
        ["Jar", "", NEW[4], f"{NEW[5]}, {NEW[6]}", ""],
        ["Pot", "Pot", "", "", ""],
        ["TRUE", "", f"{NEW[7]} ; ", "", ""],
    ]


def test_a_sheet_is_chosen_by_its_name() -> None:
    assert read(BOOKS["xlsx"], sheet="Products & more").understood.sheet == "Products & more"
    catalogue = read(BOOKS["xlsx"], sheet="Notes")
    assert (catalogue.understood.sheet, catalogue.is_valid) == ("Notes", False)
    with pytest.raises(InvalidCSV, match="Products & more"):
        read(BOOKS["xlsx"], sheet="Prices")


@pytest.fixture(scope="module")
def template() -> bytes:
    """The workbook of a marketplace: formats, validations with their own sheet, a hidden column, frozen panes."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Mugs"
    for cells in csv.reader(io.StringIO(FILES["myntra"].data.decode())):
        sheet.append([cell or None for cell in cells])
    sheet.freeze_panes = "A4"
    sheet.column_dimensions["A"].hidden = True
    for cell in sheet[3]:
        cell.font = openpyxl.styles.Font(bold=True, color="FFFFFF")
    sheet["AD4"].fill = openpyxl.styles.PatternFill("solid", fgColor="FFFF00")
    sheet["AD5"].hyperlink = sheet["AD5"].value
    sheet["P4"].number_format = "#,##0.00"
    validation = DataValidation("list", "masterdata!$A$1:$A$2")
    validation.add("H4:H900")
    sheet.add_data_validation(validation)
    book.create_sheet("masterdata").append(["Mug"])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_the_template_of_a_marketplace_keeps_its_formats_and_validations(template: bytes) -> None:
    catalogue = read(template)
    urls = FILES["myntra"].urls
    assert (catalogue.understood.header_line, tuple(names(catalogue, "images"))) == (3, MYNTRA_IMAGES)
    assert [url for row in catalogue.rows() for url in row.image_urls] == urls

    data = workbook(catalogue, NEW[: len(urls)])

    old, new = unpacked(template), unpacked(data)
    assert {name for name in old if old[name] != new[name]} == {
        "xl/worksheets/sheet1.xml", "xl/worksheets/_rels/sheet1.xml.rels",
    }  # fmt: skip
    before, after = (openpyxl.load_workbook(io.BytesIO(file)) for file in (template, data))
    changes = dict(zip(urls, NEW, strict=False))
    for row in before["Mugs"].iter_rows():
        for cell in row:
            other = after["Mugs"][cell.coordinate]
            assert other.value == changes.get(cell.value, cell.value)
            assert other.style_id == cell.style_id
    assert after["Mugs"]["AD5"].hyperlink.target == changes[before["Mugs"]["AD5"].value]
    assert after["Mugs"].freeze_panes == "A4"
    assert [str(one.sqref) for one in after["Mugs"].data_validations.dataValidation] == ["H4:H900"]


def test_an_opendocument_sheet_is_read_and_comes_back_as_csv() -> None:
    rows = [["SKU", "Name", "Image"], ["M1", "Mug", A], ["M2", "", ""], ["M3", "Cup", B], ["M4", "Jar", D]]

    catalogue = read(opendocument(rows), "ods")

    assert {role: names(catalogue, role) for role in ("images", "name", "id")} == {
        "images": ["Image"], "name": ["Name"], "id": ["SKU"],
    }  # fmt: skip
    assert [url for row in catalogue.rows() for url in row.image_urls] == [A, B, D]
    assert catalogue.row_count == 4
    assert table(catalogue, [NEW[0], None, NEW[2]])[:5] == [
        *rows[:1], ["M1", "Mug", NEW[0]], rows[2], rows[3], ["M4", "Jar", NEW[2]],
    ]  # fmt: skip
