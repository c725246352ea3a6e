"""Exports of any shape: rows with their images, and the same file with new addresses."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_recognise import EXPORTS, URL

from image_processor.catalogue.encoding import Encoding
from image_processor.catalogue.table import TableOptions, TextTable, read_text
from image_processor.errors import InvalidCSV

UTF8 = Encoding("utf-8", b"")


def table(text: str, **options: object) -> TextTable:
    return read_text(text.encode(), UTF8, TableOptions(**options))  # type: ignore[arg-type]


def written(found: TextTable, link: str | None) -> str:
    file = io.BytesIO()
    found.write(([link] * len(row.images) for row in found.rows()), file)
    return file.getvalue().decode()


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_comes_back_with_only_its_addresses_changed(name: str) -> None:
    text = "\r\n".join(EXPORTS[name][0]) + "\r\n"
    found = table(text)
    images = [entry for row in found.rows() for _, entry in row.images]

    assert images
    assert written(found, None) == text
    new = written(found, "https://new.example/1.jpg")
    assert new.count("https://new.example/1.jpg") == len(images)
    for entry in sorted({entry.url for entry in images}, key=len, reverse=True):
        shown = entry.removeprefix("https://static.wixstatic.com/media/")
        text = text.replace(shown, "https://new.example/1.jpg")
    if name not in ("BigCommerce", "Magento"):
        assert new == text


def test_rows_without_a_name_take_that_of_their_group_else_the_id_else_their_number() -> None:
    found = table(f"Handle,Title,Image Src\nmug,Mug,{URL}\nmug,,{URL}\ncup,,{URL}\n,,{URL}\n,,\n")

    assert [(row.id, row.name) for row in found.rows()] == [("mug", "Mug"), ("mug", "Mug"), ("cup", "cup"), ("4", "4")]


def test_a_row_without_images_passes_through() -> None:
    found = table(f"SKU,Name,Images\nM1,Mug,{URL}\nM2,Cup,\n")

    assert [len(row.images) for row in found.rows()] == [1, 0]
    assert written(found, "https://new.example/1.jpg").endswith("\nM2,Cup,\n")


def test_a_failed_image_keeps_its_old_address_or_is_left_empty() -> None:
    text = f"SKU,Images\nM1,{URL}\n"

    assert written(table(text), None) == text
    assert written(table(text, failed="empty"), None) == "SKU,Images\nM1,\n"


def test_a_plain_list_of_addresses_needs_no_header() -> None:
    found = table(f"{URL}\nhttps://a.example/w_1,h_2/x\n\n{URL}\n")

    assert found.found.profile.key == "list"
    assert [entry.url for row in found.rows() for _, entry in row.images] == [URL, "https://a.example/w_1,h_2/x", URL]
    assert written(found, "https://n.example/1") == "https://n.example/1\nhttps://n.example/1\n\nhttps://n.example/1\n"


def test_columns_are_given_by_name_or_by_number() -> None:
    text = f"Ref,Text,Visual\nM1,Mug,{URL}\n"

    for given_columns in (("Visual",), ("3",)):
        found = table(text, images_columns=given_columns, name_column="Text", id_column="1")
        assert [(row.id, row.name, len(row.images)) for row in found.rows()] == [("M1", "Mug", 1)]


@pytest.mark.parametrize(
    ("column", "code", "says"),
    [("Picture", "unknown_column", "The columns are “Visual”, “Name”, “Name”."), ("9", "unknown_column", "“9”"),
     ("Name", "ambiguous_column", "2, 3")],
)  # fmt: skip
def test_an_unknown_or_doubled_column_is_refused_with_those_that_exist(column: str, code: str, says: str) -> None:
    with pytest.raises(InvalidCSV) as refused:
        table(f"Visual,Name,Name\n{URL},a,b\n", images_columns=(column,))

    assert refused.value.problems[0].code == code
    assert says in refused.value.detail


def test_relative_paths_ask_for_their_base_address() -> None:
    text = "sku,name,image\nM1,Mug,/m/u/mug.jpg\n"

    (problem,) = next(table(text).rows()).problems
    assert "image_base_url" in problem.hint
    row = next(table(text, image_base_url="https://shop.example/media").rows())
    assert (row.problems, row.images[0][1].url) == ((), "https://shop.example/media/m/u/mug.jpg")


# NUL is no text, and the others end a line.
_LINE_ENDS = "\0\r\n\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
CELLS = st.text(st.characters(exclude_characters=_LINE_ENDS, exclude_categories=("Cs",)), max_size=9)
ROWS = st.lists(st.tuples(CELLS, CELLS, st.booleans()), min_size=1, max_size=8)


@given(ROWS, st.sampled_from(",;\t|"), st.booleans())
def test_every_other_byte_survives(rows: list[tuple[str, str, bool]], delimiter: str, quoted: bool) -> None:
    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if quoted or delimiter in text or '"' in text else text

    lines = [delimiter.join(map(cell, ("SKU", "Name", "Image", "Note")))]
    lines += [delimiter.join(map(cell, ("M1", name, URL if image else "", note))) for name, note, image in rows]
    lines += [delimiter.join(map(cell, ("M2", "x", URL, "y")))]
    text = "\r\n".join(lines)

    assert written(table(text), "https://new.example/1.jpg") == text.replace(URL, "https://new.example/1.jpg")
