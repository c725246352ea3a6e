"""One measured run of SKUlight: a gunicorn in a temporary folder, and one catalogue.

python bench/server_run.py SIZE FORMAT IMAGES [--per-row N] [--latency SECONDS] [--set NAME=VALUE …]
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import requests
from catalogue import CACHE, EXTENSIONS, SIZES, catalogue, image_folder, urls
from origin import origin
from processes import FOLDER_PREFIX, GUNICORN, BrokenRun, cpu_seconds, end_in_order, peak_bytes, skulight

JOB_SECONDS = 1_800
PAGE_SAMPLES = 20


@dataclass(frozen=True)
class Job:
    """What is uploaded, with which settings (names without the prefix).

    `poll_seconds`: interval between status requests. `per_row`: URLs in each row of the catalogue.
    """

    size: str
    format: str = "jpeg"
    images: int = 1_000
    per_row: int = 5
    settings: dict[str, str] = field(default_factory=dict)
    poll_seconds: float = 0.5


@dataclass(frozen=True)
class Measured:
    """The figures of a run. Times in milliseconds unless their name says otherwise; memory in bytes.

    The images per second count from the start of the upload to the recorded `completed_at`. The memory is that of the
    largest process, which is the server.
    """

    images_per_second: float
    cpu_ms: float
    peak_bytes: int
    accepted_seconds: float
    status_p50: float
    status_p99: float
    status_samples: int
    page_p50: float
    page_p99: float


def measure(job: Job, host: str) -> Measured:
    """Run a job on a new server; its images are on the image host `host`. Raises BrokenRun unless all succeed."""
    with product(job.settings) as (base, session):
        finished(base, upload(base, catalogue(urls(host, "64", "jpeg", 1))))
        csv = catalogue(urls(host, job.size, job.format, job.images), job.per_row)
        used, began, clock = cpu_seconds(session), time.time(), time.perf_counter()
        request_id = upload(base, csv)
        accepted = time.perf_counter() - clock
        status, samples = finished(base, request_id, job.poll_seconds)
        used, peak = cpu_seconds(session) - used, peak_bytes(session)
        if status["counts"]["succeeded"] != job.images:
            raise BrokenRun(f"Not every image was compressed: {status['message']} {status['counts']}")
        pages = _page_times(base, request_id)
    return Measured(
        images_per_second=job.images / (_timestamp(status["completed_at"]) - began),
        cpu_ms=1000 * used / job.images,
        peak_bytes=peak,
        accepted_seconds=accepted,
        status_p50=_percentile(samples, 0.5),
        status_p99=_percentile(samples, 0.99),
        status_samples=len(samples),
        page_p50=_percentile(pages, 0.5),
        page_p99=_percentile(pages, 0.99),
    )


@contextmanager
def product(settings: dict[str, str]) -> Iterator[tuple[str, int]]:
    """A server in a temporary folder: its URL and its session."""
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
        with skulight(GUNICORN, Path(folder), settings) as server:
            yield server


def upload(base: str, csv: bytes) -> str:
    """Upload a catalogue; gives the id of the job."""
    response = requests.post(f"{base}/upload", files={"file": ("catalogue.csv", csv, "text/csv")}, timeout=120)
    if response.status_code != 202:
        raise BrokenRun(f"The response to the upload was {response.status_code}: {response.text[:500]}")
    return str(response.json()["request_id"])


def finished(base: str, request_id: str, every: float = 0.05) -> tuple[Any, list[float]]:
    """The last status, and the milliseconds of each status request. Without an ETag: every response is complete."""
    samples: list[float] = []
    deadline = time.monotonic() + JOB_SECONDS
    with _connection(base) as connection:
        while time.monotonic() < deadline:
            took, body = _timed(connection, f"/status/{request_id}")
            samples.append(took)
            status = json.loads(body)
            if status["done"]:
                return status, samples
            time.sleep(every)
    raise BrokenRun(f"The job was not done after {JOB_SECONDS} s: {status['counts']}")


def _page_times(base: str, request_id: str) -> list[float]:
    with _connection(base) as connection:
        return [_timed(connection, f"/requests/{request_id}", "text/html")[0] for _ in range(PAGE_SAMPLES)]


def _connection(base: str) -> "closing[HTTPConnection]":
    # Not requests: it would add a millisecond or two to each request.
    address = urlsplit(base)
    return closing(HTTPConnection(str(address.hostname), address.port, timeout=60))


def _timed(connection: HTTPConnection, path: str, accept: str = "application/json") -> tuple[float, bytes]:
    """Milliseconds until the response was complete, and its body."""
    started = time.perf_counter()
    connection.request("GET", path, headers={"Accept": accept})
    response = connection.getresponse()
    body = response.read()
    took = 1000 * (time.perf_counter() - started)
    if response.status != 200:
        raise BrokenRun(f"The response to {path} was {response.status}: {body[:500]!r}")
    return took, body


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _percentile(samples: list[float], share: float) -> float:
    """The nearest-rank percentile; of fewer than 100 samples the 99th is the largest."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> int:
    """Measure once, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("format", choices=EXTENSIONS)
    parser.add_argument("images", type=int)
    parser.add_argument("--per-row", type=int, default=5, help="URLs in each row of the catalogue")
    parser.add_argument("--latency", type=float, default=0.0, help="latency of the image host in seconds")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings, without their prefix")
    given = parser.parse_args()
    end_in_order()
    settings = dict(one.split("=", 1) for one in given.set)
    for size, format in ((given.size, given.format), ("64", "jpeg")):
        image_folder(size, format)
    with origin(CACHE, given.latency) as host:
        measured = measure(Job(given.size, given.format, given.images, given.per_row, settings), host)
    print(json.dumps(asdict(measured), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
