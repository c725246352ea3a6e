"""The bench does what it says; how fast anything is, no test asks."""

import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from PIL import Image
from servers import ROOT

from image_processor.catalogue import CSVLimits, read_products

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
def pictures(tmp_path: Path) -> Path:
    """Small images, made for this test."""
    catalogue.pictures("64", "jpeg", tmp_path)
    return tmp_path


# ---- what is uploaded ----------------------------------------------------------------------------------------------


def test_the_pictures_are_the_same_whenever_they_are_made_and_weigh_what_photographs_weigh() -> None:
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

    found = list(read_products(tmp_path / "catalogue.csv", CSVLimits(1_000_000, 1_000, 10)).rows())

    assert [url for row in found for url in row.image_urls] == urls
    assert [len(row.image_urls) for row in found] == [5, 5, 2]
    assert not any(row.problems for row in found)
    assert len(set(urls)) == 12


# ---- the image host ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [SMALL, NGINX])
def test_the_image_host_answers_every_number_with_the_picture_of_its_last_digits(
    pictures: Path, options: dict[str, bool]
) -> None:
    wanted = (pictures / "64" / "jpeg" / "07.jpg").read_bytes()

    with origin.origin(pictures, **options) as base, requests.Session() as session:
        answers = [session.get(f"{base}/64/jpeg/{number}.jpg", timeout=120) for number in ("000007", "123407")]
        missing = session.get(f"{base}/64/jpeg/none.jpg", timeout=120)

    assert [answer.content for answer in answers] == [wanted, wanted]
    assert answers[0].headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(wanted)).size == (64, 64)
    assert missing.status_code == 404


def test_with_a_latency_every_answer_waits_and_none_waits_for_another(pictures: Path) -> None:
    with origin.origin(pictures, latency=3) as base, ThreadPoolExecutor(30) as pool:
        began = time.perf_counter()
        answers = list(pool.map(lambda _: requests.get(f"{base}/64/jpeg/000001.jpg", timeout=120), range(30)))
        seconds = time.perf_counter() - began

    assert all(answer.ok for answer in answers)
    assert 3 <= seconds < 60, "one after the other takes 90 s"


@pytest.mark.parametrize("options", [SMALL, NGINX])
def test_the_image_host_ends_with_whoever_started_it(pictures: Path, options: dict[str, bool]) -> None:
    with origin.origin(pictures, **options) as base:
        requests.get(f"{base}/64/jpeg/000001.jpg", timeout=120)

    with pytest.raises(requests.ConnectionError):
        requests.get(f"{base}/64/jpeg/000001.jpg", timeout=120)


# ---- what is measured ----------------------------------------------------------------------------------------------


def test_every_place_where_a_stage_is_timed_is_in_the_product() -> None:
    seams = (*stage_run.CALLS.items(), *stage_run.AROUND.items(), *stage_run.INSIDE.items())

    assert {"compress", *(stage for stage, _ in seams)} == set(stage_run.STAGES)
    for _, places in seams:
        for module, name in places:
            stage_run.place_of(module, name)


def test_a_stage_within_another_counts_for_itself_only() -> None:
    clock = stage_run.Clock()
    with clock.stage("decode"), clock.stage("resize"):
        began = time.thread_time()
        while time.thread_time() - began < 0.05:
            pass

    assert clock.seconds()["resize"] >= 0.05 > clock.seconds()["decode"]


# ---- what is told --------------------------------------------------------------------------------------------------


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
