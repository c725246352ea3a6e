"""Windows bitmaps of the rarer kinds, rewritten as the plainest kind.

Pillow refuses colour masks other than the usual and oversized palettes; browsers show them.
"""

import struct
from typing import Final

from PIL import Image, ImageMath

_BITFIELDS: Final = 3
_ALPHA_BITFIELDS: Final = 6


def plain_bitmap(data: bytes) -> bytes | None:
    """The same bitmap as Pillow reads it; None when it is not whole or not of these kinds.

    Source of the layout: BITMAPINFOHEADER and its successors, Windows GDI documentation.
    """
    if len(data) < 70:
        return None
    offset, size, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", data, 10)
    if size >= 40 and bits <= 8 and int.from_bytes(data[46:50], "little") > 1 << bits:
        return data[:46] + bytes(4) + data[50:]  # as many colours as the bits allow
    stride = (width * bits + 31) // 32 * 4
    whole = width > 0 and height and offset + stride * abs(height) <= len(data)
    if size < 40 or bits not in (16, 32) or compression not in (_BITFIELDS, _ALPHA_BITFIELDS) or not whole:
        return None
    red, green, blue, alpha = struct.unpack_from("<4I", data, 54)
    masks = (blue, green, red, alpha if compression == _ALPHA_BITFIELDS or size >= 56 else 0)
    rows = data[offset : offset + stride * abs(height)]
    mode, raw = ("I;16", "I;16") if bits == 16 else ("I", "I;32")
    values = Image.frombytes(mode, (width, abs(height)), rows, "raw", raw, stride).convert("I")
    pixels = Image.merge("RGBA", [_channel(values, mask) for mask in masks]).tobytes()
    info = struct.pack("<IiiHHIIiiII", 56, width, height, 1, 32, _BITFIELDS, len(pixels), 0, 0, 0, 0)
    masks_out = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000 if masks[3] else 0)
    return b"BM" + struct.pack("<IHHI", 70 + len(pixels), 0, 0, 70) + info + masks_out + pixels


def _channel(values: Image.Image, mask: int) -> Image.Image:
    """The bits of `mask` in each value, as one of 0 to 255."""
    if not mask:
        return Image.new("L", values.size)
    shift = max((mask & -mask).bit_length() - 1, mask.bit_length() - 8)
    top = mask >> shift
    scaled = ImageMath.lambda_eval(lambda of: of["convert"]((of["v"] >> shift & top) * 255 / top, "L"), v=values)
    assert isinstance(scaled, Image.Image)
    return scaled
