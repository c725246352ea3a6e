"""Clients that send a byte a second do not stop the next visitor."""

import contextlib
import socket
from collections.abc import Callable

import pytest
import requests
from servers import SkulightServer, wait_for

pytestmark = pytest.mark.alone
SLOW = 48


def test_the_49th_visitor_is_served_beside_48_that_drip(server: Callable[..., SkulightServer]) -> None:
    running = server()
    running.start()
    with contextlib.ExitStack() as stack:
        drips = [stack.enter_context(socket.create_connection(("127.0.0.1", running.port))) for _ in range(SLOW)]
        for number, drip in enumerate(drips):
            if number % 2:
                drip.sendall(b"GET / HT")
            else:
                drip.sendall(b"POST /upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n")
                drip.sendall(b"Content-Length: 100000\r\n\r\nS")

        def served() -> bool:
            for drip in drips:
                drip.sendall(b"x")
            return requests.get(running.url + "/sample.csv", timeout=120).ok

        for _ in range(3):
            assert wait_for(served, every=1.0)
