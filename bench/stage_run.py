"""Where the CPU time goes: milliseconds per image in each stage of the server, measured inside it.

    python bench/stage_run.py SIZE FORMAT IMAGES HOST FOLDER

Methods of the server are wrapped from outside, which costs CPU time: the throughput is measured without it. `compress`
is what the image processes use, `rest` what is left of the server: scheduling, the CSVs, the log. Prints JSON.
"""

import inspect
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from catalogue import catalogue, urls
from processes import children_seconds, product_environment

# The methods of each stage: module, class, names. They may be context managers; none of them runs inside another.
METHODS = {
    "download": ("download.downloader", "Downloader", ("download",)),
    "store": ("store.files", "NewFile", ("keep",)),
    "record": ("store.database", "Database", ("read", "write")),
}
SECONDS = 900


class Clock:
    """CPU seconds by stage, of all threads together."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the CPU time of this thread for a stage."""
        began = time.thread_time()
        try:
            yield
        finally:
            took = time.thread_time() - began
            with self._lock:
                self.seconds[name] += took

    def wrap_all(self) -> None:
        """Count the time of all METHODS. Raises AttributeError when one of them does not exist any more."""
        for stage, (module, owner, names) in METHODS.items():
            holder = getattr(import_module(f"image_processor.{module}"), owner)
            for name in names:
                setattr(holder, name, self.wrapped(stage, getattr(holder, name)))

    def wrapped(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, or the context manager, with its CPU time counted."""
        if not inspect.isgeneratorfunction(inspect.unwrap(function)):
            return self.stage(stage)(function)

        @wraps(function)
        @contextmanager
        def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with self.stage(stage), function(*args, **kwargs) as given:
                yield given

        return timed


def measure(size: str, format: str, images: int, host: str, folder: Path) -> dict[str, Any]:
    """Process a catalogue and give CPU milliseconds per image: in all, and of each stage."""
    environment = product_environment(folder, {})
    os.environ.clear()
    os.environ.update(environment)
    from app import create_app

    clock = Clock()
    clock.wrap_all()
    app = create_app()
    worker = app.extensions["services"].worker
    worker.start()
    _process(app, urls(host, "64", "jpeg", 1))
    clock.seconds.clear()
    used, compressed = _server_seconds(), children_seconds(os.getpid())
    _process(app, urls(host, size, format, images))
    used, compressed = _server_seconds() - used, children_seconds(os.getpid()) - compressed
    worker.stop()
    seconds = {name: clock.seconds[name] for name in METHODS}
    seconds |= {"compress": compressed, "rest": used - sum(seconds.values())}
    stages = {name: 1000 * value / images for name, value in seconds.items()}
    return {"cpu_ms": sum(stages.values()), "stages": stages}


def _process(app: Any, images: list[str]) -> None:
    client = app.test_client()
    job = client.post("/upload", data=catalogue(images), content_type="text/csv").json
    deadline = time.monotonic() + SECONDS
    while client.get(job["links"]["output_csv"]).status_code == 409:  # costs less than the status
        if time.monotonic() > deadline:
            sys.exit(f"The job was not done after {SECONDS} s.")
        time.sleep(0.5)
    status = client.get(job["links"]["self"]).json
    if status["counts"]["succeeded"] != len(images):
        sys.exit(f"Not every image was compressed: {status['message']} {status['counts']}")


def _server_seconds() -> float:
    return sum(os.times()[:2])


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))))
