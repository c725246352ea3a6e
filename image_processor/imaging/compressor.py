"""The bytes of an image become a compressed file. Runs in the processes of the image pool only."""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Literal, cast

from image_processor.imaging.decoder import DecodedImage, Original, inspect
from image_processor.imaging.encoders import ENCODERS, OutputFormat, rewind, size_of, write_lossless
from image_processor.imaging.gif_blocks import MOST_FRAMES
from image_processor.imaging.pillow_setup import load_plugins

_EXTENSIONS: Final[dict[OutputFormat, str]] = {
    "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "AVIF": ".avif",
}  # fmt: skip
CONTENT_TYPES: Final = {extension: f"image/{name.lower()}" for name, extension in _EXTENSIONS.items()}

# Longest side in pixels: WebP has 14 bits for it; the others are limited by libjpeg's JPEG_MAX_DIMENSION and GIF's 16.
_LONGEST_SIDE: Final = 65_500
_LONGEST_WEBP_SIDE: Final = 16_383
# Beyond this many pixels AVIF, and WebP with alpha, are reduced: two AVIF encodes of 49 MP at once took 2.5 GB,
# one such WebP 1.6 GB.
_COSTLY_PIXELS: Final = 16_000_000


@dataclass(frozen=True)  # no slots: they would be pickled and unpickled four times as slowly
class CompressOptions:
    """The options of an upload.

    `quality` is that of the encoder, 1 to 95 (PNG and GIF have none). An image whose longest side exceeds
    `max_dimension` pixels is reduced, unless that is 0. `format` "keep" keeps the format of the original (BMP and TIFF
    become JPEG, or PNG where they are transparent).
    """

    quality: int = 50
    max_dimension: int = 2048
    format: Literal["keep", "jpeg", "webp", "avif", "png"] = "keep"


@dataclass(frozen=True)
class CompressedImage:
    """A compressed file. `width` and `height` are in pixels, as displayed; `note` is a sentence for people.

    `seconds` is the wall time that compressing took, set by `compress_file`.
    """

    extension: str
    width: int
    height: int
    bytes_out: int
    kept_original: bool
    note: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Plan:
    """The result for an image: its size as stored (before turning), the number of frames, notes for people."""

    target: OutputFormat
    size: tuple[int, int]
    frames: int
    notes: tuple[str, ...]


def load_codecs() -> None:
    """Load the codecs ahead of the first image."""
    load_plugins()
    import oxipng  # noqa: F401


def compress_file(compressor: "Compressor", original: str, result: str, options: CompressOptions) -> CompressedImage:
    """Compress the file `original` into the file `result` (paths). Raises the same errors as `Compressor.compress`."""
    began = time.perf_counter()
    with open(result, "w+b") as file:
        image = compressor.compress(Path(original).read_bytes(), file, options)
    return replace(image, seconds=time.perf_counter() - began)


@dataclass(frozen=True)
class Compressor:
    """Compresses images.

    `jpeg_optimize` and `jpeg_progressive` are libjpeg's. An image (width × height) of more than `max_pixels` is
    refused; an animation (width × height × frames) of more becomes its first frame.
    """

    jpeg_optimize: bool = True
    jpeg_progressive: bool = True
    max_pixels: int = 50_000_000

    def compress(self, data: bytes, file: BinaryIO, options: CompressOptions) -> CompressedImage:
        """Write the compressed image into `file`, a real, open, empty file in mode w+b.

        Raises NotAnImage, UnsupportedFormat, TooManyPixels or Truncated (permanent: the download is complete, the image
        is not), and OSError when the file cannot be written.
        """
        original = inspect(data, self.max_pixels)
        plan = _plan(original, options, self.max_pixels)
        image = original.decode(plan.size, plan.frames)
        plan = _adapted(plan, original, image, options)
        if len(image.frames) > 1 and plan.target in ("GIF", "PNG") and _is_unchanged(original, plan):
            write_lossless(original, image, file)
        else:
            jpeg = {"optimize": self.jpeg_optimize, "progressive": self.jpeg_progressive}
            ENCODERS[plan.target](image, file, options.quality, jpeg)
        kept = _is_unchanged(original, plan) and not image.unfit and size_of(file) >= len(data)
        if kept:
            rewind(file)
            file.write(data)
        note = " ".join(plan.notes) or None
        return CompressedImage(_EXTENSIONS[plan.target], *image.frames[0].size, size_of(file), kept, note)


def _plan(original: Original, options: CompressOptions, max_pixels: int) -> _Plan:
    """Decide on size and frames before anything is decoded."""
    target = _target(original, options)
    notes = ["Only the first page of the file was kept."] if original.pages else []
    frames, pixels = original.frames, math.prod(original.size)
    most = _COSTLY_PIXELS if target == "AVIF" or (target == "WEBP" and original.alpha) else math.inf
    most_moving = min(max_pixels, most) if target == "AVIF" else max_pixels
    if frames > 1 and target == "JPEG":
        frames = 1
        notes.append("Only the first frame of the animation was kept: a JPEG cannot be animated.")
    elif frames > MOST_FRAMES or (frames > 1 and pixels * frames > most_moving):
        notes.append(f"Only the first frame was kept: the animation of {frames:,} frames is too long or too large.")
        frames = 1
    longest = max(original.size)
    wanted = min(longest, options.max_dimension or longest)
    possible = min(wanted, _LONGEST_WEBP_SIDE if target == "WEBP" else _LONGEST_SIDE)
    if pixels * (possible / longest) ** 2 > most:
        possible = math.floor(longest * math.sqrt(most / pixels)) - 1
    if possible < wanted:
        notes.append(f"Reduced to {possible:,} pixels on the longest side, the most that is written as {target}.")
    return _Plan(target, _fitted(original.size, possible), frames, tuple(notes))


def _target(original: Original, options: CompressOptions) -> OutputFormat:
    if options.format != "keep":
        return cast(OutputFormat, options.format.upper())
    return "JPEG" if original.kind == "BMP" or original.kind == "TIFF" else original.kind


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """`size` reduced to the longest side `longest`; the other is rounded, and at least 1."""
    width, height = (max(1, round(side * longest / max(size))) for side in size)
    return width, height


def _adapted(plan: _Plan, original: Original, image: DecodedImage, options: CompressOptions) -> _Plan:
    """The plan in view of what was found when the image was decoded."""
    if options.format == "keep" and original.kind in ("BMP", "TIFF") and image.frames[0].mode in ("LA", "RGBA"):
        return replace(plan, target="PNG")
    if len(image.frames) < plan.frames:
        return replace(plan, notes=(*plan.notes, "Only one image was kept: the animation is damaged."))
    return plan


def _is_unchanged(original: Original, plan: _Plan) -> bool:
    return original.kind == plan.target and original.size == plan.size and not plan.notes
