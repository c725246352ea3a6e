"""Size, colours, transparency, orientation, animation and metadata of results, in all formats."""

import hashlib
import io
import os
import struct
import subprocess
import sys
import tempfile
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageSequence, PngImagePlugin
from sample_images import (
    compressed,
    corners,
    cut_out,
    decoded,
    encoded,
    exif_with,
    mean_difference,
    on_white,
    photo,
    ssim,
)

from image_processor.errors import TooManyPixels
from image_processor.imaging.compressor import CompressOptions, Compressor
from image_processor.imaging.gif_blocks import MOST_FRAMES, parse_gif
from image_processor.imaging.pillow_setup import open_image

PHOTO = photo()
pytestmark = pytest.mark.alone
SAMPLES = Path(__file__).parents[2] / "static" / "samples"


# --- quality and size ---


@pytest.mark.parametrize("quality", [20, 50, 80, 95])
def test_a_jpeg_looks_as_libjpeg_alone_would_make_it_at_that_quality(quality: int) -> None:
    source = encoded(PHOTO, "JPEG", quality=97)
    alone = decoded(encoded(decoded(source), "JPEG", quality=quality))
    result = compressed(source, quality=quality)[1]
    assert abs(ssim(result, decoded(source)) - ssim(alone, decoded(source))) < 0.02
    assert mean_difference(result, decoded(source)) < 1.5


def test_a_photograph_at_quality_90_becomes_less_than_half() -> None:
    source = encoded(photo(1200, 900), "JPEG", quality=90)
    assert compressed(source)[0].bytes_out < len(source) / 2


def test_optimised_and_progressive_are_the_default_and_can_be_turned_off() -> None:
    source = encoded(PHOTO, "JPEG", quality=90)
    default = compressed(source)[1]
    plain = compressed(source, Compressor(jpeg_optimize=False, jpeg_progressive=False))[1]
    assert default.info.get("progressive") == 1
    assert "progressive" not in plain.info
    assert abs(ssim(default, decoded(source)) - ssim(plain, decoded(source))) < 0.001


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((300, 200), 150, (150, 100)),
        ((200, 300), 150, (100, 150)),
        ((301, 200), 150, (150, 100)),
        ((299, 100), 100, (100, 33)),
        ((300, 200), 300, (300, 200)),
        ((300, 200), 2048, (300, 200)),
        ((300, 200), 0, (300, 200)),
        ((400, 1), 100, (100, 1)),
    ],
)
def test_an_image_is_reduced_to_the_limit_and_never_enlarged(
    format: str, size: tuple[int, int], limit: int, expected: tuple[int, int]
) -> None:
    report, result, _ = compressed(encoded(photo(*size), format), max_dimension=limit)
    assert (report.width, report.height) == result.size == expected


@pytest.mark.parametrize("size", [(1601, 1201), (4001, 3001), (3000, 500)])
def test_a_reduced_jpeg_looks_as_if_reduced_in_one_careful_step(size: tuple[int, int]) -> None:
    image = photo(*size)
    source = encoded(image, "JPEG", quality=95)
    result = compressed(source, max_dimension=400, quality=95)[1]
    careful = decoded(source).resize(result.size, Image.Resampling.LANCZOS)
    assert ssim(result, careful) > 0.98
    assert mean_difference(result, careful) < 1


def test_noise_at_high_quality_fits_although_the_encoder_guesses_too_small_a_buffer() -> None:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 2, (700, 700, 3), dtype=np.uint8) * 255)
    report, result, _ = compressed(encoded(noise, "PNG"), format="jpeg", quality=94)
    assert report.bytes_out > 700 * 700
    assert result.size == (700, 700)


@pytest.mark.parametrize(("format", "limit"), [("webp", 16_383), ("jpeg", 65_500)])
def test_a_side_too_long_for_the_format_is_reduced_and_said_so(format: str, limit: int) -> None:
    long = encoded(Image.new("RGB", (limit + 100, 8), (10, 120, 200)), "PNG")
    report, result, _ = compressed(long, format=format, max_dimension=0)
    assert result.width == report.width == limit
    assert report.note is not None and f"{limit:,}" in report.note


def test_an_avif_of_more_than_16_megapixels_is_reduced_and_said_so() -> None:
    large = encoded(Image.new("RGB", (5000, 4000), (10, 120, 200)), "PNG")
    report, _, _ = compressed(large, format="avif", max_dimension=0)
    assert 15_000_000 < report.width * report.height <= 16_000_000
    assert report.note is not None and "AVIF" in report.note
    assert compressed(large, format="avif")[0].note is None  # the limit asked for was smaller anyway


def test_more_pixels_than_the_limit_are_refused_with_both_numbers() -> None:
    source = encoded(PHOTO, "JPEG")
    with pytest.raises(TooManyPixels, match=r"320 × 240 .* 76,799"):
        compressed(source, Compressor(max_pixels=320 * 240 - 1))
    assert compressed(source, Compressor(max_pixels=320 * 240))[0].width == 320


# --- the original, when nothing is gained ---


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
def test_a_result_that_is_not_smaller_is_the_original_byte_for_byte(format: str) -> None:
    once = compressed(compressed(encoded(PHOTO, format), quality=30)[2], quality=30)[2]
    report, _, written = compressed(once, quality=95)
    assert report.kept_original
    assert written == once


def test_the_original_is_not_kept_where_another_format_or_size_was_asked_for() -> None:
    tiny = encoded(PHOTO, "JPEG", quality=5)
    assert not compressed(tiny, format="png")[0].kept_original
    assert not compressed(tiny, quality=95, max_dimension=319)[0].kept_original
    assert compressed(tiny, quality=95, format="jpeg")[0].kept_original


def test_a_shorter_result_leaves_nothing_of_a_longer_attempt_in_the_file() -> None:
    source = encoded(PHOTO, "JPEG", quality=5)
    report, _, written = compressed(source, quality=95)
    assert report.kept_original and len(written) == len(source)


# --- orientation ---


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_all_eight_orientations_come_out_the_same_way_up(format: str) -> None:
    upright = corners()
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for limit in (0, 48):
        for orientation, method in undo.items():
            stored = upright if method is None else upright.transpose(method)
            source = encoded(stored, format, exif=exif_with(orientation), quality=95)
            report, result, _ = compressed(source, max_dimension=limit, quality=94, format="webp")
            expected = upright if limit == 0 else upright.resize((48, 32), Image.Resampling.LANCZOS)
            assert (report.width, report.height) == result.size == expected.size, orientation
            assert result.getexif().get(0x0112, 1) == 1
            assert ssim(result, expected) > 0.9, orientation
            assert mean_difference(result, expected) < 2, orientation
            assert result.getpixel((3, 3))[0] > 180 and result.getpixel((3, 3))[1] < 80, orientation


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"])
def test_broken_exif_is_no_reason_to_refuse(exif: bytes) -> None:
    assert compressed(encoded(PHOTO, "JPEG", exif=exif))[1].size == PHOTO.size


def test_an_orientation_in_xmp_alone_turns_nothing_as_in_browsers() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert compressed(encoded(PHOTO, "JPEG", xmp=xmp))[1].size == PHOTO.size


# --- metadata ---


@pytest.mark.parametrize("target", ["keep", "jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF"])
def test_nothing_of_the_metadata_is_left(format: str, target: str) -> None:
    exif = exif_with(1)
    exif[0x010E] = "SECRET description"
    exif.get_ifd(0x8825)[2] = (51.0, 30.0, 0.0)
    settings: dict[str, object] = {"exif": exif, "xmp": b"<x:xmpmeta>SECRET</x:xmpmeta>", "comment": b"SECRET"}
    if format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_text("Author", "SECRET")
        settings["pnginfo"] = text
    elif format == "TIFF":
        settings = {"tiffinfo": {270: "SECRET description"}}
    elif format == "GIF":
        settings = {"comment": b"SECRET"}
    source = encoded(photo(400, 300), format, quality=95, **settings)
    assert b"SECRET" in source
    report, result, written = compressed(source, format=target, quality=40)
    assert not report.kept_original
    assert b"SECRET" not in written
    assert not result.getexif() and not {"exif", "xmp", "comment"} & set(result.info)


# --- colours ---


def _profile(primaries: str) -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(primaries)).tobytes()  # type: ignore[arg-type]


def _swapping_profile() -> bytes:
    """An RGB profile in which red and green are exchanged: a reader that ignores it shows the wrong colour."""
    profile = bytearray(_profile("sRGB"))
    count = int.from_bytes(profile[128:132], "big")
    entries = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


def _as_shown(image: Image.Image) -> Image.Image:
    """In sRGB, as a browser that applies profiles shows it."""
    if icc := image.info.get("icc_profile"):
        shown = ImageCms.profileToProfile(image.convert("RGB"), io.BytesIO(icc), ImageCms.createProfile("sRGB"))
        assert shown is not None
        return shown
    return image.convert("RGB")


@pytest.mark.parametrize("target", ["keep", "jpeg", "png", "webp", "avif"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_the_colour_profile_is_applied(format: str, target: str) -> None:
    source = encoded(PHOTO, format, icc_profile=_swapping_profile(), quality=95)
    shown = _as_shown(decoded(source))
    assert mean_difference(shown, PHOTO) > 5
    assert mean_difference(_as_shown(compressed(source, format=target, quality=90)[1]), shown) < 3


def test_a_large_profile_is_applied_instead_of_kept() -> None:
    large = _swapping_profile() + bytes(40_000)
    large = struct.pack(">I", len(large)) + large[4:]
    source = encoded(PHOTO, "JPEG", icc_profile=large, quality=95)
    _, result, _ = compressed(source, quality=90)
    assert "icc_profile" not in result.info
    assert mean_difference(result, _as_shown(decoded(source))) < 3


@pytest.mark.parametrize("icc", [b"", b"rubbish", bytes(3000), _profile("sRGB")[:200], _profile("LAB")])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_broken_profile_is_left_out(icc: bytes, mode: str) -> None:
    image = PHOTO.convert(mode)
    _, result, _ = compressed(encoded(image, "JPEG", icc_profile=icc, quality=90), quality=90)
    assert mean_difference(result, image.convert("RGB")) < 2


def test_a_grey_profile_is_applied() -> None:
    # A v2 profile whose curve is gamma 1.0: 46 of 255 is 18% light, middle grey in sRGB.
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(">I", 2) + b"wtpt" + struct.pack(">II", 156, 20) + b"kTRC" + struct.pack(">II", 176, 14)
    body = tags + white + curve
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061) + bytes(48)
    source = encoded(Image.new("L", (64, 64), 46), "PNG", icc_profile=head + body)
    assert compressed(source)[1].convert("L").getpixel((9, 9)) == pytest.approx(118, abs=2)


def test_cmyk_without_a_profile_looks_as_in_browsers() -> None:
    image = PHOTO.convert("CMYK")
    _, result, _ = compressed(encoded(image, "JPEG", quality=92), quality=90)
    assert result.mode == "RGB"
    assert ssim(result, PHOTO) > 0.9 and mean_difference(result, PHOTO) < 2


# --- transparency ---


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white_where_the_format_has_none(mode: str) -> None:
    image = cut_out()
    image = image.quantize(200, Image.Quantize.FASTOCTREE) if mode == "P" else image.convert(mode)
    _, result, _ = compressed(encoded(image, "PNG"), format="jpeg", quality=90)
    assert result.getpixel((1, 1)) in ((255, 255, 255), 255)
    assert ssim(result, on_white(image)) > 0.9
    assert np.asarray(result.convert("L"))[0].min() > 250


@pytest.mark.parametrize("target", ["png", "webp", "avif"])
@pytest.mark.parametrize("limit", [0, 160])
def test_a_soft_edge_has_no_dark_fringe(target: str, limit: int) -> None:
    disc = Image.new("RGBA", (320, 240), (240, 230, 220, 255))
    disc.putalpha(cut_out().getchannel("A"))
    disc.paste((0, 0, 0, 0), mask=disc.getchannel("A").point([255] + [0] * 255))
    _, result, _ = compressed(encoded(disc, "PNG"), format=target, max_dimension=limit, quality=90)
    shown = np.asarray(on_white(result).convert("L"))
    assert shown.min() > 215
    assert result.convert("RGBA").getchannel("A").getextrema() == (0, 255)


def test_a_soft_shadow_keeps_its_steps_in_a_palette() -> None:
    shadow = Image.new("RGBA", (256, 256))
    shadow.putalpha(Image.radial_gradient("L").point([max(0, 180 - value) for value in range(256)]))
    product = photo(100, 100).convert("RGBA")
    shadow.paste(product, (78, 78))
    _, result, _ = compressed(encoded(shadow, "PNG"))
    assert result.mode == "P"
    given, got = (np.asarray(image.convert("RGBA").getchannel("A"), int) for image in (shadow, result))
    assert np.abs(given - got).max() <= 6
    assert ssim(on_white(result), on_white(shadow)) > 0.95


def test_what_is_clear_stays_clear_and_what_is_opaque_stays_opaque() -> None:
    image = cut_out()
    alpha = np.asarray(image.getchannel("A"))
    result = np.asarray(compressed(encoded(image, "PNG"))[1].convert("RGBA").getchannel("A"))
    assert (result[alpha == 0] == 0).all()
    assert (result[alpha == 255] == 255).all()


# --- PNG ---


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_png_of_few_colours_loses_none_of_them(mode: str) -> None:
    random = np.random.default_rng(5)
    colours = random.integers(0, 256, (250, len(mode)), dtype=np.uint8)
    image = Image.fromarray(colours[random.integers(0, 250, (90, 120))])
    report, result, _ = compressed(encoded(image, "PNG"))
    assert not report.kept_original
    assert (np.asarray(result.convert(mode)) == np.asarray(image)).all()


def test_a_photograph_in_png_becomes_a_palette_a_third_as_large() -> None:
    source = encoded(photo(640, 480), "PNG", optimize=True)
    report, result, _ = compressed(source)
    assert result.mode == "P"
    assert report.bytes_out < len(source) / 2.5


# --- animation ---


def _frames(count: int = 4, mode: str = "RGB") -> list[Image.Image]:
    frames = []
    for number in range(count):
        frame = Image.new(mode, (60, 40), (250, 250, 240) if mode == "RGB" else (0, 0, 0, 0))
        frame.paste(
            (200, 20 * number, 40) if mode == "RGB" else (200, 20, 40, 255), (8 * number, 8, 8 * number + 16, 24)
        )
        frames.append(frame)
    return frames


def _animated(format: str, frames: list[Image.Image], **settings: object) -> bytes:
    settings = {"duration": [100, 200, 300, 400][: len(frames)], "loop": 0, **settings}
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], **settings)


def _shown_frames(image: Image.Image) -> list[tuple[Image.Image, float]]:
    return [(on_white(frame), frame.info["duration"]) for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("limit", [0, 30])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize(
    ("format", "target"),
    [
        ("GIF", "keep"),
        ("WEBP", "keep"),
        ("PNG", "keep"),
        ("AVIF", "keep"),
        ("GIF", "webp"),
        ("GIF", "png"),
        ("PNG", "webp"),
    ],
)
def test_an_animation_stays_one(format: str, target: str, mode: str, limit: int) -> None:
    frames = _frames(mode=mode)
    settings: dict[str, object] = {"quality": 95}
    if format == "GIF":
        settings = {"disposal": 2}
    elif format == "WEBP":
        # Every frame complete with its own alpha, so that Pillow, the reference, reads it correctly.
        settings = {"lossless": True, "kmin": 1, "kmax": 1}
    report, result, _ = compressed(
        _animated(format, frames, **settings), format=target, quality=90, max_dimension=limit
    )
    shown = _shown_frames(result)
    size = (60, 40) if limit == 0 else (30, 20)
    assert report.note is None
    assert (report.width, report.height) == size
    assert [duration for _, duration in shown] == [100, 200, 300, 400]
    assert result.info.get("loop", 0) == 0
    for frame, (got, _) in zip(frames, shown, strict=True):
        assert mean_difference(got, on_white(frame).resize(size, Image.Resampling.LANCZOS)) < 8
        assert ssim(got, on_white(frame).resize(size, Image.Resampling.LANCZOS)) > 0.8


@pytest.mark.parametrize("limit", [0, 30])
@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
def test_gif_frames_are_composed_by_their_disposal(disposal: int, limit: int) -> None:
    frames = _frames(mode="RGBA")
    source = _animated("GIF", frames, disposal=disposal)
    _, result, _ = compressed(source, max_dimension=limit)
    size = (60, 40) if limit == 0 else (30, 20)
    for (wanted, _), (got, _) in zip(_shown_frames(decoded(source)), _shown_frames(result), strict=True):
        assert mean_difference(got, wanted.resize(size, Image.Resampling.LANCZOS)) < 3


@pytest.mark.parametrize("loop", [None, 0, 1, 5])
def test_a_gif_repeats_as_often_as_before(loop: int | None) -> None:
    frames = _frames()
    source = (
        _animated("GIF", frames)
        if loop is not None
        else encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    )
    if loop:
        source = _animated("GIF", frames, loop=loop)
    assert decoded(compressed(source, max_dimension=30)[2]).info.get("loop") == loop
    # GIF counts repetitions, WebP counts showings.
    shown = 1 if loop is None else loop and loop + 1
    assert decoded(compressed(source, format="webp")[2]).info["loop"] == shown


def test_a_gif_whose_frames_hold_more_than_changes_becomes_smaller_without_any_loss() -> None:
    background = photo(160, 120).quantize(64)
    frames = []
    for number in range(5):
        frame = background.copy()
        frame.paste(3, (10 * number, 10, 10 * number + 12, 22))
        frames.append(frame)
    singles = [encoded(frame, "GIF") for frame in frames]
    # Concatenated, as simple programs do: each frame is complete.
    body = b"".join(b"\x21\xf9\x04\x04\x0a\0\0\0" + single[13 + 3 * 64 : -1] for single in singles)
    source = b"GIF89a" + singles[0][6 : 13 + 3 * 64] + body + b"\x3b"
    report, result, _ = compressed(source)
    assert report.bytes_out < len(source) / 2
    for frame, got in zip(frames, ImageSequence.Iterator(result), strict=True):
        assert (np.asarray(got.convert("RGB")) == np.asarray(frame.convert("RGB"))).all()


def test_a_clear_canvas_under_opaque_pieces_stays_clear() -> None:
    # Written without alpha in its header, as encoders do when no piece of a frame has any.
    source = _animated("WEBP", _frames(mode="RGBA"), lossless=True)
    assert not source[20] & 0x10
    for target in ("keep", "png", "avif"):
        _, result, written = compressed(source, format=target, max_dimension=48)
        assert result.convert("RGBA").getpixel((1, 1))[3] == 0, target
        assert target != "keep" or written[20] & 0x10


def test_an_animation_beyond_the_budget_becomes_its_first_frame_with_a_note() -> None:
    frames = _frames()
    small = Compressor(max_pixels=60 * 40 * 4 - 1)
    for format in ("GIF", "WEBP", "PNG", "AVIF"):
        report, result, _ = compressed(_animated(format, frames), small, quality=90)
        assert getattr(result, "n_frames", 1) == 1
        assert report.note is not None and "first frame" in report.note
        assert not report.kept_original
        assert mean_difference(result, frames[0]) < 5


def test_an_animation_as_jpeg_is_its_first_frame_with_a_note() -> None:
    report, result, _ = compressed(_animated("GIF", _frames()), format="jpeg", quality=90)
    assert report.note is not None and "cannot be animated" in report.note
    assert mean_difference(result, _frames()[0]) < 3


def test_thousands_of_frames_in_a_few_bytes_are_not_decoded() -> None:
    frame = b"\x2c" + struct.pack("<4H", 0, 0, 9000, 5000) + b"\0\x02\x02\x4c\x01\0"
    source = b"GIF89a" + struct.pack("<HH", 9000, 5000) + b"\x80\0\0" + bytes(6) + frame * 3000 + b"\x3b"
    with pytest.raises(Exception) as caught:  # its first frame is all there is to decode, and it is not whole
        compressed(source)
    assert getattr(caught.value, "code", None) == "truncated"


def test_a_million_tiny_frames_become_the_first_one_quickly() -> None:
    frame = b"\x2c" + struct.pack("<4H", 0, 0, 1, 1) + b"\0\x02\x02\x44\x01\0"
    source = b"GIF89a" + struct.pack("<HH", 1, 1) + b"\x80\0\0" + b"\xc8\x1e\x1e" * 2 + frame * 500_000 + b"\x3b"
    assert len(parse_gif(source).frames) == MOST_FRAMES + 1
    report, result, _ = compressed(source)
    assert report.note is not None and "first frame" in report.note
    assert result.convert("RGB").getpixel((0, 0)) == (200, 30, 30)


def test_a_frame_smaller_than_its_canvas_leaves_the_rest_clear() -> None:
    source = bytearray(encoded(Image.new("RGB", (8, 8), (200, 30, 30)), "GIF"))
    source[6:10] = struct.pack("<HH", 24, 16)
    result = compressed(bytes(source), format="png")[1].convert("RGBA")
    assert result.size == (24, 16)
    assert result.getpixel((2, 2)) == (200, 30, 30, 255)
    assert result.getpixel((20, 12))[3] == 0


def test_a_damaged_apng_still_gives_its_still() -> None:
    source = _animated("PNG", _frames())
    at = source.rindex(b"fcTL") + 4
    broken = source[:at] + struct.pack(">I", 99) + source[at + 4 :]
    report, result, _ = compressed(broken)
    assert (report.width, report.height) == (60, 40)
    assert mean_difference(result, _frames()[0]) < 3


# --- threads, files, warnings ---


def test_a_full_disk_is_no_error_of_the_image() -> None:
    compressor = Compressor()
    for format in ("keep", "png", "webp", "avif"):
        with open("/dev/full", "w+b", buffering=0) as full, pytest.raises(OSError, match="space"):
            compressor.compress(encoded(PHOTO, "JPEG"), full, CompressOptions(format=format))  # type: ignore[arg-type]


def test_many_threads_give_what_one_gives() -> None:
    compressor = Compressor()
    sources = [encoded(photo(200, 150, seed), format) for seed in range(4) for format in ("JPEG", "PNG", "WEBP", "GIF")]
    alone = [hashlib.sha256(compressed(source, compressor)[2]).digest() for source in sources]
    together: dict[int, bytes] = {}

    def compress(number: int) -> None:
        together[number] = hashlib.sha256(compressed(sources[number], compressor)[2]).digest()

    threads = [threading.Thread(target=compress, args=(number,)) for number in range(len(sources))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[number] for number in range(len(sources))] == alone


def test_warnings_of_the_library_stay_harmless_even_where_warnings_are_errors() -> None:
    # A JPEG whose MPO index is invalid: Pillow warns.
    mpo = bytearray(encoded(PHOTO, "MPO", save_all=True, append_images=[PHOTO], quality=90))
    at = mpo.index(b"MPF\0") + 4
    mpo[at + 8 : at + 20] = b"\xff" * 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compressed(bytes(mpo))[1].size == PHOTO.size


def test_importing_the_module_loads_no_codec() -> None:
    code = (
        "import sys, image_processor.imaging.compressor;"
        "sys.exit(any(name.endswith('ImagePlugin') or name == 'oxipng' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=SAMPLES.parent.parent).returncode == 0


def test_warming_up_leaves_nothing_to_load() -> None:
    code = (
        "import sys, tempfile; from image_processor.imaging.compressor import *;"
        "c = Compressor(); load_codecs(); before = set(sys.modules);"
        "c.compress(sys.stdin.buffer.read(), tempfile.TemporaryFile(), CompressOptions());"
        "late = {name for name in set(sys.modules) - before if name.startswith('PIL')};"
        "sys.exit(str(late) if late else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=SAMPLES.parent.parent, input=encoded(PHOTO, "JPEG"))
    assert done.returncode == 0


# --- the samples of the application ---


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.*")), ids=lambda path: path.name)
def test_every_sample_becomes_smaller_and_stays_itself(path: Path) -> None:
    source = path.read_bytes()
    report, result, _ = compressed(source)
    assert not report.kept_original and report.bytes_out < len(source)
    if path.suffix == ".jpg":
        assert report.bytes_out < len(source) / 2
    given = decoded(source)
    upright = given if given.getexif().get(0x0112, 1) == 1 else given.transpose(Image.Transpose.ROTATE_270)
    assert ssim(on_white(result), on_white(upright)) > 0.85


def test_the_samples_are_of_every_kind_and_not_heavy() -> None:
    names = [path.name for path in SAMPLES.glob("*.*")]
    assert len(names) >= 8
    assert {os.path.splitext(name)[1] for name in names} >= {".jpg", ".png", ".webp", ".gif"}
    assert sum(path.stat().st_size for path in SAMPLES.glob("*.*")) < 2_500_000
    assert any(decoded(path.read_bytes()).getexif().get(0x0112) == 6 for path in SAMPLES.glob("*.jpg"))


def test_the_file_is_written_through_its_descriptor() -> None:
    # Encoders write to the descriptor of a real file, past Python's buffer.
    with tempfile.TemporaryFile() as file:
        report = Compressor().compress(encoded(PHOTO, "JPEG", quality=95), file, CompressOptions())
        assert os.fstat(file.fileno()).st_size == report.bytes_out


def test_a_jpeg_is_read_in_one_go_and_a_tiff_is_not() -> None:
    # Pillow reads a block for each strip of a TIFF: a file of 20 MB would be copied a million times.
    noise = Image.effect_noise((400, 400), 80)
    files = {kind: encoded(noise, kind) for kind in ("JPEG", "TIFF")}
    blocks = {kind: open_image(data, kind).decodermaxblock for kind, data in files.items()}  # type: ignore[arg-type]
    assert min(map(len, files.values())) > 65_536
    assert blocks == {"JPEG": len(files["JPEG"]), "TIFF": 65_536}
