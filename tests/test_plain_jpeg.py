"""Baseline JPEGs: the short way gives what the long one gives, and takes nothing that is not plain."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pictures import compressed, decoded, encoded, exif_with, mean_difference, photo, ssim
from PIL import Image, ImageCms

from image_processor import plain_jpeg
from image_processor.compressor import Compressor
from image_processor.errors import TooManyPixels, Truncated
from image_processor.signatures import jpeg_segments

PHOTO = photo(333, 217)
BASELINE = Compressor(jpeg_optimize=False, jpeg_progressive=False)
PLAIN: dict[str, dict[str, Any]] = {
    "4:2:0": {"subsampling": "4:2:0"},
    "4:2:2": {"subsampling": "4:2:2"},
    "4:4:4": {"subsampling": "4:4:4"},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "upright": {"exif": exif_with(1)},
    "comment": {"comment": b"from a shop"},
    "packet": {"xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"},
}


def picture(**settings: Any) -> bytes:
    return encoded(PHOTO, "JPEG", **{"quality": 92, **settings})


def two_pictures() -> bytes:
    buffer = io.BytesIO()
    PHOTO.save(buffer, "MPO", save_all=True, append_images=[PHOTO.rotate(180)], quality=92)
    return buffer.getvalue()


def with_colours_at_a_quarter_of_the_height() -> bytes:
    data = bytearray(picture(subsampling="4:2:0"))
    frame = data.index(b"\xff\xc0")
    assert data[frame + 11] == 0x22
    data[frame + 11] = 0x14  # 1 × 4 for the lightness: as many blocks, in another order
    return bytes(data)


def with_exif_blocks(*blocks: bytes) -> bytes:
    segments = b"".join(b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block for block in blocks)
    return picture().replace(b"\xff\xdb", segments + b"\xff\xdb", 1)


def turned_by_a_split_block() -> bytes:
    block = exif_with(6).tobytes()
    return with_exif_blocks(block[:14], b"Exif\0\0" + block[14:])


ODD: dict[str, bytes] = {
    "4:4:1": with_colours_at_a_quarter_of_the_height(),
    "cmyk": encoded(PHOTO.convert("CMYK"), "JPEG", quality=92),
    "grey": encoded(PHOTO.convert("L"), "JPEG", quality=92),
    "rgb": picture(keep_rgb=True),
    "profile": picture(icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()),
    "turned": picture(exif=exif_with(6)),
    "swatch": encoded(photo(90, 20), "JPEG", quality=92),
    "two": two_pictures(),
    "no end": picture()[:-2],
    "bytes between": picture().replace(b"\xff\xda", b"\0\0\0\xff\xda", 1),
    "bytes before the pixels": picture().replace(b"\xff\xda", b"\xff\xff\xff\xda", 1),
    "more segments than one counts": picture().replace(b"\xff\xdb", b"\xff\xfe\0\2" * 100 + b"\xff\xdb", 1),
    "turned by a second block": with_exif_blocks(exif_with(1).tobytes(), exif_with(6).tobytes()),
    "turned by a split block": turned_by_a_split_block(),
}


def colour_error(one: Image.Image, other: Image.Image) -> float:
    """Root of the mean square of what lies between the colours of two pictures, without regard to their lightness."""
    colours = [np.asarray(image.convert("YCbCr"), float)[:, :, 1:] for image in (one, other)]
    return float(np.sqrt(np.mean((colours[0] - colours[1]) ** 2)))


@pytest.mark.parametrize("settings", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("quality", [20, 50, 80])
def test_a_plain_jpeg_looks_as_pillow_would_make_it(settings: dict[str, Any], quality: int) -> None:
    source = picture(**settings)
    assert plain_jpeg.plain_size(source) == PHOTO.size
    assert plain_jpeg.smaller(source, PHOTO.size, quality) is not None
    report, image, written = compressed(source, BASELINE, quality=quality)
    alone = encoded(decoded(source), "JPEG", quality=quality)
    assert (report.extension, report.width, report.height, report.note) == (".jpg", *PHOTO.size, None)
    if report.kept_original:
        assert written == source
        return
    assert abs(len(written) / len(alone) - 1) < 0.02
    assert abs(ssim(image, decoded(source)) - ssim(decoded(alone), decoded(source))) < 0.002
    assert mean_difference(image, decoded(source)) < 1.5
    assert image.quantization == decoded(alone).quantization  # type: ignore[attr-defined]
    assert image.layer == decoded(alone).layer  # type: ignore[attr-defined]
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@pytest.mark.parametrize("settings", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("quality", [50, 80])
def test_colours_come_back_no_worse_than_from_pillow(settings: dict[str, Any], quality: int) -> None:
    source = picture(**settings)
    mine = plain_jpeg.smaller(source, PHOTO.size, quality)
    assert mine is not None
    alone = encoded(decoded(source), "JPEG", quality=quality)
    assert colour_error(decoded(mine), decoded(source)) < 1.01 * colour_error(decoded(alone), decoded(source))


def test_colours_at_half_resolution_come_back_better_than_from_pillow() -> None:
    source = picture(subsampling="4:2:0")
    mine = compressed(source, BASELINE, quality=80)[1]
    alone = decoded(encoded(decoded(source), "JPEG", quality=80))
    assert colour_error(mine, decoded(source)) < 0.98 * colour_error(alone, decoded(source))


@pytest.mark.parametrize("source", ODD.values(), ids=ODD)
def test_what_is_odd_takes_the_long_way(source: bytes) -> None:
    size = plain_jpeg.plain_size(source)
    assert size is None or plain_jpeg.smaller(source, size, 50) is None
    report, image, _ = compressed(source, BASELINE)
    usual, expected, _ = compressed(source)
    assert (report.width, report.height, report.note) == (usual.width, usual.height, usual.note)
    assert (image.mode, image.tobytes()) == (expected.mode, expected.tobytes())


def test_what_is_seen_in_the_segments_is_not_even_tried() -> None:
    assert {name for name, source in ODD.items() if plain_jpeg.plain_size(source) is None} == {
        "cmyk", "grey", "profile", "turned", "swatch", "two", "bytes between", "bytes before the pixels",
        "more segments than one counts", "turned by a second block", "turned by a split block",
    }  # fmt: skip
    frame = picture().index(b"\xff\xc0")
    assert [plain_jpeg.plain_size(picture()[:end]) for end in (0, frame - 1, frame + 8)] == [None] * 3


def test_segments_end_at_the_pixels_or_at_nonsense() -> None:
    markers = [marker for marker, _, _ in jpeg_segments(picture())]
    assert markers[:1] + markers[-1:] == [0xE0, 0xDA]
    assert [marker for marker, _, _ in jpeg_segments(ODD["bytes before the pixels"])] == markers[:-1]
    assert [marker for marker, _, _ in jpeg_segments(ODD["bytes between"])] == markers[:-1]


def test_one_of_too_many_pixels_is_refused_as_ever() -> None:
    with pytest.raises(TooManyPixels, match="333 × 217"):
        compressed(picture(), Compressor(jpeg_optimize=False, jpeg_progressive=False, max_pixels=333 * 216))


def test_what_is_reduced_or_another_format_or_of_high_quality_takes_the_long_way() -> None:
    source = picture()
    assert compressed(source, BASELINE, quality=90)[2] == encoded(decoded(source), "JPEG", quality=90)
    assert compressed(source, BASELINE, max_dimension=100)[1].width == 100
    assert compressed(source, BASELINE, format="webp")[1].format == "WEBP"


def test_a_result_that_is_not_smaller_is_the_original() -> None:
    source = encoded(PHOTO, "JPEG", quality=10)
    report, _, written = compressed(source, BASELINE, quality=80)
    assert report.kept_original and written == source


def test_half_a_picture_is_refused_as_ever() -> None:
    with pytest.raises(Truncated):
        compressed(picture()[:4000], BASELINE)


def test_warming_up_loads_it_where_it_is_used_and_only_there() -> None:
    code = (
        "import sys; from image_processor.compressor import *;"
        "Compressor().warm_up(); assert 'simplejpeg' not in sys.modules;"
        "Compressor(jpeg_optimize=False, jpeg_progressive=False).warm_up(); assert 'simplejpeg' in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent.parent).returncode == 0


def test_the_result_is_baseline_where_only_one_of_both_is_asked_for() -> None:
    for optimize, progressive in ((True, False), (False, True)):
        image = compressed(picture(), Compressor(jpeg_optimize=optimize, jpeg_progressive=progressive))[1]
        assert bool(image.info.get("progressive")) is progressive
