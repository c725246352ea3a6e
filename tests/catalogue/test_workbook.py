"""Workbooks: read as text with their links; written with a few cells changed, and nothing else."""

import io
import zipfile

import openpyxl
import pytest

from image_processor.catalogue.workbook import Workbook
from image_processor.errors import InvalidCSV

A, B, C, D = (f"https://a.example/{number}.jpg?w=1&h=2" for number in range(4))
NEW = "https://new.example/1-1.jpg?a=1&b=2"


def saved(book: openpyxl.Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.fixture(scope="module")
def book() -> bytes:
    """A sheet with an address, a link behind a text, two formulas and a number; another sheet; a validation."""
    workbook = openpyxl.Workbook()
    sheet = workbook.active
    sheet.title = "Products & more"
    for row in (
        ["SKU", "Name", "Image"],
        ["M1", "Mug", A],
        [8809782555508, "Cup", "view"],
        ["M3", "Jar", f'=IMAGE("{C}")'],
        ["M4", "Pot", f'=HYPERLINK("{D}","see")'],
        [True, 1.5, None],
    ):
        sheet.append(row)
    sheet["C3"].hyperlink = B
    sheet["C2"].font = openpyxl.styles.Font(bold=True)
    sheet.add_data_validation(openpyxl.worksheet.datavalidation.DataValidation("list", '"a,b"', sqref="B2:B9"))
    workbook.create_sheet("Other")["B3"] = "kept"
    return saved(workbook)


def rows_of(workbook: Workbook, sheet: str) -> list[list[str]]:
    """The rows of a sheet, with the URLs of links instead of their texts."""
    links = workbook.links(sheet)
    return [
        [links.get((row, column)) or text for column, text in enumerate(cells)]
        for row, cells in enumerate(workbook.rows(sheet))
    ]


def members(data: bytes) -> dict[str, bytes]:
    archive = zipfile.ZipFile(io.BytesIO(data))
    return {name: archive.read(name) for name in archive.namelist()}


def test_rows_are_text_and_links_are_their_addresses(book: bytes) -> None:
    workbook = Workbook(book)

    assert workbook.is_editable("Products & more")
    assert workbook.sheet_names == ["Products & more", "Other"]
    assert rows_of(workbook, "Products & more") == [
        ["SKU", "Name", "Image"],
        ["M1", "Mug", A],
        ["8809782555508", "Cup", B],
        ["M3", "Jar", C],
        ["M4", "Pot", D],
        ["TRUE", "1.5", ""],
    ]
    assert rows_of(workbook, "Other") == [["", ""], ["", ""], ["", "kept"]]


@pytest.mark.parametrize("row", [1, 2, 3, 4], ids=["a text", "a link", "an image formula", "a link formula"])
def test_one_address_is_replaced_and_nothing_else(book: bytes, row: int) -> None:
    changed = Workbook(book).with_cells("Products & more", {(row, 2): NEW})

    before, after = rows_of(Workbook(book), "Products & more"), rows_of(Workbook(changed), "Products & more")
    assert after[row] == [*before[row][:2], NEW]
    assert [cells for place, cells in enumerate(after) if place != row] == before[:row] + before[row + 1 :]
    old, new = members(book), members(changed)
    sheet = {"xl/worksheets/sheet1.xml", "xl/worksheets/_rels/sheet1.xml.rels"}
    assert list(old) == list(new)
    assert [name for name in old if old[name] != new[name] and name not in sheet] == []


def test_a_replaced_cell_keeps_its_format_and_the_sheet_its_validations(book: bytes) -> None:
    changed = openpyxl.load_workbook(io.BytesIO(Workbook(book).with_cells("Products & more", {(1, 2): NEW})))

    sheet = changed["Products & more"]
    assert sheet["C2"].value == NEW
    assert sheet["C2"].font.bold
    assert len(sheet.data_validations.dataValidation) == 1
    assert sheet["C3"].value == "view"


def test_the_text_of_a_link_stays_and_its_address_changes(book: bytes) -> None:
    changed = openpyxl.load_workbook(io.BytesIO(Workbook(book).with_cells("Products & more", {(2, 2): NEW}, {(2, 2)})))

    cell = changed["Products & more"]["C3"]
    assert (cell.value, cell.hyperlink.target) == ("view", NEW)


def bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(6):
            archive.writestr(f"xl/{number}.xml", bytes(100_000_000))
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"PK\x03\x04" + bytes(200), "damaged_workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4_000), "damaged_workbook"),
        (bomb, "workbook_too_large"),
    ],
    ids=["half an archive", "an old one, damaged", "a bomb"],
)
def test_what_is_no_good_workbook_is_refused_with_a_sentence(data: bytes, code: str) -> None:
    with pytest.raises(InvalidCSV) as refused:
        Workbook(data() if callable(data) else data, "“shop.xlsx”")

    assert refused.value.problems[0].code == code
    assert refused.value.detail.startswith("“shop.xlsx” ")


def test_cells_that_do_not_exist_are_added_in_their_order(book: bytes) -> None:
    changed = Workbook(Workbook(book).with_cells("Products & more", {(5, 2): NEW, (5, 4): "last", (1, 3): "d"}))

    rows = rows_of(changed, "Products & more")
    assert rows[5] == ["TRUE", "1.5", NEW, "", "last"]
    assert rows[1] == ["M1", "Mug", A, "d", ""]
