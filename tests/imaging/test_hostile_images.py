"""Files that are made to exhaust a server take neither time nor memory, and ordinary ones like them are read."""

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hostile_images import (
    HOSTILE,
    MOST_BYTES,
    avif_with_false_size,
    html_comments,
    jpeg_of_many_scans,
    tiff,
    tiff_tags,
)
from PIL import Image
from sample_images import bitmap, compressed, encoded, photo, png_chunk

from image_processor.errors import NotAnImage, TooManyPixels, UnsupportedFormat
from image_processor.imaging.encoders import squeezed
from image_processor.imaging.formats import avif_coded_size, jpeg_markers, recognise, tiff_tile
from image_processor.imaging.repair import repairs

PHOTO = photo(160, 120)
SECONDS = 600  # a decoder that hangs takes hours
MOST_MEMORY = 1_500_000_000
# The codes of their errors; the others become images.
REFUSED = {
    "html_comments": "not_an_image",
    "spaces": "not_an_image",
    "svg_prefixes": "not_an_image",
    "jpeg_of_many_scans": "unsupported_format",
    "jpeg_of_ff_bytes": "truncated",
    "jpeg_of_ff_bytes_that_opens": "unsupported_format",
    "jpeg_of_rubbish_that_opens": "unsupported_format",
    "jpeg_of_a_million_segments": "unsupported_format",
    "jpeg_of_a_million_segments_that_does_not_open": "unsupported_format",
    "jpeg_of_pieces_of_exif": "unsupported_format",
    "png_of_1500_mb": "too_many_pixels",
    "png_of_1500_mb_within_the_limit": "truncated",
    "png_of_many_chunks": "unsupported_format",
    "png_claiming_2_31_pixels_a_side": "too_many_pixels",
    "gif_of_tiny_blocks": "truncated",
    "bmp_of_many_runs": "truncated",
    "tiff_with_giant_tile": "too_many_pixels",
    "tiff_of_many_strips": "unsupported_format",
    "tiff_of_many_tiny_tiles": "unsupported_format",
    "avif_with_false_size": "too_many_pixels",
    "webp_with_false_canvas": "truncated",
    "webp_animation_with_false_frames": "truncated",
}
CHILD = """
import json, re, sys, tempfile
from image_processor.imaging.compressor import CompressOptions, Compressor
from image_processor.errors import ImageError
source = sys.stdin.buffer.read()
with tempfile.TemporaryFile() as file:
    try:
        code = Compressor().compress(source, file, CompressOptions()).extension
    except ImageError as error:
        code = error.code
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
print(json.dumps([code, int(peak[1]) * 1000]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", HOSTILE)
def test_no_file_takes_hours_or_more_memory_than_an_image_may_use(name: str) -> None:
    source = HOSTILE[name]()
    assert len(source) <= MOST_BYTES
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=source,
        capture_output=True,
        cwd=Path(__file__).parents[2],
        timeout=SECONDS,
        check=True,
    )
    code, peak = json.loads(done.stdout)
    assert peak < MOST_MEMORY
    assert code == REFUSED.get(name, code)
    assert (name in REFUSED) is not code.startswith(".")


def test_280_bytes_of_html_comments_are_recognised_in_linear_time() -> None:
    assert len(html_comments()) == 280
    code = "import sys; from image_processor.imaging.formats import recognise; recognise(sys.stdin.buffer.read())"
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], input=html_comments(), capture_output=True, cwd=root, timeout=SECONDS
    )
    assert b"NotAnImage" in done.stderr
    with pytest.raises(NotAnImage, match="web page"):
        recognise(html_comments() + b"\n<html>")


# ---- ordinary files like them are read -------------------------------------------------------------------------


def test_a_jpeg_of_100_scans_is_read_and_one_of_101_is_not() -> None:
    assert compressed(jpeg_of_many_scans(100, side=64), max_dimension=0)[1].size == (64, 64)
    with pytest.raises(UnsupportedFormat, match="more than 100 scans"):
        compressed(jpeg_of_many_scans(101, side=64))


def test_scans_are_counted_among_the_pixels_only() -> None:
    scans = b"\xff\xda" * 200
    source = encoded(PHOTO, "JPEG", comment=scans, quality=95) + scans  # in a comment, and after the end
    assert [marker for marker, _, _ in jpeg_markers(source)].count(0xDA) == 1
    assert compressed(source)[1].size == PHOTO.size


def test_a_jpeg_with_bytes_between_its_segments_is_read_as_libjpeg_does() -> None:
    source = encoded(PHOTO, "JPEG", quality=95)
    for between in (b"\xff" * 5000, b"\0" * 5000):
        assert compressed(source.replace(b"\xff\xdb", between + b"\xff\xdb", 1))[1].size == PHOTO.size


def test_a_tiff_of_ordinary_tiles_is_read() -> None:
    tags = tiff_tags(20, 20, 1) | {322: (4, 1, 16), 323: (4, 1, 16), 324: (4, 4, 1032), 325: (4, 4, 1048)}
    pixels = b"".join(bytes((level,)) * 256 for level in (0, 80, 160, 240))
    source = tiff(tags, pixels + struct.pack("<8I", 8, 264, 520, 776, 256, 256, 256, 256))
    result = compressed(source, format="png")[1].convert("L")
    assert [result.getpixel(at) for at in ((2, 2), (18, 2), (2, 18), (18, 18))] == [0, 80, 160, 240]


@pytest.mark.parametrize("settings", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}])
def test_the_tiles_of_a_tiff_are_found_in_both_kinds_of_directory(settings: dict[str, object]) -> None:
    source = encoded(PHOTO, "TIFF", **settings)
    assert tiff_tile(source) == (0, 0)
    for stored, tile in ((256, 322), (257, 323)):  # width and height, as if they were those of a tile
        source = source.replace(struct.pack("<HH", stored, 4), struct.pack("<HH", tile, 4))
        source = source.replace(struct.pack("<HH", stored, 3), struct.pack("<HH", tile, 3))
    assert tiff_tile(source) == PHOTO.size


def test_the_coded_size_of_an_avif_is_found_whatever_its_container_says() -> None:
    frames = [photo(101, 55, seed=seed) for seed in range(3)]
    clear = Image.linear_gradient("L").resize((101, 55))
    for frame in frames[1:]:
        frame.putalpha(clear)
    assert avif_coded_size(encoded(frames[0], "AVIF")) == (101, 55)
    assert avif_coded_size(encoded(frames[1], "AVIF")) == (101, 55)
    assert avif_coded_size(encoded(frames[0], "AVIF", save_all=True, append_images=frames[1:])) == (101, 55)
    assert avif_coded_size(avif_with_false_size(64)) == (64, 64)
    assert avif_coded_size(b"\0\0\0\x18ftypavif") == (0, 0)


def test_a_frame_larger_than_the_limit_is_named_by_its_own_size() -> None:
    small, giant = encoded(Image.new("L", (10, 10)), "GIF"), encoded(Image.new("L", (9000, 9000)), "GIF")
    block = giant[giant.index(b"\x2c\0\0\0\0\x28\x23") : -1]
    with pytest.raises(TooManyPixels, match="9,000 × 9,000"):
        compressed(small[:-1] + block + b"\x3b")


def test_a_png_is_not_inflated_beyond_its_size() -> None:
    source = HOSTILE["png_of_1500_mb_within_the_limit"]()
    assert max(len(repaired) for repaired in repairs(source, "PNG")) < 2 * len(source)


def test_a_png_with_a_broken_checksum_is_repaired_whatever_its_depth_and_rows() -> None:
    for depth, colour, channels in ((1, 0, 1), (8, 3, 1), (16, 2, 3), (16, 6, 4)):
        rows = b"".join(b"\0" + bytes((13 * depth * channels + 7) // 8) for _ in range(31))
        header = struct.pack(">IIBBBBB", 13, 31, depth, colour, 0, 0, 0)
        packed = zlib.compress(rows)[:-4] + b"\0\0\0\0"
        palette = png_chunk(b"PLTE", bytes(768)) if colour == 3 else b""
        source = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + palette + png_chunk(b"IDAT", packed)
        *_, last = repairs(source + png_chunk(b"IEND", b""), "PNG")
        packed_anew = last[last.index(b"IDAT") + 4 :]
        assert zlib.decompressobj().decompress(packed_anew) == rows


def test_an_image_on_which_oxipng_panics_is_written_without_it() -> None:
    frames = [photo(16, 12, seed=seed) for seed in range(3)]
    source = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert squeezed(source, 16 * 12 * 3) is not None
    assert squeezed(source[:-12] + png_chunk(b"fdAT", b"\0") + source[-12:], 16 * 12 * 3) is None


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_a_bitmap_that_claims_more_colours_than_its_bits_allow_is_read(bits: int) -> None:
    palette = struct.pack("<2I", 0x0000FF, 0xFF0000).ljust(4 << bits, b"\0")  # blue, red
    rows = {1: b"\xaa" * 8, 4: b"\x10" * 32, 8: b"\x01\x00" * 32}[bits] * 64
    source = bytearray(bitmap(64, 64, bits, 0, palette, rows))
    source[46:50] = struct.pack("<I", 70_000)
    red, _, blue = compressed(bytes(source), format="png")[1].convert("RGB").getpixel((0, 5))
    assert red > 240 and blue < 15
