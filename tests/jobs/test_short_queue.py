"""Costly results wait in a short queue, and clients that are gone leave it."""

import fcntl
import resource
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from catalogues import ALLOW, NewServer
from servers import ImageHost, Page, wait_for

from image_processor.errors import Unavailable
from image_processor.jobs.short_queue import ShortQueue, client_is_gone

SAMPLE = (Path(__file__).parents[2] / "static" / "samples" / "lamp.jpg").read_bytes()


def never() -> bool:
    return False


def test_no_more_wait_than_the_queue_is_long() -> None:
    queue, entered, leave = ShortQueue(1, waiting=1, seconds=300), threading.Event(), threading.Event()

    def hold() -> None:
        with queue.place(never):
            entered.set()
            leave.wait(120)

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(hold)
        assert entered.wait(120)
        second = threads.submit(hold)

        def is_full() -> bool:
            try:
                with queue.place(never):
                    raise AssertionError("three are in")
            except Unavailable as error:
                return error.retry_after is not None and second.running()

        wait_for(lambda: queue._admitted._value == 0)  # type: ignore[attr-defined]
        assert is_full()
        leave.set()
        first.result(120)
        second.result(120)
    with queue.place(never):
        pass


def test_a_client_that_is_gone_leaves_the_queue() -> None:
    queue = ShortQueue(1, waiting=1, seconds=300)
    with queue.place(never):
        for _ in range(3):
            with pytest.raises(Unavailable), queue.place(lambda: True):
                raise AssertionError("two are in")


def test_a_client_that_has_waited_too_long_is_refused() -> None:
    queue = ShortQueue(1, waiting=1, seconds=0.1)
    with queue.place(never), pytest.raises(Unavailable), queue.place(never):
        raise AssertionError("two are in")
    with queue.place(never):
        pass


def test_a_client_is_gone_when_its_connection_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not client_is_gone({"gunicorn.socket": ours})
        theirs.sendall(b"GET")  # a second request on the same connection
        assert not client_is_gone({"gunicorn.socket": ours})
        ours.recv(3)
        theirs.close()
        assert client_is_gone({"gunicorn.socket": ours})
    assert not client_is_gone({})


def test_a_connection_with_a_high_number_is_looked_at_like_any_other() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4_096, hard), hard))
    ours, theirs = socket.socketpair()
    try:
        with ours, theirs, socket.socket(fileno=fcntl.fcntl(ours.fileno(), fcntl.F_DUPFD_CLOEXEC, 2_000)) as high:
            assert not client_is_gone({"gunicorn.socket": high})
            theirs.close()
            assert client_is_gone({"gunicorn.socket": high})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_originals_that_hang_are_refused_with_503_and_clients_that_are_gone_free_their_places(
    server: NewServer, host: ImageHost
) -> None:
    host.pages["/a.jpg"] = Page(SAMPLE)
    running = server(**ALLOW, DOWNLOAD_TIMEOUT="600")
    running.start()
    csv = f"S. No.,Product Name,Input Image Urls\n1,SKU,{host.url('/a.jpg')}\n".encode()
    request_id = running.upload(csv)["request_id"]
    (image,) = running.wait_until_done(request_id)["products"][0]["images"]
    url = f"{running.url}/api/v1/requests/{request_id}/images/{image['id']}/source"
    assert requests.get(url, timeout=120).content == SAMPLE
    host.pages["/a.jpg"].delay = 600

    waiting = [_asking(running.port, url) for _ in range(10)]
    try:
        wait_for(lambda: requests.get(url, timeout=120).status_code == 503)
        assert requests.get(url, timeout=120).headers["Retry-After"]
    finally:
        for connection in waiting:
            connection.close()

    host.pages["/a.jpg"].delay = 0
    wait_for(lambda: requests.get(url, timeout=120).status_code == 200)


def _asking(port: int, url: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=120)
    connection.sendall(f"GET {url} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return connection
