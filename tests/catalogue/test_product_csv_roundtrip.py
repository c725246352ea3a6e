"""Whatever dialect a catalogue is written in, the same rows are read back; whatever bytes come, only we refuse them."""

import csv
import io

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from image_processor.catalogue import CSVLimits, read_catalogue
from image_processor.errors import InvalidCSV

pytestmark = pytest.mark.filterwarnings("error")
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

HEADERS = [("S. No.", "Product Name", "Input Image Urls"), ("Serial Number", "ProductName", "Input Image URLs")]
# A cell with text, not ours to change: no NUL (refused), no leading guard (removed), not only blanks (a problem).
_CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=12)
CELLS = (
    _CELL | st.sampled_from(["1.", "001", "NA", "null", "1e5", '"', "a\r\nb", ",;\t|", "=1", "＝1", "-5", " x "])
).filter(lambda cell: cell.strip() and not cell.startswith("'"))
WINDOWS = CELLS.filter(lambda cell: cell.encode("cp1252", "ignore").decode("cp1252") == cell)
URLS = st.builds(
    "{}://{}/{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a.example", "b.example:8080", "bücher.example"]),
    st.sampled_from(["1.jpg", "w_1,h_2/a.jpg", "a b.jpg", "x?c=1,2;3|4", "ü.jpg", "~%20+.png"]),
)
URL_LISTS = st.lists(URLS, min_size=1, max_size=4)
ENCODINGS = st.sampled_from(
    [("utf-8", b""), ("utf-8", b"\xef\xbb\xbf"), ("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")]
)
DIALECTS = st.tuples(st.sampled_from(",;\t|"), st.sampled_from(["\n", "\r\n", "\r"]), st.sampled_from([0, 1]))


def encoded(table: list[list[str]], delimiter: str, line_end: str, quoting: int, sep_line: bool = False) -> str:
    """The table as CSV; `csv` only quotes CR and LF in cells when both are in its own line end."""
    rows = []
    for cells in table:
        file = io.StringIO(newline="")
        csv.writer(file, delimiter=delimiter, lineterminator="\r\n", quoting=quoting).writerow(cells)
        rows.append(file.getvalue().removesuffix("\r\n") + line_end)
    return (f"sep={delimiter}{line_end}" if sep_line else "") + "".join(rows)


def table_of(data: bytes, encoding: str, bom: bytes, delimiter: str) -> list[list[str]]:
    text = data.removeprefix(bom).decode(encoding)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


@SETTINGS
@given(
    st.lists(st.tuples(CELLS, CELLS, URL_LISTS, CELLS), min_size=1, max_size=6),
    st.sampled_from(HEADERS),
    st.permutations(range(4)),
    ENCODINGS,
    DIALECTS,
    st.booleans(),
    st.sampled_from([", ", ",", "; ", " | ", "\n", " "]),
)
def test_a_catalogue_in_any_dialect_is_read_back_and_its_output_is_the_same_catalogue(
    products: list[tuple[str, str, list[str], str]],
    header: tuple[str, str, str],
    order: list[int],
    encoding: tuple[str, bytes],
    dialect: tuple[str, str, int],
    sep_line: bool,
    separator: str,
) -> None:
    codec, bom = encoding
    delimiter, line_end, quoting = dialect
    rows = [[serial, name, separator.join(urls), note] for serial, name, urls, note in products]
    table = [[cells[place] for place in order] for cells in [[*header, "Note"], *rows]]
    data = bom + encoded(table, delimiter, line_end, quoting, sep_line).encode(codec)

    catalogue = read_catalogue(data)
    expected = [(serial, name, tuple(urls)) for serial, name, urls, _ in products]
    assert [(row.serial_number, row.product_name, row.image_urls) for row in catalogue.rows()] == expected

    output = io.BytesIO()
    catalogue.write_output([[f"u{number}" for number, _ in enumerate(urls)] for _, _, urls, _ in products], output)
    assert output.getvalue().startswith(bom)
    written = table_of(output.getvalue(), codec, bom, delimiter)[int(sep_line) :]
    for cells, source, product in zip(written[1:], table[1:], products, strict=True):
        assert [cell.removeprefix("'") for cell in cells[:4]] == source
        assert cells[4:] == [", ".join(f"u{number}" for number, _ in enumerate(product[2]))]

    again = read_catalogue(output.getvalue())
    assert [(row.serial_number, row.product_name, row.image_urls) for row in again.rows()] == expected
    twice = io.BytesIO()
    again.write_output([[f"u{number}" for number, _ in enumerate(urls)] for _, _, urls, _ in products], twice)
    assert twice.getvalue() == output.getvalue()


@SETTINGS
@given(st.lists(st.tuples(WINDOWS, WINDOWS, URLS), min_size=1, max_size=4), DIALECTS)
def test_windows_1252_is_read_back(products: list[tuple[str, str, str]], dialect: tuple[str, str, int]) -> None:
    products = [("É€", "naïve Größe", "https://a.example/1.jpg"), *products]
    products = [(serial, name, url.replace("ü", "u")) for serial, name, url in products]
    data = encoded([list(HEADERS[0]), *map(list, products)], *dialect).encode("cp1252")
    assert [(row.serial_number, row.product_name, *row.image_urls) for row in read_catalogue(data).rows()] == products


@SETTINGS
@given(st.lists(st.tuples(CELLS, CELLS, st.lists(URLS, min_size=2, max_size=4)), min_size=1, max_size=5), DIALECTS)
def test_errors_csv_can_be_uploaded_again(
    products: list[tuple[str, str, list[str]]], dialect: tuple[str, str, int]
) -> None:
    table = [list(HEADERS[0]), *([serial, name, ", ".join(urls)] for serial, name, urls in products)]
    catalogue = read_catalogue(encoded(table, *dialect).encode())
    file = io.BytesIO()
    catalogue.write_errors([(row, urls[1:], "It, is;\ngone.") for row, (_, _, urls) in enumerate(products, 1)], file)
    again = read_catalogue(file.getvalue())
    assert [(row.serial_number, row.product_name, row.image_urls) for row in again.rows()] == [
        (serial, name, tuple(urls[1:])) for serial, name, urls in products
    ]


PIECES = st.sampled_from(
    [
        *(",", ";", "\t", "|", '"', '""', "\n", "\r", "\r\n", " ", "a", "1", "#", "é", "'="),
        *("\ufeff", "\x1c", "\u2028", "\x0b", "\x1a", "https://a.example/1.jpg", "www.a", "//"),
        *("S. No.", "Product Name", "Input Image Urls", "Error", "sep=;"),
    ]
)
HEAD = "S. No.,Product Name,Input Image Urls\n"


@settings(SETTINGS, max_examples=600)
@given(st.lists(PIECES, max_size=25).map("".join), st.booleans(), st.sampled_from(["utf-8", "utf-16", "utf-16-le"]))
@example('1,"a\r",https://a.example/1.jpg\r\r\n2', True, "utf-8")
def test_any_text_is_read_consistently_or_refused_with_a_sentence(text: str, with_header: bool, codec: str) -> None:
    try:
        catalogue = read_catalogue((HEAD * with_header + text).encode(codec), CSVLimits(max_rows=20))
        if catalogue.is_refused:
            catalogue.raise_if_invalid()
    except InvalidCSV as refusal:
        assert refusal.problems and refusal.detail
        return
    rows = list(catalogue.rows())
    assert len(rows) == catalogue.row_count
    assert [problem for row in rows for problem in row.problems] == list(catalogue.problems)
    output = io.BytesIO()
    catalogue.write_output([["u"] for _ in rows], output)
    if catalogue.understood.profile != "assignment":
        return
    again = list(read_catalogue(output.getvalue()).rows())
    assert [(row.serial_number, row.product_name) for row in again] == [
        (row.serial_number, row.product_name) for row in rows
    ]
    for row, second in zip(rows, again, strict=True):
        assert row.problems or row.image_urls == second.image_urls


@settings(SETTINGS, max_examples=300)
@given(st.binary(max_size=200), st.sampled_from([b"", HEAD.encode(), HEAD.encode("utf-16"), HEAD.encode("utf-16-le")]))
def test_any_bytes_are_read_or_refused_with_a_sentence(data: bytes, head: bytes) -> None:
    try:
        catalogue = read_catalogue(head + data)
        assert catalogue.row_count or catalogue.is_refused
    except InvalidCSV as refusal:
        assert refusal.problems and refusal.detail.strip()
