"""The CPU time and the memory of one dry run, without a server: reading and checking all rows.

    python bench/check_run.py FORMAT ROWS      (FORMAT: csv or xlsx)

The file is a Shopify export of 20 columns, two of them with images. Prints JSON.
"""

import csv
import io
import json
import resource
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import escape

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

HEADER = (
    "Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Grams,"
    "Variant Price,Variant Taxable,Image Src,Image Position,Image Alt Text,Gift Card,SEO Title,Variant Image,Status"
).split(",")
NAMES = "xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
MEMBERS = {
    "[Content_Types].xml": "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'>"
    "<Default Extension='xml' ContentType='application/xml'/></Types>",
    "_rels/.rels": f"<Relationships xmlns='{PACKAGE}'>"
    f"<Relationship Id='r1' Type='{OFFICE}/officeDocument' Target='xl/workbook.xml'/></Relationships>",
    "xl/workbook.xml": f"<workbook {NAMES} xmlns:r='{OFFICE}'><sheets><sheet name='Products' sheetId='1' r:id='r1'/>"
    "</sheets></workbook>",
    "xl/_rels/workbook.xml.rels": f"<Relationships xmlns='{PACKAGE}'>"
    f"<Relationship Id='r1' Type='{OFFICE}/worksheet' Target='worksheets/sheet1.xml'/></Relationships>",
}


def rows(number: int) -> Iterator[list[Any]]:
    """The header and so many rows: every third is the first of a product."""
    yield HEADER
    for row in range(number):
        product = row // 3
        first = ["" if row % 3 else text for text in (f"Product {product}", "<p>A fine, sturdy thing.</p>")]
        images = [f"https://cdn.example/{name}.jpg?v=1" for name in (row, product)]
        yield [
            f"product-{product}", *first, "Maker", "Mugs", "a, b", "TRUE", "Size", "L", f"SKU-{row}", 200, 19.99,
            "TRUE", images[0], row % 3 + 1, "", "FALSE", "", images[1], "active",
        ]  # fmt: skip


def write_csv(number: int, file: BinaryIO) -> None:
    """The rows as CSV."""
    text = io.TextIOWrapper(file, "utf-8", newline="")
    csv.writer(text).writerows(rows(number))
    text.detach()


def write_xlsx(number: int, file: BinaryIO) -> None:
    """The rows as a workbook."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write(f"<worksheet {NAMES}><sheetData>".encode())
            for place, cells in enumerate(rows(number), start=1):
                sheet.write(_row(place, cells).encode())
            sheet.write(b"</sheetData></worksheet>")


def _row(place: int, cells: list[Any]) -> str:
    shown = (
        f'<c r="{chr(65 + at)}{place}" t="inlineStr"><is><t>{escape(cell)}</t></is></c>'
        if isinstance(cell, str)
        else f'<c r="{chr(65 + at)}{place}"><v>{cell}</v></c>'
        for at, cell in enumerate(cells)
        if cell != ""
    )
    return f'<row r="{place}">{"".join(shown)}</row>'


def measure(format: str, number: int) -> dict[str, float]:
    """Seconds of CPU time, and the peak of memory."""
    from image_processor.catalogue import read_catalogue

    file = io.BytesIO()
    (write_xlsx if format == "xlsx" else write_csv)(number, file)
    began = time.process_time()
    catalogue = read_catalogue(file.getvalue())
    catalogue.raise_if_invalid()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)  # workbooks are read by a process of their own
    seconds = time.process_time() - began + children.ru_utime + children.ru_stime
    if catalogue.row_count != number:
        sys.exit(f"{catalogue.row_count} of {number} rows were read.")
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + children.ru_maxrss) * 1024
    return {"cpu_seconds": seconds, "peak_bytes": peak, "file_bytes": len(file.getvalue())}


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
