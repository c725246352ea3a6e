"""Any table, any columns of images, any dialect: only the URLs change, every other byte survives."""

import codecs
import io
import re
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from image_processor.catalogue import read_catalogue

SETTINGS = settings(
    max_examples=120, deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
MARKS = "⟦⟧"
MARK = re.compile("⟦([^⟧]*)⟧")
NEW = "https://img.example/new/{}.jpg"

IMAGE_HEADERS = [
    "Image",
    "Image Src",
    "images",
    "IMAGE_2",
    "Bilder",
    "photo url 3",
    "商品图片",
    "additional_image_link",
]
URLS = st.sampled_from(
    ["https://a.example/1.jpg", "http://b.example:8080/w_1,h_2/a.png", "https://c.example/x?y=1;2|3",
     "//d.example/1.gif", "https://e.example/é.webp", "https://f.example/it's.jpg", "https://g.example/no-extension"]
)  # fmt: skip
SEPARATORS = st.sampled_from([",", ", ", ";", " ; ", "|", " | ", " ", "\n", "\r\n", ",\n"])
# NUL is no text. A blank before a quote is a question of its own: `a, "b"`.
TEXT = st.text(st.characters(exclude_characters="\0" + MARKS, exclude_categories=("Cs",)), max_size=8)
COMMON = st.sampled_from(
    ['12"', 'a "b"', "=1+1", "-5", "1,2", "a;b", "x|y", "tab\there", "two\nlines", "two\r\nlines", "#1", " "]
)
WINDOWS = st.text("abc,;|\t\"'äöüßñ=-# \n", max_size=8)
ENCODINGS = {
    "utf-8": b"", "utf-8 marked": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE,
    "cp1252": b"",
}  # fmt: skip


@st.composite
def image_cells(draw: st.DrawFn) -> str:
    """No image, or some, as a list in one of the ways that exports write it; each enclosed in marks."""
    marked = [f"⟦{url}⟧" for url in draw(st.lists(URLS, max_size=4))]
    if not marked:
        return draw(st.sampled_from(["", "", "[]"]))
    style = draw(st.sampled_from(["plain", "plain", "JSON", "Python"]))
    if style == "plain" or (style == "Python" and any("'" in url for url in marked)):
        return draw(SEPARATORS).join(marked)
    quote = '"' if style == "JSON" else "'"
    return "[" + ", ".join(quote + url + quote for url in marked) + "]"


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str]:
    """A template of a table, and the name of its encoding."""
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    text = WINDOWS if encoding == "cp1252" else TEXT | COMMON
    headers = [one for one in IMAGE_HEADERS if encoding != "cp1252" or one.isascii()]
    images = draw(st.lists(st.sampled_from(headers), min_size=1, max_size=3, unique=True))
    others = [f"Note {number}" for number in range(draw(st.integers(0, 3)))]
    header = ["Ref", *draw(st.permutations([*images, *others]))]
    rows = draw(st.lists(st.tuples(*(image_cells() if one in images else text for one in header)), max_size=6))
    first = tuple("⟦https://a.example/0.jpg⟧" if one in images else "x" for one in header)
    delimiter, eol = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    always = draw(st.booleans())
    special = {delimiter, "\r", "\n"}

    def written(cell: str) -> str:
        assume(not re.match(r' +"', cell))
        needed = not special.isdisjoint(MARK.sub(r"\1", cell)) or cell.startswith('"')
        return '"' + cell.replace('"', '""') + '"' if needed or always or draw(st.booleans()) else cell

    above = draw(st.sampled_from(["", "", "Spring catalogue" + eol, f"Catalogue{eol}{eol}"]))
    lines = [delimiter.join(map(written, cells)) for cells in (header, first, *rows)]
    return above + eol.join(lines) + draw(st.sampled_from(["", eol])), encoding


def encoded(text: str, encoding: str) -> bytes:
    return ENCODINGS[encoding] + text.encode(encoding.split()[0])


def result(catalogue: Any, failing: int) -> tuple[list[str | None], bytes]:
    """The new URLs (every so many failed), and what comes back with them."""
    new: list[str | None] = []
    outputs = []
    for row in catalogue.rows():
        numbers = range(len(new) + 1, len(new) + 1 + len(row.image_urls))
        outputs.append([None if failing and number % failing == 0 else NEW.format(number) for number in numbers])
        new += outputs[-1]
    destination = io.BytesIO()
    catalogue.write_output(outputs, destination)
    return new, destination.getvalue()


@SETTINGS
@given(tables(), st.sampled_from([0, 1, 2]))
def test_every_byte_outside_the_urls_survives(table: tuple[str, str], failing: int) -> None:
    template, encoding = table
    old = MARK.findall(template)
    catalogue = read_catalogue(encoded(MARK.sub(r"\1", template), encoding), filename="x.csv")

    assert [url for row in catalogue.rows() for url in row.image_urls] == [
        "https:" + url if url.startswith("//") else url for url in old
    ]
    new, written = result(catalogue, failing)
    waiting = iter(zip(new, old, strict=True))

    def render(_: "re.Match[str]") -> str:
        url, before = next(waiting)
        return before if url is None else url

    assert written == encoded(MARK.sub(render, template), encoding)
