"""Files that take far more time or memory than their size suggests, made when they are needed.

Each function gives the bytes of one file, at most 20 MB. `HOSTILE` has all of them by name.
"""

import functools
import random
import struct
import zlib
from collections.abc import Callable

from PIL import Image
from sample_images import bitmap, encoded, png_chunk

MOST_BYTES = 20_000_000
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_TAIL = functools.cache(lambda: encoded(Image.new("RGB", (64, 64), (90, 120, 150)), "JPEG")[2:])


def html_comments() -> bytes:
    """280 bytes. A pattern with a lazy repetition inside a greedy one can match them in 2^40 ways."""
    return b"<!---->" * 40


def spaces() -> bytes:
    return b" \n\t" * 6_000_000 + b"!"


def svg_prefixes() -> bytes:
    return b"<" + b"a:" * 5_000_000


# ---- JPEG -------------------------------------------------------------------------------------------------------


def _jpeg_segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def jpeg_of_many_scans(scans: int = 100_000, side: int = 7000) -> bytes:
    """A progressive JPEG of 49 megapixels; for each scan of 65 bytes the decoder passes over all of them."""
    blocks = (side // 8) ** 2
    tables = _jpeg_segment(0xDB, b"\0" + b"\x10" * 64)
    frame = _jpeg_segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00")
    # One code of one bit each: difference 0 for DC; for AC a run of 2^14 and more empty blocks.
    codes = b"".join(
        _jpeg_segment(0xC4, bytes((table, 1)) + bytes(15) + bytes((symbol,)))
        for table, symbol in ((0x00, 0x00), (0x10, 0xE0))
    )
    dc = _jpeg_segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + bytes(blocks // 8 + 1)
    runs = "010101010101010" * (blocks // (16384 + 10922) + 1)
    bits = runs + "1" * (-len(runs) % 8)
    ac = _jpeg_segment(0xDA, b"\x01\x01\x00\x01\x3f\x00") + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return b"\xff\xd8" + tables + frame + codes + dc + ac * (scans - 1) + b"\xff\xd9"


def jpeg_of_ff_bytes() -> bytes:
    """Bytes that may stand before every marker, and nothing else."""
    return b"\xff\xd8" + b"\xff" * 19_000_000


def jpeg_of_ff_bytes_that_opens() -> bytes:
    return b"\xff\xd8" + b"\xff" * 19_000_000 + _JPEG_TAIL()


def jpeg_of_rubbish_that_opens() -> bytes:
    return b"\xff\xd8\xff\xfe\x00\x02" + b"\x00" * 19_000_000 + _JPEG_TAIL()


def jpeg_of_a_million_segments() -> bytes:
    """Empty comments, then an image."""
    return b"\xff\xd8" + b"\xff\xfe\x00\x02" * 1_000_000 + _JPEG_TAIL()


def jpeg_of_a_million_segments_that_does_not_open() -> bytes:
    return b"\xff\xd8" + b"\xff\xfe\x00\x02" * 4_000_000 + b"\xff\xdb\x00\x03\x00"


def jpeg_of_pieces_of_exif() -> bytes:
    """Readers join the pieces one by one: each time everything so far is copied."""
    return b"\xff\xd8" + _jpeg_segment(0xE1, b"Exif\0\0" + bytes(1000)) * 18_000 + _JPEG_TAIL()


# ---- PNG --------------------------------------------------------------------------------------------------------


def _zeros(size: int) -> bytes:
    """`size` bytes of zero, compressed; made of one block that is repeated, since packing 1.5 GB takes 9 s."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    adler = struct.pack(">HH", size % 65521, 1)
    return b"\x78\xda" + block * (size // 1_000_000) + b"\x03\x00" + adler


def _png(header: bytes, packed: bytes, *before: bytes) -> bytes:
    chunks = (png_chunk(b"IHDR", header), *before, png_chunk(b"IDAT", packed), png_chunk(b"IEND", b""))
    return _PNG + b"".join(chunks)


def png_of_1500_mb() -> bytes:
    """1.5 MB that no decoder opens; to repair it, all of it must be compressed again."""
    return _png(struct.pack(">IIBBBBB", 30_000, 30_000, 16, 6, 0, 1, 0), _zeros(1_500_000_000))


def png_of_1500_mb_within_the_limit() -> bytes:
    """The same behind a size that is allowed, 7000 × 7000 pixels of a byte each."""
    return _png(struct.pack(">IIBBBBB", 7_000, 7_000, 8, 0, 0, 1, 0), _zeros(1_500_000_000))


def png_of_one_pixel_and_500_mb_of_text() -> bytes:
    text = png_chunk(b"zTXt", b"Comment\0\0" + _zeros(500_000_000))
    return _png(struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), zlib.compress(b"\0\0"), text, text)


def png_with_a_profile_of_500_mb() -> bytes:
    profile = png_chunk(b"iCCP", b"ICC\0\0" + _zeros(500_000_000))
    return _png(struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0), zlib.compress(b"\0\0\0\0"), profile)


def png_of_many_chunks() -> bytes:
    """1.5 million empty chunks of a private kind."""
    return _png(
        struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), zlib.compress(b"\0\0"), png_chunk(b"prIv", b"") * 1_500_000
    )


def translucent_noise_png(side: int = 800) -> bytes:
    """Nearly every pixel has a colour and an opacity of its own."""
    return encoded(Image.frombytes("RGBA", (side, side), random.Random(1).randbytes(4 * side * side)), "PNG")


def png_claiming_2_31_pixels_a_side() -> bytes:
    return _png(struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 6, 0, 0, 0), zlib.compress(bytes(100)))


# ---- GIF --------------------------------------------------------------------------------------------------------


def gif_with_giant_frames(frames: int = 400) -> bytes:
    """Frames of 49 megapixels on a canvas of 10 × 10."""
    small, giant = encoded(Image.new("L", (10, 10)), "GIF"), encoded(Image.new("L", (7000, 7000)), "GIF")
    block = giant[giant.index(b"\x2c\0\0\0\0\x58\x1b") : -1]
    return small[:-1] + block * frames + b"\x3b"


def gif_of_tiny_blocks() -> bytes:
    """Image data in 9 million pieces of one byte."""
    gif = encoded(Image.new("L", (10, 10)), "GIF")
    return gif[: gif.index(b"\x2c") + 11] + b"\x01\x55" * 9_000_000 + b"\0\x3b"


def gif_of_a_million_frames() -> bytes:
    frame = b"\x2c" + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6) + frame * 1_000_000 + b"\x3b"


# ---- BMP --------------------------------------------------------------------------------------------------------


def tall_bmp(rows: int = 4_500_000) -> bytes:
    """One pixel a row."""
    masks = struct.pack("<3I", 0xF800, 0x07E0, 0x001F)
    return bitmap(1, rows, 16, 3, masks, b"\x5a\x0c\0\0" * rows)


def bmp_of_many_runs() -> bytes:
    """RLE in runs of one pixel."""
    return bitmap(3000, 3000, 8, 1, bytes(1024), b"\x01\x07" * 9_000_000 + b"\0\x01")


# ---- TIFF -------------------------------------------------------------------------------------------------------


def tiff(tags: dict[int, tuple[int, int, int]], data: bytes) -> bytes:
    """A TIFF of one directory, its data at offset 8. `tags`: type, count, value or offset by tag."""
    entries = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + bytes(4)


def tiff_tags(width: int, height: int, compression: int) -> dict[int, tuple[int, int, int]]:
    return {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, compression),
        262: (3, 1, 1), 277: (3, 1, 1),
    }  # fmt: skip


def tiff_with_giant_tile(side: int = 38_000) -> bytes:
    """An image of 16 × 16 pixels in one tile of 1.4 GB."""
    data = _zeros(side * side // 1_000_000 * 1_000_000)
    tile = {322: (4, 1, side // 16 * 16), 323: (4, 1, side // 16 * 16), 324: (4, 1, 8), 325: (4, 1, len(data))}
    return tiff(tiff_tags(16, 16, 8) | tile, data)


def tiff_with_giant_strip(side: int = 1_400_000_000) -> bytes:
    """The same as a strip, of 16 × 87 million pixels."""
    data = _zeros(side)
    strip = {273: (4, 1, 8), 278: (4, 1, side // 16), 279: (4, 1, len(data))}
    return tiff(tiff_tags(16, 16, 8) | strip, data)


def tiff_of_many_strips(strips: int = 2_400_000) -> bytes:
    """A strip for each row of one pixel."""
    offsets, counts = struct.pack("<I", 8) * strips, struct.pack("<I", 1) * strips
    table = {273: (4, strips, 12), 278: (4, 1, 1), 279: (4, strips, 12 + len(offsets))}
    return tiff(tiff_tags(1, strips, 1) | table, b"\x80\0\0\0" + offsets + counts)


def tiff_of_many_tiny_tiles(tiles: int = 2_400_000) -> bytes:
    """Far more tiles than the image has pixels."""
    offsets, counts = struct.pack("<I", 8) * tiles, struct.pack("<I", 256) * tiles
    table = {322: (4, 1, 16), 323: (4, 1, 16), 324: (4, tiles, 264), 325: (4, tiles, 264 + len(offsets))}
    return tiff(tiff_tags(32, 32, 1) | table, bytes(256) + offsets + counts)


# ---- AVIF, WebP -------------------------------------------------------------------------------------------------


@functools.cache
def avif_with_false_size(side: int = 7200) -> bytes:
    """An image of 52 megapixels in a container that claims 16 × 16."""
    avif = encoded(Image.new("L", (side, side), 90), "AVIF", speed=10, quality=20)
    return avif.replace(b"ispe" + struct.pack(">III", 0, side, side), b"ispe" + struct.pack(">III", 0, 16, 16))


def webp_with_false_canvas() -> bytes:
    """A frame of 49 megapixels in a file whose header claims 16 × 16."""
    frame = encoded(Image.new("RGB", (7000, 7000)), "WEBP", quality=1, method=0)[12:]
    return _webp(16, 16, 0x00, frame)


def webp_animation_with_false_frames(frames: int = 150) -> bytes:
    frame = encoded(Image.new("RGB", (7000, 7000)), "WEBP", quality=1, method=0)[12:]
    place = struct.pack("<6s3s3s3sB", bytes(6), *((15).to_bytes(3, "little"),) * 2, b"\x0a\0\0", 0)
    chunk = b"ANMF" + struct.pack("<I", len(place) + len(frame)) + place + frame
    return _webp(16, 16, 0x02, b"ANIM" + struct.pack("<IIH", 6, 0, 0) + chunk * frames)


def webp_animation_of_giant_frames(frames: int = 150) -> bytes:
    frame = encoded(Image.new("RGB", (7000, 7000)), "WEBP", quality=1, method=0)[12:]
    place = struct.pack("<6s3s3s3sB", bytes(6), *((6999).to_bytes(3, "little"),) * 2, b"\x0a\0\0", 0)
    chunk = b"ANMF" + struct.pack("<I", len(place) + len(frame)) + place + frame
    return _webp(7000, 7000, 0x02, b"ANIM" + struct.pack("<IIH", 6, 0, 0) + chunk * frames)


def _webp(width: int, height: int, flags: int, chunks: bytes) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes((flags, 0, 0, 0)) + sides + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


HOSTILE: dict[str, Callable[[], bytes]] = {
    make.__name__: make
    for make in (
        html_comments,
        spaces,
        svg_prefixes,
        jpeg_of_many_scans,
        jpeg_of_ff_bytes,
        jpeg_of_ff_bytes_that_opens,
        jpeg_of_rubbish_that_opens,
        jpeg_of_a_million_segments,
        jpeg_of_a_million_segments_that_does_not_open,
        jpeg_of_pieces_of_exif,
        png_of_1500_mb,
        png_of_1500_mb_within_the_limit,
        png_of_one_pixel_and_500_mb_of_text,
        png_with_a_profile_of_500_mb,
        png_of_many_chunks,
        png_claiming_2_31_pixels_a_side,
        translucent_noise_png,
        gif_with_giant_frames,
        gif_of_tiny_blocks,
        gif_of_a_million_frames,
        tall_bmp,
        bmp_of_many_runs,
        tiff_with_giant_tile,
        tiff_with_giant_strip,
        tiff_of_many_strips,
        tiff_of_many_tiny_tiles,
        avif_with_false_size,
        webp_with_false_canvas,
        webp_animation_with_false_frames,
        webp_animation_of_giant_frames,
    )
}
