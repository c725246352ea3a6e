"""The sample catalogues: each is recognised, its images are processed, and the same file comes back with new URLs."""

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import openpyxl
import pytest
import python_calamine
import requests
from servers import SkulightServer

from image_processor.catalogue import workbook_sample

WORKBOOK = "/samples/workbook.xlsx"
SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def running(server: Callable[..., SkulightServer]) -> Iterator[SkulightServer]:
    one = server()
    one.start()
    yield one


def uploaded(running: SkulightServer, path: str) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
    """The sample at a path, its layout, and the status of its job when it is done."""
    data = requests.get(running.url + path, timeout=120).content
    files = {"file": (path.rpartition("/")[2], data)}
    checked = requests.post(f"{running.url}/upload?dry_run=true", files=files, timeout=120).json()
    assert checked["valid"], checked
    accepted = requests.post(f"{running.url}/upload", files=files, timeout=120)
    assert accepted.status_code == 202, accepted.text
    return data, checked["layout"], running.wait_until_done(accepted.json()["request_id"])


def replacements(status: dict[str, Any]) -> dict[str, str]:
    """The new URL of each old one."""
    text = requests.get(status["links"]["self"] + "/replacements.csv", timeout=120).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == status["counts"]["total"]
    return {row["old_url"]: row["new_url"] for row in rows}


def replaced(data: bytes, new: dict[str, str]) -> bytes:
    for old, url in sorted(new.items(), reverse=True):
        data = data.replace(old.encode(), url.encode())
    return data


@pytest.mark.parametrize(
    ("path", "profile", "columns", "images"),
    [
        ("/samples/shopify.csv", "shopify", ["Image Src", "Variant Image"], 12),
        ("/samples/woocommerce.csv", "woocommerce", ["Images"], 12),
        (WORKBOOK, "general", ["Main image", "Additional images"], 10),
    ],
)
def test_a_sample_comes_back_as_it_was_with_new_urls(
    running: SkulightServer, path: str, profile: str, columns: list[str], images: int
) -> None:
    data, layout, status = uploaded(running, path)

    assert layout["profile"] == profile
    assert [column["name"] for column in layout["columns"] if column["role"] == "images"] == columns
    assert (status["outcome"], status["counts"]["total"]) == ("succeeded", images), status
    new = replacements(status)
    assert len(new) == 10, "a URL that occurs twice is processed once"
    assert all(requests.get(url, timeout=120).ok for url in new.values())
    if path == WORKBOOK:
        result = requests.get(status["links"]["self"] + "/output.xlsx", timeout=120).content
        assert_same_workbook(data, result, new)
    else:
        assert requests.get(status["links"]["output_csv"], timeout=120).content == replaced(data, new)


def assert_same_workbook(data: bytes, result: bytes, new: dict[str, str]) -> None:
    before, after = (zipfile.ZipFile(io.BytesIO(one)) for one in (data, result))
    assert before.namelist() == after.namelist()
    assert {name for name in before.namelist() if before.read(name) != after.read(name)} == {SHEET}
    urls = ", ".join(value for row in rows(result)[1:] for value in row[4:]).split(", ")
    assert set(urls) == set(new.values())
    assert [row[:4] for row in rows(result)] == [row[:4] for row in rows(data)]


def rows(workbook: bytes) -> list[list[Any]]:
    return (
        python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(workbook)).get_sheet_by_name("Products").to_python()
    )


def test_two_libraries_read_the_workbook_and_its_header_is_bold_and_stays_in_view() -> None:
    data = workbook_sample("http://localhost:8000")
    sheet = openpyxl.load_workbook(io.BytesIO(data))["Products"]

    assert rows(data) == [list(row) for row in sheet.iter_rows(values_only=True)]
    assert rows(data)[1][:4] == ["MUG", "Stoneware mug", "Kitchen", 18.0]
    assert sheet.freeze_panes == "A2"
    assert {cell.font.bold for cell in sheet[1]} == {True}
    assert not any(cell.font.bold for cell in sheet[2])
