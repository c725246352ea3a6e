"""Bytes that wait to be compressed are bounded, however many requests and hosts they come from."""

import threading
import time

from image_processor.memory_budget import Backlog


def test_nothing_more_is_fetched_while_too_much_waits() -> None:
    backlog, stop, passed = Backlog(100), threading.Event(), threading.Event()
    backlog.add(60)
    backlog.wait_for_room(stop)
    backlog.add(60)

    waiting = threading.Thread(target=lambda: (backlog.wait_for_room(stop), passed.set()))
    waiting.start()
    assert not passed.wait(0.2)
    backlog.remove(60)

    assert passed.wait(0.3)
    waiting.join()


def test_a_stop_lets_go_of_those_who_wait() -> None:
    backlog, stop = Backlog(100), threading.Event()
    backlog.add(100)
    stop.set()

    began = time.monotonic()
    backlog.wait_for_room(stop)

    assert time.monotonic() - began < 0.2
