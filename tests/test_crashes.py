"""Killed at named points and at random, stopped, poisoned: every image final exactly once, every file whole."""

import csv
import io
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import requests
from catalogues import ALLOW, NewServer, catalogue, hosted, images_done
from hostile_images import HOSTILE
from servers import ImageHost, Page, Receiver, SkulightServer, cpu_time, is_running, wait_for

pytestmark = pytest.mark.alone

IN_PROGRESS = "SELECT 1 FROM requests WHERE processing OR succeeded"


def half_written(running: SkulightServer, request_id: str) -> list[Path]:
    """The temporary files of a job that are left."""
    return [*(running.images / request_id).rglob("*.tmp"), *(running.instance / "uploads").glob("*.tmp")]


def assert_whole(running: SkulightServer, request_id: str, urls: list[str], per_row: int = 4) -> None:
    """Every image final once, exact counts, no half-written file, output.csv whole."""
    status = running.wait_until_done(request_id)
    assert status["outcome"] == "succeeded", status["message"]
    assert status["counts"]["succeeded"] == status["counts"]["total"] == len(urls)
    rows = running.ask(f"SELECT status, COUNT(*) FROM images WHERE request_id = '{request_id}' GROUP BY status")
    assert rows == [("Completed", len(urls))]
    wait_for(lambda: not half_written(running, request_id))
    response = requests.get(f"{running.url}/api/v1/requests/{request_id}/output.csv", timeout=120)
    output = list(csv.reader(io.StringIO(response.text)))
    assert [row[2] for row in output[1:]] == [
        ", ".join(urls[start : start + per_row]) for start in range(0, len(urls), per_row)
    ]
    for number, row in enumerate(output[1:], start=1):
        names = [url.rpartition("/")[2] for url in row[3].split(", ")]
        assert names == [f"{number}-{place}.jpg" for place in range(1, len(names) + 1)]
    files = [running.images / request_id / Path(url).name for row in output[1:] for url in row[3].split(", ")]
    total = sum(file.stat().st_size for file in files)
    assert total == status["bytes"]["output"]


def products_loaded(running: SkulightServer) -> int:
    return int(running.ask("SELECT COUNT(*) FROM products")[0][0])


@pytest.mark.parametrize(
    ("point", "reached"),
    [
        ("right after the 202", lambda running: True),
        ("while the CSV is being read into the database", lambda running: products_loaded(running) >= 1000),
        ("while images are downloaded", lambda running: running.ask(IN_PROGRESS)),
        ("when some are recorded", lambda running: images_done(running) >= 50),
        ("when all are recorded and output.csv is not", lambda running: images_done(running) >= 3_000),
        ("when the job is done", lambda running: running.ask("SELECT 1 FROM requests WHERE status = 'Completed'")),
    ],
)
def test_killed_at_a_named_point(
    server: NewServer, host: ImageHost, receiver: Receiver, point: str, reached: Callable[[SkulightServer], bool]
) -> None:
    different = hosted(host, 60, delay=0.1)
    urls = [different[index % 60] for index in range(3_000)]
    running = server(**ALLOW)
    running.start()
    request_id = running.upload(catalogue(urls, 1), webhook_url=receiver.url)["request_id"]
    wait_for(lambda: reached(running), every=0.002)
    running.kill()

    running.start()

    status = running.wait_until_done(request_id)
    assert status["counts"]["succeeded"] == 3_000
    wait_for(lambda: not half_written(running, request_id))
    wait_for(lambda: receiver.messages)
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1


def test_killed_before_the_202_nothing_is_promised_and_nothing_is_left(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 8)
    running = server(**ALLOW)
    running.start()
    with pytest.raises(requests.ConnectionError):

        def body():  # type: ignore[no-untyped-def]
            yield catalogue(urls)
            running.kill()

        requests.post(running.url + "/upload", data=body(), headers={"Content-Type": "text/csv"}, timeout=120)

    running.start()

    wait_for(lambda: requests.get(running.url + "/readyz", timeout=120).status_code == 200)
    assert running.ask("SELECT COUNT(*) FROM requests") == [(0,)]
    wait_for(lambda: not list((running.instance / "uploads").glob("*.tmp")))


def test_ten_kills_at_random_in_a_row(server: NewServer, host: ImageHost, receiver: Receiver) -> None:
    chance = random.Random(7)
    urls = hosted(host, 240, delay=0.03)
    running = server(**ALLOW, PER_HOST_CONNECTIONS="2")
    running.start()
    request_id = running.upload(catalogue(urls), webhook_url=receiver.url)["request_id"]
    for _ in range(10):
        goal = images_done(running) + chance.randint(1, 12)
        wait_for(lambda goal=goal: images_done(running) >= goal or running.status(request_id)["done"])  # type: ignore[misc]
        running.kill()
        running.start()

    assert_whole(running, request_id, urls)
    wait_for(lambda: receiver.messages)
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1


def test_a_killed_master_leaves_no_two_workers(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 120, delay=0.05)
    running = server(**ALLOW, PER_HOST_CONNECTIONS="2")
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]
    wait_for(lambda: images_done(running) >= 5)
    running.kill_master()

    other = server(**ALLOW, PER_HOST_CONNECTIONS="2")
    other.start()

    assert_whole(other, request_id, urls)
    assert sum(host.hits.values()) <= 120 + 64, "only what was in flight may be fetched twice"


def test_four_gunicorn_workers_process_nothing_twice(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 200)
    running = server(**ALLOW)
    running.start("-w", "4")
    ids = [running.upload(catalogue(urls[start : start + 50]))["request_id"] for start in range(0, 200, 50)]

    for start, request_id in enumerate(ids):
        assert_whole(running, request_id, urls[start * 50 : start * 50 + 50])
    assert set(host.hits.values()) == {1}


def test_an_image_that_kills_the_process_is_found_and_the_rest_completes(
    server: NewServer, host: ImageHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The fault is injected into Pillow, in every process of the server: an image that says POISON takes it down.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "import PIL.Image as image\n"
        "opened = image.open\n"
        "def deadly(file, *args, **kwargs):\n"
        "    start = file.read(400); file.seek(0)\n"
        "    if b'POISON' in start: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return opened(file, *args, **kwargs)\n"
        "image.open = deadly\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    urls = hosted(host, 40)
    good = host.pages["/17.jpg"].body
    host.pages["/17.jpg"] = Page(good[:2] + b"\xff\xfe\x00\x08POISON" + good[2:])
    running = server(**ALLOW)
    running.start()

    request_id = running.upload(catalogue(urls))["request_id"]
    status = wait_for(lambda: patient(running, request_id))

    assert status["counts"]["succeeded"] == 39
    failed = [image for product in status["products"] for image in product["images"] if image["error"]]
    assert [(image["input_url"], image["error"]["code"]) for image in failed] == [(urls[17], "crashed")]


def test_image_processes_killed_twenty_times_cost_nothing(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 1_500)
    running = server(**ALLOW)
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]

    for number in range(1, 21):
        wait_for(lambda number=number: images_done(running) >= number * 60 or running.status(request_id)["done"])  # type: ignore[misc]
        wait_for(partial(killed_the_busiest, running))

    assert_whole(running, request_id, urls)
    assert 1 <= running.log().count("an image is retried alone: crashed") <= 20
    assert set(host.hits.values()) == {1}


def killed_the_busiest(server: SkulightServer) -> bool:
    try:  # not the process for retries: no image is tried a third time
        os.kill(max(server.image_processes("images"), key=cpu_time), signal.SIGKILL)
    except (ValueError, ProcessLookupError, FileNotFoundError):  # none just now, or the one that was killed before
        return False
    return True


def test_a_killed_server_leaves_no_image_process(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 200, delay=0.05)
    running = server(**ALLOW)
    running.start()
    running.upload(catalogue(urls))
    wait_for(lambda: images_done(running) >= 20)
    processes = running.image_processes()
    (worker,) = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in processes}

    os.kill(worker, signal.SIGKILL)

    wait_for(lambda: not any(is_running(pid) for pid in processes))


def test_an_ordinary_catalogue_is_done_beside_hostile_images_and_those_can_be_cancelled_and_deleted(
    server: NewServer, host: ImageHost
) -> None:
    urls = hosted(host, 60)
    for name, make in HOSTILE.items():
        host.pages[f"/{name}"] = Page(make())
    running = server(**ALLOW)
    running.start()

    hostile = running.upload(catalogue([host.url(f"/{name}") for name in HOSTILE] * 2))["request_id"]
    ordinary = running.upload(catalogue(urls))["request_id"]

    assert_whole(running, ordinary, urls)
    requests.post(f"{running.url}/api/v1/requests/{hostile}/cancel", timeout=120)
    wait_for(lambda: running.status(hostile)["done"])
    assert requests.delete(f"{running.url}/api/v1/requests/{hostile}", timeout=120).status_code == 204
    assert not (running.images / hostile).exists()


def test_hostile_images_fail_with_a_sentence_and_the_server_survives(server: NewServer, host: ImageHost) -> None:
    for name, make in HOSTILE.items():
        host.pages[f"/{name}"] = Page(make())
    running = server(**ALLOW)
    running.start()

    request_id = running.upload(catalogue([host.url(f"/{name}") for name in HOSTILE]))["request_id"]
    status = running.wait_until_done(request_id)

    assert status["counts"]["succeeded"] + status["counts"]["failed"] == len(HOSTILE)
    errors = [image["error"] for product in status["products"] for image in product["images"] if image["error"]]
    assert errors and not {"internal_error", "crashed"} & {error["code"] for error in errors}
    assert all(error["detail"].endswith(".") for error in errors)
    assert "Traceback" not in running.log()


def patient(running: SkulightServer, request_id: str) -> object:
    """The status when it is done; a server that is just being replaced by gunicorn may close the connection."""
    try:
        body = running.status(request_id)
    except requests.ConnectionError:
        return None
    return body if body["done"] else None


def test_a_stop_with_ten_thousand_images_waiting_is_quick_and_the_next_start_continues(
    server: NewServer, host: ImageHost
) -> None:
    different = hosted(host, 500, delay=1.0)
    urls = different + [f"{url}?{index}" for index in range(19) for url in different]
    for url in urls:
        host.pages[url.removeprefix(host.url(""))] = Page(host.pages["/0.jpg"].body, delay=1.0)
    running = server(**ALLOW)
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]
    wait_for(lambda: images_done(running) >= 10)

    begun = time.monotonic()
    code = running.stop()

    assert time.monotonic() - begun < 60, "the images that wait would take ten minutes"
    assert code == 0
    before = images_done(running)
    assert list(running.images.rglob("*.tmp")) == []
    running.start()
    wait_for(lambda: images_done(running) > before)
    running.kill()
    assert request_id


def test_a_database_that_is_damaged_stops_the_start_and_is_not_touched(
    server: NewServer, capfd: pytest.CaptureFixture[str]
) -> None:
    running = server()
    running.instance.mkdir(parents=True)
    database = running.instance / "skulight.db"
    database.write_bytes(b"this is no database " * 500)

    with pytest.raises(AssertionError, match="the server ended at its start"):
        running.start()

    assert database.read_bytes() == b"this is no database " * 500
    assert "cannot be read" in running.log()
    assert "Traceback" not in running.log()


def test_a_folder_that_cannot_be_made_stops_the_start_with_a_sentence(server: NewServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    running = server(INSTANCE_PATH=str(tmp_path / "file" / "instance"))

    with pytest.raises(AssertionError, match="the server ended at its start"):
        running.start()

    assert "IMAGE_PROCESSOR_INSTANCE_PATH" in running.log()
    assert "Traceback" not in running.log()


def test_a_database_locked_for_a_while_only_delays(server: NewServer, host: ImageHost) -> None:
    import sqlite3

    urls = hosted(host, 120, delay=0.02)
    running = server(**ALLOW, PER_HOST_CONNECTIONS="2")
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]
    wait_for(lambda: images_done(running) >= 5)
    other = sqlite3.connect(running.instance / "skulight.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    held = time.monotonic()
    wait_for(lambda: time.monotonic() - held > 2)
    other.execute("ROLLBACK")
    other.close()

    assert_whole(running, request_id, urls)
