"""The main job, with a real server, a real image host and a real webhook receiver."""

import contextlib
import csv
import io
import itertools
import json
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
import requests
from catalogues import ALLOW, NewServer
from PIL import Image
from servers import ImageHost, Page, Receiver, wait_for
from standardwebhooks import Webhook


def photograph(width: int, height: int, seed: int) -> bytes:
    """A JPEG of quality 90 with the smoothness and the grain of a photograph."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([np.sin(x / (40 + 9 * c + seed)) + np.cos(y / (55 + 7 * c)) for c in range(3)], axis=-1)
    pixels = np.clip(128 + 50 * base + rng.normal(0, 6, base.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture(scope="module")
def photographs() -> list[bytes]:
    return [photograph(640, 480, seed) for seed in range(6)]


def catalogue(rows: list[list[str]]) -> bytes:
    """A catalogue of URL lists, in the spelling of the assignment."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["S. No.", "Product Name", "Input Image Urls"])
    for number, urls in enumerate(rows, start=1):
        writer.writerow([f"{number}.", f"SKU{number}", ", ".join(urls)])
    return file.getvalue().encode()


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_a_catalogue_goes_in_and_comes_back_with_compressed_hosted_images(
    server: NewServer, host: ImageHost, receiver: Receiver, photographs: list[bytes]
) -> None:
    for number, photo in enumerate(photographs):
        host.pages[f"/{number}.jpg"] = Page(photo)
    urls = [host.url(f"/{number}.jpg") for number in range(6)]
    rows = [urls[0:2], urls[2:3], urls[3:6]]
    running = server(**ALLOW)
    running.start()

    accepted = running.upload(catalogue(rows), webhook_url=receiver.url)
    assert accepted["status"] in ("Pending", "Processing")
    assert accepted["row_count"] == 3
    assert accepted["counts"]["total"] == 6
    status = running.wait_until_done(accepted["request_id"])

    assert (status["status"], status["outcome"]) == ("Completed", "succeeded")
    assert status["counts"]["succeeded"] == 6
    assert status["progress"]["percent"] == 100.0
    assert status["bytes"]["input"] == sum(map(len, photographs))
    assert status["bytes"]["output"] < status["bytes"]["input"] / 2
    outputs = [product["output_image_urls"] for product in status["products"]]
    assert [len(row) for row in outputs] == [2, 1, 3]
    for photo, url in zip(photographs, itertools.chain(*outputs), strict=True):
        response = requests.get(url, timeout=120)
        assert response.headers["Content-Type"] == "image/jpeg"
        assert len(response.content) < len(photo)
        assert Image.open(io.BytesIO(response.content)).size == (640, 480)
        assert (running.images / url.split("/processed_images/")[1]).read_bytes() == response.content

    output = requests.get(status["links"]["output_csv"], timeout=120)
    assert output.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert cells(output.text) == [
        ["S. No.", "Product Name", "Input Image Urls", "Output Image Urls"],
        *(
            [f"{number}.", f"SKU{number}", ", ".join(row), ", ".join(outputs[number - 1])]
            for number, row in enumerate(rows, start=1)
        ),
    ]

    headers, body = wait_for(lambda: receiver.messages[:1])[0]
    secret = (running.instance / "webhook_secret").read_text()
    message = Webhook(secret).verify(body, headers)
    assert message["type"] == "request.completed"
    assert message["request_id"] == message["data"]["request_id"] == accepted["request_id"]
    assert message["data"]["counts"]["succeeded"] == 6
    delivered = wait_for(
        lambda: (webhook := running.status(accepted["request_id"])["webhook"])["state"] == "delivered" and webhook
    )
    assert delivered == {"url": receiver.url, "state": "delivered", "attempts": 1, "last_status_code": 204}


def test_the_sample_works_as_it_is_without_the_internet(server: NewServer) -> None:
    running = server()
    running.start()
    sample = requests.get(f"{running.url}/sample.csv", timeout=120).content

    accepted = running.upload(sample, webhook_url=f"{running.url}/webhooks/inbox")
    status = running.wait_until_done(accepted["request_id"])

    assert status["outcome"] == "succeeded", status
    assert status["counts"]["total"] >= 6
    assert all(not image["kept_original"] for product in status["products"] for image in product["images"])
    inbox = wait_for(lambda: requests.get(f"{running.url}/webhooks/inbox", timeout=120).json()["callbacks"])
    assert inbox[0]["body"]["request_id"] == accepted["request_id"]


@pytest.mark.parametrize("path", ["/upload", "/upload/", "/upload_csv", "/api/v1/requests"])
def test_every_spelling_of_the_paths_works(server: NewServer, host: ImageHost, path: str) -> None:
    host.pages["/a.jpg"] = Page(photograph(60, 40, 1))
    running = server(**ALLOW)
    running.start()

    accepted = running.upload(catalogue([[host.url("/a.jpg")]]), path)
    running.wait_until_done(accepted["request_id"])

    bodies = [
        requests.get(f"{running.url}{prefix}/{accepted['request_id']}", timeout=120).json()
        for prefix in ("/status", "/request_status", "/api/v1/requests")
    ]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["status"] == "Completed"


def test_what_fails_keeps_its_slot_and_says_why_and_the_rest_completes(
    server: NewServer, host: ImageHost, photographs: list[bytes]
) -> None:
    host.pages["/good.jpg"] = Page(photographs[0])
    host.pages["/page.jpg"] = Page(b"<!doctype html><html><body>Log in</body></html>", "image/jpeg")
    host.pages["/cut.jpg"] = Page(photographs[1][:9_000])
    host.pages["/forbidden.jpg"] = Page(b"no", "text/plain", 403)
    names = ["good", "page", "missing", "good", "cut", "forbidden"]
    running = server(ALLOWED_PRIVATE_ADDRESSES=f"127.0.0.1:{host.port}", MAX_ATTEMPTS="1")
    running.start()
    urls = [host.url(f"/{name}.jpg") for name in names] + ["http://127.0.0.1:2/wall.jpg"]

    status = running.wait_until_done(running.upload(catalogue([urls[:3], urls[3:]]))["request_id"])

    assert (status["status"], status["outcome"]) == ("Completed", "partial")
    images = [image for product in status["products"] for image in product["images"]]
    codes = [image["error"] and image["error"]["code"] for image in images]
    assert codes == [None, "not_an_image", "http_error", None, "truncated", "http_error", "blocked_address"]
    assert images[2]["error"]["http_status"] == 404
    assert all(image["error"]["detail"].endswith(".") for image in images if image["error"])
    assert "127.0.0.1" not in images[6]["error"]["detail"]
    assert [product["status"] for product in status["products"]] == ["Partial", "Partial"]
    assert host.hits["/good.jpg"] == 1, "the same URL is downloaded once"
    good = images[0]["output_url"]
    output = requests.get(status["links"]["output_csv"], timeout=120).text
    assert [row[3] for row in cells(output)[1:]] == [f"{good}, , ", f"{good}, , , "]
    assert len(cells(requests.get(status["links"]["errors_csv"], timeout=120).text)) == 3
    (running.instance / "uploads" / f"{status['request_id']}.csv").unlink()
    gone = requests.get(status["links"]["errors_csv"], timeout=120)
    assert (gone.status_code, gone.json()["type"]) == (404, "/problems/not-found")
    assert "no longer kept" in gone.json()["detail"]


def test_kill_9_in_the_middle_loses_nothing_and_does_nothing_twice(
    server: NewServer, host: ImageHost, receiver: Receiver, photographs: list[bytes]
) -> None:
    killed = threading.Event()
    for number in range(200):
        host.pages[f"/{number}.jpg"] = Page(photographs[number % 6], after=killed if number >= 60 else None)
    rows = [[host.url(f"/{number}.jpg") for number in range(start, start + 4)] for start in range(0, 200, 4)]
    running = server(**ALLOW, PER_HOST_CONNECTIONS="4")
    running.start()
    request_id = running.upload(catalogue(rows), webhook_url=receiver.url)["request_id"]
    wait_for(lambda: running.status(request_id)["counts"]["succeeded"] >= 40)
    running.kill()
    killed.set()

    running.start()
    status = running.wait_until_done(request_id)

    assert status["counts"] == {
        "total": 200, "pending": 0, "processing": 0, "succeeded": 200, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    assert sum(host.hits.values()) < 200 + 100, "what was recorded is not fetched again"
    output = cells(requests.get(status["links"]["output_csv"], timeout=120).text)
    for number, (row, urls) in enumerate(zip(output[1:], rows, strict=True), start=1):
        assert row[:3] == [f"{number}.", f"SKU{number}", ", ".join(urls)]
        assert [url.rpartition("/")[2] for url in row[3].split(", ")] == [
            f"{number}-{place}.jpg" for place in range(1, 5)
        ]
    files = {path.name for path in (running.images / request_id).iterdir()}
    assert files == {f"{row}-{place}.jpg" for row in range(1, 51) for place in range(1, 5)} | {"output.csv"}
    wait_for(lambda: receiver.messages)
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1


def test_two_jobs_at_once_with_the_same_file_names_do_not_mix(
    server: NewServer, host: ImageHost, photographs: list[bytes]
) -> None:
    for shop, photo in (("a", photographs[0]), ("b", photographs[1])):
        for number in range(8):
            host.pages[f"/{shop}/{number}.jpg"] = Page(photo, delay=0.05)
    running = server(**ALLOW)
    running.start()

    ids = [
        running.upload(catalogue([[host.url(f"/{shop}/{number}.jpg") for number in range(8)]]))["request_id"]
        for shop in ("a", "b")
    ]
    first, second = (running.wait_until_done(request_id)["products"][0]["output_image_urls"] for request_id in ids)

    assert len({*first, *second}) == 16
    of_a = {requests.get(url, timeout=120).content for url in first}
    of_b = {requests.get(url, timeout=120).content for url in second}
    assert len(of_a) == len(of_b) == 1
    assert of_a != of_b


def test_a_catalogue_of_hosts_that_hang_does_not_hold_up_another_catalogue(
    server: NewServer, host: ImageHost, photographs: list[bytes]
) -> None:
    for number in range(40):
        host.pages[f"/{number}.jpg"] = Page(photographs[number % 6])
    running = server(**ALLOW, DOWNLOAD_TIMEOUT="600")
    running.start()
    with contextlib.ExitStack() as stack:
        # A port is a host of its own here. The system accepts the connections, and nothing responds.
        hanging = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(80)]
        urls = [[f"http://127.0.0.1:{one.getsockname()[1]}/a.jpg"] for one in hanging]
        hostile = running.upload(catalogue(urls))["request_id"]
        wait_for(lambda: running.status(hostile)["counts"]["processing"] >= 16)

        innocent = running.upload(catalogue([[host.url(f"/{number}.jpg")] for number in range(40)]))

        assert running.wait_until_done(innocent["request_id"])["outcome"] == "succeeded"
        assert running.status(hostile)["counts"]["failed"] == 0
        running.stop()


def test_a_webhook_that_fails_is_sent_again_with_the_same_id(
    server: NewServer, host: ImageHost, receiver: Receiver
) -> None:
    host.pages["/a.jpg"] = Page(photograph(60, 40, 1))
    receiver.answers = [500, 503]
    running = server(**ALLOW, WEBHOOK_SCHEDULE="0,0.1,0.1")
    running.start()

    request_id = running.upload(catalogue([[host.url("/a.jpg")]]), webhook_url=receiver.url)["request_id"]

    wait_for(lambda: len(receiver.messages) == 3)
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1
    assert len({body for _, body in receiver.messages}) == 1
    assert json.loads(receiver.messages[0][1])["status"] == "Completed"
    webhook = wait_for(lambda: (found := running.status(request_id)["webhook"])["state"] == "delivered" and found)
    assert webhook["attempts"] == 3


def test_the_id_of_the_upload_request_is_on_everything_it_started_even_after_a_crash(
    server: NewServer, host: ImageHost, receiver: Receiver
) -> None:
    host.pages["/a.jpg"] = Page(photograph(60, 40, 1), delay=1.0)
    running = server(**ALLOW, LOG_FORMAT="json")
    running.start()
    response = requests.post(
        f"{running.url}/upload",
        params={"webhook_url": receiver.url},
        data=catalogue([[host.url("/a.jpg")], [host.url("/gone.jpg")]]),
        headers={"Content-Type": "text/csv", "X-Request-ID": "shop order 7"},
        timeout=120,
    )
    running.kill()
    running.start()
    done = running.wait_until_done(response.json()["request_id"])
    wait_for(lambda: running.status(done["request_id"])["webhook"]["state"] == "delivered")

    assert response.headers["X-Request-ID"] == "shop order 7"
    assert {headers["x-request-id"] for headers, _ in receiver.messages} == {"shop order 7"}
    lines = [json.loads(line) for line in running.log().splitlines() if line.startswith("{")]
    about = [line for line in lines if line.get("request_id") == done["request_id"]]
    assert {line.get("x_request_id") for line in about} == {"shop order 7"}
    for event in ("submitted to the worker", "images in", "failed: http_error", "Completed", "webhook"):
        assert any(event in line["message"] for line in about), event


def test_a_second_server_on_the_same_folders_only_serves(
    server: NewServer, host: ImageHost, tmp_path: Path, photographs: list[bytes]
) -> None:
    for number in range(30):
        host.pages[f"/{number}.jpg"] = Page(photographs[number % 6])
    first = server(**ALLOW)
    first.start()
    second = server(**ALLOW)
    second.start()

    accepted = second.upload(catalogue([[host.url(f"/{number}.jpg")] for number in range(30)]))
    status = second.wait_until_done(accepted["request_id"])

    assert status["outcome"] == "succeeded"
    assert set(host.hits.values()) == {1}, "nothing is processed twice"
