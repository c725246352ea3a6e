"""What is uploaded in the bench: images of the size of photographs, and catalogues of their URLs.

The images are made once, from fixed seeds, and kept in `bench/.cache`: `800/jpeg/00.jpg` to `99.jpg`. Only a few of the
large ones differ; the other names are links to them.
"""

import csv
import io
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

CACHE: Final = Path(__file__).parent / ".cache" / "images-1"  # another number when the images change
NAMES: Final = 100  # a URL's last two digits name the image behind it

# Width, height, and how many different images.
SIZES: Final = {
    "64": (64, 64, 50),
    "200": (200, 200, 50),
    "800": (800, 800, 50),
    "2000": (2000, 2000, 10),
    "4000x3000": (4000, 3000, 4),
}
EXTENSIONS: Final = {"jpeg": "jpg", "png": "png", "webp": "webp"}
_ENCODING: Final[dict[str, dict[str, Any]]] = {"jpeg": {"quality": 90}, "png": {}, "webp": {"quality": 90}}

HEAD: Final = ("S. No.", "Product Name", "Input Image Urls")


def photo(width: int, height: int, seed: int) -> Image.Image:
    """Something like a photograph: detail of several scales, an edge, and grain.

    An 800×800 one has 100 to 200 KB as a JPEG of quality 90, as product images do.
    """
    random = np.random.default_rng(seed)
    values = np.full((height, width, 3), 128, np.float32)
    cells, strength = 3, 70.0
    while cells <= min(width, height) / 2:
        coarse = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        fine = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
        values += (fine - 128) * (strength / 128)
        cells, strength = cells * 3, strength * 0.55
    values[height // 4 : height // 2, width // 3 : width // 2] += (60, -40, 20)
    values += random.standard_normal((height, width, 1), dtype=np.float32) * 2.5
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def image_folder(size: str, format: str, cache: Path = CACHE) -> Path:
    """The folder with the images of a size (`SIZES`) and a format (`EXTENSIONS`); made if missing."""
    folder = cache / size / format
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=folder.parent, prefix="making-"))
        try:
            _make(new, size, format)
            new.chmod(0o755)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder


def _make(folder: Path, size: str, format: str) -> None:
    width, height, different = SIZES[size]
    for number in range(NAMES):
        path = folder / f"{number:02}.{EXTENSIONS[format]}"
        if number < different:
            photo(width, height, seed=number).save(path, format.upper(), **_ENCODING[format])
        else:
            os.link(folder / f"{number % different:02}.{EXTENSIONS[format]}", path)


def urls(base: str, size: str, format: str, images: int) -> list[str]:
    """That many different URLs on an image host."""
    return [f"{base}/{size}/{format}/{number:06}.{EXTENSIONS[format]}" for number in range(images)]


def catalogue(urls: list[str], per_row: int = 5) -> bytes:
    """The catalogue (CSV) of some URLs, `per_row` in each row."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(HEAD)
    for row, start in enumerate(range(0, len(urls), per_row), start=1):
        writer.writerow((f"{row}.", f"SKU{row}", ", ".join(urls[start : start + per_row])))
    return text.getvalue().encode()
