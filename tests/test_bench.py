"""The bench does what it says; no test depends on how fast anything is."""

import importlib
import io
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from PIL import Image
from servers import ROOT

from image_processor.catalogue import CSVLimits, read_catalogue

sys.path.append(str(ROOT / "bench"))

import catalogue
import origin
import report
import results
import stage_run
from table import Table
from tables import TABLES

SMALL = pytest.param({"small": True}, id="small server")
NGINX = pytest.param(
    {}, id="nginx", marks=pytest.mark.skipif(origin.nginx() is None, reason="there is no nginx on this machine")
)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Small images, made for this test."""
    catalogue.image_folder("64", "jpeg", tmp_path)
    return tmp_path


# ---- what is uploaded ----------------------------------------------------------------------------------------------


def test_the_images_are_the_same_each_time_and_have_the_size_of_photographs() -> None:
    files = []
    for _ in range(2):
        file = io.BytesIO()
        catalogue.photo(800, 800, seed=7).save(file, "JPEG", quality=90)
        files.append(file.getvalue())

    assert files[0] == files[1]
    assert 100_000 < len(files[0]) < 200_000


def test_the_catalogue_has_every_url_and_no_problem(tmp_path: Path) -> None:
    urls = catalogue.urls("http://127.0.0.1:2", "64", "webp", 12)
    (tmp_path / "catalogue.csv").write_bytes(catalogue.catalogue(urls))

    found = list(read_catalogue(tmp_path / "catalogue.csv", CSVLimits(1_000_000, 1_000, 10)).rows())

    assert [url for row in found for url in row.image_urls] == urls
    assert [len(row.image_urls) for row in found] == [5, 5, 2]
    assert not any(row.problems for row in found)
    assert len(set(urls)) == 12


# ---- the image host ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [SMALL, NGINX])
def test_the_image_host_returns_for_every_number_the_image_of_its_last_digits(
    images: Path, options: dict[str, bool]
) -> None:
    wanted = (images / "64" / "jpeg" / "07.jpg").read_bytes()

    with origin.origin(images, **options) as base, requests.Session() as session:
        responses = [session.get(f"{base}/64/jpeg/{number}.jpg", timeout=120) for number in ("000007", "123407")]
        missing = session.get(f"{base}/64/jpeg/none.jpg", timeout=120)

    assert [response.content for response in responses] == [wanted, wanted]
    assert responses[0].headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(wanted)).size == (64, 64)
    assert missing.status_code == 404


def test_with_a_latency_every_response_waits_and_none_waits_for_another(images: Path) -> None:
    with origin.origin(images, latency=3) as base, ThreadPoolExecutor(30) as pool:
        began = time.perf_counter()
        responses = list(pool.map(lambda _: requests.get(f"{base}/64/jpeg/000001.jpg", timeout=120), range(30)))
        seconds = time.perf_counter() - began

    assert all(response.ok for response in responses)
    assert 3 <= seconds < 60, "one after the other takes 90 s"


@pytest.mark.parametrize("options", [SMALL, NGINX])
def test_the_image_host_ends_with_its_context(images: Path, options: dict[str, bool]) -> None:
    with origin.origin(images, **options) as base:
        requests.get(f"{base}/64/jpeg/000001.jpg", timeout=120)

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{base}/64/jpeg/000001.jpg", timeout=120)


# ---- what is measured ----------------------------------------------------------------------------------------------


def test_every_stage_counts_the_cpu_time_of_its_methods() -> None:
    clock = stage_run.Clock()

    def busy() -> str:
        began = time.thread_time()
        while time.thread_time() - began < 0.05:
            pass
        return "result"

    @contextmanager
    def context() -> Iterator[str]:
        yield busy()

    with clock.wrapped("record", context)() as given:
        assert given == clock.wrapped("download", busy)() == "result"

    assert clock.seconds["download"] >= 0.05
    assert clock.seconds["record"] >= 0.1


def test_every_method_that_is_timed_exists() -> None:
    for module, owner, names in stage_run.METHODS.values():
        holder = getattr(importlib.import_module(f"image_processor.{module}"), owner)
        assert all(callable(getattr(holder, name)) for name in names)


# ---- what is reported ----------------------------------------------------------------------------------------------


def test_the_document_says_what_the_results_say() -> None:
    document = report.DOCUMENT.read_text()

    assert report.updated(document, results.load()) == document


def test_the_document_has_a_place_for_every_section() -> None:
    document = report.DOCUMENT.read_text()

    for section in {name.partition("-")[0] for name in TABLES}:
        assert f"<!-- bench:{section} -->" in document
        assert f"<!-- /bench:{section} -->" in document


def test_a_section_that_is_measured_again_replaces_itself_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for section, figure in (("one", 1.23456), ("other", 2.0), ("one", 3.0)):
        results.keep(section, {"figure": figure}, quick=True, origin="none", path=path)

    assert {name: kept["figures"] for name, kept in results.load(path).items()} == {
        "one": {"figure": 3.0},
        "other": {"figure": 2.0},
    }


def test_a_bar_that_is_missed_is_named() -> None:
    table = Table(("what", "measured", "met"), [("near", "1", "yes"), ("far", "2", "NO")])

    assert table.missed == ["far"]
    assert table.as_text().splitlines()[-1].split() == ["far", "2", "NO"]
