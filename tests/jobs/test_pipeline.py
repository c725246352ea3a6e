"""The three steps of a job: repeated, run by two processes at the same time, and in portions."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Barrier, Event
from typing import Any

import pytest
from catalogues import catalogue, hosted
from flask import Flask
from servers import ImageHost, wait_for
from sqlalchemy import event, select

from app import create_app
from image_processor.jobs.pipeline import Pipeline
from image_processor.jobs.services import Services
from image_processor.store.files import OUTPUT_NAME
from image_processor.store.models import Job, ProductImage, db
from image_processor.store.outcomes import MAX_LOST, Portion


@contextmanager
def opened(folder: Path) -> Iterator[Flask]:
    """An application on an installation, as another process opens it. Nothing begins by itself."""
    application = create_app(
        instance_path=folder / "i", processed_images_path=folder / "p", allowed_private_addresses="127.0.0.0/8"
    )
    yield application
    with application.app_context():
        db.engine.dispose()


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Flask]:
    with opened(tmp_path) as application:
        yield application


@pytest.fixture
def second(first: Flask, tmp_path: Path) -> Iterator[Flask]:
    with opened(tmp_path) as application:
        yield application


def services(application: Flask) -> Services:
    found: Services = application.extensions["services"]
    return found


def pipeline(application: Flask, portion_images: int | None = None) -> Pipeline:
    return replace(services(application).worker._pipeline, portion_images=portion_images)


def upload(application: Flask, urls: list[str], per_row: int = 1, **options: str) -> str:
    form = {"file": (BytesIO(catalogue(urls, per_row)), "catalogue.csv"), **options}
    response = application.test_client().post("/upload", data=form)
    assert response.status_code == 202, response.text
    return str(response.get_json()["request_id"])


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """What some functions return that begin at the same time, each in a thread."""
    barrier = Barrier(len(functions))
    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(lambda function: (barrier.wait(120), function())[1], functions))


def job(application: Flask, job_id: str) -> Job:
    return services(application).queries.job(job_id)


def statuses(application: Flask) -> list[str]:
    with application.app_context(), db.engine.connect() as connection:
        return list(connection.scalars(select(ProductImage.status).order_by(ProductImage.id)))


def test_two_that_begin_a_job_insert_its_rows_once(first: Flask, second: Flask, host: ImageHost) -> None:
    urls = [host.url(f"/{number}.jpg") for number in range(1_200)]
    job_id = upload(first, urls)

    portions = at_once(lambda: pipeline(first).begin(job_id), lambda: pipeline(second).begin(job_id))

    assert portions[0] == portions[1] == pipeline(first).begin(job_id)
    assert [portion.job_id for portion in portions[0]] == [job_id]
    assert statuses(first) == ["Pending"] * 1_200
    assert job(first, job_id).status == "Processing"


def test_two_that_run_a_job_at_the_same_time_end_it_once(
    first: Flask, second: Flask, host: ImageHost, tmp_path: Path
) -> None:
    job_id = upload(first, hosted(host, 60) * 2, webhook_url="https://a.example/")

    at_once(lambda: pipeline(first).run(job_id), lambda: pipeline(second).run(job_id))

    pipeline(second).run(job_id)
    done = job(first, job_id)
    assert (done.status, done.total, done.succeeded, done.processing) == ("Completed", 120, 120, 0)
    sizes = [path.stat().st_size for path in (tmp_path / "p" / job_id).glob("*.jpg")]
    assert (len(sizes), done.bytes_out) == (60, 2 * sum(sizes))
    assert len(services(first).queries.deliveries(job_id)) == 1


def test_a_job_in_portions_is_done_by_several(first: Flask, second: Flask, host: ImageHost) -> None:
    urls = hosted(host, 25)
    job_id = upload(first, urls + urls[:3])
    one, other = pipeline(first, 10), pipeline(second, 10)

    portions = one.begin(job_id)
    assert len(portions) == 3
    one.work(portions[1])
    assert statuses(first) == ["Pending"] * 10 + ["Completed"] * 10 + ["Pending"] * 8
    assert one.end(job_id) == [], "the others are not done"
    assert other.begin(job_id) == [
        Portion(job_id, 0, portions[0].last_id),
        Portion(job_id, portions[0].last_id, portions[2].last_id),
    ]
    at_once(*(lambda portion=portion: other.work(portion) for portion in portions), lambda: one.work(portions[0]))
    at_once(lambda: one.end(job_id), lambda: other.end(job_id))

    assert one.begin(job_id) == other.end(job_id) == []
    one.work(portions[0])
    assert statuses(first) == ["Completed"] * 28
    assert (job(first, job_id).status, job(first, job_id).succeeded) == ("Completed", 28)
    assert services(first).storage.output_path(job_id, OUTPUT_NAME).exists()


def test_the_images_of_an_isolated_portion_are_processed_one_at_a_time(first: Flask, host: ImageHost) -> None:
    sent = Event()
    job_id = upload(first, hosted(host, 8, after=sent))
    steps = pipeline(first)
    (portion,) = steps.begin(job_id)

    working = threading.Thread(target=steps.work, args=(replace(portion, isolated=True),))
    working.start()
    try:
        wait_for(lambda: job(first, job_id).processing)
        assert statuses(first).count("Processing") == 1
    finally:
        sent.set()
        working.join()
    assert statuses(first) == ["Completed"] * 8


def test_a_file_that_is_removed_again_and_again_is_not_downloaded_for_ever(
    first: Flask, host: ImageHost, tmp_path: Path
) -> None:
    urls = hosted(host, 3)
    job_id = upload(first, [*urls, urls[1]])
    steps, rounds = pipeline(first), 0
    portions = steps.begin(job_id)

    while portions:
        rounds += 1
        for portion in portions:
            steps.work(portion)
        (tmp_path / "p" / job_id / "2-1.jpg").unlink()
        portions = steps.end(job_id)

    assert rounds == host.hits["/1.jpg"] == MAX_LOST
    assert host.hits["/0.jpg"] == 1
    body = first.test_client().get(f"/api/v1/requests/{job_id}").get_json()
    assert (body["status"], body["outcome"], body["counts"]["failed"]) == ("Completed", "partial", 2)
    error = body["products"][1]["images"][0]["error"]
    assert (error["code"], "removed from its folder" in error["detail"]) == ("file_lost", True)


def test_a_job_that_is_cancelled_ends_whatever_others_do(first: Flask, second: Flask, host: ImageHost) -> None:
    sent = Event()
    job_id = upload(first, hosted(host, 6, free=2, after=sent))
    steps = pipeline(first)
    (portion,) = steps.begin(job_id)
    working = threading.Thread(target=steps.work, args=(portion,))
    working.start()
    try:
        wait_for(lambda: job(first, job_id).succeeded == 2)
        assert first.test_client().post(f"/api/v1/requests/{job_id}/cancel").status_code == 202
        assert pipeline(second).end(job_id) == []
        done = job(first, job_id)
        assert (done.status, done.succeeded, done.cancelled, done.processing) == ("Cancelled", 2, 4, 0)
    finally:
        sent.set()
        working.join()

    assert job(first, job_id).cancelled == 4
    assert steps.end(job_id) == []


# ---- NUL ---------------------------------------------------------------------------------------------------------


def test_no_nul_reaches_the_database(first: Flask) -> None:
    """PostgreSQL refuses a statement with a NUL in a text."""
    seen: list[Any] = []
    with first.app_context():

        @event.listens_for(db.engine, "before_cursor_execute")
        def note(_connection: Any, _cursor: Any, _statement: str, parameters: Any, *_: Any) -> None:
            seen.append(parameters)

    client = first.test_client()
    workbook = client.get("/samples/workbook.xlsx").data
    job_id = client.post(
        "/upload", data={"file": (BytesIO(workbook), "pro\0ducts.xl\0sx")}, headers={"Idempotency-Key": "a\0b"}
    ).get_json()["request_id"]
    with closing(client.get(f"/api/v1/requests/{job_id}/images", query_string={"q": "a\0b"})) as response:
        assert response.status_code == 200
    again = f"/api/v1/requests/{job_id}/webhook-deliveries/msg\0_1/redeliver"
    assert client.post(again.replace("\0", "%00")).status_code == 404

    assert "\\x00" not in repr(seen)
    assert "b" in repr(seen)
