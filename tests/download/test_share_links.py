"""Share links and the direct links they become."""

import itertools
import time

import pytest

from image_processor.download import direct_link
from image_processor.urls import check_url

A = "https://a.example/1.jpg"
RAW = "https://raw.githubusercontent.com/o/r/main/a/b%20c.png"
DRIVE = "https://drive.google.com/uc?export=download&id=1AbcDEF_ghi-JKL"
SHARE = "/".join(("https://api.onedrive.com/v1.0/shares", "u!{}", "root", "content"))
LINKS = {
    "https://github.com/o/r/blob/main/a/b%20c.png": RAW,
    "https://github.com/o/r/blob/main/a/b%20c.png?raw=true": RAW,
    "https://github.com/o/r/blob/main/a/b%20c.png?raw=1#L1": RAW,
    "https://www.github.com/o/r/raw/main/a/b%20c.png": RAW,
    "http://GitHub.com/o/r/raw/main/a/b%20c.png": RAW,
    "https://github.com/o/r/raw/refs/heads/main/p.png": "https://raw.githubusercontent.com/o/r/refs/heads/main/p.png",
    "https://drive.google.com/file/d/1AbcDEF_ghi-JKL/view?usp=sharing": DRIVE,
    "https://drive.google.com/file/d/1AbcDEF_ghi-JKL": DRIVE,
    "https://drive.google.com/file/u/0/d/1AbcDEF_ghi-JKL/preview": DRIVE,
    "https://drive.google.com/open?id=1AbcDEF_ghi-JKL": DRIVE,
    "https://drive.google.com/open?usp=drive_copy&id=1AbcDEF_ghi-JKL": DRIVE,
    "https://drive.google.com/uc?id=1AbcDEF_ghi-JKL": DRIVE,
    "https://drive.google.com/uc?export=view&id=1AbcDEF_ghi-JKL": DRIVE,
    "https://docs.google.com/uc?id=1AbcDEF_ghi-JKL": DRIVE,
    "https://drive.google.com/file/d/1AbcDEF_ghi-JKL/view?resourcekey=0-xyz": f"{DRIVE}&resourcekey=0-xyz",
    "https://www.dropbox.com/s/abc/p.jpg?dl=0": "https://www.dropbox.com/s/abc/p.jpg?dl=1",
    "https://www.dropbox.com/s/abc/p.jpg": "https://www.dropbox.com/s/abc/p.jpg?dl=1",
    "https://www.dropbox.com/scl/fi/abc/p.jpg?rlkey=xyz&st=1&dl=0": (
        "https://www.dropbox.com/scl/fi/abc/p.jpg?rlkey=xyz&st=1&dl=1"
    ),
    "https://1drv.ms/i/s!Abc": SHARE.format("aHR0cHM6Ly8xZHJ2Lm1zL2kvcyFBYmM"),
    "https://onedrive.live.com/embed?resid=A%21B&authkey=C": "https://onedrive.live.com/download?resid=A%21B&authkey=C",
    "https://x-my.sharepoint.com/:i:/g/personal/a/Exx?e=1": (
        "https://x-my.sharepoint.com/:i:/g/personal/a/Exx?e=1&download=1"
    ),
}


@pytest.mark.parametrize(("link", "direct"), LINKS.items())
def test_a_page_link_becomes_the_direct_link(link: str, direct: str) -> None:
    assert direct_link(link) == direct
    assert direct_link(direct) == direct, "converting twice must change nothing"
    assert check_url(direct) is None


@pytest.mark.parametrize(
    "url",
    [
        *(A, RAW, "", "foo", "http://[", "https://github.com/o/r", "https://github.com/o/r/tree/main/a"),
        "https://github.com.evil.example/o/r/blob/main/a.png",
        "https://evil.example/github.com/o/r/blob/main/a.png",
        "https://user@github.com/o/r/blob/main/a.png",
        "https://drive.google.com/drive/folders/1AbcDEF_ghi-JKL",
        "https://drive.google.com/open?id=../x",
        "https://www.dropbox.com/s/abc/p.jpg?raw=1",
        "https://www.dropbox.com/scl/fo/folder?rlkey=x&dl=0",
        "https://1drv.ms/f/s!Folder",
        "https://x.sharepoint.com/:f:/g/folder",
    ],
)
def test_every_other_url_stays_as_it_is(url: str) -> None:
    assert direct_link(url) == url


@pytest.mark.parametrize(
    "head",
    ["https://github.com/o/r/blob/", "https://drive.google.com/file/d/", "https://www.dropbox.com/sh/",
     "https://a.sharepoint.com/:i:/", "https://1drv.ms/"],
)  # fmt: skip
def test_a_long_link_of_repeated_pieces_is_converted_in_linear_time(head: str) -> None:
    for piece, tail in itertools.product(["/", "a/", "?", "#", ":", "[", "file/d/", "blob/", "%"], ["", "\nx", " x"]):
        start = time.process_time()
        direct_link(head + piece * (100_000 // len(piece)) + tail)
        assert time.process_time() - start < 10, (piece, tail)
