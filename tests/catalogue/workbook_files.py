"""Workbooks written by hand, member by member: what a writer in a library would not produce or not keep."""

import io
import zipfile

A, B, C, D, E, F, G = (f"https://cdn.shop.example/{name}.jpg?w=1&h=2" for name in "abcdefg")
PAGE = "https://shop.example/mug?a=1&b=2"
LAST = "https://cdn.shop.example/last.png"
URLS = [A, B, C, D, E, F, G, LAST]  # in the order in which they are to be fetched

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n'
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _x(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;")


_STRINGS = [
    "SKU", "Name", "Image", "Image 2", "Price", "M1", "Mug", A, "Cup", "view", f"{F}, {G}", "Jar", "spare", "Pot",
]  # fmt: skip
_FORMULA = f'_xlfn.IMAGE("{D.replace("&", "&amp;")}","jar ""x""")'
# Excel writes no white space between cells; other programs do. Blank, styled and unknown parts must survive.
SHEET = f"""{_HEAD}<worksheet xmlns="{_MAIN}" xmlns:r="{_RELATIONS}" \
xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" mc:Ignorable="x14ac" \
xmlns:x14ac="http://schemas.microsoft.com/office/spreadsheetml/2009/9/ac">\
<sheetPr codeName="Sheet1"/><dimension ref="A1:E9"/><sheetViews><sheetView workbookViewId="0"/></sheetViews>\
<cols><col min="3" max="4" width="40" customWidth="1"/></cols><sheetData>\
<row r="1" spans="1:5" ht="30" customHeight="1"><c r="A1" s="1" t="inlineStr"><is><t>Autumn</t></is></c></row>\
<row r="3" spans="1:5" x14ac:dyDescent="0.25"><c r="A3" s="1" t="s"><v>0</v></c><c r="B3" s="1" t="s"><v>1</v></c>\
<c r="C3" s="1" t="s"><v>2</v></c><c r="D3" s="1" t="s"><v>3</v></c><c r="E3" s="1" t="s"><v>4</v></c></row>
  <row r="4"><c r="A4" t="s"><v>5</v></c>
    <c r="B4" s="2" t="s"><v>6</v></c> <c r="C4" s="2" t="s"><v>7</v></c>
    <c r="D4" t="inlineStr" s="3"><is><r><t>{_x(B)}</t></r></is></c><c r="E4" s="3"><v>12.5</v></c></row>
<row r="5"><c r="A5"><v>8809782555508</v></c><c r="B5" t="s"><v>8</v></c><c r="C5" s="2" t="s"><v>9</v></c>\
<c r="D5" t="e" s="3"><f>{_FORMULA}</f><v>#NAME?</v></c><c r="E5"><f>E4*2</f><v>25</v></c></row>\
<row r="6"><c r="A6" t="s"><v>11</v></c><c r="C6" s="2" t="str"><v>{_x(E)}</v></c><c r="D6" t="s"><v>10</v></c></row>\
<row r="7"><c r="A7" t="s"><v>13</v></c><c r="B7" t="s"><v>13</v></c><c r="C7" s="2"/></row>\
<row r="8"><c r="A8" t="b"><v>1</v></c><c r="C8" s="2" t="inlineStr"><is>\
<t xml:space="preserve">{LAST} ; </t></is></c></row>\
<row r="9" spans="1:5"/></sheetData><sheetProtection sheet="1" objects="1"/>\
<conditionalFormatting sqref="E4:E9"><cfRule type="cellIs" dxfId="0" priority="1" operator="lessThan">\
<formula>0</formula></cfRule></conditionalFormatting>\
<dataValidations count="1"><dataValidation type="list" sqref="B4:B9"><formula1>"Mug,Cup"</formula1></dataValidation>\
</dataValidations><hyperlinks><hyperlink ref="C5" r:id="rId1" display="view"/><hyperlink ref="C6" r:id="rId2"/>\
<hyperlink ref="B4" r:id="rId3"/><hyperlink ref="E4" location="Notes!A1"/></hyperlinks>\
<legacyDrawing r:id="rId4"/><extLst><ext uri="{{CCE6A557}}"><x14ac:any r="C4"/></ext></extLst></worksheet>"""
SHEET_RELATIONS = (
    f'{_HEAD}<Relationships xmlns="{_PACKAGE}">'
    f'<Relationship Id="rId1" Type="{_RELATIONS}/hyperlink" Target="{_x(C)}" TargetMode="External"/>'
    f'<Relationship Id="rId2" Type="{_RELATIONS}/hyperlink" Target="{_x(E)}" TargetMode="External"/>'
    f'<Relationship TargetMode="External" Target="{_x(PAGE)}" Type="{_RELATIONS}/hyperlink" Id="rId3"/>'
    f'<Relationship Id="rId4" Type="{_RELATIONS}/vmlDrawing" Target="../drawings/vmlDrawing1.vml"/></Relationships>'
)
CHANGING = {"xl/worksheets/sheet2.xml", "xl/worksheets/_rels/sheet2.xml.rels"}
ROWS = [("M1", "Mug"), ("8809782555508", "Cup"), ("Jar", ""), ("Pot", "Pot"), ("TRUE", "")]


def members(macros: bool = False) -> dict[str, bytes]:
    """The members of a workbook with notes in its first sheet and products in its second."""
    book = "vnd.ms-excel.sheet.macroEnabled.main+xml" if macros else ""
    main = f"application/{book}" if macros else f"{_TYPES}.sheet.main+xml"
    strings = "".join(f'<si><t xml:space="preserve">{_x(text)}</t></si>' for text in _STRINGS)
    notes = f"Read this first: {PAGE}"
    texts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>'
        '<Default Extension="vml" ContentType="application/vnd.openxmlformats-officedocument.vmlDrawing"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{main}"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPES}.worksheet+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet2.xml" ContentType="{_TYPES}.worksheet+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{_TYPES}.styles+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{_TYPES}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}"><Relationship Id="rId1" '
        f'Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_RELATIONS}"><sheets>'
        '<sheet name="Notes" sheetId="1" r:id="rId7"/><sheet name="Products &amp; more" sheetId="2" r:id="rId2"/>'
        '</sheets><definedNames><definedName name="list">Notes!$A$1</definedName></definedNames></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}">'
        f'<Relationship Id="rId2" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet2.xml"/>'
        f'<Relationship Id="rId7" Type="{_RELATIONS}/worksheet" Target="/xl/worksheets/sheet1.xml"/>'
        f'<Relationship Id="rId3" Type="{_RELATIONS}/styles" Target="styles.xml"/>'
        f'<Relationship Id="rId4" Type="{_RELATIONS}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_MAIN}"><sheetData><row r="1"><c r="A1" t="inlineStr">'
        f'<is><t>{_x(notes)}</t></is></c></row><row r="4"><c r="C4" t="s"><v>7</v></c></row></sheetData></worksheet>',
        "xl/worksheets/sheet2.xml": SHEET,
        "xl/worksheets/_rels/sheet2.xml.rels": SHEET_RELATIONS,
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><fonts count="1"><font/></fonts><fills count="1"><fill/></fills>'
        '<borders count="1"><border/></borders><cellXfs count="4"><xf/><xf/><xf numFmtId="49"/><xf numFmtId="2"/>'
        "</cellXfs><dxfs count=\"1\"><dxf/></dxfs></styleSheet>",
        "xl/sharedStrings.xml": f'<sst xmlns="{_MAIN}" count="30" uniqueCount="{len(_STRINGS)}">{strings}</sst>',
        "xl/drawings/vmlDrawing1.vml": '<xml xmlns:v="urn:schemas-microsoft-com:vml"/>',
        "customXml/item1.xml": "<anything/>",
    }  # fmt: skip
    found = {name: text.encode() for name, text in texts.items()}
    return found | ({"xl/vbaProject.bin": bytes(range(256)) * 8} if macros else {})


def packed(files: dict[str, bytes], stored: tuple[str, ...] = ("xl/vbaProject.bin", "mimetype")) -> bytes:
    """A ZIP archive of these members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, (2024, 11, 25, 9, 12, 0))
            member.compress_type = zipfile.ZIP_STORED if name in stored else zipfile.ZIP_DEFLATED
            archive.writestr(member, content)
    return file.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """The members of a ZIP archive, in order."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


def opendocument(rows: list[list[str]]) -> bytes:
    """A workbook of LibreOffice: repeated blank cells and rows, and a link inside a text."""

    def cell(text: str) -> str:
        shown = f'<text:a xlink:href="{_x(text)}">{_x(text)}</text:a>' if "://" in text else _x(text)
        if not text:
            return '<table:table-cell table:number-columns-repeated="1"/>'
        return f'<table:table-cell office:value-type="string"><text:p>{shown}</text:p></table:table-cell>'

    table = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    blank = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row>'
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    content = (
        f'{_HEAD}<office:document-content {names} xmlns:xlink="http://www.w3.org/1999/xlink"><office:body>'
        f'<office:spreadsheet><table:table table:name="Sheet1">{table}{blank}</table:table></office:spreadsheet>'
        "</office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/></manifest:manifest>'
    )
    return packed(
        {"mimetype": kind.encode(), "content.xml": content.encode(), "META-INF/manifest.xml": manifest.encode()}
    )
