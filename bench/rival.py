"""The whole job beside img2dataset: a list of URLs in, compressed files out, from the start of the command to its end.

Both encode baseline JPEGs of quality 50, with a process for every CPU. img2dataset gets the number of threads and of
shards that it is fastest with, which is determined first, with fewer images.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bars import BASELINE
from catalogue import CACHE, catalogue, image_folder, urls
from environment import installed, program
from origin import origin
from PIL import Image
from plan import Figures, Plan, alternating
from processes import FOLDER_PREFIX, BrokenRun, plain_environment, product_environment, run

SIZE = "800"
IMAGES = 10_000
IMAGES_OF_A_TRY = 3_000
PROCESSES = len(os.sched_getaffinity(0))
THREADS = (8, 16, 32, 64, 128)
SHARDS_PER_PROCESS = (1, 2, 5)
SECONDS = 1_800
CHECKED = 20  # images that are decoded after each run


@dataclass(frozen=True)
class Choice:
    """Settings of img2dataset. A shard is processed by one process."""

    threads: int
    shards: int

    def shard_size(self, images: int) -> int:
        """Images in each shard, so that every process has as many of them."""
        return -(-images // (PROCESSES * self.shards))


def measure(plan: Plan) -> Figures:
    """Seconds of both, in turns."""
    image_folder(SIZE, "jpeg")
    images = plan.images(IMAGES)
    theirs = program("img2dataset")
    with origin(CACHE) as host:
        best, tried = _best(theirs, urls(host, SIZE, "jpeg", plan.images(IMAGES_OF_A_TRY)))
        print(f"  img2dataset is fastest with {best.threads} threads and {best.shards} shards for each process")
        addresses = urls(host, SIZE, "jpeg", images)
        runs = alternating(
            plan.rounds,
            skulight=partial(_skulight, addresses),
            img2dataset=partial(_img2dataset, theirs, best, addresses),
        )
    return {
        "images": images,
        "version": installed("img2dataset"),
        "thread_count": best.threads,
        "shard": best.shard_size(images),
        "tried": tried,
        **runs,
    }


def _best(command: str, addresses: list[str]) -> tuple[Choice, int]:
    """The best choice on a short list, and how many were tried: the threads first, then the shards."""
    seconds: dict[Choice, float] = {}

    def fastest(choices: list[Choice]) -> Choice:
        for choice in choices:
            if choice not in seconds:
                seconds[choice] = _img2dataset(command, choice, addresses)["seconds"]
        return min(choices, key=seconds.__getitem__)

    best = fastest([Choice(threads, SHARDS_PER_PROCESS[0]) for threads in THREADS])
    best = fastest([Choice(best.threads, shards) for shards in SHARDS_PER_PROCESS])
    return best, len(seconds)


def _skulight(addresses: list[str]) -> Figures:
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as place:
        folder = Path(place)
        (folder / "catalogue.csv").write_bytes(catalogue(addresses))
        output = folder / "output.csv"
        command = [
            sys.executable, "-m", "flask", "--app", "app", "process", str(folder / "catalogue.csv"), "-o", str(output),
        ]  # fmt: skip
        environment = product_environment(folder, BASELINE)
        seconds = _timed(lambda: run(command, seconds=SECONDS, env=environment))
        if not output.exists():
            raise BrokenRun("SKUlight wrote no output.csv.")
        _check(folder / "processed_images", len(addresses))
        return {"seconds": seconds}


def _img2dataset(command: str, choice: Choice, addresses: list[str]) -> Figures:
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as place:
        folder = Path(place)
        (folder / "urls.txt").write_text("\n".join(addresses) + "\n")
        options = {
            "url_list": folder / "urls.txt", "input_format": "txt",
            "output_folder": folder / "files", "output_format": "files",
            "resize_mode": "keep_ratio", "image_size": 800, "resize_only_if_bigger": False,
            "encode_quality": 50, "encode_format": "jpg",
            "processes_count": PROCESSES, "thread_count": choice.threads,
            "number_sample_per_shard": choice.shard_size(len(addresses)),
        }  # fmt: skip
        # No look-up of newer versions, no telemetry.
        environment = plain_environment() | {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        seconds = _timed(lambda: run([command, *words], seconds=SECONDS, env=environment))
        _check(folder / "files", len(addresses))
        return {"seconds": seconds}


def _timed(command: Callable[[], object]) -> float:
    started = time.perf_counter()
    command()
    return time.perf_counter() - started


def _check(folder: Path, wanted: int) -> None:
    """Every image must exist, and some of them must decode: a failure must not count as fast."""
    found = sorted(folder.rglob("*.jpg"))
    if len(found) != wanted:
        raise BrokenRun(f"There are {len(found)} images instead of {wanted}.")
    for path in found[:: max(1, wanted // CHECKED)]:
        with Image.open(path) as image:
            image.load()
            if image.size != (800, 800):
                raise BrokenRun(f"An image is {image.size[0]} × {image.size[1]}.")
