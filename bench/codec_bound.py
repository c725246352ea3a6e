"""The codec bound: the same images with the same settings, only decoded and encoded.

    python bench/codec_bound.py SIZE FORMAT IMAGES [--folder FOLDER] [--baseline]

From memory into real files, with one thread more than there are CPUs, which is fastest. For JPEG and WebP it is plain
Pillow, for PNG SKUlight's own encoder, because its palette and oxipng are the setting. Prints JSON: images per second,
CPU milliseconds per image.
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from catalogue import EXTENSIONS, NAMES, SIZES, image_folder
from PIL import Image

from image_processor.imaging.decoder import DecodedImage
from image_processor.imaging.encoders import ENCODERS

QUALITY = 50
MAX_DIMENSION = 2048


def decoded(data: bytes) -> Image.Image:
    """The image, no longer than MAX_DIMENSION; a JPEG is decoded at a reduced size where that is enough."""
    image = Image.open(io.BytesIO(data))
    longest = max(image.size)
    if longest <= MAX_DIMENSION:
        image.load()
        return image
    width, height = (round(side * MAX_DIMENSION / longest) for side in image.size)
    image.draft(None, (2 * width, 2 * height))
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def encode(image: Image.Image, format: str, path: Path, jpeg: dict[str, Any]) -> None:
    """Write the image into a new file."""
    with path.open("w+b") as file:
        if format == "png":
            ENCODERS["PNG"](DecodedImage([image]), file, QUALITY, {})
        else:
            image.save(file, format.upper(), quality=QUALITY, **(jpeg if format == "jpeg" else {}))


def measure(size: str, format: str, images: int, folder: Path, *, baseline: bool = False) -> dict[str, float]:
    """Images per second and CPU milliseconds per image; `baseline` writes JPEGs neither optimised nor progressive."""
    originals = [path.read_bytes() for path in sorted(image_folder(size, format).iterdir())]
    jpeg = {"optimize": not baseline, "progressive": not baseline}

    def compress(number: int) -> None:
        encode(decoded(originals[number % NAMES]), format, folder / f"{number}.{EXTENSIONS[format]}", jpeg)

    compress(0)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) + 1) as pool:
        started, used = time.perf_counter(), _cpu_seconds()
        for _ in pool.map(compress, range(images)):
            pass
        seconds, used = time.perf_counter() - started, _cpu_seconds() - used
    return {"images_per_second": images / seconds, "cpu_ms": 1000 * used / images}


def _cpu_seconds() -> float:
    return sum(os.times()[:4])  # oxipng runs in child processes


def main() -> int:
    """Measure once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("format", choices=EXTENSIONS)
    parser.add_argument("images", type=int)
    parser.add_argument("--folder", type=Path, help="where the results are written; by default a temporary one")
    parser.add_argument("--baseline", action="store_true", help="JPEG_OPTIMIZE=0 and JPEG_PROGRESSIVE=0")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="skulight-bench-", dir=given.folder) as folder:
        print(json.dumps(measure(given.size, given.format, given.images, Path(folder), baseline=given.baseline)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
