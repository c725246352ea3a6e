"""What kind of file some bytes are, read from the bytes themselves: never from a name or a Content-Type.

Pure: knows no image library. Also the few facts that are wanted before or beside a decoder: the canvas of a WebP
(starting its decoder already allocates it), the segments of a JPEG, the chunks of a PNG, the orientation in EXIF.
"""

import re
import struct
from collections.abc import Iterator
from typing import Final, Literal

from image_processor.errors import NotAnImage, Truncated, UnsupportedFormat

Kind = Literal["JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF"]

JPEG_SCAN: Final = 0xDA  # the marker after which the pixels come

DAMAGED: Final = "The {} picture is damaged or incomplete; export it again and check that it opens in a browser."

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

# Pictures (and documents people put where a picture belongs) that are recognised only to be named.
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
    rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body|script|meta|title|div|p|h1)\b", re.I | re.S
)
_SVG: Final = re.compile(rb"<(?:\w+:)?svg[\s>]", re.I)


def recognise(source: bytes) -> Kind:
    """The kind of picture `source` is.

    Raises UnsupportedFormat for a picture (or document) of a kind that is not handled, naming it; NotAnImage for the
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
        return NotAnImage("The server sent a gzip archive (perhaps an SVGZ drawing), not a picture.")
    if source[:4] == b"PK\x03\x04":
        return NotAnImage("The server sent a ZIP archive or an Office document, not a picture.")
    return _text_refusal(source)


def _unsupported(name: str) -> UnsupportedFormat:
    return UnsupportedFormat(f"The file is of the format {name}, which is not handled; save it as JPEG, PNG or WebP.")


def _text_refusal(source: bytes) -> NotAnImage | UnsupportedFormat:
    if not source.strip():
        return NotAnImage("The server sent an empty file instead of a picture.")
    head = _as_ascii(source[:4096])
    if _MARKUP.match(head):
        return NotAnImage("The server sent a web page instead of a picture; use the address of the picture itself.")
    if _SVG.search(head) and head.lstrip()[:1] == b"<":
        return _unsupported("SVG (a vector drawing)")
    if head.lstrip()[:1] in (b"{", b"["):
        return NotAnImage("The server sent data (JSON) instead of a picture; the address may need a login.")
    if head.lstrip()[:1] == b"<":
        return NotAnImage("The server sent an XML document instead of a picture; the address may need a login.")
    if not re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", head):
        return NotAnImage("The server sent text instead of a picture; use the address of the picture itself.")
    return NotAnImage("The server sent something that is not a picture of a known kind.")


def _as_ascii(head: bytes) -> bytes:
    # UTF-16 pages and drawings exist; without its zero bytes their markup reads like ASCII.
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[2:].replace(b"\0", b"")
    return head.removeprefix(b"\xef\xbb\xbf")


def jpeg_segments(source: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker of every segment of a JPEG, start and end of what it holds: up to the pixels or to the first nonsense.

    Of the segments before the pixels only; the last one is then the start of scan (ITU-T T.81, B.1.1.4). A length that
    makes no sense is not judged: the end may lie beyond the file, or before the start.
    """
    at = 2
    while source[at : at + 1] == b"\xff" and at + 4 <= len(source) and (marker := source[at + 1]) != 0xFF:
        end = at + 2 + int.from_bytes(source[at + 2 : at + 4], "big")
        yield marker, at + 4, end
        if marker == JPEG_SCAN:
            return
        at = end


def jpeg_depth(source: bytes) -> tuple[int, bool] | None:
    """Bits per sample, and whether the coding is lossless, from the frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while (at := source.find(b"\xff", at)) >= 0 and at + 5 <= len(source):
        marker = source[at + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return source[at + 4], marker in (0xC3, 0xC7, 0xCB, 0xCF)
        elif marker in (0xD9, 0xDA):
            return None
        else:
            at += 2 + int.from_bytes(source[at + 2 : at + 4], "big")
    return None


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

    An orientation in XMP is not read: no browser turns a picture by it.
    """
    tiff = (exif or b"").removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (at,) = struct.unpack_from(order + "I", tiff, 4)
    if at + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(order + "H", tiff, at)
    for entry in range(at + 2, min(at + 2 + 12 * count, len(tiff) - 11), 12):
        tag, value_type, _, value = struct.unpack_from(order + "HHIH", tiff, entry)
        if tag == 0x0112:
            return value if value_type == 3 and 1 <= value <= 8 else 1
    return 1


def media_type(source: bytes) -> str:
    """The media type of a picture's bytes, such as `image/png`. Raises what `recognise` raises."""
    return f"image/{recognise(source).lower()}"
