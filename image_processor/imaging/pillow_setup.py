"""Pillow with the settings of a server: plugins loaded on first use, no size limit of its own, no warnings."""

import io
import warnings

from PIL import Image, ImageFile

from image_processor.imaging.formats import Kind

# `decoder.inspect` checks sizes against the caller's limit before anything is decoded. Pillow's own check knows one
# limit for the whole process and warns half-way to it.
Image.MAX_IMAGE_PIXELS = None


def load_plugins() -> None:
    """Load the decoders and encoders. Not done at import: it takes 40 ms of the start of the server."""
    from PIL import AvifImagePlugin, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # there is a process for every CPU, and each thread costs memory
    Image.preinit()  # BMP, GIF, JPEG, PNG
    warnings.filterwarnings("ignore", module=r"PIL\.")  # about odd metadata, even where warnings are errors


def open_image(data: bytes, kind: Kind) -> ImageFile.ImageFile:
    """Open `data` as exactly `kind`. Otherwise Pillow tries every plugin, one of which starts Ghostscript."""
    if kind == "WEBP" and data[12:16] == b"VP8X" and data[20] & 0x02:
        # An animation of opaque pieces on a clear canvas need not declare alpha; Pillow then paints the canvas black.
        data = data[:20] + bytes((data[20] | 0x10,)) + data[21:]
    image = Image.open(io.BytesIO(data), formats=(kind,))
    if kind == "JPEG":
        # In one block: a progressive JPEG would be copied for each 64 KB. Only here, because Pillow reads a whole block
        # for each strip of a TIFF, which may have a million of them.
        image.decodermaxblock = max(image.decodermaxblock, len(data))
    return image
