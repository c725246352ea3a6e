"""The format of a file, recognised by its bytes, never by a name or a Content-Type. No image library is involved.

Also what must be known before a decoder may start, such as the size of its buffers and the number of parts.
"""

import io
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from image_processor.errors import NotAnImage, Truncated, UnsupportedFormat

Kind = Literal["JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF"]

JPEG_SCAN: Final = 0xDA  # the marker after which the pixels come

_HANDLED: Final[tuple[tuple[bytes, Kind], ...]] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)

# Images, and documents that are used in place of one, which are recognised only to name them in the error.
_UNHANDLED: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop (PSD)"),
    (b"%PDF", "PDF"),
    (b"%!PS", "EPS or PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"\x00\x00\x01\x00", "Windows icon (ICO)"),
    (b"qoif", "QOI"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska video"),
)
_PORTABLE_ANYMAP: Final = re.compile(rb"P[1-7][\s#]")

_BRANDS: Final[dict[bytes, str]] = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"), "HEIC (iPhone photo)"),
    b"jxl ": "JPEG XL",
    b"crx ": "camera RAW",
}

_MARKUP: Final = re.compile(
    rb"\s*+(?:<!--.*?-->\s*+)*+<(?:!doctype html|html|head|body|script|meta|title|div|p|h1)\b", re.I | re.S
)
_SVG: Final = re.compile(rb"<(?:\w++:)?svg[\s>]", re.I)
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")

# Among pixels FF is followed by 00 or by a restart (D0 to D7); a marker may be preceded by further FF.
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_JPEG_END: Final = 0xD9
_TIFF_SIZES: Final = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes, of whole numbers
# A sequence header, perhaps after a temporal delimiter; its size has up to eight bytes (LEB128), or is missing.
_AV1_SEQUENCE: Final = re.compile(
    rb"(?:\x12[\x80-\xff]{0,7}\0|\x10)?(?:[\x0a\x0b][\x80-\xff]{0,7}[\0-\x7f]|[\x0e\x0f].[\x80-\xff]{0,7}[\0-\x7f]|[\x08\x09])",
    re.S,
)
_TRACK_CHUNKS: Final = re.compile(rb"stco.{8}(.{4})", re.S)

# Limits for parts of a file. For each, a decoder passes over all pixels (scans; usual are 1 and 10), copies all EXIF so
# far (segments), or Pillow creates an object or runs through a loop.
_MOST: Final = {
    "scans": 100, "segments": 1_000, "fill bytes": 1_000_000, "chunks": 100_000, "strips": 100_000, "tiles": 100_000,
    "items": 1_000,
}  # fmt: skip


def recognise(data: bytes) -> Kind:
    """The format of an image.

    Raises UnsupportedFormat, naming the format, for other images and for documents; NotAnImage, with what it looks
    like, for everything else.
    """
    for magic, kind in _HANDLED:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return _recognise_iso_media(data)
    if data[:2] == b"BM" and _is_bmp_header(data):
        return "BMP"
    raise _refusal(data)


def _is_bmp_header(data: bytes) -> bool:
    # A text may begin with "BM"; the size of a bitmap's info header (12 to 124) has zero bytes, a text has none.
    return len(data) >= 18 and 12 <= int.from_bytes(data[14:18], "little") <= 124


def _recognise_iso_media(data: bytes) -> Kind:
    """AVIF and other formats share a container, whose list of brands says which it is (ISO/IEC 14496-12, 4.3)."""
    size = int.from_bytes(data[:4], "big")
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(size, len(data), 256), 4))]
    if brands[0] in (b"avif", b"avis"):
        return "AVIF"
    for brand in brands:
        if brand in _BRANDS:
            raise _unsupported(_BRANDS[brand])
    if b"avif" in brands or b"avis" in brands or brands[0] in (b"mif1", b"msf1"):
        return "AVIF"
    raise _unsupported("MP4 or QuickTime video")


def _refusal(data: bytes) -> NotAnImage | UnsupportedFormat:
    for magic, name in _UNHANDLED:
        if data.startswith(magic):
            return _unsupported(name)
    if _PORTABLE_ANYMAP.match(data):
        return _unsupported("portable anymap (PPM)")
    if data[:2] == b"\x1f\x8b":
        return NotAnImage("The server sent a gzip archive (perhaps an SVGZ drawing), not an image.")
    if data[:4] == b"PK\x03\x04":
        return NotAnImage("The server sent a ZIP archive or an Office document, not an image.")
    return _text_refusal(data)


def _unsupported(name: str) -> UnsupportedFormat:
    return UnsupportedFormat(f"The file is of the format {name}, which is not supported; save it as JPEG, PNG or WebP.")


def _text_refusal(data: bytes) -> NotAnImage | UnsupportedFormat:
    if not data.strip():
        return NotAnImage("The server sent an empty file instead of an image.")
    head = _as_ascii(data[:4096])
    if _MARKUP.match(head):
        return NotAnImage("The server sent a web page instead of an image; use the URL of the image itself.")
    if _SVG.search(head) and head.lstrip()[:1] == b"<":
        return _unsupported("SVG (a vector drawing)")
    if head.lstrip()[:1] in (b"{", b"["):
        return NotAnImage("The server sent data (JSON) instead of an image; the URL may need a login.")
    if head.lstrip()[:1] == b"<":
        return NotAnImage("The server sent an XML document instead of an image; the URL may need a login.")
    if not _CONTROL.search(head):
        return NotAnImage("The server sent text instead of an image; use the URL of the image itself.")
    return NotAnImage("The server sent something that is not an image of a known format.")


def _as_ascii(head: bytes) -> bytes:
    # UTF-16 pages and drawings exist; without its zero bytes their markup reads like ASCII.
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[2:].replace(b"\0", b"")
    return head.removeprefix(b"\xef\xbb\xbf")


def jpeg_markers(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of the content of every segment of a JPEG, to the end of the image (ITU-T T.81, B.1.1).

    As libjpeg does, fill bytes, invalid bytes and the pixels of each scan are skipped. A length is not checked: the end
    may be beyond that of the file, or before the start.
    """
    at = 2
    while (found := _JPEG_MARKER.search(data, at)) and (marker := found[0][1]) != _JPEG_END:
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
        yield marker, found.end() + 2, at


def check_jpeg(data: bytes) -> None:
    """Raise UnsupportedFormat for a JPEG of too many parts, Truncated (permanent) for one without pixels."""
    scans, filled, at = 0, 0, 2
    for count, (marker, start, end) in enumerate(jpeg_markers(data), start=1):
        filled += 0 if scans else start - 4 - at
        scans, at = scans + (marker == JPEG_SCAN), end
        _check_parts("JPEG", {"scans": scans, "segments": count, "fill bytes": filled})
    if not scans:
        raise damaged("JPEG")


def damaged(kind: str) -> Truncated:
    """The error for a file of the format `kind` that cannot be decoded."""
    sentence = f"The {kind} image is damaged or incomplete; export it again and check that it opens in a browser."
    return Truncated(sentence, permanent=True)


def _check_parts(kind: Kind, parts: dict[str, int]) -> None:
    for name, count in parts.items():
        if count > _MOST[name]:
            raise UnsupportedFormat(
                f"This is a {kind} with more than {_MOST[name]:,} {name}, which is not supported; "
                f"save it as an ordinary {kind}."
            )


def png_size(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels (PNG, 11.2.1).

    Raises Truncated (permanent) when its header is not first, UnsupportedFormat when it has too many chunks.
    """
    if data[12:16] != b"IHDR" or len(data) < 24:
        raise damaged("PNG")
    _check_parts("PNG", {"chunks": sum(1 for _ in png_chunks(data))})
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height of a WebP in pixels (RFC 9649). Raises Truncated (permanent) when its header is invalid."""
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L" and len(data) >= 25 and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and data[23:26] == b"\x9d\x01\x2a" and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise damaged("WebP")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end (checksum included) of every whole chunk of a PNG."""
    at = 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            return
        yield data[at + 4 : at + 8], at, end
        at = end


def exif_orientation(exif: bytes | None) -> int:
    """The orientation (1 to 8) in an EXIF block: tag 0x0112 of the first directory; else 1.

    As in browsers, an orientation in XMP has no effect.
    """
    for tag, value_type, _, value in _tiff_entries((exif or b"").removeprefix(b"Exif\0\0")):
        if tag == 0x0112:
            return value if value_type == 3 and 1 <= value <= 8 else 1
    return 1


def _tiff_entries(tiff: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, count, and value (where it is a single whole number) of each entry of the first directory."""
    order: Literal["little", "big"] = "little" if tiff[:1] == b"I" else "big"
    kind = {42: (4, 2), 43: (8, 8)}.get(int.from_bytes(tiff[2:4], order))  # 43: BigTIFF
    if kind is None or tiff[:2] not in (b"II", b"MM"):
        return

    def number(at: int, size: int) -> int:
        return int.from_bytes(tiff[at : at + size], order)

    wide, short = kind
    at = number(wide, wide)
    for entry in range(at + short, min(at + short + (4 + 2 * wide) * number(at, short), len(tiff)), 4 + 2 * wide):
        value_type = number(entry + 2, 2)
        size = min(_TIFF_SIZES.get(value_type, 0), wide)
        yield number(entry, 2), value_type, number(entry + 4, wide), number(entry + 4 + wide, size)


def tiff_tile(data: bytes) -> tuple[int, int]:
    """Width and height of the tiles of a TIFF in pixels, the size of a decoder's buffer; zeros without tiles.

    Raises UnsupportedFormat when it has too many strips or tiles.
    """
    width = height = 0
    for tag, _, count, value in _tiff_entries(data):
        _check_parts("TIFF", {"strips": count * (tag == 273), "tiles": count * (tag == 324)})
        width, height = max(width, value * (tag == 322)), max(height, value * (tag == 323))
    return width, height


def avif_coded_size(data: bytes) -> tuple[int, int]:
    """Width and height of the largest image in the AV1 data of an AVIF, in pixels; zeros when there is none.

    The container may claim another size, but decoders allocate this one. Items are found by `iloc`, the first samples
    of tracks by `stco` (ISO/IEC 14496-12, 8.11.3 and 8.7.5).
    """
    tracks = (int.from_bytes(found[1], "big") for found in _TRACK_CHUNKS.finditer(data))
    sizes = (_av1_size(data, start) for start in (*_item_starts(data), *tracks))
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


def _item_starts(data: bytes) -> Iterator[int]:
    box = io.BytesIO(data)
    box.seek(data.find(b"iloc") + 4)

    def number(size: int) -> int:
        return int.from_bytes(box.read(size), "big")

    version, sizes = number(4) >> 24, number(2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    index, wide = (index, 2 * version) if version else (0, 2)
    for _ in range(min(number(wide), _MOST["items"])):
        number(wide)
        in_idat = version and number(2) & 15 == 1
        number(2)
        start, extents = number(base) + (data.find(b"idat") + 4 if in_idat else 0), number(2)
        number(index)
        yield start + number(offset)
        box.seek(length + (extents - 1) * (index + offset + length), io.SEEK_CUR)


def _av1_size(data: bytes, start: int) -> tuple[int, int]:
    """Width and height in a sequence header (AV1 specification, 5.5.1); zeros when there is none or it has timings."""
    if (found := _AV1_SEQUENCE.match(data, start)) is None:
        return 0, 0
    value, left = int.from_bytes(data[found.end() : found.end() + 128].ljust(128, b"\0"), "big"), 1024

    def take(bits: int) -> int:
        nonlocal left
        left -= bits
        return value >> left & (1 << bits) - 1

    take(4)
    if take(1):
        take(5)
    elif take(1):
        return 0, 0
    else:
        delays = take(1)
        for _ in range(take(5) + 1):
            take(12)
            take(take(5) > 7)
            take(4 * (delays and take(1)))
    sides = take(4) + 1, take(4) + 1
    return take(sides[0]) + 1, take(sides[1]) + 1


def media_type(path: str) -> str:
    """The media type of the image in a file, such as `image/png`. Raises what `recognise` raises."""
    return f"image/{recognise(Path(path).read_bytes()).lower()}"
