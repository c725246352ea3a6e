"""Cells replaced in the text of a record: every other byte survives."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from image_processor.catalogue.encoding import UTF8
from image_processor.catalogue.in_place import records, with_cells
from image_processor.catalogue.layout import Dialect

# Any text but NUL and lone CRs, which no line-based reader keeps apart from line ends.
TEXT = st.text(
    st.characters(exclude_characters="\0\r\x85\u2028\u2029\x1c\x1d\x1e\x0b\x0c", exclude_categories=("Cs",)),
    max_size=12,
)
COMMAS = Dialect(UTF8)
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
    dialect = Dialect(UTF8, delimiter)
    read = list(records(io.StringIO(text, newline=""), dialect, 1))
    assert "".join(record for _, record, _ in read) == text
    assert [cells for _, _, cells in read] == rows

    new = [{place: NEW if change else cells[place] for place in places if place < len(cells)} for _, _, cells in read]
    result = "".join(with_cells(record, cells, dialect) for (_, record, _), cells in zip(read, new, strict=True))

    wanted = [[cells.get(at, cell) for at, cell in enumerate(row)] for row, cells in zip(rows, new, strict=True)]
    assert list(csv.reader(io.StringIO(result, newline=""), delimiter=delimiter, strict=True)) == wanted
    if not change:
        assert len(result) == len(text)


def test_a_quoted_cell_stays_quoted_and_a_bare_one_bare() -> None:
    assert with_cells('1,"a",b , c\r\n', {1: "x", 2: "y"}, COMMAS) == '1,"x",y, c\r\n'


def test_a_bare_cell_is_quoted_when_the_new_text_needs_it() -> None:
    assert with_cells("1,a\n", {1: "x,y"}, COMMAS) == '1,"x,y"\n'


def test_a_record_over_several_lines_is_one() -> None:
    text = '1,"Mug\nblue",a\n2,Cup,b\n'

    found = list(records(io.StringIO(text, newline=""), COMMAS, 1))

    assert [(line, record) for line, record, _ in found] == [(1, '1,"Mug\nblue",a\n'), (3, "2,Cup,b\n")]
    assert with_cells(found[0][1], {2: "x"}, COMMAS) == '1,"Mug\nblue",x\n'


def test_blanks_before_a_quote_stay() -> None:
    assert with_cells('1, "a", "b"\n', {1: "x"}, Dialect(UTF8, skip_initial_space=True)) == '1, "x", "b"\n'


def test_cells_are_added_where_the_record_has_none() -> None:
    assert with_cells("1,a\r\n", {3: "x, y"}, COMMAS) == '1,a,,"x, y"\r\n'
    assert with_cells("1", {1: "x"}, COMMAS) == "1,x"
