"""Bytes of an image in, a compressed file out. Runs in the processes of `image_pool` only.

`decoder` (with `plugins` and `colours`) and `encoders` do the two halves; together they are all that knows Pillow.
"""

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, Literal

from image_processor.imaging.decoder import Picture, Source, inspect
from image_processor.imaging.encoders import ENCODERS, OutputFormat, rewind, size_of, squeezed, write_smallest_gif
from image_processor.imaging.gif_blocks import MOST_FRAMES
from image_processor.imaging.pillow_setup import load_plugins

CONTENT_TYPES: Final[dict[str, str]] = {
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".avif": "image/avif",
}

_EXTENSIONS: Final[dict[OutputFormat, str]] = {
    "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "AVIF": ".avif",
}  # fmt: skip
_CONVERSIONS: Final[dict[str, OutputFormat]] = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF"}

# Longest side a format can hold, in pixels: libjpeg's JPEG_MAX_DIMENSION, WebP's 14 bits, GIF's 16 bits.
_LONGEST_SIDE: Final[dict[OutputFormat, int]] = {
    "JPEG": 65_500, "PNG": 65_500, "WEBP": 16_383, "GIF": 65_500, "AVIF": 65_500,
}  # fmt: skip
# Beyond this many pixels AVIF, and WebP with alpha, are reduced: two AVIF encodes of 49 MP at once took 2.5 GB,
# one such WebP 1.6 GB.
_COSTLY_PIXELS: Final = 16_000_000


@dataclass(frozen=True)  # no slots: they would be pickled and unpickled four times as slowly
class CompressOptions:
    """What an upload asks for.

    `quality` is the encoder's, 1 to 95 (PNG and GIF have none). `max_dimension` is the longest side in pixels; a larger
    image is reduced, 0 never reduces. `format` "keep" keeps the source's format (BMP and TIFF become JPEG, or PNG
    where they are transparent).
    """

    quality: int = 50
    max_dimension: int = 2048
    format: Literal["keep", "jpeg", "webp", "avif", "png"] = "keep"


@dataclass(frozen=True)
class CompressedImage:
    """What the file holds. `width` and `height` are in pixels, as displayed; `note` says what a person should know.

    `seconds` is the wall time that it took, set by `compress_file`.
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
    """What is to become of one image: its size as stored (before turning), how many frames, and why not as asked."""

    size: tuple[int, int]
    frames: int
    notes: tuple[str, ...]

    @property
    def note(self) -> str | None:
        return " ".join(self.notes) or None


def load_codecs() -> None:
    """Load the codecs ahead of the first image."""
    load_plugins()
    import oxipng  # noqa: F401


def compress_file(compressor: "Compressor", original: str, result: str, options: CompressOptions) -> CompressedImage:
    """Compress the file `original` into the file `result` (paths). Raises what `Compressor.compress` does."""
    began = time.perf_counter()
    with open(result, "w+b") as file:
        picture = compressor.compress(Path(original).read_bytes(), file, options)
    return replace(picture, seconds=time.perf_counter() - began)


@dataclass(frozen=True)
class Compressor:
    """Compresses images.

    `jpeg_optimize` and `jpeg_progressive` are libjpeg's. An image (width × height) of more than `max_pixels` is
    refused; an animation (width × height × frames) of more becomes its first frame.
    """

    jpeg_optimize: bool = True
    jpeg_progressive: bool = True
    max_pixels: int = 50_000_000

    def compress(self, source: bytes, file: BinaryIO, options: CompressOptions) -> CompressedImage:
        """Write the compressed image `source` into `file`, a real, open, empty file in mode w+b.

        Raises NotAnImage, UnsupportedFormat, TooManyPixels or Truncated (permanent: all bytes are there, they cannot be
        decoded) for what the bytes are, OSError when the disk does not take the result.
        """
        found = inspect(source, self.max_pixels)
        target = _target(found, options)
        plan = _plan(found, target, options, self.max_pixels)
        if _is_lossless_job(found, target, plan):
            return self._squeeze_animation(found, file, plan)
        picture = found.decode(plan.size, plan.frames)
        found.image = None
        return self._encode(found, picture, target, plan, file, options)

    def _encode(
        self,
        found: Source,
        picture: Picture,
        target: OutputFormat,
        plan: _Plan,
        file: BinaryIO,
        options: CompressOptions,
    ) -> CompressedImage:
        if found.kind in ("BMP", "TIFF") and options.format == "keep" and picture.frames[0].mode in ("LA", "RGBA"):
            target = "PNG"
        jpeg = {"optimize": self.jpeg_optimize, "progressive": self.jpeg_progressive}
        ENCODERS[target](picture, file, options.quality, jpeg)
        comparable = found.kind == target and not plan.notes and not picture.unfit
        kept = comparable and plan.size == (found.width, found.height) and size_of(file) >= len(found.data)
        return _delivered(found, file, target, picture.size, kept, plan.note)

    def _squeeze_animation(self, found: Source, file: BinaryIO, plan: _Plan) -> CompressedImage:
        """An animated GIF or PNG in its own size: decoded to be sure that it can be, made smaller without any loss."""
        picture = found.decode(plan.size, plan.frames)
        if len(picture.frames) < plan.frames:
            plan = replace(plan, notes=("Only one image was kept: the animation is damaged.",))
            return self._encode(found, picture, "PNG", plan, file, CompressOptions())
        if found.gif is not None:
            write_smallest_gif(found, picture, file)
            target: OutputFormat = "GIF"
        else:
            pixels = found.width * found.height * plan.frames
            file.write(squeezed(found.data, pixels) or found.data)
            target = "PNG"
        kept = size_of(file) >= len(found.data) and not picture.unfit
        return _delivered(found, file, target, picture.size, kept, plan.note)


def _delivered(
    found: Source, file: BinaryIO, target: OutputFormat, size: tuple[int, int], kept: bool, note: str | None
) -> CompressedImage:
    if kept:
        rewind(file)
        file.write(found.data)
    return CompressedImage(_EXTENSIONS[target], *size, size_of(file), kept, note)


def _target(found: Source, options: CompressOptions) -> OutputFormat:
    if options.format != "keep":
        return _CONVERSIONS[options.format]
    return "JPEG" if found.kind == "BMP" or found.kind == "TIFF" else found.kind


def _plan(found: Source, target: OutputFormat, options: CompressOptions, max_pixels: int) -> _Plan:
    """Decide on size and frames before anything is decoded."""
    notes = ["Only the first page of the file was kept."] if found.pages else []
    frames, pixels, most = found.frames, found.width * found.height, _most_pixels(found, target)
    if frames > 1 and target == "JPEG":
        frames = 1
        notes.append("Only the first frame of the animation was kept: a JPEG cannot move.")
    elif frames > MOST_FRAMES or (
        frames > 1 and pixels * frames > (min(max_pixels, most) if target == "AVIF" else max_pixels)
    ):
        notes.append(f"Only the first frame was kept: the animation of {frames:,} frames is too long or too large.")
        frames = 1
    longest = max(found.width, found.height)
    wanted = min(longest, options.max_dimension or longest)
    possible = min(wanted, _LONGEST_SIDE[target])
    if pixels * (possible / longest) ** 2 > most:
        possible = math.floor(longest * math.sqrt(most / pixels)) - 1
    if possible < wanted:
        notes.append(f"Reduced to {possible:,} pixels on the longest side, the most that is written as {target}.")
    return _Plan(_fitted(found.width, found.height, possible), frames, tuple(notes))


def _most_pixels(found: Source, target: OutputFormat) -> float:
    return _COSTLY_PIXELS if target == "AVIF" or (target == "WEBP" and found.alpha) else math.inf


def _fitted(width: int, height: int, longest: int) -> tuple[int, int]:
    """The size whose longer side is `longest`; the other is rounded to the nearest pixel, at least 1."""
    if max(width, height) == longest:
        return width, height
    scale = longest / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _is_lossless_job(found: Source, target: OutputFormat, plan: _Plan) -> bool:
    whole = plan.size == (found.width, found.height) and plan.frames == found.frames
    return found.kind == target and found.kind in ("GIF", "PNG") and found.frames > 1 and whole
