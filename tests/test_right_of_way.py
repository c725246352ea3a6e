"""Who asks goes first, but holds nobody up."""

import logging
import os
import runpy
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn

from image_processor.right_of_way import RightOfWay

CONFIGURATION = Path(__file__).parent.parent / "gunicorn.conf.py"


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


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The two ends of a connection: a client's and the server's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    with closing(client), closing(server):
        yield client, server


def test_a_call_to_the_server_has_the_right_from_when_it_comes_until_it_is_answered(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    client, server = connection
    right_of_way = RightOfWay(seconds=60)
    worker = runpy.run_path(str(CONFIGURATION))["AnswersFirst"](
        1, os.getpid(), [], None, 30, Config(), logging.getLogger("gunicorn.error")
    )
    worker.wsgi = SimpleNamespace(extensions={"right_of_way": right_of_way})
    worker.tpool = worker.get_thread_pool()
    worker.method_queue.init()
    taken = threading.Event()
    for _ in range(worker.cfg.threads):  # every thread is taken: the call has come, and is not taken up yet
        worker.tpool.submit(taken.wait, 30)

    worker.enqueue_req(TConn(worker.cfg, server, client.getsockname(), server.getsockname()))
    work = waiting(right_of_way)
    work.join(0.2)
    assert work.is_alive(), "the call waits for a thread"
    client.close()  # without a word: the answer ends at once, by an error
    taken.set()
    work.join(10)
    assert not work.is_alive(), "the call has come to its end"
    worker.tpool.shutdown()
    worker.method_queue.close()
    worker.tmp.close()
