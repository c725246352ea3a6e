"""The entries of a cell of images: where each stands, and what is fetched."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_processor.catalogue.cells import entries, replaced

A, B = "https://a.example/1.jpg", "https://b.example/w_300,h_200/2.png?v=1;x"

CELLS = {
    "one": (A, [A]),
    "commas": (f"{A},{B}", [A, B]),
    "commas and blanks": (f"{A}, {B}", [A, B]),
    "semicolons": (f"{A};{B}", [A, B]),
    "pipes": (f"{A}|{B}", [A, B]),
    "blanks": (f"{A} {B}", [A, B]),
    "line ends": (f"{A}\r\n{B}\n", [A, B]),
    "a JSON list": (f'["{A}", "{B}"]', [A, B]),
    "a JSON list of PHP": (f'["{A.replace("/", chr(92) + "/")}"]', [A]),
    "a Python list": (f"['{A}', '{B}']", [A, B]),
    "names with addresses": (f"front, left.jpg ({A}),back.jpg ({B})", [A, B]),
    "no scheme": ("//a.example/1.jpg", [A]),
    "an address and a word": ("a.jpg, n/a", ["a.jpg", "n/a"]),
    "a name and a path": ("a.jpg, /p/2.jpg", ["a.jpg", "/p/2.jpg"]),
    "names without blanks": ("a.jpg,b.jpg;c.png", ["a.jpg", "b.jpg", "c.png"]),
    "a path with a comma and a blank": ("/p/mug, blue 1.jpg", ["/p/mug", "blue 1.jpg"]),
    "a name with blanks": ("my blue mug.jpg", ["my blue mug.jpg"]),
    "empty entries": (f",{A},,{B},", [A, B]),
    "quotes round an address": (f'"{A}"', [A]),
    "nothing": ("  ", []),
    "an address with blanks": ("https://a.example/my mug.jpg", ["https://a.example/my mug.jpg"]),
}


@pytest.mark.parametrize("name", CELLS)
def test_the_entries_of_a_cell_are_found_however_they_are_separated(name: str) -> None:
    cell, urls = CELLS[name]

    assert [entry.url for entry in entries(cell)] == urls


def test_paths_are_completed_by_the_base_address() -> None:
    found = entries(f"/m/u/mug.jpg,cup.jpg,{A}", "https://shop.example/media/")

    assert [entry.url for entry in found] == [
        "https://shop.example/media/m/u/mug.jpg",
        "https://shop.example/media/cup.jpg",
        A,
    ]


@pytest.mark.parametrize("name", CELLS)
def test_only_the_entries_are_replaced(name: str) -> None:
    cell = CELLS[name][0]
    found = entries(cell)

    changed = replaced(cell, found, [f"https://new.example/{place}.jpg" for place in range(len(found))])

    pieces = [cell[before.end : after.start] for before, after in itertools.pairwise(found)]
    for place in range(len(found)):
        assert f"https://new.example/{place}.jpg" in changed
    if name == "names with addresses":  # the names are not written again
        assert changed == "https://new.example/0.jpg,https://new.example/1.jpg"
    else:
        assert all(piece in changed for piece in pieces)
    assert replaced(cell, found, [None] * len(found)) == cell


@given(
    st.lists(st.sampled_from([A, "https://c.example/x", "//d.example/1.gif"]), min_size=1, max_size=6),
    st.sampled_from([",", ", ", ";", "; ", "|", " | ", " ", "\n", "\r\n"]),
)
def test_addresses_joined_by_any_separator_come_apart_again(urls: list[str], separator: str) -> None:
    cell = separator.join(urls)

    assert [cell[entry.start : entry.end] for entry in entries(cell)] == urls
