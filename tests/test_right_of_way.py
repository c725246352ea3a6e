"""Who asks goes first, but holds nobody up."""

import threading
import time

from image_processor.right_of_way import RightOfWay


def waiting(right_of_way: RightOfWay) -> threading.Thread:
    """Work that wants to begin."""
    thread = threading.Thread(target=right_of_way.give_way, daemon=True)
    thread.start()
    return thread


def test_work_waits_until_everybody_is_answered() -> None:
    right_of_way = RightOfWay(seconds=60)
    right_of_way.begin()
    right_of_way.begin()
    work = waiting(right_of_way)

    right_of_way.end()
    work.join(0.2)
    assert work.is_alive(), "one is still being answered"
    right_of_way.end()
    work.join(10)
    assert not work.is_alive()

    later = waiting(right_of_way)
    later.join(10)
    assert not later.is_alive(), "nobody asks"


def test_an_answer_without_end_holds_nobody_up() -> None:
    right_of_way = RightOfWay(seconds=0.05)
    right_of_way.begin()

    first = waiting(right_of_way)
    first.join(10)
    assert not first.is_alive()
    began = time.monotonic()
    for _ in range(1_000):
        right_of_way.give_way()
    assert time.monotonic() - began < 10, "its right is over; a thousand waits would have taken 50 s"
