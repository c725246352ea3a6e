"""CPU milliseconds per image by stage, for the cases that differ most."""

import tempfile

from catalogue import CACHE, image_folder
from origin import origin
from plan import Figures, Plan
from processes import FOLDER_PREFIX, output_of

# Size, format, images.
CASES = (
    ("200", "jpeg", 3_000), ("800", "jpeg", 1_500), ("4000x3000", "jpeg", 100),
    ("800", "webp", 300), ("800", "png", 100),
)  # fmt: skip
DATABASE_BAR = "800 jpeg"  # the case with a bar for the database


def measure(plan: Plan) -> Figures:
    """Each case in a separate process."""
    figures: Figures = {}
    for size, format, number in CASES:
        images = plan.images(number)
        for needed in ((size, format), ("64", "jpeg")):
            image_folder(*needed)
        with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder, origin(CACHE) as host:
            run = output_of("stage_run.py", size, format, images, host, folder, seconds=900)
        figures[f"{size} {format}"] = {"size": size, "format": format, "images": images, **run}
        print(f"  {size} {format}: {run['cpu_ms']:.2f} ms", flush=True)
    return figures
