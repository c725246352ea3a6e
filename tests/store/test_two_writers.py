"""Two processes that record the same job at the same time: exact counters, one end, each webhook sent by one."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from records import ID, counts, done, new_job, opened, with_images
from sqlalchemy import create_engine, event, update

from image_processor.store.database import Database, now
from image_processor.store.jobs import Jobs
from image_processor.store.listings import ImageFilter, Listings
from image_processor.store.models import (
    Base,
    DeliveryState,
    ImageStatus,
    Job,
    JobStatus,
    ReceivedCallback,
    WebhookAttempt,
    WebhookDelivery,
)
from image_processor.store.outcomes import MAX_LOST, ImageRecord, ImageTask, Portion
from image_processor.store.products import NewImage, NewProduct, Products
from image_processor.store.webhooks import Outbox, new_delivery


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


@pytest.fixture
def second(first: Database, tmp_path: Path) -> Iterator[Database]:
    with opened(tmp_path) as database:
        yield database


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """What some functions return that begin at the same time, each in a thread."""
    barrier, results = Barrier(len(functions)), list[Any]([None] * len(functions))

    def run(number: int) -> None:
        barrier.wait(120)
        results[number] = functions[number]()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def failed(image: ImageTask) -> ImageRecord:
    return ImageRecord(image, ImageStatus.FAILED, error_code="timeout", error_detail="Too slow.")


def test_results_that_two_processes_record_count_once(first: Database, second: Database) -> None:
    jobs, products, other = Jobs(first), Products(first), Products(second)
    a, b, c = with_images(jobs, products, "a", "b", "a", "c")
    products.record_images(ID, [a, b, c], [])

    assert products.record_images(ID, [c], [done(a), failed(b)]) == [done(a), failed(b)]
    assert other.record_images(ID, [c], [done(a), done(b)]) == []

    assert counts(jobs) == (0, 1, 2, 1, 20, 8)
    assert other.record_images(ID, [], [done(b), done(c)]) == [done(c)]
    assert counts(jobs) == (0, 0, 3, 1, 30, 12)


def test_images_that_two_processes_have_begun_count_once(first: Database, second: Database) -> None:
    jobs, products, other = Jobs(first), Products(first), Products(second)
    a, b, c, d = with_images(jobs, products, "a", "b", "b", "c", "d")

    products.record_images(ID, [a, b], [])
    other.record_images(ID, [b, c], [])
    assert counts(jobs)[:2] == (1, 4)
    products.record_images(ID, [], [done(a), done(b), done(d)])
    assert counts(jobs)[:3] == (0, 1, 4), "the other process still has one"
    other.record_images(ID, [], [done(b), done(c)])
    assert counts(jobs) == (0, 0, 5, 0, 50, 20)


def test_many_threads_of_two_processes_record_the_same_images(first: Database, second: Database) -> None:
    jobs = Jobs(first)
    tasks = with_images(jobs, Products(first), *(f"u{number}" for number in range(200)))
    seen: list[Job] = []

    def record(database: Database) -> int:
        products, recorded = Products(database), 0
        for start in range(0, 200, 10):
            products.record_images(ID, tasks[start : start + 10], [])
            recorded += len(products.record_images(ID, [], [done(task) for task in tasks[start : start + 10]]))
        return recorded

    def poll() -> int:
        while not seen or seen[-1].succeeded < 200:
            found = Jobs(second).get(ID)
            assert found is not None
            seen.append(found)
        return 0

    writers = [lambda database=database: record(database) for database in (first, second) * 4]
    assert sum(at_once(*writers, poll)) == 200
    assert counts(jobs) == (0, 0, 200, 0, 2_000, 800)
    assert all(one.processing >= 0 and one.pending >= 0 for one in seen)
    assert all(before.progress <= after.progress for before, after in pairwise(seen))


def test_a_job_is_finished_once_with_one_webhook(first: Database, second: Database) -> None:
    Jobs(first).add(new_job(0))
    Jobs(first).claim(ID)

    def finish(database: Database) -> bool:
        found = Jobs(database).get(ID)
        assert found is not None
        found.status, found.completed_at = JobStatus.COMPLETED, now()
        both_read.wait(120)
        return Jobs(database).finish(found, new_delivery(ID, "https://a.example/", "{}"))

    both_read = Barrier(2)
    assert sorted(at_once(lambda: finish(first), lambda: finish(second))) == [False, True]
    assert len(Outbox(first).deliveries(ID)) == 1


def test_a_job_is_not_finished_by_who_saw_an_earlier_run_or_while_images_are_not_final(
    first: Database, second: Database
) -> None:
    jobs, products = Jobs(first), Products(first)
    (task,) = with_images(jobs, products, "a")
    late = Jobs(second).get(ID)
    assert late is not None
    late.status, late.completed_at = JobStatus.COMPLETED, now()

    assert not Jobs(second).finish(late, None)
    products.record_images(ID, [], [failed(task)])
    assert Jobs(second).finish(late, None)
    assert jobs.restart(ID)
    jobs.cancel(ID)
    jobs.cancel_rest(ID)
    assert not Jobs(second).finish(late, None)
    assert jobs.unfinished() == [ID]


def test_a_claim_leaves_the_images_of_other_processes_to_them(first: Database, second: Database) -> None:
    jobs, products = Jobs(first), Products(first)
    a, b, c = with_images(jobs, products, "a", "b", "c", "b")
    products.record_images(ID, [a, b], [])

    assert Jobs(second).claim(ID)

    assert counts(jobs)[:2] == (1, 3)
    Products(second).take_back(Portion(ID, a.id, b.id))
    assert counts(jobs)[:2] == (3, 1), "a portion is taken back with the copies of its URLs"
    assert [task.url for task in products.pending_images(ID, 0, 10)] == ["b", "c"]
    assert [task.url for task in products.pending_images(ID, 0, 10, last_id=b.id)] == ["b"]
    assert c.id > b.id > a.id


def test_two_processes_that_insert_the_same_rows_insert_them_once(first: Database, second: Database) -> None:
    jobs = Jobs(first)
    jobs.add(new_job(300))

    def product(row: int) -> NewProduct:
        url = f"u{row % 7}"
        return NewProduct(row, str(row), "n", [url], [NewImage(1, url, url, "host")])

    def load(database: Database, size: int) -> None:
        for start in range(1, 301, size):
            Products(database).insert(ID, [product(row) for row in range(start, min(start + size, 301))])

    at_once(lambda: load(first, 20), lambda: load(second, 33))

    assert [found.row for found in Products(first).page(ID, limit=400)] == list(range(1, 301))
    assert [task.slots for task in Products(first).pending_images(ID, 0, 300)] == [43, 43, 43, 43, 43, 43, 42]


def test_files_that_two_processes_miss_leave_the_counters_once(first: Database, second: Database) -> None:
    jobs, products = Jobs(first), Products(first)
    tasks = with_images(jobs, products, "a", "b", "a")
    products.record_images(ID, [], [done(task) for task in tasks])
    progress = jobs.find(ID).progress
    missing = [image for image in products.completed_images(ID, 0, 10) if image.position != 2]

    products.reset_images(ID, missing)
    Products(second).reset_images(ID, missing)

    assert counts(jobs) == (2, 0, 1, 0, 10, 4), "both images of the URL"
    assert jobs.find(ID).progress == progress == 100.0


def test_an_image_whose_file_is_lost_again_and_again_fails(first: Database) -> None:
    jobs, products = Jobs(first), Products(first)
    a, b = with_images(jobs, products, "a", "b", "a")
    products.record_images(ID, [], [done(a), done(b)])

    for _ in range(MAX_LOST):
        assert counts(jobs) == (0, 0, 3, 0, 30, 12)
        products.reset_images(ID, products.completed_images(ID, 0, 1))
        products.record_images(ID, [], [done(task) for task in products.pending_images(ID, 0, 10)])

    assert counts(jobs) == (0, 0, 1, 2, 10, 4)
    lost = [image for image, _ in Listings(first).images(ID, 10, 0, ImageFilter(status=ImageStatus.FAILED))]
    assert {(image.error_code, image.output_url, image.bytes_out) for image in lost} == {("file_lost", None, None)}
    assert "removed from its folder" in (lost[0].error_detail or "")
    job = jobs.find(ID)
    job.status, job.completed_at = JobStatus.COMPLETED, now()
    assert jobs.finish(job, None)
    assert jobs.restart(ID)
    assert [task.url for task in products.pending_images(ID, 0, 10)] == ["a"]


def test_what_is_cancelled_counts_what_is_not_final_then(first: Database, second: Database) -> None:
    jobs, products = Jobs(first), Products(first)
    a, b, c = with_images(jobs, products, "a", "b", "c")
    products.record_images(ID, [a, b], [])
    jobs.cancel(ID)

    at_once(lambda: jobs.cancel_rest(ID), lambda: Jobs(second).cancel_rest(ID))
    assert Products(second).record_images(ID, [c], [done(a), failed(b)]) == []

    found = jobs.find(ID)
    assert (found.cancelled, found.processing, found.succeeded, found.failed) == (3, 0, 0, 0)


def test_a_job_that_another_process_has_finished_does_not_fail(first: Database, second: Database) -> None:
    jobs = Jobs(first)
    (task,) = with_images(jobs, Products(first), "a")
    Products(first).record_images(ID, [], [done(task)])
    job = jobs.find(ID)
    job.status, job.completed_at = JobStatus.COMPLETED, now()
    assert jobs.finish(job, None)
    before = jobs.find(ID)

    Jobs(second).fail_rest(ID)
    Jobs(second).cancel_rest(ID)
    Jobs(second).set_message(ID, "Waiting.")

    after = jobs.find(ID)
    assert (after.failed, after.message, after.updated_at) == (0, before.message, before.updated_at)


# ---- webhooks ----------------------------------------------------------------------------------------------------


@pytest.fixture
def delivery(first: Database) -> WebhookDelivery:
    Jobs(first).add(new_job(0))
    with first.write() as session:
        session.add(delivery := new_delivery(ID, "https://a.example/", "{}"))
    return delivery


def attempt(delivery: WebhookDelivery) -> WebhookAttempt:
    return WebhookAttempt(delivery_id=delivery.id, attempted_at=now(), duration_ms=5, status_code=500)


def let_time_pass(database: Database) -> None:
    with database.write() as session:
        session.execute(update(WebhookDelivery).values(sending_until=now()))


def until(database: Database) -> Any:
    return Outbox(database).deliveries(ID)[0][0].sending_until


def test_a_delivery_is_taken_by_one_sender(first: Database, second: Database, delivery: WebhookDelivery) -> None:
    outbox, other = Outbox(first), Outbox(second)
    assert len(other.due(1)) == 1

    taken = at_once(lambda: outbox.take(delivery.id), lambda: other.take(delivery.id))

    assert sorted(one is not None for one in taken) == [False, True]
    assert outbox.due(1) == other.due(1) == []


def test_a_delivery_that_is_given_back_or_recorded_is_free(
    first: Database, second: Database, delivery: WebhookDelivery
) -> None:
    outbox, other = Outbox(first), Outbox(second)
    taken = outbox.take(delivery.id)
    assert taken is not None
    outbox.give_back(taken)
    taken = other.take(delivery.id)
    assert taken is not None
    other.record_attempt(taken, attempt(taken), DeliveryState.PENDING, 0.0)

    assert [one.id for one in outbox.due(1)] == [delivery.id]
    assert until(first) is None


def test_a_delivery_whose_sender_died_is_taken_after_a_while_and_stays_with_the_new_one(
    first: Database, second: Database, delivery: WebhookDelivery
) -> None:
    outbox, other = Outbox(first), Outbox(second)
    dead = outbox.take(delivery.id)
    assert dead is not None
    let_time_pass(first)
    taken = other.take(delivery.id)
    assert taken is not None

    outbox.give_back(dead)
    outbox.record_attempt(dead, attempt(dead), DeliveryState.PENDING, 0.0)

    assert until(first) == taken.sending_until
    assert outbox.take(delivery.id) is None


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_set_keeps_no_delivery_from_being_sent(
    first: Database, delivery: WebhookDelivery, days: int
) -> None:
    """It was taken by a clock that was `days` ahead of the present one, and its sender has died."""
    assert Outbox(first).take(delivery.id)
    with first.write() as session:
        session.execute(update(WebhookDelivery).values(sending_until=now() + timedelta(days=days)))

    assert Outbox(first).take(delivery.id)


def test_a_callback_that_comes_twice_at_once_is_stored_once(tmp_path: Path) -> None:
    # Not prepared for SQLite: as in other databases, two transactions may read at the same time.
    engine = create_engine(f"sqlite:///{tmp_path / 'test.db'}")
    Base.metadata.create_all(engine)
    both_insert = Barrier(2)

    @event.listens_for(engine, "before_cursor_execute")
    def wait(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT"):
            both_insert.wait(120)

    def store() -> bool:
        return Outbox(Database(engine)).store_callback(
            ReceivedCallback(id="msg_1", received_at=now(), sent_at=now(), body={})
        )

    assert sorted(at_once(store, store)) == [False, True]
    engine.dispose()
