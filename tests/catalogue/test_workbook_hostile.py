"""Workbooks that are damaged, hostile, or written in another way than Excel does."""

import io
import time
import zipfile
from pathlib import Path

import openpyxl
import pytest

from image_processor.catalogue import read_catalogue
from image_processor.catalogue.workbook import Workbook
from image_processor.errors import InvalidCSV

OLD, NEW = "https://a.example/1.jpg", "https://new.example/1.jpg"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
TYPES = "http://schemas.openxmlformats.org/package/2006/content-types"
MAIN_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
MAIN_PART = f'PartName="/xl/workbook.xml" ContentType="{MAIN_TYPE}"'
MAIN_RELATION = f'<Relationship Id="r1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>'


def cell(place: str, text: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


TABLE = f'<row r="1">{cell("A1", "sku")}{cell("B1", "Images")}</row><row r="2">{cell("A2", "x")}{cell("B2", OLD)}</row>'


def workbook(*sheets: str, before: str = "", state: str = "visible", inside: str = "") -> bytes:
    """A workbook of sheets with these rows; the first has the state."""
    states = [state] + ["visible"] * (len(sheets) - 1)
    numbers = range(1, len(sheets) + 1)
    names = "".join(
        f'<sheet name="S{number}" sheetId="{number}" state="{of_sheet}" r:id="r{number}"/>'
        for number, of_sheet in zip(numbers, states, strict=True)
    )
    links = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in numbers
    )
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{TYPES}"><Override {MAIN_PART}/></Types>')
        archive.writestr("_rels/.rels", f'<Relationships xmlns="{PACKAGE}">{MAIN_RELATION}</Relationships>')
        archive.writestr(
            "xl/workbook.xml",
            f'{before}<workbook {MAIN} xmlns:r="{OFFICE}"><sheets>{names}</sheets>{inside}</workbook>',
        )
        archive.writestr("xl/_rels/workbook.xml.rels", f'<Relationships xmlns="{PACKAGE}">{links}</Relationships>')
        for number, rows in zip(numbers, sheets, strict=True):
            archive.writestr(
                f"xl/worksheets/sheet{number}.xml",
                f"<worksheet {MAIN}><sheetData>{rows}</sheetData></worksheet>",
            )
    return file.getvalue()


def code_of(data: bytes) -> str:
    with pytest.raises(InvalidCSV) as caught:
        read_catalogue(data).raise_if_invalid()
    return caught.value.problems[0].code


@pytest.mark.parametrize(
    "row",
    [
        f'<row r="1048576">{cell("XFD1048576", "far")}</row>',
        "<row r='1048576'><c r='XFD1048576'><v>1</v></c></row>",
        '<row r="1048576"><c r = "XFD1048576"><v>1</v></c></row>',
        f'<row r="1048576">{"<c><v>1</v></c>" * 30}</row>',
        '<row r="3"><c r="ZZZZZZZZ99999999999999"><v>1</v></c></row>',
    ],
)
def test_a_cell_far_away_is_refused_and_ends_only_the_process_that_reads_it(row: str) -> None:
    assert code_of(workbook(TABLE + row)) == "workbook_too_large"


def test_a_damaged_sheet_is_refused() -> None:
    assert code_of(workbook(TABLE + '<row r="3"><c r="A3"><f>' + '<c r="B3"' * 9)) == "damaged_workbook"


def test_entities_that_multiply_are_refused() -> None:
    entities = "".join(f'<!ENTITY e{at} "{f"&e{at - 1};" * 10}">' for at in range(1, 12))
    laughs = f'<!DOCTYPE workbook [<!ENTITY e0 "lol">{entities}]>'

    assert code_of(workbook(TABLE, before=laughs, inside="<x>&e11;</x>")) == "damaged_workbook"
    assert code_of(workbook(f'{TABLE}<row r="3">{cell("A3", "&e9;")}</row>')) == "damaged_workbook"


@pytest.mark.parametrize("hostile", ['<row r="3">' * 100_000, "<c " * 100_000 + ">", '<c r="A1"' * 100_000 + ">"])
def test_elements_that_are_never_closed_are_read_once(hostile: str) -> None:
    began = time.process_time()
    try:
        catalogue = read_catalogue(workbook(TABLE + hostile))
        catalogue.write_workbook([[NEW]], io.BytesIO())
    except InvalidCSV:
        pass
    assert time.process_time() - began < 60  # it took many minutes


def test_a_sheet_of_16_000_columns_is_refused() -> None:
    row = "".join(f"<c><v>{column}</v></c>" for column in range(16_384))
    assert code_of(workbook(f"<row>{row}</row>" * 3)) == "too_many_columns"


def test_visible_sheets_come_before_hidden_ones() -> None:
    assert read_catalogue(workbook(TABLE, TABLE, state="hidden")).understood.sheet == "S2"


def test_a_sheet_whose_rows_do_not_say_where_they_are_is_not_edited() -> None:
    assert not Workbook(workbook(TABLE.replace('<row r="1">', "<row>").replace('<row r="2">', "<row>"))).is_editable(
        "S1"
    )


def saved(book: openpyxl.Workbook) -> bytes:
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def linked(text: str, link: str, reference: str = "B2") -> bytes:
    book = openpyxl.Workbook()
    for row in (["SKU", "Images"], ["1", text], ["2", "view"]):
        book.active.append(row)
    book.active["B2"].hyperlink = openpyxl.worksheet.hyperlink.Hyperlink("B2", target=link)
    book.active["B2"].hyperlink.ref = reference
    return saved(book)


def edited(data: bytes, *outputs: list[str | None]) -> openpyxl.worksheet.worksheet.Worksheet:
    file = io.BytesIO()
    read_catalogue(data).write_workbook(outputs, file)
    return openpyxl.load_workbook(file).active


def test_urls_in_the_text_count_more_than_the_link_behind_it() -> None:
    data = linked(f"{OLD}, https://a.example/2.jpg", OLD)

    assert next(iter(read_catalogue(data).rows())).image_urls == (OLD, "https://a.example/2.jpg")
    sheet = edited(data, [NEW, "https://new.example/2.jpg"], [])
    assert sheet["B2"].value == f"{NEW}, https://new.example/2.jpg"
    assert sheet["B2"].hyperlink.target == NEW


def test_a_link_of_several_cells_is_that_of_each() -> None:
    data = linked("view", OLD, "B2:B3")

    assert [row.image_urls for row in read_catalogue(data).rows()] == [(OLD,), (OLD,)]
    sheet = edited(data, [NEW], [NEW])
    assert [sheet["B2"].value, sheet["B3"].value] == ["view", "view"]
    assert sheet["B2"].hyperlink.target == NEW


def test_a_formula_and_its_value_have_the_new_url() -> None:
    link = f"{OLD}?a=&quot;&quot;1&amp;b=2"
    row = f'<row r="1"><c r="A1" t="str"><f>HYPERLINK("{link}")</f><v>{OLD}?a=""1&amp;b=2</v></c></row>'

    new = Workbook(workbook(row)).with_cells("S1", {(0, 0): NEW})

    sheet = zipfile.ZipFile(io.BytesIO(new)).read("xl/worksheets/sheet1.xml").decode()
    assert f'<f>HYPERLINK("{NEW}")</f><v>{NEW}</v>' in sheet
    assert Workbook(new).links("S1") == {(0, 0): NEW}


def test_empty_rows_at_the_end_are_not_written() -> None:
    file = io.BytesIO()
    catalogue = read_catalogue(workbook(f'{TABLE}<row r="9"><c r="A9" t="inlineStr"><is><t></t></is></c></row>'))

    catalogue.write_output([[NEW]], file)

    assert file.getvalue().decode() == f"sku,Images\r\nx,{NEW}\r\n"


DATA = Path(__file__).parent.parent / "data"


def test_an_old_workbook_is_read_and_comes_back_as_csv() -> None:
    found = read_catalogue(DATA / "products.xls")
    file = io.BytesIO()

    found.write_output([[NEW], [None]], file)

    assert not found.is_editable
    assert file.getvalue().decode().splitlines() == [
        "SKU,Name,Image URL,Price",
        f"M1,Mug,{NEW},3.5",
        "1234567890123,Cup,https://a.example/2.jpg,4",
    ]


def test_an_encrypted_workbook_is_refused() -> None:
    assert code_of((DATA / "encrypted.xlsx").read_bytes()) == "encrypted_workbook"
