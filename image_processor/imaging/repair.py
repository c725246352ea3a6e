"""What decoders raise about damaged images, and copies of such images that may open."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from image_processor.imaging.formats import JPEG_SCAN, Kind, jpeg_markers, png_chunks

# What decoders raised on some ten thousand damaged files, except MemoryError.
FOREIGN_ERRORS: Final = (
    OSError,  # and UnidentifiedImageError
    ValueError,  # and UnicodeError
    SyntaxError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    AssertionError,
    struct.error,
    zlib.error,
)

_PNG_COLOUR: Final = frozenset((b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"))
_PNG_CRITICAL: Final = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))
_PNG_CHANNELS: Final = {2: 3, 4: 2, 6: 4}


def repairs(data: bytes, kind: Kind) -> Iterator[bytes]:
    """The same image without parts that Pillow refuses and browsers ignore, such as broken metadata.

    Its size must have been checked: image data that is compressed again takes as much memory as the size allows.
    """
    if kind == "PNG":
        for kept in (_PNG_CRITICAL | _PNG_COLOUR, _PNG_CRITICAL | {b"tRNS"}):
            chunks = (_fresh_chunk(data[start:end]) for name, start, end in png_chunks(data) if name in kept)
            yield data[:8] + b"".join(chunks)
        yield _recompressed(data)
    elif kind == "JPEG":
        yield _without_metadata(data)
    elif kind == "BMP":
        yield data[:46] + bytes(4) + data[50:]  # a palette of as many colours as the bits allow


def _fresh_chunk(chunk: bytes) -> bytes:
    # A wrong checksum of metadata is no reason for a browser to refuse an image.
    return chunk[:-4] + struct.pack(">I", zlib.crc32(chunk[4:-4]))


def _recompressed(data: bytes) -> bytes:
    """A PNG whose image data has a valid checksum and window size: browsers check neither."""
    chunks = list(png_chunks(data))
    packed = b"".join(data[start + 8 : end - 4] for name, start, end in chunks if name == b"IDAT")
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    row_bits = width * depth * _PNG_CHANNELS.get(colour, 1)
    # Interlaced rows are up to twice as many, each with a filter byte and up to a byte of padding.
    raw = zlib.decompressobj(-15).decompress(packed[2:], (row_bits // 8 + 5) * height + 16)
    before = [data[start:end] for name, start, end in chunks if name in (b"IHDR", b"PLTE", b"tRNS")]
    image = b"IDAT" + zlib.compress(raw, 1)
    parts = (struct.pack(">I", len(image) - 4), image, struct.pack(">I", zlib.crc32(image)), b"\0\0\0\0IEND\xaeB`\x82")
    return b"".join((data[:8], *before, *parts))


def _without_metadata(data: bytes) -> bytes:
    """A JPEG without application segments, except the two that define its colours (JFIF, Adobe)."""
    parts = [data[:2]]
    for marker, start, end in jpeg_markers(data):
        if marker == JPEG_SCAN:
            parts.append(data[start - 4 :])
            break
        if not (0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE)):
            parts.append(data[start - 4 : end])
    return b"".join(parts)
