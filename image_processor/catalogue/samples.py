"""Catalogues that can be uploaded as they are, of images under `/static/samples/`, as different programs write them."""

import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from image_processor.catalogue.encoding import UTF8, UTF8_BOM, Encoding
from image_processor.catalogue.layout import NAME, SERIAL, URLS, Dialect
from image_processor.catalogue.writer import DialectWriter

_FOLDER: Final = "/static/samples/"


@dataclass(frozen=True, slots=True)
class _Product:
    name: str
    sku: str
    category: str
    price: str
    images: tuple[str, ...]
    colours: tuple[str, ...] = ()
    text: str = ""

    @property
    def handle(self) -> str:
        return self.name.lower().replace(" ", "-")


_PRODUCTS: Final = (
    _Product(
        "Stoneware mug", "MUG", "Kitchen", "18.00", ("mug-front.jpg", "mug-upright.jpg"), ("Sand", "Slate", "Moss"),
        "Thrown by hand, 300 ml",
    ),
    _Product("Table lamp", "LAMP", "Living room", "79.00", ("lamp.jpg", "lamp-shade.avif"), (), "With a linen shade"),
    _Product("Shoe box", "BOX", "Storage", "12.50", ("shoe-box.jpg", "shoe-box-end.webp"), (), "Recycled cardboard"),
    _Product(
        "Canvas tote", "TOTE", "Bags", "24.00", ("tote.jpg", "tote-cut-out.png"), ("Natural", "Black"),
        "Organic cotton, long handles",
    ),
    _Product("Striped vase", "VASE", "Living room", "35.00", ("vase.jpg", "vase-turning.gif"), (), "25 cm"),
)  # fmt: skip

# The columns of an export of products, 2025.
_SHOPIFY: Final = (
    "Handle", "Title", "Body (HTML)", "Vendor", "Product Category", "Type", "Tags", "Published", "Option1 Name",
    "Option1 Value", "Variant SKU", "Variant Grams", "Variant Inventory Tracker", "Variant Inventory Policy",
    "Variant Fulfillment Service", "Variant Price", "Variant Requires Shipping", "Variant Taxable", "Image Src",
    "Image Position", "Image Alt Text", "Gift Card", "SEO Title", "SEO Description", "Variant Image",
    "Variant Weight Unit", "Status",
)  # fmt: skip
_WOOCOMMERCE: Final = (
    "ID", "Type", "SKU", "GTIN, UPC, EAN, or ISBN", "Name", "Published", "Is featured?", "Visibility in catalog",
    "Short description", "Description", "Tax status", "In stock?", "Stock", "Backorders allowed?", "Sale price",
    "Regular price", "Categories", "Tags", "Images", "Parent", "Position", "Attribute 1 name", "Attribute 1 value(s)",
    "Attribute 1 visible", "Attribute 1 global",
)  # fmt: skip
_SHEET: Final = ("SKU", "Product", "Category", "Price", "Main image", "Additional images")


def plain_sample(base_url: str) -> bytes:
    """The three columns of the specification."""
    rows = (
        {SERIAL: f"{number}.", NAME: product.name, URLS: ", ".join(_urls(base_url, product))}
        for number, product in enumerate(_PRODUCTS, start=1)
    )
    return _csv((SERIAL, NAME, URLS), rows, UTF8)


def shopify_sample(base_url: str) -> bytes:
    """As Shopify exports products: one row per variant or image, the title in the first one of a product."""
    rows = (row for product in _PRODUCTS for row in _shopify_rows(base_url, product))
    return _csv(_SHOPIFY, rows, UTF8)


def woocommerce_sample(base_url: str) -> bytes:
    """As WooCommerce exports products: one row per product with all of its images, and one per variation."""
    rows = (row for product in _PRODUCTS for row in _woocommerce_rows(base_url, product))
    return _csv(_WOOCOMMERCE, ({"ID": str(id_), **row} for id_, row in enumerate(rows, start=101)), UTF8_BOM)


def workbook_sample(base_url: str) -> bytes:
    """An Excel workbook with a sheet of products, written as its ZIP archive of XML."""
    rows = [_SHEET, *(_sheet_row(base_url, product) for product in _PRODUCTS)]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (_MEMBERS | {"xl/worksheets/sheet1.xml": _sheet(rows)}).items():
            archive.writestr(zipfile.ZipInfo(name), _DECLARATION + content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _urls(base_url: str, product: _Product) -> list[str]:
    return [f"{base_url}{_FOLDER}{name}" for name in product.images]


def _csv(header: Sequence[str], rows: Iterator[Mapping[str, str]], encoding: Encoding) -> bytes:
    file = io.BytesIO()
    writer = DialectWriter(file, Dialect(encoding))
    writer.row(header)
    for row in rows:
        writer.row(row.get(name, "") for name in header)
    return file.getvalue()


# ---- Shopify and WooCommerce ---------------------------------------------------------------------------------------


def _shopify_rows(base_url: str, product: _Product) -> Iterator[dict[str, str]]:
    colours = product.colours or ("Default Title",)
    urls = _urls(base_url, product)
    for place in range(max(len(colours), len(urls))):
        row = {"Handle": product.handle}
        if place == 0:
            row |= {
                "Title": product.name, "Body (HTML)": f"<p>{product.text}.</p>", "Vendor": "Sample shop",
                "Type": product.category, "Tags": "", "Published": "true", "Gift Card": "false", "Status": "active",
                "Option1 Name": "Colour" if product.colours else "Title", "SEO Title": product.name,
            }  # fmt: skip
        if place < len(colours):
            row |= _shopify_variant(product, colours[place])
            row["Variant Image"] = urls[0] if product.colours and place == 0 else ""
        if place < len(urls):
            row |= {"Image Src": urls[place], "Image Position": str(place + 1), "Image Alt Text": product.name}
        yield row


def _shopify_variant(product: _Product, colour: str) -> dict[str, str]:
    return {
        "Option1 Value": colour, "Variant SKU": _variant_sku(product, colour), "Variant Grams": "400",
        "Variant Inventory Tracker": "shopify", "Variant Inventory Policy": "deny",
        "Variant Fulfillment Service": "manual", "Variant Price": product.price, "Variant Requires Shipping": "true",
        "Variant Taxable": "true", "Variant Weight Unit": "g",
    }  # fmt: skip


def _woocommerce_rows(base_url: str, product: _Product) -> Iterator[dict[str, str]]:
    common = {
        "Published": "1", "Is featured?": "0", "Visibility in catalog": "visible", "Tax status": "taxable",
        "In stock?": "1", "Backorders allowed?": "0", "Attribute 1 name": "Colour" if product.colours else "",
    }  # fmt: skip
    yield common | {
        "Type": "variable" if product.colours else "simple", "SKU": product.sku, "Name": product.name,
        "Short description": f"{product.text}.", "Categories": product.category, "Position": "0",
        "Regular price": "" if product.colours else product.price, "Images": ", ".join(_urls(base_url, product)),
        "Attribute 1 value(s)": ", ".join(product.colours),
    }  # fmt: skip
    for position, colour in enumerate(product.colours, start=1):
        yield common | {
            "Type": "variation", "SKU": _variant_sku(product, colour), "Name": f"{product.name} - {colour}",
            "Regular price": product.price, "Parent": product.sku, "Position": str(position),
            "Images": _urls(base_url, product)[0] if position == 1 else "", "Attribute 1 value(s)": colour,
        }  # fmt: skip


def _variant_sku(product: _Product, colour: str) -> str:
    return f"{product.sku}-{colour.upper()}" if colour in product.colours else product.sku


# ---- the workbook --------------------------------------------------------------------------------------------------

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_SHEET_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
# What a workbook has at least (ECMA-376, part 1), and two formats of cells: as usual, and bold.
_MEMBERS: Final = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_SHEET_TYPE}.worksheet+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_SHEET_TYPE}.styles+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook {_MAIN} xmlns:r="{_OFFICE}">'
    '<sheets><sheet name="Products" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet {_MAIN}><fonts count="2">'
    '<font><sz val="11"/><name val="Calibri"/></font><font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill>'
    '</fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
}
_BOLD: Final = ' s="1"'
_WIDTHS: Final = (10, 18, 14, 10, 60, 60)


def _sheet_row(base_url: str, product: _Product) -> tuple[str | float, ...]:
    first, *others = _urls(base_url, product)
    return product.sku, product.name, product.category, float(product.price), first, ", ".join(others)


def _sheet(rows: Sequence[Sequence[str | float]]) -> str:
    """The XML of a sheet whose first row is bold and stays in view."""
    columns = "".join(
        f'<col min="{number}" max="{number}" width="{width}" customWidth="1"/>'
        for number, width in enumerate(_WIDTHS, start=1)
    )
    written = "".join(
        f'<row r="{number}">{"".join(_cell(number, place, value) for place, value in enumerate(cells))}</row>'
        for number, cells in enumerate(rows, start=1)
    )
    pane = '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
    return (
        f'<worksheet {_MAIN}><sheetViews><sheetView workbookViewId="0">{pane}</sheetView></sheetViews>'
        f"<cols>{columns}</cols><sheetData>{written}</sheetData></worksheet>"
    )


def _cell(row: int, place: int, value: str | float) -> str:
    attributes = f'r="{chr(65 + place)}{row}"{_BOLD if row == 1 else ""}'
    if isinstance(value, float):
        return f"<c {attributes}><v>{value:g}</v></c>"
    return f'<c {attributes} t="inlineStr"><is><t>{escape(value)}</t></is></c>'
