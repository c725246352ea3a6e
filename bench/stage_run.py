"""Where the CPU time goes: milliseconds per image in each stage of the product, measured inside it.

    python bench/stage_run.py SIZE FORMAT IMAGES HOST FOLDER

The product's functions are wrapped from outside, so this costs time of its own: the throughput is measured elsewhere.
What the image processes use is `compress`. What is left of the server is `rest`: deciding, the CSVs, the log, the pool,
and the interpreter's own work between threads. Prints JSON.
"""

import functools
import importlib
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from catalogue import catalogue, urls
from processes import children_seconds, product_environment

# Where each stage is entered: its module and its name in there. A name of a class's method has a dot.
CALLS = {
    "download": [("download.downloader", "Downloader.download")],
    "store": [("store.files", "NewFile.keep")],
}
# The same for context managers: only the way in and out counts. For the record, what happens inside counts, too.
AROUND = {"store": [("store.files", "Storage.original"), ("store.files", "Storage.new_image")]}
INSIDE = {"record": [("store.database", "Database.read"), ("store.database", "Database.write")]}
STAGES = ("download", "compress", "store", "record")
SECONDS = 900


class Clock:
    """CPU seconds by stage, of all threads together."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: list[Counter[str]] = []
        self._lock = threading.Lock()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What happens inside belongs to the stage, but for stages entered inside."""
        mine, began = self._mine(), time.thread_time()
        inner_before = self._local.inner
        self._local.inner = 0.0
        try:
            yield
        finally:
            took = time.thread_time() - began
            mine[name] += took - self._local.inner
            self._local.inner = inner_before + took

    def seconds(self) -> Counter[str]:
        """The sum over all threads."""
        with self._lock:
            return sum(self._all, Counter())

    def _mine(self) -> Counter[str]:
        if not hasattr(self._local, "counter"):
            self._local.counter, self._local.inner = Counter(), 0.0
            with self._lock:
                self._all.append(self._local.counter)
        return self._local.counter


def wrap_all(clock: Clock) -> None:
    """Put the clock round every seam. Ends with a sentence when one of them is not there any more."""
    for seams, wrap in ((CALLS, _timed_call), (AROUND, _timed_edges), (INSIDE, _timed_inside)):
        for stage, places in seams.items():
            for module, name in places:
                _replace(module, name, functools.partial(wrap, clock, stage))


def _replace(module: str, name: str, wrap: Callable[[Any], Any]) -> None:
    holder, last = place_of(module, name)
    setattr(holder, last, wrap(getattr(holder, last)))


def place_of(module: str, name: str) -> tuple[Any, str]:
    """What holds a seam (a module or a class), and its name in there. Ends with a sentence when there is none."""
    holder: Any = importlib.import_module(f"image_processor.{module}")
    *path, last = name.split(".")
    for step in path:
        holder = getattr(holder, step, None)
    if not hasattr(holder, last):
        sys.exit(f"The stage cannot be timed: there is no {name} in image_processor.{module}. Mend bench/stage_run.py.")
    return holder, last


def _timed_call(clock: Clock, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def timed(*args: Any, **kwargs: Any) -> Any:
        with clock.stage(stage):
            return function(*args, **kwargs)

    return timed


def _timed_inside(clock: Clock, stage: str, manager: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
        with clock.stage(stage), manager(*args, **kwargs) as given:
            yield given

    return timed


def _timed_edges(clock: Clock, stage: str, manager: Callable[..., Any]) -> Callable[..., Any]:
    class Timed(AbstractContextManager[Any]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._inner = manager(*args, **kwargs)

        def __enter__(self) -> Any:
            with clock.stage(stage):
                return self._inner.__enter__()

        def __exit__(self, *error: Any) -> Any:
            with clock.stage(stage):
                return self._inner.__exit__(*error)

    # A function, not the class: it becomes a method of what holds it.
    return lambda *args, **kwargs: Timed(*args, **kwargs)


def measure(size: str, format: str, images: int, host: str, folder: Path) -> dict[str, Any]:
    """Work a catalogue to its end and give CPU milliseconds per image: of all, and of each stage."""
    environment = product_environment(folder, {})
    os.environ.clear()
    os.environ.update(environment)
    from app import create_app

    clock = Clock()
    wrap_all(clock)
    app = create_app()
    worker = app.extensions["services"].worker
    worker.start()
    _work(app, urls(host, "64", "jpeg", 1))
    before, used, compressed = clock.seconds(), _cpu_seconds(), _image_seconds()
    _work(app, urls(host, size, format, images))
    compressed = _image_seconds() - compressed
    used, stages = _cpu_seconds() - used + compressed, clock.seconds()
    stages.subtract(before)
    stages["compress"] = compressed
    worker.stop()
    costs = {stage: 1000 * stages[stage] / images for stage in STAGES}
    total = 1000 * used / images
    return {"cpu_ms": total, "stages": costs | {"rest": total - sum(costs.values())}}


def _work(app: Any, images: list[str]) -> None:
    services = app.extensions["services"]
    uploads, queries, worker = services.uploads, services.queries, services.worker
    request_id = uploads.accept(catalogue(images), "catalogue.csv", uploads.options(), "http://localhost").id
    worker.submit(request_id)
    deadline = time.monotonic() + SECONDS
    while not (request := queries.job(request_id)).done:
        if time.monotonic() > deadline:
            sys.exit("The catalogue was not worked in time.")
        time.sleep(0.1)
    if request.succeeded != len(images):
        sys.exit(f"Not every image was compressed: {request.message}")


def _cpu_seconds() -> float:
    return sum(os.times()[:2])


def _image_seconds() -> float:
    return children_seconds(os.getpid())


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))))
