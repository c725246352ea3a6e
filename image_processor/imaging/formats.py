"""What kind of file some bytes are, read from the bytes themselves: never from a name or a Content-Type.

Pure: knows no image library. Also the few facts that are wanted before or beside a decoder: the canvas of a WebP
(starting its decoder already allocates it), the segments of a JPEG, the chunks of a PNG, the orientation in EXIF.
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

DAMAGED: Final = "The {} image is damaged or incomplete; export it again and check that it opens in a browser."

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

# Images (and documents people put where an image belongs) that are recognised only to be named.
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
    (b"\x00\x00\x02\x00", "Windows cursor (CUR)"),
    (b"icns", "Apple icon (ICNS)"),
    (b"gimp xcf", "GIMP (XCF)"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"BPG\xfb", "BPG"),
    (b"FLIF", "FLIF"),
    (b"\x8aMNG", "MNG"),
    (b"\x8bJNG", "JNG"),
    (b"\xd7\xcd\xc6\x9a", "Windows Metafile (WMF)"),
    (b"\x01\x00\x00\x00\x6c\x00\x00\x00", "Windows Metafile (EMF)"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
    (b"FORM", "IFF"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska video"),
    (b"FUJIFILMCCD-RAW", "camera RAW"),
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

# Among pixels FF is followed by 00 or by a restart (D0 to D7); before a marker further FF may stand.
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_JPEG_END: Final = 0xD9
_TIFF_SIZES: Final = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes, of whole numbers
# A sequence header, perhaps after a temporal delimiter; its size has up to eight bytes (LEB128), or is not given.
_AV1_SEQUENCE: Final = re.compile(
    rb"(?:\x12[\x80-\xff]{0,7}\0|\x10)?(?:[\x0a\x0b][\x80-\xff]{0,7}[\0-\x7f]|[\x0e\x0f].[\x80-\xff]{0,7}[\0-\x7f]|[\x08\x09])",
    re.S,
)
_TRACK_CHUNKS: Final = re.compile(rb"stco.{8}(.{4})", re.S)

# Most parts of a file for each of which a decoder passes over all pixels (scans; usual are 1 and 10), copies all EXIF
# so far (segments), or Pillow makes an object or runs through a loop.
_MOST: Final = {
    "scans": 100, "segments": 1_000, "fill bytes": 1_000_000, "chunks": 100_000, "strips": 100_000, "tiles": 100_000,
    "items": 1_000,
}  # fmt: skip


def recognise(source: bytes) -> Kind:
    """The kind of image `source` is.

    Raises UnsupportedFormat for an image (or document) of a kind that is not handled, naming it; NotAnImage for the
    rest, saying what it looks like.
    """
    for magic, kind in _HANDLED:
        if source.startswith(magic):
            return kind
    if source[:4] == b"RIFF" and source[8:12] == b"WEBP":
        return "WEBP"
    if source[4:8] == b"ftyp":
        return _recognise_iso_media(source)
    if source[:2] == b"BM" and _is_bmp_header(source):
        return "BMP"
    raise _refusal(source)


def _is_bmp_header(source: bytes) -> bool:
    # A text may begin with "BM"; a bitmap's info header has one of a few sizes (12 to 124), which no text spells.
    return len(source) >= 18 and 12 <= int.from_bytes(source[14:18], "little") <= 124


def _recognise_iso_media(source: bytes) -> Kind:
    """AVIF, told from its relatives in the same container by the list of brands (ISO/IEC 14496-12, 4.3)."""
    size = int.from_bytes(source[:4], "big")
    brands = [source[8:12], *(source[at : at + 4] for at in range(16, min(size, len(source), 256), 4))]
    if brands[0] in (b"avif", b"avis"):
        return "AVIF"
    for brand in brands:
        if brand in _BRANDS:
            raise _unsupported(_BRANDS[brand])
    if b"avif" in brands or b"avis" in brands or brands[0] in (b"mif1", b"msf1"):
        return "AVIF"
    raise _unsupported("MP4 or QuickTime video")


def _refusal(source: bytes) -> NotAnImage | UnsupportedFormat:
    for magic, name in _UNHANDLED:
        if source.startswith(magic):
            return _unsupported(name)
    if _PORTABLE_ANYMAP.match(source):
        return _unsupported("portable anymap (PPM)")
    if source[:2] == b"\x1f\x8b":
        return NotAnImage("The server sent a gzip archive (perhaps an SVGZ drawing), not an image.")
    if source[:4] == b"PK\x03\x04":
        return NotAnImage("The server sent a ZIP archive or an Office document, not an image.")
    return _text_refusal(source)


def _unsupported(name: str) -> UnsupportedFormat:
    return UnsupportedFormat(f"The file is of the format {name}, which is not handled; save it as JPEG, PNG or WebP.")


def _text_refusal(source: bytes) -> NotAnImage | UnsupportedFormat:
    if not source.strip():
        return NotAnImage("The server sent an empty file instead of an image.")
    head = _as_ascii(source[:4096])
    if _MARKUP.match(head):
        return NotAnImage("The server sent a web page instead of an image; use the address of the image itself.")
    if _SVG.search(head) and head.lstrip()[:1] == b"<":
        return _unsupported("SVG (a vector drawing)")
    if head.lstrip()[:1] in (b"{", b"["):
        return NotAnImage("The server sent data (JSON) instead of an image; the address may need a login.")
    if head.lstrip()[:1] == b"<":
        return NotAnImage("The server sent an XML document instead of an image; the address may need a login.")
    if not _CONTROL.search(head):
        return NotAnImage("The server sent text instead of an image; use the address of the image itself.")
    return NotAnImage("The server sent something that is not an image of a known kind.")


def _as_ascii(head: bytes) -> bytes:
    # UTF-16 pages and drawings exist; without its zero bytes their markup reads like ASCII.
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[2:].replace(b"\0", b"")
    return head.removeprefix(b"\xef\xbb\xbf")


def jpeg_markers(source: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker of every segment of a JPEG, start and end of what it holds, to the end of the image (ITU-T T.81, B.1.1).

    Read as libjpeg does: fill bytes, rubbish and the pixels of each scan are skipped. A length is not judged: the end
    may be beyond that of the file, or before the start.
    """
    at = 2
    while (found := _JPEG_MARKER.search(source, at)) and (marker := found[0][1]) != _JPEG_END:
        at = found.end() + int.from_bytes(source[found.end() : found.end() + 2], "big")
        yield marker, found.end() + 2, at


def check_jpeg(source: bytes) -> None:
    """Raises UnsupportedFormat for a JPEG of too many parts, Truncated (permanent) for one without pixels."""
    scans, filled, at = 0, 0, 2
    for count, (marker, start, end) in enumerate(jpeg_markers(source), start=1):
        filled += 0 if scans else start - 4 - at
        scans, at = scans + (marker == JPEG_SCAN), end
        _check_parts("JPEG", {"scans": scans, "segments": count, "fill bytes": filled})
    if not scans:
        raise Truncated(DAMAGED.format("JPEG"), permanent=True)


def _check_parts(kind: Kind, parts: dict[str, int]) -> None:
    for name, count in parts.items():
        if count > _MOST[name]:
            raise UnsupportedFormat(
                f"This is a {kind} with more than {_MOST[name]:,} {name}, which is not handled; save it as an ordinary "
                f"{kind}."
            )


def jpeg_depth(source: bytes) -> tuple[int, bool] | None:
    """Bits per sample, and whether the coding is lossless, from the frame header (ITU-T T.81, B.2.2)."""
    for marker, start, _ in jpeg_markers(source):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and start < len(source):
            return source[start], marker in (0xC3, 0xC7, 0xCB, 0xCF)
    return None


def png_size(source: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels (PNG, 11.2.1).

    Raises Truncated (permanent) when its header is not first, UnsupportedFormat when it has too many chunks.
    """
    if source[12:16] != b"IHDR" or len(source) < 24:
        raise Truncated(DAMAGED.format("PNG"), permanent=True)
    _check_parts("PNG", {"chunks": sum(1 for _ in png_chunks(source))})
    width, height = struct.unpack_from(">II", source, 16)
    return width, height


def webp_canvas(source: bytes) -> tuple[int, int]:
    """Width and height of a WebP in pixels (RFC 9649). Raises Truncated when the header is cut or makes no sense."""
    chunk = source[12:16]
    if chunk == b"VP8X" and len(source) >= 30:
        return int.from_bytes(source[24:27], "little") + 1, int.from_bytes(source[27:30], "little") + 1
    if chunk == b"VP8L" and len(source) >= 25 and source[20] == 0x2F:
        bits = int.from_bytes(source[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and source[23:26] == b"\x9d\x01\x2a" and len(source) >= 30:
        width, height = struct.unpack_from("<HH", source, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise Truncated(DAMAGED.format("WebP"), permanent=True)


def png_chunks(source: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end (crc included) of every whole chunk of a PNG, up to the end or the first nonsense."""
    at = 8
    while at + 12 <= len(source):
        end = at + 12 + int.from_bytes(source[at : at + 4], "big")
        if end > len(source):
            return
        yield source[at + 4 : at + 8], at, end
        at = end


def exif_orientation(exif: bytes | None) -> int:
    """The orientation (1–8) in an EXIF block, as browsers read it: tag 0x0112 of the first directory; else 1.

    An orientation in XMP is not read: no browser turns an image by it.
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


def tiff_tile(source: bytes) -> tuple[int, int]:
    """Width and height of the tiles of a TIFF in pixels, each of which a decoder holds whole; zeros without tiles.

    Raises UnsupportedFormat when it has too many strips or tiles.
    """
    width = height = 0
    for tag, _, count, value in _tiff_entries(source):
        _check_parts("TIFF", {"strips": count * (tag == 273), "tiles": count * (tag == 324)})
        width, height = max(width, value * (tag == 322)), max(height, value * (tag == 323))
    return width, height


def avif_coded_size(source: bytes) -> tuple[int, int]:
    """The largest image in the AV1 data of an AVIF, in pixels, whatever its container says; zeros when none is found.

    Looks where items (`iloc`) and the first samples of tracks (`stco`) begin: ISO/IEC 14496-12, 8.11.3 and 8.7.5.
    """
    tracks = (int.from_bytes(found[1], "big") for found in _TRACK_CHUNKS.finditer(source))
    sizes = (_av1_size(source, start) for start in (*_item_starts(source), *tracks))
    return max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))


def _item_starts(source: bytes) -> Iterator[int]:
    box = io.BytesIO(source)
    box.seek(source.find(b"iloc") + 4)

    def number(size: int) -> int:
        return int.from_bytes(box.read(size), "big")

    version, sizes = number(4) >> 24, number(2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    index, wide = (index, 2 * version) if version else (0, 2)
    for _ in range(min(number(wide), _MOST["items"])):
        number(wide)
        in_idat = version and number(2) & 15 == 1
        number(2)
        start, extents = number(base) + (source.find(b"idat") + 4 if in_idat else 0), number(2)
        number(index)
        yield start + number(offset)
        box.seek(length + (extents - 1) * (index + offset + length), io.SEEK_CUR)


def _av1_size(source: bytes, start: int) -> tuple[int, int]:
    """Width and height in a sequence header (AV1 specification, 5.5.1); zeros when there is none or it has timings."""
    if (found := _AV1_SEQUENCE.match(source, start)) is None:
        return 0, 0
    value, left = int.from_bytes(source[found.end() : found.end() + 128].ljust(128, b"\0"), "big"), 1024

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
