"""Pillow made ready: its plugins loaded when they are first wanted, its limits and warnings set for a server."""

import io
import warnings
from typing import Any, Final

from PIL import Image, ImageFile

from image_processor.imaging.formats import Kind

# Sizes are checked by `decoder.inspect`, against the caller's limit, before anything is decoded. Pillow's own check
# knows one limit for the whole process and warns half-way to it.
Image.MAX_IMAGE_PIXELS = None


def load_plugins() -> None:
    """Load the decoders and encoders, once. Not done at import: it takes 40 ms that the start of the program needs."""
    from PIL import (  # noqa: F401
        AvifImagePlugin,
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        MpoImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is already a worker for every CPU, and each thread costs memory
    Image.preinit()
    _silence_pillow()


def _silence_pillow() -> None:
    """Make Pillow's warnings about odd files (malformed MPO, odd EXIF …) harmless, even where warnings are errors.

    `warnings.catch_warnings` is not thread-safe; one filter that stays is. It is put back when somebody removed it.
    """
    if _PILLOW_WARNINGS not in warnings.filters:
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _make_filter() -> Any:
    warnings.filterwarnings("ignore", module=r"PIL\.")
    return warnings.filters[0]


_PILLOW_WARNINGS: Final = _make_filter()


def open_picture(data: bytes, kind: Kind) -> ImageFile.ImageFile:
    """Open `data` as exactly `kind`. Otherwise Pillow asks every plugin, one of which starts Ghostscript."""
    if kind == "WEBP" and data[12:16] == b"VP8X" and data[20] & 0x02:
        # An animation of opaque pieces on a clear canvas need not declare alpha; Pillow then paints the canvas black.
        data = data[:20] + bytes((data[20] | 0x10,)) + data[21:]
    image = Image.open(io.BytesIO(data), formats=(kind,))
    if kind == "JPEG":
        # All at once: blocks of 64 KB would be copied, and the decoder would wait for the interpreter after each.
        # Only here, for Pillow reads that much for each strip of a TIFF, which may have a million of them.
        image.decodermaxblock = max(image.decodermaxblock, len(data))
    return image
