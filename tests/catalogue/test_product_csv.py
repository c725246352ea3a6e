"""Catalogues as shops export them, and hostile ones: literals beside what is read or refused."""

import csv
import gzip
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from image_processor.catalogue import (
    Catalogue,
    CSVLimits,
    plain_sample,
    read_catalogue,
    write_problems,
)
from image_processor.catalogue.encoding import Encoding
from image_processor.catalogue.rows import guard, unguard
from image_processor.errors import CSVProblem, InvalidCSV, UploadTooLarge

H = "S. No.,Product Name,Input Image Urls\n"
A, B, C = "https://a.example/1.jpg", "https://b.example/2.jpg", "https://c.example/3.jpg"


def rows_of(catalogue: Catalogue) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(row.serial_number, row.product_name, row.image_urls) for row in catalogue.rows()]


def codes_of(catalogue: Catalogue) -> list[tuple[int | None, int | None, str | None, str]]:
    return [(problem.line, problem.row, problem.column, problem.code) for problem in catalogue.problems]


def output_of(catalogue: Catalogue, outputs: list[list[str | None]] | None = None) -> bytes:
    file = io.BytesIO()
    catalogue.write_output(outputs or [[] for _ in range(catalogue.row_count)], file)
    return file.getvalue()


def errors_of(catalogue: Catalogue, failures: list[tuple[int, list[str], str]]) -> bytes:
    file = io.BytesIO()
    catalogue.write_errors(failures, file)
    return file.getvalue()


def refusal_of(data: bytes, **arguments: Any) -> InvalidCSV:
    with pytest.raises(InvalidCSV) as caught:
        read_catalogue(data, **arguments).raise_if_invalid()
    assert caught.value.problems and caught.value.detail.endswith((".", "…"))
    return caught.value


# --- rows ------------------------------------------------------------------------------------------------------------

ROWS: dict[str, tuple[str, list[tuple[str, str, tuple[str, ...]]], list[str]]] = {
    "the plain case": (H + f'1.,SKU1,"{A}, {B}"\n2.,SKU2,{C}\n', [("1.", "SKU1", (A, B)), ("2.", "SKU2", (C,))], []),
    "no newline at the end": (H + f"1,a,{A}", [("1", "a", (A,))], []),
    "cells that look like something else": (
        H + f"001,NA,{A}\n1e5,null,{A}\n12345678901234567890,1.0,{A}\nNaN,-,{A}\nTrue,#N/A,{A}",
        [
            *(("001", "NA", (A,)), ("1e5", "null", (A,)), ("12345678901234567890", "1.0", (A,))),
            *(("NaN", "-", (A,)), ("True", "#N/A", (A,))),
        ],
        [],
    ),
    "text in every script": (H + f"1,😀 קפה 咖啡,{A}\n", [("1", "😀 קפה 咖啡", (A,))], []),
    "blanks round text are text": (H + f"1, a ,{A}\n", [("1", " a ", (A,))], []),
    "quotes, commas and line ends in quoted text": (
        H + f'1,"12"" disc, ""new""\nedition\r\n2",{A}\n',
        [("1", '12" disc, "new"\nedition\r\n2', (A,))],
        [],
    ),
    "a quote inside unquoted text": (H + f'1,Monitor 24",{A}\n', [("1", 'Monitor 24"', (A,))], []),
    "commas inside URLs": (
        H + '1,a,"https://c.example/w_1,h_2/a.jpg"',
        [("1", "a", ("https://c.example/w_1,h_2/a.jpg",))],
        [],
    ),
    "an empty slot between URLs": (H + f'1,a,"{A},,{B},"', [("1", "a", (A, "", B))], []),
    "the same URL twice": (H + f'1,a,"{A}, {A}"', [("1", "a", (A, A))], []),
    "duplicate serials and names": (H + f"1,a,{A}\n1,a,{B}", [("1", "a", (A,)), ("1", "a", (B,))], []),
    "our own formula guard": (H + f"'=1,'@x,{A}\n'-5,'plain,{A}", [("=1", "@x", (A,)), ("'-5", "'plain", (A,))], []),
    "blank lines and rows of empty cells": (
        H + f"\n1,a,{A}\n,,\n \n2,b,{B}\n\n",
        [("1", "a", (A,)), ("2", "b", (B,))],
        ["4 empty rows were skipped (lines 2, 4, 5, 7)."],
    ),
    "a title above the header": (
        f"Spring catalogue;all shops\n\n{H}1,a,{A}\n",
        [("1", "a", (A,))],
        ["Line 1 was skipped because it is above the header: “Spring catalogue;all shops”."],
    ),
    "surplus columns, in any order": (
        f"Price,Input Image URLs,Note,Product Name,Serial Number\n9,{A},x,a,1\n",
        [("1", "a", (A,))],
        [],
    ),
    "columns of an earlier run": (
        f"S. No.,Product Name,Input Image Urls,Output Image Urls,Error\n1,a,{A},{B},x\n",
        [("1", "a", (A,))],
        [
            "The column “Output Image Urls” exists already; it is replaced.",
            "The column “Error” exists already; it is left out of the output.",
        ],
    ),
    "short rows": (H.strip() + f",Note\n1,a,{A}\n2,b,{B},x\n", [("1", "a", (A,)), ("2", "b", (B,))], []),
    "surplus delimiters": (H + f"1,a,{A},,\n", [("1", "a", (A,))], []),
    "an unquoted URL list": (
        H + f"1,a,{A},{B},{C}\n2,b,{A}\n",
        [("1", "a", (A, B, C)), ("2", "b", (A,))],
        ["Row 1: the URL list was not quoted; 3 URLs were read."],
    ),
    "an unquoted URL list with blanks and an empty slot": (
        H + f"1,a, {A}, , {B},\n",
        [("1", "a", (A, "", B))],
        ["Row 1: the URL list was not quoted; 2 URLs were read."],
    ),
    "an unquoted URL list before another column": (
        H.strip() + f",Price\n1,a,{A},{B},9.90\n2,b,{A},{B},\n",
        [("1", "a", (A, B)), ("2", "b", (A, B))],
        [f"Row {row}: the URL list was not quoted; 2 URLs were read." for row in (1, 2)],
    ),
    "an unquoted URL list in the first column": (
        f"Input Image Urls,S. No.,Product Name\n{A},{B},1,a\n",
        [("1", "a", (A, B))],
        ["Row 1: the URL list was not quoted; 2 URLs were read."],
    ),
    "an unquoted URL with commas": (
        H + "1,a,https://c.example/w_1,h_2,c_fill/a.jpg\n2,b,https://c.example/a.jpg?crop=1,2,3\n",
        [("1", "a", ("https://c.example/w_1,h_2,c_fill/a.jpg",)), ("2", "b", ("https://c.example/a.jpg?crop=1,2,3",))],
        [f"Row {row}: the URL list was not quoted; 1 URL was read." for row in (1, 2)],
    ),
    "an unquoted comma in the name": (
        H + f"1,Shirt, blue,{A}\n2,Shirt, blue, large,{A},{B}\n",
        [("1", "Shirt, blue", (A,)), ("2", "Shirt, blue, large", (A, B))],
        [
            "Row 1: the product name was not quoted; it was read as “Shirt, blue”.",
            "Row 2: the URL list was not quoted; 2 URLs were read.",
            "Row 2: the product name was not quoted; it was read as “Shirt, blue, large”.",
        ],
    ),
    "an unquoted comma in a name behind the URLs": (
        f"S. No.,Input Image Urls,Product Name\n1,{A},Shirt, blue\n",
        [("1", "Shirt, blue", (A,))],
        ["Row 1: the product name was not quoted; it was read as “Shirt, blue”."],
    ),
    "an unquoted list between tabs keeps its empty slot": (
        H.replace(",", "\t") + f"1\ta\t{A}\t\t{B}\n",
        [("1", "a", (A, "", B))],
        ["Row 1: the URL list was not quoted; 2 URLs were read."],
    ),
    "blanks before the quotes": (
        f'S. No., Product Name, Input Image Urls\n1, "Shirt, blue", "{A}, {B}"\n2, plain, {C}\n',
        [("1", "Shirt, blue", (A, B)), ("2", "plain", (C,))],
        ["Blanks between the delimiters and the quotes were removed."],
    ),
    "URLs in the column after the list": (
        H.strip() + f",Note\n1,a,{A},{B}\n",
        [("1", "a", (A,))],
        [
            "The column after the image URLs holds URLs, too (row 1). "
            "If they belong to the images, put quotes round the whole URL list."
        ],
    ),
}


@pytest.mark.parametrize(("text", "rows", "warnings"), ROWS.values(), ids=ROWS)
def test_a_catalogue_is_read_into_its_rows(
    text: str, rows: list[tuple[str, str, tuple[str, ...]]], warnings: list[str], tmp_path: Path
) -> None:
    catalogue = read_catalogue(text.encode())
    assert rows_of(catalogue) == rows
    assert catalogue.warnings == warnings
    assert catalogue.is_valid and not catalogue.problems
    assert (catalogue.row_count, catalogue.valid_row_count) == (len(rows), len(rows))
    assert catalogue.image_count == sum(bool(url) for _, _, urls in rows for url in urls)
    kept = tmp_path / "upload.csv"
    kept.write_bytes(text.encode())
    assert list(read_catalogue(kept).rows()) == list(catalogue.rows())
    assert rows_of(read_catalogue(output_of(catalogue))) == rows, "output.csv must be a catalogue with the same rows"


@pytest.mark.parametrize(
    "header",
    [
        "S. No.,Product Name,Input Image Urls",
        "S. No,ProductName,Input Image URLs",
        "S.No., Product Name ,InputImageUrls",
        "S NO.,PRODUCT NAME,INPUT IMAGE URLS",
        "Sno.,product_name,input_image_urls",
        "SNO,Product-Name,Input Image Url",
        "Serial Number,Product Name,Input Image Urls",
        "SerialNumber,Product Name,Input Image Urls",
        '"S. No.","Product\nName","Input Image Urls"',
        "Product Name,Input Image Urls,S. No.",
    ],
)
def test_every_spelling_of_the_header_is_understood(header: str) -> None:
    cells = {"s": "1", "p": "a", "i": A}
    row = ",".join(cells[name.strip().lower()[0]] for name in next(csv.reader(io.StringIO(header))))
    assert rows_of(read_catalogue(f"{header}\n{row}\n".encode())) == [("1", "a", (A,))]


def test_the_longest_row_may_stand_anywhere_in_a_long_file() -> None:
    plain, unquoted = f"1,a,{A}\n", f"2,b,{A},{B},{C}\n"
    for before, after in ((0, 2_500), (1_200, 1_200), (2_500, 0)):
        text = H + plain * before + unquoted + ",,,,,,\n" + plain * after
        rows = rows_of(read_catalogue(text.encode()))
        assert rows[before] == ("2", "b", (A, B, C))
        assert rows[:before] + rows[before + 1 :] == [("1", "a", (A,))] * (before + after)


def test_rows_can_be_read_from_the_middle() -> None:
    catalogue = read_catalogue((H + "".join(f"{number},a,{A}\n\n" for number in range(1, 8))).encode())
    assert [(row.row, row.line, row.serial_number) for row in catalogue.rows(start_after=5)] == [
        (6, 12, "6"),
        (7, 14, "7"),
    ]


def test_lines_are_physical_lines_of_the_file() -> None:
    text = f'Title\n"S. No.","Product\nName",Input Image Urls\n1,"two\r\nlines",{A}\n\n2,b,{B}\n'
    assert [(row.row, row.line) for row in read_catalogue(text.encode()).rows()] == [(1, 4), (2, 7)]


def test_the_hosts_are_counted() -> None:
    text = H + f'1,a,"{A},,{B}, https://A.example:443/x, http://c.example:8080/1"\n2,b,"{A}, http://d.example"\n'
    hosts = {"a.example": 3, "b.example": 1, "c.example:8080": 1, "d.example": 1}
    assert read_catalogue(text.encode()).hosts == hosts


def test_of_many_repairs_the_first_twenty_are_named_and_the_rest_counted() -> None:
    warnings = read_catalogue((H + f"1,a,{A},{B}\n" * 30).encode()).warnings
    assert len(warnings) == 21
    assert warnings[-1] == "In 10 more rows the URL list was not quoted."


# --- dialects --------------------------------------------------------------------------------------------------------

TEXT = f'S. No.,Product Name,Input Image Urls,Price\r\n1,"Café, ""Größe""","{A}, {B}",-5\r\n2,Ñandú,{C},x\r\n'
ENCODINGS = {
    "UTF-8": ("utf-8", b"", "utf-8"),
    "UTF-8 with BOM": ("utf-8", b"\xef\xbb\xbf", "utf-8"),
    "UTF-16 LE with BOM": ("utf-16-le", b"\xff\xfe", "utf-16"),
    "UTF-16 BE with BOM": ("utf-16-be", b"\xfe\xff", "utf-16"),
    "UTF-16 LE": ("utf-16-le", b"", "utf-16le"),
    "UTF-16 BE": ("utf-16-be", b"", "utf-16be"),
    "Windows-1252": ("cp1252", b"", "windows-1252"),
}


def written(text: str, delimiter: str, line_end: str, sep_line: bool = False) -> str:
    file = io.StringIO(newline="")
    if sep_line:
        file.write(f"sep={delimiter}{line_end}")
    for cells in csv.reader(io.StringIO(text, newline="")):
        file.write(delimiter.join(map(cell_as_written, cells)) + line_end)
    return file.getvalue()


def cell_as_written(cell: str) -> str:
    """The cell, in quotes when any delimiter, a quote or a line end is in it."""
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if set(cell) & set(',;\t|"\r\n') else cell


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"], ids=["comma", "semicolon", "tab", "pipe"])
@pytest.mark.parametrize(("encoding", "bom", "charset"), ENCODINGS.values(), ids=ENCODINGS)
def test_the_dialect_is_recognised_and_kept(
    encoding: str, bom: bytes, charset: str, delimiter: str, line_end: str
) -> None:
    for sep_line in (False, True):
        data = bom + written(TEXT, delimiter, line_end, sep_line).encode(encoding)
        catalogue = read_catalogue(data)
        assert rows_of(catalogue) == [("1", 'Café, "Größe"', (A, B)), ("2", "Ñandú", (C,))]
        assert catalogue.dialect.encoding.charset == charset
        assert catalogue.dialect.encoding == Encoding(encoding, bom)
        assert bool(catalogue.warnings) is (encoding == "cp1252")
        expected = "".join(
            f'{cells},"{urls}"\r\n' if "," in urls else f"{cells},{urls}\r\n"
            for cells, urls in zip(TEXT.splitlines(), ("Output Image Urls", "u1, ", "u2"), strict=True)
        )
        expected_bytes = bom + written(expected, delimiter, line_end, sep_line).encode(encoding)
        assert output_of(catalogue, [["u1", None], ["u2"]]) == expected_bytes


def test_mixed_line_ends_are_read_and_the_header_decides_what_is_written() -> None:
    catalogue = read_catalogue((H + f"1,a,{A}\r\n2,b,{B}\r3,c,{C}\n").encode())
    assert [row.serial_number for row in catalogue.rows()] == ["1", "2", "3"]
    assert output_of(catalogue).count(b"\n") == 4 and b"\r" not in output_of(catalogue)


def test_a_lone_carriage_return_in_a_cell_stays_in_its_cell() -> None:
    catalogue = read_catalogue(H.encode() + f'1,"a\rb",{A}\n'.encode())
    assert rows_of(read_catalogue(output_of(catalogue))) == [("1", "a\rb", (A,))]


def test_a_utf8_file_with_one_broken_byte_is_not_taken_for_windows_1252() -> None:
    data = H.encode() + "1,Größe für Café,".encode() + b"\xff" + A.encode()
    refusal = refusal_of(data)
    assert refusal.problems[0].code == "encoding"
    assert f"0xFF at offset {data.index(0xFF)}" in refusal.detail


def test_bytes_of_no_encoding_are_refused_with_their_offset() -> None:
    data = H.encode() + b"1,Caf\xe9 \x81," + A.encode()
    assert f"0x81 at offset {data.index(0x81)}" in refusal_of(data).detail


def test_the_offset_is_right_beyond_the_first_megabyte() -> None:
    data = H.encode() + ("1,ü" * 1_000 + f",{A}\n").encode() * 500 + b"\xc3"
    assert f"offset {len(data) - 1} " in refusal_of(data).detail


# --- what is wrong with rows -----------------------------------------------------------------------------------------

PROBLEMS = {
    "an empty serial": (f",a,{A}", [("S. No.", "empty")]),
    "an empty name": (f"1, ,{A}", [("Product Name", "empty")]),
    "no URL": ("1,a,", [("Input Image Urls", "no_url")]),
    "only separators": ('1,a," , ;"', [("Input Image Urls", "no_url")]),
    "a missing URL cell": ("1,a", [("Input Image Urls", "no_url")]),
    "not a URL": ("1,a,n/a", [("Input Image Urls", "invalid_url")]),
    "a port that browsers block": ("1,a,http://b.example:25/1.jpg", [("Input Image Urls", "invalid_url")]),
    "another scheme": ("1,a,ftp://a.example/1.jpg", [("Input Image Urls", "invalid_url")]),
    "one bad URL among good ones": (f'1,a,"{A}, www.b.example/2.jpg, {C}"', [("Input Image Urls", "invalid_url")]),
    "two bad URLs": ('1,a,"//x/1.jpg, http:/y"', [("Input Image Urls", "invalid_url")] * 2),
    "everything": (",,x", [("S. No.", "empty"), ("Product Name", "empty"), ("Input Image Urls", "invalid_url")]),
    "an unquoted number after the URL": (f"1,a,{A},5", [(None, "too_many_cells")]),
    "unquoted text after the URL": ("1,a,https://a.example/1,red", [(None, "too_many_cells")]),
    "a relative address after the URL": (f"1,a,{A},images/2.jpg", [(None, "too_many_cells")]),
    "the header once more": (H.strip(), [("Input Image Urls", "invalid_url")]),
    "a thousands comma in the serial": (f"1,000,Shirt,{A}", [(None, "too_many_cells")]),
    "an empty cell too many": (f"1,,a,{A}", [(None, "too_many_cells")]),
    "eleven hundred cells": ("1,a" + ",x" * 1_100, [(None, "too_many_cells")]),
    "too many URLs": ('1,a,"' + f"{A}," * 1_001 + '"', [("Input Image Urls", "too_many_urls")]),
    "a name as long as a book": (f"1,{'x' * 10_001},{A}", [("Product Name", "too_long")]),
    "more bad URLs than anybody reads": ('1,a,"' + "ftp://x," * 900 + '"', [("Input Image Urls", "invalid_url")] * 101),
}


@pytest.mark.parametrize(("row", "problems"), PROBLEMS.values(), ids=PROBLEMS)
def test_a_bad_row_is_reported_with_line_row_column_and_code(row: str, problems: list[tuple[str | None, str]]) -> None:
    catalogue = read_catalogue((H + f"0,good,{B}\n\n{row}\n9,good,{C}\n").encode())
    assert codes_of(catalogue) == [(4, 2, column, code) for column, code in problems]
    assert all(
        problem.detail.endswith(".") and problem.hint and len(problem.value) <= 200 for problem in catalogue.problems
    )
    assert (catalogue.row_count, catalogue.valid_row_count, catalogue.image_count) == (3, 2, 2)
    assert [bool(found.problems) for found in catalogue.rows()] == [False, True, False]
    with pytest.raises(InvalidCSV, match=r"^1 of 3 rows needs fixing\.$") as caught:
        catalogue.raise_if_invalid()
    assert caught.value.extra["error_count"] == len(problems)


@pytest.mark.parametrize(
    "row",
    [f"1,a,x,{A},Shirt, blue,5", f"1,b,a,{A},note, more", f"1,x,Shirt, blue,{A},n", f"1,x,a,{A},{B},{C}"],
)
def test_a_surplus_that_can_be_read_in_two_ways_is_refused(row: str) -> None:
    header = "S. No.,Category,Product Name,Input Image Urls,Note\n"
    assert [problem.code for problem in read_catalogue((header + row).encode()).problems] == ["too_many_cells"]


def test_a_bad_row_names_the_value_the_reason_and_the_way_out() -> None:
    catalogue = read_catalogue((H + f'1,,"{A}, ftp://b.example/2.jpg"').encode())
    assert list(catalogue.problems) == [
        CSVProblem(2, 1, "Product Name", "", "empty", "Product name is empty.", "Fill in the cell, or remove the row."),
        CSVProblem(
            2,
            1,
            "Input Image Urls",
            "ftp://b.example/2.jpg",
            "invalid_url",
            "URL 2 of 2: The URL starts with ftp:, which is not fetched; use http:// or https://.",
            "Correct this URL, or take it out of the list.",
        ),
    ]


def test_all_problems_of_a_large_file_are_counted_and_can_be_walked_through() -> None:
    catalogue = read_catalogue((H + ",a,\n" * 2_000).encode())
    assert len(catalogue.problems) == 4_000
    assert [problem.row for problem in catalogue.problems] == [row for row in range(1, 2_001) for _ in range(2)]
    assert len(catalogue.problems[:100]) == 100
    assert catalogue.problems[3_999].row == catalogue.problems[-1].row == 2_000
    assert [problem.row for problem in catalogue.problems[3_998:]] == [2_000, 2_000]
    with pytest.raises(InvalidCSV, match=r"2,000 of 2,000 rows need fixing") as caught:
        catalogue.raise_if_invalid()
    assert (caught.value.extra["error_count"], len(caught.value.extra["errors"])) == (4_000, 100)


@pytest.mark.parametrize("shift", range(4))  # so that the end of the first piece, a megabyte, cuts a letter
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_no_letter_is_lost_between_two_pieces_of_a_file(encoding: str, shift: int, tmp_path: Path) -> None:
    name = "x" * shift + "👕" * 300_000
    text = f"{H}1,{name},{A}\n2,b,{B}\n".encode(encoding)
    kept = tmp_path / "upload.csv"
    kept.write_bytes(text)
    for source in (text, kept):
        assert rows_of(read_catalogue(source)) == [("1", name, (A,)), ("2", "b", (B,))]


# --- files that are refused as a whole -------------------------------------------------------------------------------


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, H)
    return file.getvalue()


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", "empty_file", "is empty"),
    "only a BOM": (b"\xef\xbb\xbf", "empty_file", "empty lines"),
    "only blank lines": (b"\n \r\n\n", "empty_file", "empty lines"),
    "only the header": (H.encode(), "no_rows", "no rows"),
    "the header and empty rows": (H.encode() + b",,\n\n", "no_rows", "no rows"),
    "no header": (f"1,SKU1,{A}\n".encode(), "no_header", "line 1, the first of the table, holds the URL"),
    "no column of images": (
        b"S. No.,Product Name\n1,a\n",
        "no_image_column",
        "The columns are “S. No.”, “Product Name”",
    ),
    "a doubled column": (
        f"S. No.,Serial Number,Product Name,Input Image Urls\n1,1,a,{A}\n".encode(),
        "duplicate_column",
        "The columns are “S. No.”, “Serial Number”, “Product Name”, “Input Image Urls”",
    ),
    "half an Excel workbook": (zipped("xl/workbook.xml"), "damaged_workbook", "cannot be read"),
    "a Word document": (zipped("[Content_Types].xml"), "not_a_csv", "no workbook"),
    "a ZIP archive": (zipped("catalogue.csv"), "not_a_csv", "ZIP"),
    "a gzip archive": (gzip.compress(H.encode()), "not_a_csv", "gzip"),
    "an old Excel workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "damaged_workbook", "cannot be read"),
    "a PDF": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "not_a_csv", "PDF"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(20), "not_a_csv", "image"),
    "an HTML page": (b"<!DOCTYPE html>\n<html><body>Log in</body></html>", "not_a_csv", "HTML"),
    "JSON": (b'[{"S. No.": 1, "Product Name": "a"}]', "not_a_csv", "JSON"),
    "XML": (b'<?xml version="1.0"?><products/>', "not_a_csv", "XML"),
    "random bytes": (bytes(range(256)) * 50, "nul_byte", "NUL"),
    "a NUL byte": (H.encode() + b"1,a\0b," + A.encode(), "nul_byte", "offset 40"),
    "a NUL in UTF-16": ((H + f"1,a\0,{A}").encode("utf-16"), "nul_byte", "NUL"),
    "UTF-32": ((H + f"1,a,{A}").encode("utf-32"), "encoding", "UTF-32"),
    "half a UTF-16 character": ((H + f"1,a,{A}").encode("utf-16")[:-1], "encoding", "not valid UTF-16"),
    "an unclosed quote": (H.encode() + f'0,x,{A}\n1,a,"{A}\n2,b,{B}\n'.encode(), "unclosed_quote", "line 3"),
    "text after a closing quote": (H.encode() + f'1,a,"{A}" x\n'.encode(), "text_after_quote", "line 2"),
    "a quote that runs into the next": (H.encode() + f'1,"a,{A}\n2,"b",{B}\n'.encode(), "text_after_quote", "line 2"),
    "a hundred thousand columns": (
        H.strip().encode() + b",x" * 100_000 + b"\n1,2,3",
        "too_many_columns",
        "more than 1,000 columns",
    ),
    "a hundred thousand unknown columns": (b"x," * 100_000 + b"\n1,2,3", "too_many_columns", "more than 1,000 columns"),
    "a cell of a megabyte": (H.encode() + b"1," + b"x" * 1_000_000 + b"," + A.encode(), "cell_too_large", "line 2"),
    "a row of three megabytes": (H.encode() + b"1,a" + b",x" * 1_500_000, "cell_too_large", "line 2"),
    "a hundred thousand URLs": (H.encode() + b'1,a,"' + f"{A}, ".encode() * 100_000 + b'"', "cell_too_large", "line 2"),
    "an open quote and megabytes": (H.encode() + b'1,"' + b"a,b\n" * 1_000_000, "cell_too_large", "quote"),
    "a row of a hundred thousand cells": (
        H.encode() + f"0,x,{A}\n1,a".encode() + b",x" * 100_000,
        "too_many_cells",
        "line 3 has 100,002 cells",
    ),
    "a row of a thousand cells among a hundred thousand rows": (
        H.encode() + b"1,a,https://a.example/1.jpg\n" * 100_000 + b"1,a" + b",x" * 1_000,
        "too_many_cells",
        "line 100002 has 1,002 cells; at most 199 are read in each of 100,001 rows",
    ),
    "a million empty rows": (H.encode() + b"\n" * 1_100_000, "too_many_rows", "empty rows"),
}


@pytest.mark.parametrize(("data", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_a_file_that_is_no_catalogue_is_refused_with_a_sentence_in_no_time(data: bytes, code: str, words: str) -> None:
    start = time.process_time()
    refusal = refusal_of(data)
    assert time.process_time() - start < 60
    assert refusal.problems[0].code == code
    assert words in refusal.detail
    assert refusal.problems[0].hint
    assert refusal.status == (413 if code in ("cell_too_large", "too_many_cells", "too_many_rows") else 400)


def test_the_file_is_called_by_its_name() -> None:
    assert refusal_of(zipped("xl/workbook.xml"), filename="shop.csv").detail.startswith(
        "“shop.csv” begins like a workbook"
    )


def test_the_limits_on_bytes_rows_urls_and_images_hold(tmp_path: Path) -> None:
    text = (H + f'1,a,"{A}, {B}"\n' * 3).encode()
    (tmp_path / "kept.csv").write_bytes(text)
    for source in (text, tmp_path / "kept.csv"):
        with pytest.raises(UploadTooLarge, match=r"202 bytes; at most 100 \(0\.0001 MB\)"):
            read_catalogue(source, CSVLimits(max_bytes=100))
        with pytest.raises(UploadTooLarge, match="more than 2 rows"):
            read_catalogue(source, CSVLimits(max_rows=2))
        assert [problem.code for problem in read_catalogue(source, CSVLimits(max_urls_per_row=1)).problems] == [
            "too_many_urls"
        ] * 3
        with pytest.raises(UploadTooLarge, match="more than 5 image URLs"):
            read_catalogue(source, CSVLimits(max_images=5)).raise_if_invalid()
        assert read_catalogue(source, CSVLimits(len(text), 3, 2, 6)).is_valid


# --- the results -----------------------------------------------------------------------------------------------------


def test_output_keeps_every_cell_and_puts_the_urls_beside_them() -> None:
    text = f'Note,Serial Number,Product Name,Input Image URLs,Price\n" x ",001,NA,"{A}, {B},,{C}",1e5\n\n,2,b,{A},\n'
    catalogue = read_catalogue(text.encode())
    assert output_of(catalogue, [["u1", None, None, "u4"], [None]]).decode() == (
        "Note,Serial Number,Product Name,Input Image URLs,Price,Output Image Urls\n"
        f' x ,001,NA,"{A}, {B},,{C}",1e5,"u1, , , u4"\n'
        f",2,b,{A},,\n"
    )


def test_output_replaces_the_columns_of_an_earlier_run_in_their_place() -> None:
    text = f"S. No.,output image url,Product Name,Error,Input Image Urls,Output Image Urls\n1,old,a,bad,{A},older\n"
    assert output_of(read_catalogue(text.encode()), [["new"]]).decode() == (
        f"S. No.,output image url,Product Name,Input Image Urls\n1,new,a,{A}\n"
    )


def test_output_keeps_bad_rows_and_folded_rows_in_their_place() -> None:
    catalogue = read_catalogue((H + f"1,a,{A},5\n2,Shirt, blue,{A},{B}\n,x,\n").encode())
    assert output_of(catalogue, [[], ["u", "v"], []]).decode() == (
        H.strip() + f',Output Image Urls\n1,a,"{A},5",\n2,"Shirt, blue","{A},{B}","u, v"\n,x,,\n'
    )


def test_output_refuses_a_different_number_of_rows() -> None:
    catalogue = read_catalogue((H + f"1,a,{A}\n").encode())
    with pytest.raises(ValueError, match="longer"):
        catalogue.write_output([["u"], ["v"]], io.BytesIO())


def test_errors_can_be_uploaded_again() -> None:
    text = (
        f'S. No.;Price;Product Name;Input Image Urls\n1;5;=a;"{A}, {B}"\n2;5;b;{A}\n;5;c;"{A}, x"\n4;5;d;"{B}, {C}"\n'
    )
    catalogue = read_catalogue(text.encode())
    failures: list[tuple[int, list[str], str]] = [(4, [C], "Gone."), (1, [B], "404; gone"), (3, [], "No serial.")]
    data = errors_of(catalogue, failures)
    assert data.decode() == (
        f'S. No.;Product Name;Input Image Urls;Error\n1;\'=a;{B};"404; gone"\n;c;"{A}, x";No serial.\n4;d;{C};Gone.\n'
    )
    again = read_catalogue(data)
    assert rows_of(again)[0] == ("1", "=a", (B,))
    assert [problem.code for problem in again.problems] == ["empty"]
    assert (
        output_of(again, [["u"], [], ["w"]]).decode().splitlines()[0]
        == "S. No.;Product Name;Input Image Urls;Output Image Urls"
    )


def test_errors_keep_the_whole_url_cell_of_a_row_with_too_many_cells() -> None:
    catalogue = read_catalogue((H + f"1,a,{A},5\n2,b,{B}\n").encode())
    assert errors_of(catalogue, [(1, [], "Too many cells."), (2, [B], "Gone.")]).decode() == (
        H.strip() + f',Error\n1,a,"{A},5",Too many cells.\n2,b,{B},Gone.\n'
    )


def test_empty_rows_of_any_length_change_nothing() -> None:
    catalogue = read_catalogue((H + ",,\n" + "," * 500 + f"\n1,a,{A}\n" + ",,,,\n" * 1_000).encode())
    assert rows_of(catalogue) == [("1", "a", (A,))]
    assert output_of(catalogue).decode() == H.strip() + f",Output Image Urls\n1,a,{A},\n"


def test_an_error_text_the_encoding_cannot_write_does_not_stop_the_file() -> None:
    catalogue = read_catalogue((H + f"1,Café,{A}").encode("cp1252"))
    assert "Caf\xe9" in errors_of(catalogue, [(1, [A], "“图” is gone.")]).decode("cp1252")


def test_problems_are_written_for_excel() -> None:
    file = io.BytesIO()
    write_problems([CSVProblem(5, None, None, '=cmd|"x"', "empty", "Größe, leer.", "Fill.")], file)
    assert file.getvalue() == (
        b"\xef\xbb\xbfline,row,column,value,code,detail,hint\r\n"
        + '5,,,"\'=cmd|""x""",empty,"Größe, leer.",Fill.\r\n'.encode()
    )


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+49 171", "'+49 171"),
        ("-x", "'-x"),
        ("@a", "'@a"),
        ("\tx", "'\tx"),
        ("\r=1", "'\r=1"),
        ("-", "'-"),
        ("＝1+1", "'＝1+1"),
        ("＋49", "'＋49"),
        ("－5", "'－5"),
        ("＠a", "'＠a"),
    ]
    + [(cell, cell) for cell in ("-5", "+5", "-5.50", "-1,000.5", "+1e5", "-5%", "5", "a=b", "", "'=1", "'x")],
)
def test_cells_a_spreadsheet_would_run_are_guarded_and_plain_numbers_are_not(cell: str, safe: str) -> None:
    assert guard(cell) == safe
    assert guard(unguard(safe)) == safe
    assert unguard(safe) == cell or cell.startswith("'=")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_cell_with_any_delimiter_is_quoted_in_every_dialect_and_read_back(delimiter: str) -> None:
    names = [*(f"a{character}=1" for character in ',;\t|"\r\n'), "＝1", "plain"]
    rows = [f"{number}{delimiter}{cell_as_written(name)}{delimiter}{A}\n" for number, name in enumerate(names)]

    output = output_of(read_catalogue((H.replace(",", delimiter) + "".join(rows)).encode()))

    for cell in (*map(cell_as_written, names[:-2]), "'＝1", "plain"):
        assert f"{delimiter}{cell}{delimiter}".encode() in output
    assert [row.product_name for row in read_catalogue(output).rows()] == names


def test_the_sample_is_a_catalogue() -> None:
    data = plain_sample("http://localhost:8000")
    base = "http://localhost:8000/static/samples"
    assert data.decode().splitlines()[0] == "S. No.,Product Name,Input Image Urls"
    rows = rows_of(read_catalogue(data))
    assert len(rows) == 5
    assert rows[0] == ("1.", "Stoneware mug", (f"{base}/mug-front.jpg", f"{base}/mug-upright.jpg"))


def test_a_hundred_thousand_rows_are_read_in_about_a_second() -> None:
    url = "https://img.example.com/p"
    text = H + "".join(f'{n},SKU{n},"{url}/{n}/1.jpg, {url}/{n}/2.jpg, {url}/{n}/3.jpg"\n' for n in range(100_000))
    start = time.process_time()
    catalogue = read_catalogue(text.encode())
    assert time.process_time() - start < 60, "measured 0.9 s; the bound leaves room for a slow machine"
    assert (catalogue.row_count, catalogue.image_count) == (100_000, 300_000)
