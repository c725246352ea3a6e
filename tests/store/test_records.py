"""Jobs and products in the database: exact counters, URLs processed once, rows inserted once."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from records import ID, counts, done, new_job, opened, with_images

from image_processor.store.database import Database, now
from image_processor.store.jobs import Jobs
from image_processor.store.models import DeliveryState as State
from image_processor.store.models import ImageStatus, JobStatus, WebhookAttempt, WebhookDelivery
from image_processor.store.outcomes import ImageRecord, ImageTask, Portion
from image_processor.store.products import NewImage, NewProduct, Products
from image_processor.store.webhooks import Outbox, new_delivery


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


@pytest.fixture
def products(database: Database) -> Products:
    return Products(database)


def test_pending_images_are_those_of_a_host_or_of_all_hosts_but_some(jobs: Jobs, products: Products) -> None:
    jobs.add(new_job(6))
    places = enumerate(("a", "b", "c", "a", "b", "a"), start=1)
    images = [NewImage(place, f"http://{host}/{place}", f"http://{host}/{place}", host) for place, host in places]
    products.insert(ID, [NewProduct(1, "1", "SKU", [image.input_url for image in images], images)])

    def positions(after: int, limit: int, **hosts: Any) -> list[int]:
        return [image.position for image in products.pending_images(ID, after, limit, **hosts)]

    first = products.pending_images(ID, 0, 1)[0].id
    assert positions(0, 100) == [1, 2, 3, 4, 5, 6]
    assert positions(0, 100, host="a") == [1, 4, 6]
    assert positions(first, 1, host="a") == [4]
    assert positions(0, 100, without=["a"]) == [2, 3, 5]
    assert positions(0, 2, without=["c", "a"]) == [2, 5]
    assert positions(0, 100, without=["a", "b", "c"]) == positions(0, 100, host="d") == []


def test_the_same_url_is_processed_once_and_fills_every_slot(jobs: Jobs, products: Products) -> None:
    tasks = with_images(jobs, products, "a", "b", "a", "a")
    assert [(task.url, task.slots) for task in tasks] == [("a", 3), ("b", 1)]

    products.record_images(ID, tasks, [])
    assert counts(jobs) == (0, 4, 0, 0, 0, 0)
    products.record_images(ID, tasks[1:], [done(tasks[0])])

    assert counts(jobs) == (0, 1, 3, 0, 30, 12)
    product = products.page(ID)[0]
    by_place = {image.position: (image.status, image.output_url) for image in products.images_of([product.id])}
    assert by_place[1] == by_place[3] == by_place[4] == ("Completed", f"u{tasks[0].id}")
    assert by_place[2] == ("Processing", None)


def test_a_url_that_is_in_several_chunks_points_to_its_first_image(jobs: Jobs, products: Products) -> None:
    other = new_job(2)
    other.id = ID[:-1] + "2"
    for one in (other, new_job(7)):
        jobs.add(one)
    for job_id, row, urls in ((other.id, 1, "az"), (ID, 1, "ab"), (ID, 2, ""), (ID, 3, "bcb"), (ID, 4, "ca")):
        images = [NewImage(place, url, url, "host") for place, url in enumerate(urls, start=1)]
        products.insert(job_id, [NewProduct(row, str(row), "n", list(urls), images)])

    tasks = products.pending_images(ID, 0, 10)

    assert [(task.url, task.slots, task.row, task.position) for task in tasks] == [
        ("a", 2, 1, 1),
        ("b", 3, 1, 2),
        ("c", 2, 3, 2),
    ]
    assert [(task.url, task.slots) for task in products.pending_images(other.id, 0, 10)] == [("a", 1), ("z", 1)]
    products.record_images(ID, [], [done(task) for task in tasks])
    assert counts(jobs) == (0, 0, 7, 0, 70, 28)


def test_counters_are_exact_under_many_threads(jobs: Jobs, products: Products) -> None:
    tasks = with_images(jobs, products, *(f"u{number}" for number in range(640)))

    def record(part: list[ImageTask]) -> None:
        for task in part:
            products.record_images(ID, [], [done(task)])

    threads = [threading.Thread(target=record, args=(tasks[start::16],)) for start in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = jobs.get(ID)
    assert found is not None
    assert (found.succeeded, found.bytes_out, found.progress) == (640, 2560, 100.0)


def test_images_in_progress_when_the_process_died_are_pending_again(jobs: Jobs, products: Products) -> None:
    tasks = with_images(jobs, products, "a", "b", "c")
    products.record_images(ID, tasks[1:], [done(tasks[0])])

    products.take_back(Portion(ID, 0, tasks[-1].id))

    assert counts(jobs) == (2, 0, 1, 0, 10, 4)
    assert [task.url for task in products.pending_images(ID, 0, 10)] == ["b", "c"]


def test_an_image_whose_file_is_gone_leaves_the_counters_and_comes_back(jobs: Jobs, products: Products) -> None:
    tasks = with_images(jobs, products, "a", "b")
    products.record_images(ID, [], [done(task) for task in tasks])
    product = products.page(ID)[0]
    gone = [image for image in products.images_of([product.id]) if image.position == 2]

    products.reset_images(ID, gone)

    assert counts(jobs) == (1, 0, 1, 0, 10, 4)
    assert [task.url for task in products.pending_images(ID, 0, 10)] == ["b"]


def test_images_with_a_file_are_looked_through_page_by_page(jobs: Jobs, products: Products) -> None:
    tasks = with_images(jobs, products, "a", "b", "a", "c", "d")
    assert [task.slots for task in tasks] == [2, 1, 1, 1]
    failed = ImageRecord(image=tasks[1], status=ImageStatus.FAILED, attempts=1, error_code="x")
    products.record_images(ID, tasks[3:], [done(tasks[0]), failed, done(tasks[2])])

    first = products.completed_images(ID, after_id=0, limit=2)
    rest = products.completed_images(ID, after_id=first[-1].id, limit=2)

    assert [image.position for image in first + rest] == [1, 3, 4], "the copy of a URL has the same file"
    assert len({image.output_url for image in first}) == 1
    products.reset_images(ID, first)
    assert [task.url for task in products.pending_images(ID, 0, 10)] == ["a"]
    assert [image.position for image in products.completed_images(ID, after_id=0, limit=9)] == [4]


def test_rows_continue_after_the_last_one_inserted(jobs: Jobs, products: Products) -> None:
    jobs.add(new_job(0))
    assert products.last_row(ID) == 0
    products.insert(ID, [NewProduct(row, str(row), "n", [], []) for row in range(1, 4)])

    assert products.last_row(ID) == 3
    with pytest.raises(Exception, match="UNIQUE"):
        products.insert(ID, [NewProduct(4, "4", "n", [], []), NewProduct(4, "4", "n", [], [])])
    assert products.last_row(ID) == 3, "a chunk is inserted whole or not at all"


def finished_with_webhook(jobs: Jobs) -> WebhookDelivery:
    """The delivery of a finished job."""
    jobs.add(new_job(0))
    found = jobs.claim(ID)
    assert found is not None
    found.status, found.message, found.completed_at = JobStatus.COMPLETED, "Done.", now()
    delivery = new_delivery(ID, "https://a.example/", "{}")
    jobs.finish(found, delivery)
    return delivery


def test_the_final_state_and_the_webhook_come_together(jobs: Jobs, database: Database) -> None:
    outbox = Outbox(database)

    delivery = finished_with_webhook(jobs)

    assert jobs.unfinished() == []
    assert jobs.claim(ID) is None
    assert [due.id for due in outbox.due(10)] == [delivery.id]
    attempt = WebhookAttempt(delivery_id=delivery.id, attempted_at=now(), duration_ms=5, status_code=500)
    outbox.record_attempt(delivery, attempt, State.PENDING, 60)
    assert outbox.due(10) == []
    assert [(one.attempts, one.last_status_code) for one, _ in outbox.deliveries(ID)] == [(1, 500)]


def test_a_delivery_and_its_attempts_are_of_one_moment(jobs: Jobs, database: Database) -> None:
    outbox = Outbox(database)
    delivery = finished_with_webhook(jobs)
    assert [attempts for _, attempts in outbox.deliveries(ID)] == [[]]

    def attempt_often() -> None:
        for _ in range(200):
            attempt = WebhookAttempt(delivery_id=delivery.id, attempted_at=now(), duration_ms=5, status_code=500)
            outbox.record_attempt(delivery, attempt, State.PENDING, 60)

    sender = threading.Thread(target=attempt_often)
    sender.start()
    seen = []
    while not seen or sender.is_alive():
        [(one, attempts)] = outbox.deliveries(ID)
        seen.append((one.attempts, len(attempts)))
    sender.join()

    assert [counted for counted, _ in seen] == [listed for _, listed in seen]
