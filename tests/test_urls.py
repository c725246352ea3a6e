"""Splitting cells, judging URLs, the form on the wire, our own base URL. Tables of literals."""

import itertools
import time

import pytest

from image_processor.errors import InvalidURL
from image_processor.urls import base_url_of, check_url, host_of, normalise, split_cell, starts_like_url

A, B, C = "https://a.example/1.jpg", "http://b.example/2.jpg", "https://c.example/3.jpg"

CELLS = [
    # separators
    (A, [A]),
    (f"{A}, {B}", [A, B]),
    (f"{A},{B}", [A, B]),
    (f"{A}\n{B}", [A, B]),
    (f"{A}\r\n{B}", [A, B]),
    (f"{A};{B} ; {C}", [A, B, C]),
    (f"{A}|{B} | {C}", [A, B, C]),
    (f"{A} {B}\t{C}", [A, B, C]),
    (f"{A},\n{B},\n{C}", [A, B, C]),
    ("HTTPS://A.EXAMPLE/1.JPG,Http://b.example", ["HTTPS://A.EXAMPLE/1.JPG", "Http://b.example"]),
    # commas, blanks and URLs that belong to a URL
    ("https://c.example/w_300,h_200/a.jpg", ["https://c.example/w_300,h_200/a.jpg"]),
    (f"https://c.example/a.jpg?crop=1,2,3,{B}", ["https://c.example/a.jpg?crop=1,2,3", B]),
    (f"https://c.example/my image.jpg, {B}", ["https://c.example/my image.jpg", B]),
    ("https://c.example/fetch?u=https://d.example/a.jpg", ["https://c.example/fetch?u=https://d.example/a.jpg"]),
    ("https://c.example/web/https://d.example/a.jpg", ["https://c.example/web/https://d.example/a.jpg"]),
    ("https://c.example/?u=“https://d.example/x", ["https://c.example/?u=“https://d.example/x"]),
    # what is pasted round URLs
    (f"\u00a0{A}\u200b, \ufeff{B}\u00a0", [A, B]),
    (f"“{A}”, „{B}“, «{C}»", [A, B, C]),
    (f'"{A}", "{B}"', [A, B]),
    (f"'{A}', '{B}'", [A, B]),
    (f"<{A}>, <{B}>", [A, B]),
    (f'["{A}", "{B}"]', [A, B]),
    (f"['{A}', '{B}']", [A, B]),
    ("https://a.example/it's.jpg", ["https://a.example/it's.jpg"]),
    ("http://[::1]/a.jpg", ["http://[::1]/a.jpg"]),
    # empty entries
    (f"{A},,{B}", [A, "", B]),
    (f"{A}, , {B}", [A, "", B]),
    (f"{A},,,{B}", [A, "", "", B]),
    (f"{A};;{B}||{C}", [A, "", B, "", C]),
    (f",,{A},", [A]),
    (f"{A}\n\n{B}", [A, B]),
    ("", []),
    (" , ;\n|", []),
    # entries that are reported, never glued to their neighbours
    (f"{A}, ftp://b.example/2.jpg", [A, "ftp://b.example/2.jpg"]),
    (f"ftp://b.example/2.jpg,{A}", ["ftp://b.example/2.jpg", A]),
    (f"{A},//b.example/2.jpg,{C}", [A, "//b.example/2.jpg", C]),
    (f"{A} www.b.example/2.jpg", [A, "www.b.example/2.jpg"]),
    (f"{A}, htps://b.example/2.jpg", [A, "htps://b.example/2.jpg"]),
    (f"{A}, http:/b.example/2.jpg", [A, "http:/b.example/2.jpg"]),
    (f"{A}, data:image/png;base64,AAAA", [A, "data:image/png;base64,AAAA"]),
    (f"n/a, {A}", ["n/a", A]),
    ("none", ["none"]),
]


@pytest.mark.parametrize(("cell", "entries"), CELLS)
def test_a_cell_is_split_into_its_entries(cell: str, entries: list[str]) -> None:
    assert split_cell(cell) == entries


@pytest.mark.parametrize(("cell", "entries"), CELLS)
def test_splitting_what_was_joined_again_gives_the_same_entries(cell: str, entries: list[str]) -> None:
    assert split_cell(", ".join(entries)) == entries


@pytest.mark.parametrize(
    "cell",
    [
        " " * 500_000,
        "https://a" + " " * 500_000 + "x",
        ",;" * 250_000 + "x",
        "'" * 500_000,
        "a:" * 250_000,
        ",h" * 250_000,
    ],
    ids=["blanks", "trailing blanks", "separators", "quotes", "schemes", "almost URLs"],
)
def test_half_a_megabyte_of_nonsense_is_split_in_linear_time(cell: str) -> None:
    start = time.process_time()
    split_cell(cell)
    assert time.process_time() - start < 60


@pytest.mark.parametrize(
    "head",
    ["", "https://a.example/", "https://", "http://a:"],
)
def test_a_long_address_of_repeated_pieces_is_judged_in_linear_time(head: str) -> None:
    pieces = ["/", "a/", "//a", "%2e", "../", "./", "?", "#", ":", "[", "]", "@", "a.", "-", "%"]
    for piece, tail in itertools.product(pieces, ["", "\nx", " x"]):
        url = head + piece * (100_000 // len(piece)) + tail
        start = time.process_time()
        check_url(url)
        starts_like_url(url)
        base_url_of("http", url, 8000, ("img.example",))
        assert time.process_time() - start < 60, (piece, tail)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, True) for text in (A, f' "{A}', "'http://a", "[“https://a", "//a/b", "www.a.b", "ftp://a")),
        *((text, False) for text in ("h_200/1.jpg", "5", "", "Shirt, blue", "a.b/c")),
    ],
)
def test_what_starts_like_a_url(text: str, expected: bool) -> None:
    assert starts_like_url(text) is expected


FETCHABLE = {
    "https://a.example/1.jpg": "https://a.example/1.jpg",
    "HTTP://A.Example/X.jpg": "http://a.example/X.jpg",
    "https://a.example": "https://a.example/",
    "https://a.example?v=1": "https://a.example/?v=1",
    "https://a.example:443/x": "https://a.example/x",
    "http://a.example:443/x": "http://a.example:443/x",
    "http://a.example:/x": "http://a.example/x",
    "http://a.example:8080/x": "http://a.example:8080/x",
    "https://a.example/my image.jpg": "https://a.example/my%20image.jpg",
    "https://a.example/my%20image%2fx.jpg": "https://a.example/my%20image%2fx.jpg",
    "https://a.example/100%.jpg": "https://a.example/100%25.jpg",
    "https://a.example/ü/图.jpg?q=ä b": "https://a.example/%C3%BC/%E5%9B%BE.jpg?q=%C3%A4%20b",
    "https://a.example/w_300,h_200/a.jpg?c=1,2": "https://a.example/w_300,h_200/a.jpg?c=1,2",
    "https://a.example/a+b.jpg?x=a+b&y=(1)!*'": "https://a.example/a+b.jpg?x=a+b&y=(1)!*'",
    'https://a.example/a|b"c.jpg': "https://a.example/a%7Cb%22c.jpg",
    "https://a.example/x.jpg#top": "https://a.example/x.jpg",
    # `.` and `..`, however their dots are written, are resolved before the address goes out (WHATWG URL)
    "https://a.example/a/../b": "https://a.example/b",
    "https://a.example/a/%2e%2e/b": "https://a.example/b",
    "https://a.example/a/%2E./b/.%2e/c": "https://a.example/c",
    "https://a.example/../../b": "https://a.example/b",
    "https://a.example/a/./b/%2e/c": "https://a.example/a/b/c",
    "https://a.example/a/b/..": "https://a.example/a/",
    "https://a.example/a/b/.": "https://a.example/a/b/",
    "https://a.example/..?x=../y": "https://a.example/?x=../y",
    "https://a.example/a//../b": "https://a.example/a/b",
    "https://a.example//a/../b": "https://a.example//b",
    "https://a.example/.../a./..b/%252e%252e/%2e%2e%2e": "https://a.example/.../a./..b/%252e%252e/%2e%2e%2e",
    "https://Bücher.example/x.jpg": "https://xn--bcher-kva.example/x.jpg",
    "https://例え.テスト/x.jpg": "https://xn--r8jz45g.xn--zckzah/x.jpg",
    "https://faß.example/": "https://xn--fa-hia.example/",
    "https://bucket_1.s3.example/x": "https://bucket_1.s3.example/x",
    "https://a.example./x": "https://a.example/x",
    "http://127.0.0.1/x": "http://127.0.0.1/x",
    "http://[2001:DB8:0::1]:8080/x": "http://[2001:db8::1]:8080/x",
}


@pytest.mark.parametrize(("url", "on_the_wire"), FETCHABLE.items())
def test_a_good_url_is_normalised_for_the_wire(url: str, on_the_wire: str) -> None:
    assert check_url(url) is None
    assert normalise(url) == on_the_wire
    assert normalise(on_the_wire) == on_the_wire


NOT_FETCHABLE = {
    "": "empty",
    " ": "empty",
    "foo": "must start with http",
    "//a.example/x": "must start with http",
    "www.a.example/x": "must start with http",
    "ftp://a.example/x": "ftp:",
    "file:///etc/passwd": "file:",
    "javascript:alert(1)": "javascript:",
    "data:image/png;base64,AAAA": "data:",
    "http:/a.example/x": "two slashes",
    "http:a.example/x": "two slashes",
    "https://": "names no host",
    "https:///x.jpg": "names no host",
    "https://:80/x": "names no host",
    "https://https://a.example/x": "twice",
    "https://user:secret@a.example/x": "user name",
    "https://a.example@evil.example/x": "user name",
    "https://a.example\\@evil.example/x": "backslash",
    "https://a.example/\nx": "control character",
    "https://a.example/\x00x": "control character",
    "https://a.example\t/x": "control character",
    "https://a.example/\x7f": "control character",
    "https://a b.example/x": "not a valid host",
    "https://a..example/x": "not a valid host",
    "https://-a.example/x": "not a valid host",
    "https://a.example-/x": "not a valid host",
    "https://%61.example/x": "not a valid host",
    f"https://{'a' * 64}.example/x": "not a valid host",
    f"https://{'a.' * 127}example/x": "not a valid host",
    "https://a℀b.example/x": "not a valid host",  # maps to a/cb
    "https://a／b.example/x": "not a valid host",  # maps to a/b
    "https://[::1/x": "not a valid host",
    "https://[fe80::1%25eth0]/x": "not a valid host",
    "https://[1.2.3.4]/x": "not a valid host",
    "https://a.example:0/x": "port",
    "https://a.example:65536/x": "port",
    "https://a.example:٣/x": "port",
    "https://a.example:80x/x": "port",
    **{f"http://a.example:{port}/x": f"port {port} is not" for port in (1, 22, 25, 587, 6000, 6667, 10080)},
    "https://a.example:0025/x": "port 25 is not",
    "https://a.example/" + "x" * 2_031: "2,049 characters",
}


@pytest.mark.parametrize(("url", "reason"), NOT_FETCHABLE.items())
def test_a_bad_url_is_refused_with_its_reason(url: str, reason: str) -> None:
    complaint = check_url(url)
    assert complaint is not None and reason in complaint and complaint.endswith((".", ")."))
    with pytest.raises(InvalidURL) as caught:
        normalise(url)
    assert caught.value.detail == complaint


def test_a_url_of_exactly_2048_characters_is_allowed() -> None:
    assert check_url("https://a.example/" + "x" * 2_030) is None


def test_a_secret_in_a_url_is_not_repeated_in_the_reason() -> None:
    assert "secret" not in str(check_url("https://user:secret@a.example/x"))


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://A.Example/x", "a.example"),
        ("http://a.example:80/x", "a.example"),
        ("https://a.example:443", "a.example"),
        ("http://a.example:8080/x", "a.example:8080"),
        ("https://bücher.example/x", "xn--bcher-kva.example"),
        ("http://[::1]:8000/", "[::1]:8000"),
    ],
)
def test_the_key_of_a_host(url: str, key: str) -> None:
    assert host_of(url) == key


def test_what_names_no_host_has_no_key() -> None:
    for url in ("", "foo", "https://", "ftp://a/b"):
        with pytest.raises(InvalidURL):
            host_of(url)


def test_the_ports_that_browsers_block_are_refused_and_no_others() -> None:
    refused = [port for port in range(1, 65_536) if check_url(f"http://a.example:{port}/")]
    assert len(refused) == 82  # the "bad ports" of the Fetch standard, without 0
    assert sum(refused) == 115_595


OURS = [
    ("http", "localhost:8000", 8000, (), "http://localhost:8000"),
    ("http", "LOCALHOST:8000", 8000, (), "http://localhost:8000"),
    ("http", "127.0.0.1:8000", 8000, (), "http://127.0.0.1:8000"),
    ("http", "[::1]:8000", 8000, (), "http://[::1]:8000"),
    ("http", "localhost", 80, (), "http://localhost"),
    ("http", "localhost", 8000, (), None),
    ("http", "localhost:8001", 8000, (), None),
    ("http", "evil.example:8000", 8000, (), None),
    ("http", "localhost.evil.example:8000", 8000, (), None),
    ("https", "img.example", 8000, ("img.example",), "https://img.example"),
    ("https", "img.example:443", 8000, ("img.example",), "https://img.example"),
    ("http", "img.example:8000", 8000, ("img.example",), "http://img.example:8000"),
    ("https", "img.example:81", 8000, ("img.example",), None),
    ("https", "img.example:81", 8000, ("img.example:81",), "https://img.example:81"),
    ("https", "img.example", 8000, ("img.example:81",), None),
    ("https", "IMG.example", 8000, (" Img.Example ",), "https://img.example"),
    ("https", "localhost:8000", 8000, ("img.example",), "https://localhost:8000"),
    ("https", "localhost:8001", 8000, ("img.example",), None),
    ("http", "[2001:db8::1]:8000", 8000, ("2001:db8::1",), "http://[2001:db8::1]:8000"),
    ("ftp", "localhost:8000", 8000, (), None),
]
MALFORMED = [
    "",
    "a/b",
    "localhost:8000/x",
    "user@localhost:8000",
    "localhost:8000@evil",
    "localhost:x",
    "localhost:8000\n",
]


@pytest.mark.parametrize(("scheme", "host", "port", "trusted", "base"), OURS)
def test_the_base_url_comes_from_a_trusted_host_only(
    scheme: str, host: str, port: int, trusted: tuple[str, ...], base: str | None
) -> None:
    assert base_url_of(scheme, host, port, trusted) == base


@pytest.mark.parametrize("host", [*MALFORMED, "localhost:99999", "localhost:8000:8000", "a" * 300])
def test_a_malformed_host_header_is_not_trusted(host: str) -> None:
    assert base_url_of("http", host, 8000, ()) is None
    assert base_url_of("http", host, 8000, (host,)) is None
