"""Cells replaced in the text of a record: every other byte survives."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from image_processor.catalogue.in_place import records, with_cells

# Any text but NUL and lone CRs, which no line-based reader keeps apart from line ends.
TEXT = st.text(
    st.characters(exclude_characters="\0\r\x85\u2028\u2029\x1c\x1d\x1e\x0b\x0c", exclude_categories=("Cs",)),
    max_size=12,
)
NEW = "https://new.example/1.jpg, https://new.example/2.jpg"


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str, list[list[str]]]:
    """A delimiter, a CSV written cell by cell with or without quotes, and its cells."""
    delimiter = draw(st.sampled_from(",;\t|"))
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    width = draw(st.integers(1, 4))
    rows = draw(st.lists(st.lists(TEXT, min_size=width, max_size=width), min_size=1, max_size=5))
    lines = []
    for row in rows:
        cells = []
        for cell in row:
            needed = any(char in cell for char in (delimiter, '"', "\n")) or row == [""]
            quoted = needed or draw(st.booleans())
            cells.append('"' + cell.replace('"', '""') + '"' if quoted else cell)
        lines.append(delimiter.join(cells) + ending)
    if draw(st.booleans()):
        lines[-1] = lines[-1].removesuffix(ending)
    return delimiter, "".join(lines), rows


@given(tables(), st.sets(st.integers(0, 3)), st.booleans())
def test_only_the_chosen_cells_change(table: tuple[str, str, list[list[str]]], places: set[int], change: bool) -> None:
    delimiter, text, rows = table
    read = list(records(io.StringIO(text, newline=""), delimiter))
    assert "".join(record for record, _ in read) == text
    assert [cells for _, cells in read] == rows

    new = [{place: NEW if change else cells[place] for place in places if place < len(cells)} for _, cells in read]
    result = "".join(with_cells(record, cells, delimiter) for (record, _), cells in zip(read, new, strict=True))

    wanted = [[cells.get(at, cell) for at, cell in enumerate(row)] for row, cells in zip(rows, new, strict=True)]
    assert list(csv.reader(io.StringIO(result, newline=""), delimiter=delimiter, strict=True)) == wanted
    if not change:
        assert len(result) == len(text)


def test_a_quoted_cell_stays_quoted_and_a_bare_one_bare() -> None:
    assert with_cells('1,"a",b , c\r\n', {1: "x", 2: "y"}, ",") == '1,"x",y, c\r\n'


def test_a_bare_cell_is_quoted_when_the_new_text_needs_it() -> None:
    assert with_cells("1,a\n", {1: "x,y"}, ",") == '1,"x,y"\n'


def test_a_record_over_several_lines_is_one() -> None:
    text = '1,"Mug\nblue",a\n2,Cup,b\n'

    found = list(records(io.StringIO(text, newline=""), ","))

    assert [record for record, _ in found] == ['1,"Mug\nblue",a\n', "2,Cup,b\n"]
    assert with_cells(found[0][0], {2: "x"}, ",") == '1,"Mug\nblue",x\n'


def test_blanks_before_a_quote_stay() -> None:
    assert with_cells('1, "a", "b"\n', {1: "x"}, ",", skip_initial_space=True) == '1, "x", "b"\n'
