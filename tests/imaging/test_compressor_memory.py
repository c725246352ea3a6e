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
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Images of 49 megapixels by name, as files."""
    folder = tmp_path_factory.mktemp("pictures")
    ramp = Image.linear_gradient("L").resize((SIDE, SIDE))
    picture = Image.merge("RGB", (ramp, ramp.rotate(90), ramp.rotate(180)))
    clear = picture.copy()
    clear.putalpha(ramp)
    files = {
        "plain.jpg": (picture, {"quality": 85}),
        "progressive.jpg": (picture, {"quality": 85, "progressive": True}),
        "print.jpg": (picture.convert("CMYK"), {"quality": 85}),
        "palette.png": (picture.quantize(64), {"compress_level": 1}),
        "clear.png": (clear, {"compress_level": 1}),
        "lossy.webp": (clear, {"quality": 60, "method": 0}),
        "lossless.webp": (clear, {"lossless": True, "method": 0}),
    }
    for name, (image, settings) in files.items():
        image.save(folder / name, **settings)
    return {name: folder / name for name in files}


def test_good_pictures_of_49_megapixels_go_through_with_the_default_memory(
    pictures: dict[str, Path], tmp_path: Path
) -> None:
    pool = ImagePool(1, seconds=900, memory_bytes=Settings.model_fields["image_memory_bytes"].default)
    try:
        first = pool.run("job", lambda: False, os.getpid)
        for name, limit, format in [
            *((name, 2048, "keep") for name in pictures),
            *((name, 0, "keep") for name in pictures),
            ("clear.png", 0, "avif"), ("clear.png", 0, "webp"), ("lossy.webp", 0, "jpeg"), ("lossless.webp", 0, "webp"),
        ]:  # fmt: skip
            options = CompressOptions(max_dimension=limit, format=format)  # type: ignore[arg-type]
            files = str(pictures[name]), str(tmp_path / "result")
            made = pool.run("job", lambda: False, compress_file, Compressor(), *files, options)
            assert made.bytes_out
        assert pool.run("job", lambda: False, os.getpid) == first, "the same process did them all"
    finally:
        pool.stop()
