"""The bytes of an image become a smaller file, in child processes. Owns Pillow."""

from image_processor.imaging.compressor import (
    CONTENT_TYPES,
    CompressedImage,
    CompressOptions,
    Compressor,
    compress_file,
)
from image_processor.imaging.fair_queue import FairQueue
from image_processor.imaging.formats import media_type
from image_processor.imaging.pool import ImagePool

__all__ = [
    "CONTENT_TYPES",
    "CompressOptions",
    "CompressedImage",
    "Compressor",
    "FairQueue",
    "ImagePool",
    "compress_file",
    "media_type",
]
