"""What kind of file some bytes are, read from the bytes themselves: never from a name or a Content-Type.

Pure: knows no image library. Also the few facts that must be known *before* a decoder is started, because starting it
already allocates the picture: the canvas of a WebP and the frames of a GIF.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from image_processor.errors import NotAnImage, Truncated, UnsupportedFormat

Kind = Literal["JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF"]

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


@dataclass(frozen=True, slots=True)
class GifFrame:
    """One frame of a GIF: its place on the canvas, what becomes of it, and itself as a GIF of one frame.

    `duration` is in milliseconds. `disposal` is the number of the specification (2 clear, 3 restore).
    """

    box: tuple[int, int, int, int]
    duration: int
    disposal: int
    start: int
    end: int
    control: bytes


@dataclass(frozen=True, slots=True)
class GifMap:
    """Where everything lies in a GIF (GIF89a specification, sections 17 to 27).

    `width` and `height` are those of the canvas in pixels; `loop` is the NETSCAPE repeat count (0 for ever), None when
    the animation plays once. `cut` says that the file ends before its data does.
    """

    width: int
    height: int
    header: bytes
    frames: tuple[GifFrame, ...]
    loop: int | None
    cut: bool


def map_gif(source: bytes) -> GifMap:
    """Find the frames of a GIF without decoding any. Raises Truncated when there is not even one."""
    width, height, flags = struct.unpack_from("<HHB", source.ljust(13, b"\0"), 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    header, frames, loop, control, cut = source[:at], list[GifFrame](), None, b"", True
    while at < len(source):
        introducer = source[at]
        if introducer == 0x21:
            end = _end_of_blocks(source, at + 2)
            if source[at + 1 : at + 3] == b"\xf9\x04":
                control = source[at : at + 8]
            elif source[at + 1 : at + 14] == b"\xff\x0bNETSCAPE2.0" and source[at + 14 : at + 16] == b"\x03\x01":
                loop = int.from_bytes(source[at + 16 : at + 18], "little")
        elif introducer == 0x2C and at + 10 <= len(source):
            flags = source[at + 9]
            end = _end_of_blocks(source, at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
            frames.append(_gif_frame(source, at, min(end, len(source)), control))
            control = b""
        else:  # the trailer, or rubbish after the last block: every browser stops here
            cut = introducer not in (0x3B, 0x00)
            break
        if end > len(source):
            break
        at = end
    else:
        cut = False  # only the trailer is missing
    if not frames:
        raise Truncated(DAMAGED.format("GIF"), permanent=True)
    # A first frame larger than the canvas enlarges it, as in browsers; later ones are cut to it.
    width, height = max(width, frames[0].box[2]), max(height, frames[0].box[3])
    return GifMap(width, height, header, tuple(frames), loop, cut)


def _gif_frame(source: bytes, start: int, end: int, control: bytes) -> GifFrame:
    left, top, width, height = struct.unpack_from("<4H", source, start + 1)
    delay = int.from_bytes(control[4:6], "little") * 10 if control else 0
    disposal = control[3] >> 2 & 7 if control else 0
    return GifFrame((left, top, left + width, top + height), delay, disposal, start, end, control)


def _end_of_blocks(source: bytes, at: int) -> int:
    """The index after a chain of data sub-blocks that starts at `at`; beyond the end of `source` when it is cut."""
    while at < len(source):
        size = source[at]
        at += 1 + size
        if size == 0:
            return at
    return len(source) + 1


def single_gif(source: bytes, found: GifMap, frame: GifFrame) -> bytes:
    """One frame of a GIF as a GIF of its own, exactly as large as the frame and with one table of colours."""
    left, top, right, bottom = frame.box
    flags, data = source[frame.start + 9], frame.start + 10
    if flags & 0x80:
        size = flags & 7
        table = source[data : data + (3 << size + 1)]
        data += 3 << size + 1
    else:
        size, table = found.header[10] & 7, found.header[13:]
    if not table:  # no colours at all: greys, as decoders do by convention
        size, table = 7, bytes(value for value in range(256) for _ in range(3))
    screen = found.header[:6] + struct.pack("<HHBH", right - left, bottom - top, 0xF0 | size, 0) + table
    descriptor = b"\x2c" + struct.pack("<4HB", 0, 0, right - left, bottom - top, flags & 0x40)
    return b"".join((screen, frame.control, descriptor, source[data : frame.end], b"\x3b"))


def strip_gif(source: bytes, found: GifMap) -> bytes:
    """The same GIF, frame for frame and byte for byte, without comments and application data other than the loop."""
    loop = b"" if found.loop is None else b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", found.loop, 0)
    version = b"GIF89a" if loop or any(frame.control for frame in found.frames) else found.header[:6]
    body = (part for frame in found.frames for part in (frame.control, source[frame.start : frame.end]))
    return b"".join((version, found.header[6:], loop, *body, b"\x3b"))
