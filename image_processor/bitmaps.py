"""Windows bitmaps of the rarer kinds, rewritten as the plainest kind. Pure: knows no image library.

Pillow refuses colour masks other than the usual, 2 bits a pixel, short OS/2 headers and oversized palettes; browsers
show all of them.
"""

import struct
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass

_MASKS_16 = (0x7C00, 0x3E0, 0x1F, 0)
_MASKS_32 = (0xFF0000, 0xFF00, 0xFF, 0)
_RAW, _BITFIELDS, _ALPHA_BITFIELDS = 0, 3, 6
# Rewriting takes about 0.3 s a megapixel; larger ones of these kinds have not been met.
_MAX_PIXELS = 16_000_000


@dataclass(frozen=True, slots=True)
class _Header:
    size: int
    offset: int
    width: int
    height: int
    bits: int
    compression: int
    colours: int


def plain_bitmap(data: bytes) -> bytes | None:
    """The same bitmap with 8 bits each of blue, green, red and alpha; None when it is not whole or not of these kinds.

    Source of the layout: BITMAPINFOHEADER and its successors, Windows GDI documentation.
    """
    header = _read_header(data)
    if header is None or header.compression not in (_RAW, _BITFIELDS, _ALPHA_BITFIELDS):
        return None
    stride = (header.width * header.bits + 31) // 32 * 4
    rows, alpha = abs(header.height), 0
    if not 0 < header.width * rows <= _MAX_PIXELS or header.offset + stride * rows > len(data):
        return None
    if header.bits <= 8:
        convert = _by_palette(data, header)
    else:
        masks = _masks(data, header)
        convert, alpha = _by_masks(header.bits, masks), masks[3]
    starts = range(header.offset, header.offset + stride * rows, stride)
    pixels = b"".join(convert(data[start : start + stride], header.width) for start in starts)
    info = struct.pack("<IiiHHIIiiII", 56, header.width, header.height, 1, 32, _BITFIELDS, len(pixels), 0, 0, 0, 0)
    masks_out = struct.pack("<4I", *_MASKS_32[:3], 0xFF000000 if alpha else 0)
    return b"BM" + struct.pack("<IHHI", 70 + len(pixels), 0, 0, 70) + info + masks_out + pixels


def _read_header(data: bytes) -> _Header | None:
    if len(data) < 30:
        return None
    offset, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, _, bits = struct.unpack_from("<4H", data, 18)
    else:
        width, height, _, bits = struct.unpack_from("<iiHH", data, 18)
    compression = int.from_bytes(data[30:34], "little") if size >= 20 else _RAW
    colours = int.from_bytes(data[46:50], "little") if size >= 36 else 0
    if bits not in (1, 2, 4, 8, 16, 32) or width <= 0:
        return None
    return _Header(size, offset, width, height, bits, compression, colours)


def _masks(data: bytes, header: _Header) -> tuple[int, ...]:
    if header.compression == _RAW:
        return _MASKS_16 if header.bits == 16 else _MASKS_32
    masks = struct.unpack_from("<4I", data.ljust(70, b"\0"), 54)
    with_alpha = header.compression == _ALPHA_BITFIELDS or header.size >= 56
    return masks if with_alpha else (*masks[:3], 0)


def _by_masks(bits: int, masks: tuple[int, ...]) -> Callable[[bytes, int], bytes]:
    red, green, blue, alpha = masks

    def convert(row: bytes, width: int) -> bytes:
        values = array("H" if bits == 16 else "I", row)
        if sys.byteorder == "big":
            values.byteswap()
        result = bytearray(b"\xff") * (4 * width)
        for channel, mask in enumerate((blue, green, red, alpha)):
            if mask:
                shift = (mask & -mask).bit_length() - 1
                top = mask >> shift
                result[channel::4] = bytes([((value >> shift) & top) * 255 // top for value in values[:width]])
            elif channel < 3:
                result[channel::4] = bytes(width)
        return bytes(result)

    return convert


def _by_palette(data: bytes, header: _Header) -> Callable[[bytes, int], bytes]:
    start, entry = 14 + header.size, 3 if header.size == 12 else 4
    count = min(header.colours or 256, 256, max(0, header.offset - start) // entry)
    colours = [data[start + n * entry : start + n * entry + 3] + b"\xff" for n in range(count)]
    colours += [b"\0\0\0\xff"] * (256 - count)
    per_byte, bits = 8 // header.bits, header.bits
    shifts = [8 - bits * (n + 1) for n in range(per_byte)]
    table = [b"".join(colours[byte >> shift & (1 << bits) - 1] for shift in shifts) for byte in range(256)]

    def convert(row: bytes, width: int) -> bytes:
        return b"".join([table[byte] for byte in row])[: 4 * width]

    return convert
