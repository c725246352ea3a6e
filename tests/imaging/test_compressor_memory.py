"""Good images of 49 megapixels go through one image process with the default limit of memory, one after the other.

Takes about a minute. The peak is 1.25 GB: WebP with alpha, which is decoded whole and encoded in its own size.
"""

import os
from pathlib import Path

import pytest
from PIL import Image

from image_processor.config import Settings
from image_processor.imaging.compressor import CompressOptions, Compressor, compress_file
from image_processor.imaging.pool import ImagePool

SIDE = 7000


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Images of 49 megapixels by name, as files."""
    folder = tmp_path_factory.mktemp("images")
    ramp = Image.linear_gradient("L").resize((SIDE, SIDE))
    opaque = Image.merge("RGB", (ramp, ramp.rotate(90), ramp.rotate(180)))
    clear = opaque.copy()
    clear.putalpha(ramp)
    files = {
        "plain.jpg": (opaque, {"quality": 85}),
        "progressive.jpg": (opaque, {"quality": 85, "progressive": True}),
        "print.jpg": (opaque.convert("CMYK"), {"quality": 85}),
        "palette.png": (opaque.quantize(64), {"compress_level": 1}),
        "clear.png": (clear, {"compress_level": 1}),
        "lossy.webp": (clear, {"quality": 60, "method": 0}),
        "lossless.webp": (clear, {"lossless": True, "method": 0}),
    }
    for name, (image, settings) in files.items():
        image.save(folder / name, **settings)
    return {name: folder / name for name in files}


def test_good_images_of_49_megapixels_go_through_with_the_default_memory(
    images: dict[str, Path], tmp_path: Path
) -> None:
    pool = ImagePool(1, seconds=900, memory_bytes=Settings.model_fields["image_memory_bytes"].default)
    try:
        first = pool.run("job", lambda: False, os.getpid)
        for name, limit, format in [
            *((name, 2048, "keep") for name in images),
            *((name, 0, "keep") for name in images),
            ("clear.png", 0, "avif"), ("clear.png", 0, "webp"), ("lossy.webp", 0, "jpeg"), ("lossless.webp", 0, "webp"),
        ]:  # fmt: skip
            options = CompressOptions(max_dimension=limit, format=format)  # type: ignore[arg-type]
            files = str(images[name]), str(tmp_path / "result")
            made = pool.run("job", lambda: False, compress_file, Compressor(), *files, options)
            assert made.bytes_out
        assert pool.run("job", lambda: False, os.getpid) == first, "one process compressed them all"
    finally:
        pool.stop()
