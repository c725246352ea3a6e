"""Every format and mode: what is compressed to what, and what is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from sample_images import (
    bitmap,
    compressed,
    cut_out,
    decoded,
    encoded,
    mean_difference,
    on_white,
    photo,
    png_chunk,
    raw_png,
    ssim,
)

from image_processor.errors import ImageError, NotAnImage, TooManyPixels, Truncated, UnsupportedFormat
from image_processor.imaging.compressor import CONTENT_TYPES

PHOTO = photo()
GREY = PHOTO.convert("L")
DEEP = Image.fromarray(np.asarray(GREY, np.uint16) * 257)


@pytest.mark.parametrize(
    ("source", "extension"),
    [
        (encoded(PHOTO, "JPEG", quality=90), ".jpg"),
        (encoded(PHOTO, "JPEG", quality=90, progressive=True), ".jpg"),
        (encoded(GREY, "JPEG", quality=90), ".jpg"),
        (encoded(PHOTO, "MPO", save_all=True, append_images=[PHOTO], quality=90), ".jpg"),
        (encoded(PHOTO, "PNG"), ".png"),
        (encoded(GREY, "PNG"), ".png"),
        (encoded(DEEP, "PNG"), ".png"),
        (encoded(PHOTO.quantize(64), "PNG"), ".png"),
        (encoded(PHOTO, "WEBP", quality=90), ".webp"),
        (encoded(PHOTO, "WEBP", lossless=True), ".webp"),
        (encoded(PHOTO, "AVIF", quality=90), ".avif"),
        (encoded(PHOTO, "GIF"), ".gif"),
        (encoded(PHOTO, "BMP"), ".jpg"),
        (encoded(PHOTO.quantize(64), "BMP"), ".jpg"),
        (encoded(PHOTO, "TIFF", compression="tiff_lzw"), ".jpg"),
        (encoded(PHOTO, "TIFF", compression="jpeg"), ".jpg"),
        (encoded(DEEP, "TIFF"), ".jpg"),
        (encoded(PHOTO.convert("YCbCr"), "TIFF"), ".jpg"),
        (encoded(PHOTO.convert("CMYK"), "TIFF"), ".jpg"),
    ],
)
def test_an_image_keeps_its_format_and_its_look(source: bytes, extension: str) -> None:
    report, result, _ = compressed(source)
    given = decoded(source)
    reference = GREY if given.mode.startswith("I") else given.convert("RGB")
    assert report.extension == extension
    assert CONTENT_TYPES[extension] == Image.MIME[result.format or ""]
    assert (report.width, report.height) == result.size == PHOTO.size
    assert report.bytes_out <= len(source)
    assert mean_difference(result, reference) < 2.5
    # 256 colours are what PNG and GIF have, for an image of as many hues as this.
    assert ssim(result, reference) > (0.85 if extension in (".png", ".gif") else 0.9)


@pytest.mark.parametrize(
    "image",
    [
        PHOTO,
        GREY,
        DEEP,
        PHOTO.convert("CMYK").convert("RGB"),
        PHOTO.quantize(32),
        cut_out(),
        cut_out().convert("LA"),
        GREY.convert("1"),
    ],
    ids=lambda image: image.mode,
)
@pytest.mark.parametrize("target", ["jpeg", "webp", "avif", "png"])
def test_every_mode_converts_to_every_format(image: Image.Image, target: str) -> None:
    _, result, _ = compressed(encoded(image, "PNG"), format=target, quality=90)
    reference = on_white(GREY) if image.mode == "I;16" else on_white(image)
    assert result.format == target.upper()
    assert mean_difference(on_white(result), reference) < 3
    assert ssim(on_white(result), reference) > 0.8


def test_bitmaps_and_tiffs_that_are_transparent_become_png() -> None:
    for format in ("TIFF", "BMP"):
        report, result, _ = compressed(encoded(cut_out(), format))
        # Pillow writes 32-bit bitmaps whose header declares no alpha.
        assert report.extension == (".png" if format == "TIFF" else ".jpg")
        assert format == "BMP" or result.convert("RGBA").getchannel("A").getextrema() == (0, 255)


def test_a_tiff_with_an_alpha_channel_that_is_opaque_becomes_jpeg() -> None:
    assert compressed(encoded(PHOTO.convert("RGBA"), "TIFF"))[0].extension == ".jpg"


def test_a_tiff_of_several_pages_says_that_one_was_kept() -> None:
    source = encoded(PHOTO, "TIFF", save_all=True, append_images=[PHOTO])
    assert compressed(source)[0].note == "Only the first page of the file was kept."


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_a_tiff_of_a_scientific_or_print_colour_space_is_refused_with_what_to_do(mode: str) -> None:
    source = encoded(GREY.convert(mode) if mode != "LAB" else Image.new("LAB", (9, 9)), "TIFF")
    with pytest.raises(UnsupportedFormat, match="save it as JPEG, PNG or WebP"):
        compressed(source)


@pytest.mark.parametrize(("depth", "top"), [(1, 1), (2, 3), (4, 15), (8, 255), (16, 65535)])
def test_the_transparent_grey_of_a_png_is_found_at_every_depth(depth: int, top: int) -> None:
    # Left half black, right half white; white is declared transparent (tRNS, PNG 11.3.2.1).
    width, height = 16, 4
    bits = "0" * (8 * depth) + "1" * (8 * depth)
    row = int(bits, 2).to_bytes(len(bits) // 8, "big")
    source = raw_png(width, height, depth, 0, row * height, png_chunk(b"tRNS", struct.pack(">H", top)))
    result = compressed(source, format="webp", quality=90)[1].convert("RGBA")
    assert result.getpixel((1, 1))[3] == 255
    assert result.getpixel((14, 1))[3] == 0


def test_the_transparent_colour_of_a_16_bit_rgb_png_is_found() -> None:
    row = struct.pack(">3H", 0, 0, 0) * 8 + struct.pack(">3H", 0x1234, 0x5678, 0x9ABC) * 8
    source = raw_png(16, 8, 16, 2, row * 8, png_chunk(b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC)))
    result = compressed(source, format="webp", quality=90)[1].convert("RGBA")
    assert result.getpixel((1, 1))[3] == 255
    assert result.getpixel((14, 1))[3] == 0


def test_the_gamma_of_a_png_is_applied_as_browsers_do() -> None:
    # A linear file (gAMA 1.0): 18% light is middle grey, 118 in sRGB.
    source = raw_png(8, 8, 8, 0, bytes([46]) * 64, png_chunk(b"gAMA", struct.pack(">I", 100_000)))
    assert compressed(source)[1].convert("L").getpixel((4, 4)) == pytest.approx(118, abs=1)


def test_the_usual_gamma_of_a_png_changes_nothing() -> None:
    source = raw_png(8, 8, 8, 0, bytes([46]) * 64, png_chunk(b"gAMA", struct.pack(">I", 45_455)))
    assert compressed(source)[1].convert("L").getpixel((4, 4)) == 46


def test_a_bitmap_with_unusual_colour_masks_is_refused_with_what_to_do() -> None:
    source = bitmap(40, 40, 16, 3, struct.pack("<3I", 0xF00, 0xF0, 0xF), struct.pack("<H", 0xF80) * 1600)
    with pytest.raises(UnsupportedFormat, match="save it as JPEG, PNG or WebP"):
        compressed(source)


def test_a_bitmap_whose_alpha_is_zero_throughout_is_opaque() -> None:
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    source = bitmap(40, 40, 32, 3, masks, bytes((10, 200, 30, 0)) * 1600)
    report, result, _ = compressed(source, quality=90)
    assert report.extension == ".jpg"
    assert result.getpixel((5, 5))[1] == pytest.approx(200, abs=4)


def test_a_bitmap_with_alpha_becomes_png() -> None:
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    source = bitmap(40, 40, 32, 3, masks, bytes((10, 200, 30, 128)) * 1600)
    report, result, _ = compressed(source)
    assert report.extension == ".png"
    assert result.convert("RGBA").getpixel((5, 5)) == (30, 200, 10, 128)


UNSUPPORTED = [
    (b'<?xml version="1.0"?><!-- drawn --><svg xmlns="http://www.w3.org/2000/svg"></svg>', "SVG"),
    (b"\xef\xbb\xbf<svg width='3'/>", "SVG"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40, "HEIC"),
    (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 40, "HEIC"),
    (b"\0\0\0\x18ftypisom\0\0\0\0mp41avc1" + b"\0" * 40, "video"),
    (b"%PDF-1.7\n", "PDF"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
    (b"\xc5\xd0\xd3\xc6" + b"\0" * 30, "EPS"),
    (b"8BPS\0\x01" + b"\0" * 30, "Photoshop"),
    (b"\0\0\x01\0\x01\0" + b"\0" * 30, "ICO"),
    (b"\xff\x0a" + b"\0" * 30, "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0" * 30, "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 30, "JPEG 2000"),
    (b"P6\n2 2\n255\n" + b"\0" * 12, "PPM"),
    (b"qoif" + b"\0" * 30, "QOI"),
]


@pytest.mark.parametrize(("source", "name"), UNSUPPORTED, ids=[name for _, name in UNSUPPORTED])
def test_a_format_that_is_not_supported_is_named_with_what_to_do(source: bytes, name: str) -> None:
    with pytest.raises(UnsupportedFormat, match=name) as caught:
        compressed(source)
    assert "save it as JPEG, PNG or WebP" in caught.value.detail


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (b"<!DOCTYPE html><html><body>Not found <svg></svg></body></html>", "web page"),
        (b"\n  <!-- cached -->\n<HTML><head>", "web page"),
        ("\ufeff<html>".encode("utf-16-le"), "web page"),
        (b'{"error": "not found"}', "JSON"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b"Hotlinking is not allowed.", "text"),
        (b"BMW is a car, not a bitmap.", "text"),
        (b"", "empty"),
        (b" \n", "empty"),
        (b"PK\x03\x04" + b"\0" * 30, "ZIP"),
        (b"\x1f\x8b\x08" + b"\0" * 30, "gzip"),
        (bytes(range(256)), "not an image of a known format"),
    ],
)
def test_what_is_not_an_image_is_named(source: bytes, words: str) -> None:
    with pytest.raises(NotAnImage, match=words):
        compressed(source)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF"])
def test_what_is_really_cut_off_is_refused_for_good(format: str) -> None:
    whole = encoded(PHOTO, format)
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError) as caught:
            compressed(whole[: int(len(whole) * share)])
        assert isinstance(caught.value, (Truncated, UnsupportedFormat))
        assert not caught.value.retryable


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"subsampling": 0}])
def test_a_jpeg_that_lacks_only_its_last_marker_is_complete(settings: dict[str, int]) -> None:
    whole = encoded(PHOTO, "JPEG", quality=85, **settings)
    for cut in (1, 2):
        report, result, _ = compressed(whole[:-cut], quality=85)
        assert ssim(result, PHOTO) > 0.95
        assert not report.kept_original


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_jpeg_that_lacks_some_of_its_pixels_is_not_filled_with_grey(settings: dict[str, int]) -> None:
    whole = encoded(PHOTO, "JPEG", quality=85, **settings)
    for cut in (12, 40, 200, len(whole) // 3):
        with pytest.raises(Truncated) as caught:
            compressed(whole[:-cut])
        assert not caught.value.retryable


def test_a_jpeg_cut_exactly_between_two_restart_intervals_is_seen_to_be_cut() -> None:
    whole = encoded(PHOTO, "JPEG", quality=85, restart_marker_rows=1)
    markers = [at for at in range(600, len(whole) - 1) if whole[at] == 0xFF and 0xD0 <= whole[at + 1] <= 0xD7]
    assert len(markers) > 10
    for at in (markers[-1], markers[-1] + 2, markers[len(markers) // 2]):
        with pytest.raises(Truncated):
            compressed(whole[:at])


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    small = encoded(Image.new("RGB", (16, 16)), "JPEG")
    at = small.index(b"\xff\xc0") + 5
    claiming = small[:at] + struct.pack(">HH", 9000, 9000) + small[at + 4 :]
    with pytest.raises(TooManyPixels, match="9,000 × 9,000"):
        compressed(claiming)


@pytest.mark.parametrize("format", ["PNG", "GIF", "WEBP"])
def test_a_size_that_only_the_header_claims_is_refused(format: str) -> None:
    source = bytearray(encoded(Image.new("RGB", (16, 16)), format, **({"lossless": True} if format == "WEBP" else {})))
    if format == "PNG":
        source[16:24] = struct.pack(">II", 60_000, 60_000)
    elif format == "GIF":
        at = source.index(b"\x2c") + 5
        source[at : at + 4] = struct.pack("<HH", 60_000, 60_000)
    else:
        source[21:25] = (16_382 | 16_382 << 14).to_bytes(4, "little")
    with pytest.raises(TooManyPixels):
        compressed(bytes(source))


def test_broken_metadata_does_not_stop_a_png() -> None:
    rows = bytes(range(64)) * 8
    wrong_checksum = png_chunk(b"tEXt", b"Comment\0hello")[:-1] + b"\0"
    bomb = b"Comment\0\0" + zlib.compress(b"\0" * 3_000_000)
    for chunk in (wrong_checksum, png_chunk(b"zTXt", bomb), png_chunk(b"gAMA", b"\0")):
        report, result, _ = compressed(raw_png(64, 8, 8, 0, rows, chunk), format="png")
        assert (report.width, report.height) == (64, 8)
        assert result.convert("L").getpixel((63, 7)) == 63


def test_ghostscript_is_never_started(monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: pytest.fail("Ghostscript"))
    for source in (encoded(PHOTO, "EPS"), b"\n" + encoded(PHOTO, "EPS")):
        with pytest.raises((UnsupportedFormat, NotAnImage)):
            compressed(source)


def test_no_byte_can_be_changed_so_that_anything_but_the_known_errors_is_raised() -> None:
    random = np.random.default_rng(7)
    images = [PHOTO.resize((48, 32)), cut_out(48, 32)]
    for format in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF"):
        whole = encoded(images[0] if format in ("JPEG", "BMP") else images[1], format)
        for _ in range(40):
            broken = bytearray(whole)
            for at in random.integers(0, len(broken), 3):
                broken[at] = random.integers(0, 256)
            try:
                compressed(bytes(broken), format="webp")
            except ImageError as error:
                assert error.code in ("not_an_image", "unsupported_format", "too_many_pixels", "truncated")


def test_the_measures_of_the_tests_tell_images_apart() -> None:
    assert ssim(PHOTO, PHOTO) == pytest.approx(1)
    assert ssim(PHOTO, Image.open(io.BytesIO(encoded(PHOTO.rotate(90, expand=False), "PNG")))) < 0.7
