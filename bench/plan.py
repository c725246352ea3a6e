"""How many images and rounds a run of the bench takes, and how two sides alternate."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import server_run
from catalogue import CACHE, image_folder
from origin import origin
from processes import FOLDER_PREFIX, output_of
from server_run import Job

Figures = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """`rounds` alternating runs of each case; `quick` takes a tenth of the images, which is no measurement."""

    rounds: int
    quick: bool

    def images(self, number: int) -> int:
        """How many images to take where a complete run takes `number`."""
        return max(8, number // 10) if self.quick else number


def product(job: Job, *, latency: float = 0.0, small_origin: bool = False) -> Figures:
    """One run of SKUlight."""
    for size, format in ((job.size, job.format), ("64", "jpeg")):
        image_folder(size, format)
    with origin(CACHE, latency, small=small_origin) as host:
        return asdict(server_run.measure(job, host))


def bound(size: str, format: str, images: int, *, baseline: bool = False) -> Figures:
    """One run of the codec bound."""
    image_folder(size, format)
    flags = ["--baseline"] if baseline else []
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
        return dict(output_of("codec_bound.py", size, format, images, "--folder", folder, *flags, seconds=1_800))


def alternating(rounds: int, **sides: Callable[[], Figures]) -> dict[str, list[Figures]]:
    """Run the sides in turns, so that other load on the machine affects all of them; print how it goes."""
    figures: dict[str, list[Figures]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            figures[name].append(measure())
            print(f"  {name} {_summary(figures[name][-1])}", end="", flush=True)
        print()
    return figures


def _summary(figures: Figures) -> str:
    rate = figures.get("images_per_second")
    return f"{rate:.0f}/s" if rate else f"{figures['seconds']:.1f} s"
