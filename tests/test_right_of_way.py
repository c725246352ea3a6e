"""Who asks goes first, but holds nobody up."""

import threading
import time

from image_processor.right_of_way import RightOfWay


def answering(right_of_way: RightOfWay, end: threading.Event) -> threading.Thread:
    """An answer that has begun, in a thread of its own, and lasts until `end` is set."""
    begun = threading.Event()

    def answer() -> None:
        right_of_way.begin(end)
        begun.set()
        end.wait(30)
        right_of_way.end(end)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    assert begun.wait(10)
    return thread


def waiting(right_of_way: RightOfWay) -> threading.Thread:
    """Work that wants to begin."""
    thread = threading.Thread(target=right_of_way.give_way, daemon=True)
    thread.start()
    return thread


def test_work_waits_until_everybody_is_answered() -> None:
    right_of_way = RightOfWay(seconds=60)
    ends = threading.Event(), threading.Event()
    answers = [answering(right_of_way, end) for end in ends]
    work = waiting(right_of_way)

    ends[0].set()
    answers[0].join(10)
    work.join(0.2)
    assert work.is_alive(), "one is still being answered"
    ends[1].set()
    work.join(10)
    assert not work.is_alive()

    later = waiting(right_of_way)
    later.join(10)
    assert not later.is_alive(), "nobody asks"


def test_work_waits_no_longer_than_it_likes() -> None:
    right_of_way = RightOfWay(seconds=60)
    right_of_way.begin("a call")
    began = time.monotonic()
    right_of_way.give_way(at_most=0.05)
    assert 0.04 < time.monotonic() - began < 10
    right_of_way.end("a call")


def test_an_answer_without_end_holds_nobody_up() -> None:
    right_of_way = RightOfWay(seconds=0.05)
    end = threading.Event()
    dripping = answering(right_of_way, end)

    began = time.monotonic()
    right_of_way.give_way()
    for _ in range(1_000):
        right_of_way.give_way()
        right_of_way.begin(1)
        right_of_way.end(1)
        right_of_way.give_way()
    assert time.monotonic() - began < 10, "its right is over; a thousand waits would have taken 50 s"
    end.set()
    dripping.join(10)
