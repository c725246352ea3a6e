"""What hostile images cost the others: an ordinary catalogue, alone and beside one of hostile files.

    .venv/bin/python bench/hostile.py

Prints JSON: seconds of the ordinary catalogue, alone and beside; the slowest answer of /healthz; seconds to cancel and
delete the hostile job; the most memory (RSS) of all processes together.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import requests
from catalogue import catalogue, pictures
from hostile_images import HOSTILE
from processes import end_in_order, rss_bytes
from server_run import product
from servers import ImageHost, Page, image_host

IMAGES = 400
COPIES = 3  # of each hostile file, under different URLs
SECONDS = 900


def main() -> int:
    """Measure once."""
    end_in_order()
    with image_host() as host, product({}) as (base, session):
        ordinary, hostile = _ordinary(host), _hostile(host)
        alone = _timed(base, ordinary)
        with _watched(base, session) as worst:
            hostile_id = _upload(base, hostile)
            beside = _timed(base, [f"{url}?2" for url in ordinary])
            counts = _status(base, hostile_id)["counts"]
            began = time.monotonic()
            requests.post(f"{base}/api/v1/requests/{hostile_id}/cancel", timeout=60).raise_for_status()
            while not _status(base, hostile_id)["done"]:
                time.sleep(0.05)
            cancelled = time.monotonic() - began
            requests.delete(f"{base}/api/v1/requests/{hostile_id}", timeout=60).raise_for_status()
            deleted = time.monotonic() - began - cancelled
            whole_id = _upload(base, [f"{url}?3" for url in hostile])
            _await(base, whole_id)
            whole = _status(base, whole_id)
    figures = {
        "alone_seconds": alone,
        "beside_seconds": beside,
        "bar_seconds": 1.5 * alone + 5,
        "hostile_counts_then": counts,
        "hostile_counts": whole["counts"],
        "cancel_seconds": cancelled,
        "delete_seconds": deleted,
        **worst,
    }
    print(json.dumps(figures, indent=2))
    return 0


def _ordinary(host: ImageHost) -> list[str]:
    sources = [path.read_bytes() for path in sorted(pictures("800", "jpeg").iterdir())]
    for number in range(IMAGES):
        for query in ("", "?2"):
            host.pages[f"/{number}.jpg{query}"] = Page(sources[number % len(sources)], delay=0.1)
    return [host.url(f"/{number}.jpg") for number in range(IMAGES)]


def _hostile(host: ImageHost) -> list[str]:
    for name, make in HOSTILE.items():
        data = make()
        for copy in range(COPIES):
            for query in ("", "?3"):
                host.pages[f"/{name}-{copy}{query}"] = Page(data)
    return [host.url(f"/{name}-{copy}") for copy in range(COPIES) for name in HOSTILE]


def _timed(base: str, urls: list[str]) -> float:
    began = time.monotonic()
    request_id = _upload(base, urls)
    _await(base, request_id)
    counts = _status(base, request_id)["counts"]
    if counts["succeeded"] != len(urls):
        sys.exit(f"The ordinary catalogue has failures: {counts}")
    return time.monotonic() - began


def _upload(base: str, urls: list[str]) -> str:
    answer = requests.post(f"{base}/upload", files={"file": ("c.csv", catalogue(urls), "text/csv")}, timeout=60)
    answer.raise_for_status()
    return str(answer.json()["request_id"])


def _status(base: str, request_id: str) -> dict[str, dict[str, int]]:
    return dict(requests.get(f"{base}/status/{request_id}", timeout=60).json())


def _await(base: str, request_id: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not _status(base, request_id)["done"]:
        if time.monotonic() > deadline:
            sys.exit(f"Not done after {SECONDS} s: {_status(base, request_id)['counts']}")
        time.sleep(0.1)


@contextmanager
def _watched(base: str, session: int) -> Iterator[dict[str, float]]:
    """The slowest answer of /healthz and the most memory, while something runs."""
    worst = {"healthz_seconds": 0.0, "memory_bytes": 0.0}
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            began = time.monotonic()
            requests.get(f"{base}/healthz", timeout=60).raise_for_status()
            worst["healthz_seconds"] = max(worst["healthz_seconds"], time.monotonic() - began)
            worst["memory_bytes"] = max(worst["memory_bytes"], rss_bytes(session))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    yield worst
    ended.set()
    watcher.join(60)


if __name__ == "__main__":
    sys.exit(main())
