"""What hostile images cost other jobs: an ordinary catalogue, alone and beside one of hostile images.

    .venv/bin/python bench/hostile.py

Prints JSON: seconds of the ordinary catalogue, alone and beside; the slowest response of /healthz; seconds to cancel
and to delete the hostile job; the most memory (RSS) of all processes together.
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
from catalogue import catalogue, image_folder
from hostile_images import HOSTILE
from processes import end_in_order, rss_bytes
from server_run import finished, product, upload
from servers import ImageHost, Page, image_host

IMAGES = 400
COPIES = 3  # of each hostile image, with different URLs


def main() -> int:
    """Measure once."""
    end_in_order()
    with image_host() as host, product({}) as (base, session):
        ordinary, hostile = _ordinary(host), _hostile(host)
        alone = _seconds(base, ordinary)
        with _watched(base, session) as worst:
            hostile_id = upload(base, catalogue(hostile))
            beside = _seconds(base, [f"{url}?2" for url in ordinary])
            counts = requests.get(f"{base}/status/{hostile_id}", timeout=60).json()["counts"]
            cancelled, deleted = _cancel_and_delete(base, hostile_id)
            status, _ = finished(base, upload(base, catalogue([f"{url}?3" for url in hostile])))
    figures = {
        "alone_seconds": alone,
        "beside_seconds": beside,
        "bar_seconds": 1.5 * alone + 5,
        "hostile_counts_then": counts,
        "hostile_counts": status["counts"],
        "cancel_seconds": cancelled,
        "delete_seconds": deleted,
        **worst,
    }
    print(json.dumps(figures, indent=2))
    return 0


def _ordinary(host: ImageHost) -> list[str]:
    images = [path.read_bytes() for path in sorted(image_folder("800", "jpeg").iterdir())]
    for number in range(IMAGES):
        for query in ("", "?2"):
            host.pages[f"/{number}.jpg{query}"] = Page(images[number % len(images)], delay=0.1)
    return [host.url(f"/{number}.jpg") for number in range(IMAGES)]


def _hostile(host: ImageHost) -> list[str]:
    for name, make in HOSTILE.items():
        data = make()
        for copy in range(COPIES):
            for query in ("", "?3"):
                host.pages[f"/{name}-{copy}{query}"] = Page(data)
    return [host.url(f"/{name}-{copy}") for copy in range(COPIES) for name in HOSTILE]


def _seconds(base: str, urls: list[str]) -> float:
    began = time.monotonic()
    status, _ = finished(base, upload(base, catalogue(urls)), 0.1)
    if status["counts"]["succeeded"] != len(urls):
        sys.exit(f"The ordinary catalogue has failures: {status['counts']}")
    return time.monotonic() - began


def _cancel_and_delete(base: str, request_id: str) -> tuple[float, float]:
    began = time.monotonic()
    requests.post(f"{base}/api/v1/requests/{request_id}/cancel", timeout=60).raise_for_status()
    finished(base, request_id)
    cancelled = time.monotonic() - began
    requests.delete(f"{base}/api/v1/requests/{request_id}", timeout=60).raise_for_status()
    return cancelled, time.monotonic() - began - cancelled


@contextmanager
def _watched(base: str, session: int) -> Iterator[dict[str, float]]:
    """The slowest response of /healthz, and the most memory meanwhile."""
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
