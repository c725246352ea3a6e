"""Cancel, retry, delete, redeliver, prune – and an upload that is repeated – against a real server."""

import csv
import io
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import requests
from catalogues import ALLOW, NewServer, catalogue, hosted, images_done
from flask import Flask
from servers import ImageHost, Page, Receiver, SkulightServer, image_host, wait_for
from sqlalchemy import Connection, event
from standardwebhooks import Webhook, WebhookVerificationError

from app import create_app
from image_processor.jobs.webhook import new_secret
from image_processor.store.database import Database
from image_processor.store.jobs import Jobs
from image_processor.store.models import Job, JobStatus, db
from image_processor.store.webhooks import Outbox, new_delivery

CSV = catalogue(["https://a.example/1.jpg"])


def api(running: SkulightServer, request_id: str, rest: str = "") -> str:
    return f"{running.url}/api/v1/requests/{request_id}{rest}"


def test_cancel_keeps_what_is_done_and_says_so(server: NewServer, host: ImageHost, receiver: Receiver) -> None:
    cancelled = threading.Event()
    urls = hosted(host, 400, free=20, after=cancelled)
    running = server(**ALLOW, PER_HOST_CONNECTIONS="4")
    running.start()
    request_id = running.upload(catalogue(urls), webhook_url=receiver.url)["request_id"]
    wait_for(lambda: images_done(running) >= 8)

    assert requests.post(api(running, request_id, "/cancel"), timeout=120).status_code == 202
    status = running.wait_until_done(request_id)

    assert (status["status"], status["outcome"]) == ("Cancelled", "cancelled")
    counts = status["counts"]
    assert counts["succeeded"] >= 8
    assert counts["cancelled"] == 400 - counts["succeeded"] > 300
    output = list(csv.reader(io.StringIO(requests.get(status["links"]["output_csv"], timeout=120).text)))
    assert sum(bool(url) for row in output[1:] for url in row[3].split(", ")) == counts["succeeded"]
    assert requests.post(api(running, request_id, "/cancel"), timeout=120).status_code == 200
    _, body = wait_for(lambda: receiver.messages)[0]
    assert b'"request.cancelled"' in body

    cancelled.set()
    assert requests.post(api(running, request_id, "/retry"), timeout=120).status_code == 202
    status = running.wait_until_done(request_id)
    assert (status["status"], status["counts"]["succeeded"]) == ("Completed", 400)
    wait_for(lambda: len(receiver.messages) == 2)
    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 2, "a new run has a new webhook id"


def test_what_is_cancelled_before_its_first_image_downloads_nothing(server: NewServer, host: ImageHost) -> None:
    running = server(**ALLOW)
    app = create_app(instance_path=running.instance, processed_images_path=running.images)
    upload = {"file": (io.BytesIO(catalogue(hosted(host, 1) * 40)), "catalogue.csv")}
    request_id = app.test_client().post("/upload", data=upload).json["request_id"]  # type: ignore[index]
    assert app.test_client().post(f"/api/v1/requests/{request_id}/cancel").status_code == 202

    running.start()
    status = running.wait_until_done(request_id)
    assert (status["status"], status["outcome"], status["counts"]["cancelled"]) == ("Cancelled", "cancelled", 40)
    assert status["progress"]["images_per_second"] is None
    assert not host.hits


def test_what_hangs_when_a_job_is_cancelled_does_not_come_back_after_it_is_deleted(
    server: NewServer, host: ImageHost
) -> None:
    deleted = threading.Event()
    running = server(**ALLOW)
    running.start()
    request_id = running.upload(catalogue(hosted(host, 3, after=deleted)))["request_id"]
    wait_for(lambda: sum(host.hits.values()) == 3)
    assert requests.post(api(running, request_id, "/cancel"), timeout=120).status_code == 202
    running.wait_until_done(request_id)
    assert requests.delete(api(running, request_id), timeout=120).status_code == 204
    deleted.set()

    metrics = f"{running.url}/metrics"
    wait_for(lambda: 'step_seconds_count{step="download"} 3.0' in requests.get(metrics, timeout=120).text)
    small = running.upload(catalogue(hosted(host, 1)))["request_id"]
    assert running.wait_until_done(small)["counts"]["succeeded"] == 1, "what was left has had its turn by now"
    assert not (running.images / request_id).exists()


def test_retry_processes_only_what_failed_and_renews_output_csv(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 5)
    missing = [host.pages.pop("/1.jpg"), host.pages.pop("/3.jpg")]
    running = server(**ALLOW)
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]
    first = running.wait_until_done(request_id)
    assert (first["outcome"], first["counts"]["failed"]) == ("partial", 2)
    errors = requests.get(api(running, request_id, "/errors.csv"), timeout=120)
    assert errors.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(errors.text))) == [
        ["S. No.", "Product Name", "Input Image Urls", "Error"],
        ["0", "SKU0", f"{urls[1]}, {urls[3]}", "The server answered 404 Not Found."],
    ]

    host.pages |= {"/1.jpg": missing[0], "/3.jpg": missing[1]}
    again = requests.post(api(running, request_id, "/retry"), timeout=120)
    assert (again.status_code, again.json()["done"]) == (202, False)
    status = running.wait_until_done(request_id)

    assert (status["outcome"], status["counts"]["succeeded"]) == ("succeeded", 5)
    assert host.hits == {"/0.jpg": 1, "/1.jpg": 2, "/2.jpg": 1, "/3.jpg": 2, "/4.jpg": 1}
    output = requests.get(status["links"]["output_csv"], timeout=120).text
    assert output.count("/processed_images/") == 5
    assert requests.post(api(running, request_id, "/retry"), timeout=120).status_code == 409


def test_a_job_whose_upload_is_gone_fails_with_a_sentence_and_true_counts(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 3)
    del host.pages["/1.jpg"]
    running = server(**ALLOW)
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]
    running.wait_until_done(request_id)
    (running.instance / "uploads" / f"{request_id}.csv").unlink()

    requests.post(api(running, request_id, "/retry"), timeout=120)
    status = running.wait_until_done(request_id)

    assert (status["status"], status["outcome"]) == ("Failed", "failed")
    assert "upload the catalogue again" in status["message"]
    counts = status["counts"]
    assert (counts["succeeded"], counts["failed"], counts["pending"]) == (2, 1, 0)


def test_errors_csv_can_be_corrected_and_uploaded_again(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 3)
    page = host.pages.pop("/1.jpg")
    running = server(**ALLOW)
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]
    running.wait_until_done(request_id)
    errors = requests.get(api(running, request_id, "/errors.csv"), timeout=120).content
    host.pages["/1.jpg"] = page

    status = running.wait_until_done(running.upload(errors)["request_id"])

    assert (status["outcome"], status["counts"]["total"]) == ("succeeded", 1)


def test_a_job_is_deleted_with_its_files_but_not_while_it_runs(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 40, free=4, after=threading.Event())
    running = server(**ALLOW, PER_HOST_CONNECTIONS="2")
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]
    wait_for(lambda: images_done(running) >= 2)
    assert requests.delete(api(running, request_id), timeout=120).status_code == 409
    assert requests.get(api(running, request_id, "/errors.csv"), timeout=120).status_code == 409
    assert requests.get(api(running, request_id, "/images.zip"), timeout=120).status_code == 409
    requests.post(api(running, request_id, "/cancel"), timeout=120)
    running.wait_until_done(request_id)

    assert requests.delete(api(running, request_id), timeout=120).status_code == 204

    assert requests.get(api(running, request_id), timeout=120).status_code == 404
    assert requests.delete(api(running, request_id), timeout=120).status_code == 404
    assert not (running.images / request_id).exists()
    assert not (running.instance / "uploads" / f"{request_id}.csv").exists()
    assert running.ask("SELECT COUNT(*) FROM images") == running.ask("SELECT COUNT(*) FROM products") == [(0,)]


def test_a_webhook_is_sent_again_on_demand_with_the_same_id(
    server: NewServer, host: ImageHost, receiver: Receiver
) -> None:
    urls = hosted(host, 1)
    receiver.answers = [410]
    running = server(**ALLOW)
    running.start()
    request_id = running.upload(catalogue(urls), webhook_url=receiver.url)["request_id"]
    link = api(running, request_id, "/webhook-deliveries")
    gone = wait_for(lambda: [one for one in requests.get(link, timeout=120).json()["deliveries"] if one["attempts"]])[0]
    assert (gone["state"], gone["log"][0]["status_code"]) == ("failed", 410), "410 stops"

    assert requests.post(f"{link}/{gone['id']}/redeliver", timeout=120).status_code == 202
    wait_for(lambda: len(receiver.messages) == 2)

    assert len({headers["webhook-id"] for headers, _ in receiver.messages}) == 1
    sent = wait_for(
        lambda: [one for one in requests.get(link, timeout=120).json()["deliveries"] if one["state"] == "delivered"]
    )
    assert [attempt["status_code"] for attempt in sent[0]["log"]] == [410, 204]
    assert requests.post(f"{link}/msg_unknown/redeliver", timeout=120).status_code == 404


def test_a_webhook_to_a_private_address_is_given_up_at_once(server: NewServer, host: ImageHost) -> None:
    running = server(ALLOWED_PRIVATE_ADDRESSES=f"127.0.0.1:{host.port}")
    running.start()
    request_id = running.upload(catalogue(hosted(host, 1)), webhook_url="http://127.0.0.1:2/hook")["request_id"]

    webhook = wait_for(lambda: (found := running.status(request_id)["webhook"])["attempts"] and found)

    assert (webhook["state"], webhook["attempts"], webhook["last_status_code"]) == ("failed", 1, None)


def test_a_slow_receiver_delays_no_other(server: NewServer, host: ImageHost, receiver: Receiver) -> None:
    urls = hosted(host, 1)
    running = server(**ALLOW)
    running.start()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        slow = f"http://127.0.0.1:{silent.getsockname()[1]}/hook"
        for _ in range(20):
            running.upload(catalogue(urls), webhook_url=slow)
        running.upload(catalogue(urls), webhook_url=receiver.url)
        wait_for(lambda: receiver.messages)
        (waiting,) = running.ask(f"SELECT COUNT(*) FROM webhook_deliveries WHERE url = '{slow}' AND attempts = 0")[0]
    assert waiting > 0, "it was sent after all of the slow ones"


def test_the_same_key_and_body_give_the_same_job(server: NewServer) -> None:
    running = server()
    running.start()

    def upload(body: bytes, key: str, **options: str) -> requests.Response:
        return requests.post(
            running.url + "/upload",
            files={"file": ("a.csv", body)},
            data=options,
            headers={"Idempotency-Key": key},
            timeout=120,
        )

    first, again = upload(CSV, "order-1"), upload(CSV, "order-1")
    assert first.status_code == again.status_code == 202
    assert first.json()["request_id"] == again.json()["request_id"]
    other = upload(CSV + b"2,b,https://a.example/2.jpg\r\n", "order-1")
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-misuse")
    assert upload(CSV, "order-1", quality="20").status_code == 422
    assert upload(CSV, "order-2").json()["request_id"] != first.json()["request_id"]
    assert upload(CSV, "k" * 256).status_code == 400
    assert len(list((running.instance / "uploads").glob("*.csv"))) == 2


def test_many_uploads_at_once_with_one_key_make_one_job(server: NewServer) -> None:
    running = server()
    running.start()
    with ThreadPoolExecutor(8) as pool:
        responses = list(
            pool.map(
                lambda _: requests.post(
                    running.url + "/upload",
                    files={"file": ("a.csv", CSV)},
                    headers={"Idempotency-Key": "once"},
                    timeout=120,
                ),
                range(8),
            )
        )

    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["request_id"] for response in responses}) == 1
    assert len(list((running.instance / "uploads").glob("*.csv"))) == 1


def test_a_full_disk_pauses_and_resumes_by_itself(server: NewServer, host: ImageHost, small_disk: Path) -> None:
    full = threading.Event()
    urls = hosted(host, 300, free=30, after=full)
    running = server(**ALLOW, PER_HOST_CONNECTIONS="4", PROCESSED_IMAGES_PATH=str(small_disk))
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]
    wait_for(lambda: images_done(running) >= 20)

    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 1_000_000)
    full.set()
    paused = wait_for(lambda: (body := running.status(request_id))["message"].startswith("Paused.") and body)
    assert "disk is full" in paused["message"] or "No space left" in paused["message"]
    assert requests.get(running.url + "/readyz", timeout=120).status_code == 503
    refused = requests.post(running.url + "/upload", files={"file": ("a.csv", CSV)}, timeout=120)
    assert (refused.status_code, refused.json()["type"]) == (503, "/problems/unavailable")
    assert refused.headers["Retry-After"]
    filler.unlink()

    status = running.wait_until_done(request_id)
    assert (status["outcome"], status["counts"]["succeeded"]) == ("succeeded", 300)
    assert requests.get(running.url + "/readyz", timeout=120).status_code == 200


def test_a_folder_that_turns_read_only_pauses_and_resumes_by_itself(
    server: NewServer, host: ImageHost, small_disk: Path
) -> None:
    read_only = threading.Event()
    urls = hosted(host, 200, free=30, after=read_only)
    running = server(**ALLOW, PER_HOST_CONNECTIONS="4", PROCESSED_IMAGES_PATH=str(small_disk))
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]
    wait_for(lambda: images_done(running) >= 20)

    def remount(mode: str) -> bool:
        """A folder cannot turn read-only while a file in it is open for writing."""
        return subprocess.run(["mount", "-o", f"remount,{mode}", str(small_disk)], check=False).returncode == 0

    wait_for(lambda: remount("ro"))
    read_only.set()
    paused = wait_for(lambda: (body := running.status(request_id))["message"].startswith("Paused.") and body)
    assert "Read-only file system" in paused["message"]
    assert paused["counts"]["failed"] == 0
    remount("rw")

    status = running.wait_until_done(request_id)
    assert (status["outcome"], status["counts"]["succeeded"]) == ("succeeded", 200)


def test_a_secret_of_its_own_signs_the_webhooks_of_a_job(
    server: NewServer, host: ImageHost, receiver: Receiver
) -> None:
    secret = new_secret()
    running = server(**ALLOW)
    running.start()

    request_id = running.upload(catalogue(hosted(host, 1)), webhook_url=receiver.url, webhook_secret=secret)[
        "request_id"
    ]

    headers, message = wait_for(lambda: receiver.messages)[0]
    assert Webhook(secret).verify(message, headers)["request_id"] == request_id
    with pytest.raises(WebhookVerificationError):
        Webhook((running.instance / "webhook_secret").read_text()).verify(message, headers)
    assert secret not in running.log()
    assert secret not in requests.get(f"{running.url}/status/{request_id}", timeout=120).text


def test_a_host_that_asks_for_a_pause_is_named_while_all_wait_for_it(server: NewServer, host: ImageHost) -> None:
    urls = hosted(host, 2)
    good = host.pages["/1.jpg"]
    host.pages["/1.jpg"] = Page(b"slow down", "text/plain", 429, headers={"Retry-After": "4"})
    running = server(**ALLOW, MAX_ATTEMPTS="10")
    running.start()
    request_id = running.upload(catalogue(urls))["request_id"]

    waiting = wait_for(lambda: (body := running.status(request_id))["message"].startswith("Waiting for") and body)
    host.pages["/1.jpg"] = good
    status = running.wait_until_done(request_id)

    assert f"127.0.0.1:{host.port}" in waiting["message"]
    assert status["counts"]["succeeded"] == 2
    assert status["message"].startswith("2 of 2 images compressed")


def test_a_small_job_is_not_starved_by_a_huge_one(server: NewServer, host: ImageHost) -> None:
    one = hosted(host, 3)
    with image_host() as other:
        hosted(other, 20_000)
        huge = [other.url(path) for path in other.pages]
        running = server(**ALLOW)
        running.start()
        big = running.upload(catalogue(huge, 20))["request_id"]
        wait_for(lambda: images_done(running) >= 100)

        small = running.wait_until_done(running.upload(catalogue(one))["request_id"], 20)

        assert small["counts"]["succeeded"] == 3
        assert not running.status(big)["done"]
        running.kill()


# ---- without a server ------------------------------------------------------------------------------------------


@pytest.fixture
def application(tmp_path: Path) -> Flask:
    return create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p")


def upload_in_process(application: Flask, data: bytes) -> str:
    """Upload a catalogue without a server; it is accepted, and nothing begins. Returns its id."""
    response = application.test_client().post("/upload", data={"file": (io.BytesIO(data), "catalogue.csv")})
    assert response.status_code == 202, response.text
    return str(response.get_json()["request_id"])


NEW: dict[str, object] = {
    "message": "", "filename": "", "charset": "utf-8", "warnings": [], "row_count": 1, "invalid_rows": 0, "total": 0,
    "processing": 0, "succeeded": 0, "failed": 0, "cancelled": 0, "progress": 100, "run": 1, "run_base": 0,
    "cancel_requested": False, "bytes_in": 0, "bytes_out": 0, "quality": 50, "max_dimension": 0, "format": "keep",
    "on_invalid": "reject", "base_url": "http://x",
}  # fmt: skip


def finished_job(application: Flask, days_ago: int, number: int) -> str:
    """A job that was done some days ago, with files."""
    request_id = f"00000000-0000-4000-8000-{number:012}"
    at = datetime.now(UTC) - timedelta(days=days_ago)
    storage = application.extensions["services"].storage
    storage.keep_upload(request_id, CSV)
    storage.make_folder(request_id)
    with storage.new_image(request_id) as new:
        Path(new.path).touch()
        new.keep("1-1.jpg")
    with application.app_context():
        with db.engine.execution_options(writes=True).begin() as connection:
            connection.execute(
                Job.__table__.insert().values(
                    **NEW, id=request_id, status=JobStatus.COMPLETED, created_at=at, completed_at=at, updated_at=at
                )
            )
    return request_id


def test_no_transaction_inserts_or_links_more_than_2_000_images(tmp_path: Path, host: ImageHost) -> None:
    application = create_app(
        instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", allowed_private_addresses="127.0.0.0/8"
    )
    urls = [host.url(f"/{number}.jpg") for number in range(20)]  # which the host does not have
    long_rows = catalogue(urls * 50 * 9, per_row=1_000)
    short_rows = catalogue(urls * 50, per_row=2).partition(b"\n")[2]
    request_id = upload_in_process(application, long_rows + short_rows)
    totals = [(0, 0)]

    def note(connection: Connection) -> None:
        found = connection.exec_driver_sql("SELECT count(*), count(same_as_id) FROM images").one()
        totals.append((found[0], found[1]))

    with application.app_context():
        event.listen(db.engine, "commit", note)
        application.extensions["services"].worker._pipeline.run(request_id)
    request = application.extensions["services"].queries.job(request_id)

    assert (request.total, request.failed, request.status) == (10_000, 10_000, "Completed")
    assert totals[-1] == (10_000, 10_000 - len(urls))
    assert max(after[0] - before[0] for before, after in pairwise(totals)) == 2_000
    assert max(after[1] - before[1] for before, after in pairwise(totals)) <= 2_000
    assert host.hits.total() == len(urls), "a URL is fetched once, however many ranges it is in"


def test_old_jobs_are_pruned_by_age_with_their_files(application: Flask, tmp_path: Path) -> None:
    old, young = finished_job(application, 40, 1), finished_job(application, 3, 2)

    assert application.extensions["services"].actions.prune(30) == 1

    assert [path.name for path in (tmp_path / "p").iterdir()] == [young]
    assert [path.stem for path in (tmp_path / "i" / "uploads").iterdir()] == [young]
    assert application.extensions["services"].queries.job(young)
    assert old != young


def test_a_job_that_is_deleted_meanwhile_keeps_no_other_from_being_pruned(application: Flask) -> None:
    actions = application.extensions["services"].actions
    old = finished_job(application, 40, 1)

    class Stale(Jobs):
        """A list of old jobs that was read before one of them was deleted."""

        def done_before(self, moment: datetime) -> Sequence[str]:
            return ["11111111-1111-4111-8111-111111111111", *super().done_before(moment)]

    with application.app_context():
        stale = Stale(Database(db.engine))

    assert replace(actions, jobs=stale).prune(30) == 1
    assert not stale.existing([old])


def test_files_that_belong_to_no_job_are_removed_and_no_others(application: Flask, tmp_path: Path) -> None:
    kept = finished_job(application, 1, 3)
    orphan = tmp_path / "p" / "11111111-1111-4111-8111-111111111111"
    orphan.mkdir()
    (orphan / "1-1.jpg").write_bytes(b"x")
    (tmp_path / "p" / "other").mkdir()

    assert application.extensions["services"].actions.remove_orphans() == 1

    assert {path.name for path in (tmp_path / "p").iterdir()} == {kept, "other"}


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_set_a_day_back_or_forward_delays_no_webhook_by_a_day(
    application: Flask, days: int, tmp_path: Path
) -> None:
    """The delivery was scheduled by a clock that was `days` ahead of the present one."""
    request_id = finished_job(application, 0, 4)
    with application.app_context():
        database = Database(db.engine)
    outbox, delivery = Outbox(database), new_delivery(request_id, "https://a.example/", "{}")
    with database.write() as session:
        session.add(delivery)
    ahead = timedelta(days=days)
    with sqlite3.connect(tmp_path / "i" / "skulight.db") as connection:
        due = datetime.now(UTC).replace(tzinfo=None) + ahead + timedelta(seconds=300)
        connection.execute(
            "UPDATE webhook_deliveries SET due_at = ?, scheduled_at = ?", (due, due - timedelta(seconds=300))
        )
    connection.close()

    assert [one.id for one in outbox.due(10)] == [delivery.id]
