"""Fetches per second of the guarded client, beside those of a bare kept requests.Session, on loopback.

    python bench/fetch_rate.py [seconds per round] [kilobytes per body] [threads]

The origin runs in a process of its own, the rounds alternate, and the medians are compared: other work on the machine
then weighs on both alike.
"""

import io
import multiprocessing
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from image_processor.download.addresses import AllowedAddresses
from image_processor.download.client import GuardedClient

ROUNDS = 5


def serve(port: Any, size: int) -> None:
    """Answer every request on every connection with `size` bytes, for ever."""
    head = f"HTTP/1.1 200 OK\r\nServer: bench\r\nContent-Type: image/jpeg\r\nContent-Length: {size}\r\n\r\n"
    answer = head.encode() + b"x" * size
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    port.send(listener.getsockname()[1])
    while True:
        threading.Thread(target=_converse, args=(listener.accept()[0], answer), daemon=True).start()


def _converse(connection: socket.socket, answer: bytes) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while connection.recv(65_536):
            connection.sendall(answer)


def rate(fetch: Callable[[], int], seconds: float, threads: int) -> float:
    """Fetches per second of `threads` threads together."""
    start = time.perf_counter()

    def count(_: int) -> int:
        done = 0
        while time.perf_counter() - start < seconds:
            done += bool(fetch())
        return done

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(count, range(threads))) / (time.perf_counter() - start)


def main(seconds: float = 1.0, kilobytes: int = 100, threads: int = 1) -> None:
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(theirs, kilobytes * 1000), daemon=True)
    process.start()
    url = f"http://127.0.0.1:{mine.recv()}/image.jpg"
    client = GuardedClient(user_agent="bench", allowed=AllowedAddresses.parse("127.0.0.1"))
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=threads))

    def bare() -> int:
        with session.get(url, stream=True, timeout=30) as response:
            return len(response.raw.read(20_000_000))

    guarded_rates, bare_rates = [], []
    for _ in range(ROUNDS):
        bare_rates.append(rate(bare, seconds, threads))
        guarded_rates.append(rate(lambda: client.get(url, io.BytesIO()).size, seconds, threads))
    client.close()
    process.terminate()
    guarded, kept = statistics.median(guarded_rates), statistics.median(bare_rates)
    print(f"bare Session {kept:.0f}/s, guarded client {guarded:.0f}/s, ratio {guarded / kept:.2f}")


if __name__ == "__main__":
    main(*(kind(value) for kind, value in zip((float, int, int), sys.argv[1:], strict=False)))
