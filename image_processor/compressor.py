"""Bytes of a picture in, a compressed file out. Only this module and `decoder`, below it, know Pillow."""

import math
import os
import subprocess
import sys
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, BinaryIO, Final, Literal

from PIL import Image

from image_processor.decoder import FOREIGN_ERRORS, Picture, Source, inspect, load_plugins
from image_processor.errors import InternalError, StoreUnavailable, TooManyPixels
from image_processor.palette import median_cut
from image_processor.signatures import strip_gif

OutputFormat = Literal["JPEG", "PNG", "WEBP", "GIF", "AVIF"]

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

# Below this a swatch is so small that halving the resolution of its colours mixes them up, and saves nothing.
_SWATCH_SIDE: Final = 32

# Bytes of memory for one pixel while a picture is encoded, beside its decoding: peaks at 49 MP, rounded up.
_ENCODE_BYTES: Final[dict[OutputFormat, int]] = {"JPEG": 6, "PNG": 10, "WEBP": 8, "GIF": 10, "AVIF": 30}
_ALPHA_BYTES: Final = 18  # more, where there is an alpha channel

_TRIM_BYTES: Final = 100_000_000

# Rows are handled in bands of about this many pixels where Python looks at each of them.
_BAND_PIXELS: Final = 500_000

# The squeezer keeps the interpreter to itself for about 0.2 s a megapixel, in which no web page would be answered:
# beyond this size it works in a process of its own, whose start costs 30 ms.
_SQUEEZE_HERE_PIXELS: Final = 40_000
_SQUEEZE_PIXELS: Final = 16_000_000
_SQUEEZE_SECONDS: Final = 60
_SQUEEZE: Final = """
import sys, oxipng
keep = oxipng.StripChunks.keep([name.encode() for name in sys.argv[2:]])
data = oxipng.optimize_from_memory(sys.stdin.buffer.read(), level=int(sys.argv[1]), strip=keep)
sys.stdout.buffer.write(data)
"""
_KEPT_CHUNKS: Final = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"tRNS", b"acTL", b"fcTL", b"fdAT")


@dataclass(frozen=True, slots=True)
class CompressOptions:
    """What an upload asks for.

    `quality` is the encoder's, 1 to 95 (PNG and GIF have none). `max_dimension` is the longest side in pixels; a larger
    picture is reduced, 0 never reduces. `format` "keep" keeps the source's format (BMP and TIFF become JPEG, or PNG
    where they are transparent).
    """

    quality: int = 50
    max_dimension: int = 2048
    format: Literal["keep", "jpeg", "webp", "avif", "png"] = "keep"


@dataclass(frozen=True, slots=True)
class CompressedPicture:
    """What the file holds. `width` and `height` are in pixels, as displayed; `note` says what a person should know."""

    extension: str
    width: int
    height: int
    bytes_out: int
    kept_original: bool
    note: str | None = None


def _trim() -> None:
    """Give freed memory back to the system, where the C library can: glibc kept 0.5 GB after some large pictures."""
    import ctypes

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


class MemoryBudget:
    """Lets work begin while the memory of all that runs stays within `limit` bytes.

    What needs more than everything waits until it is alone. First come, first served, so that a large picture is not
    overtaken for ever.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._next_ticket = 0
        self._serving = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, needed: int) -> Iterator[None]:
        """Wait for `needed` bytes, and give them back at the end."""
        needed = min(needed, self._limit)
        with self._changed:
            ticket, self._next_ticket = self._next_ticket, self._next_ticket + 1
            self._changed.wait_for(lambda: ticket == self._serving and self._used + needed <= self._limit)
            self._used += needed
            self._serving += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            if needed >= _TRIM_BYTES:
                _trim()
            with self._changed:
                self._used -= needed
                self._changed.notify_all()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is to become of one picture: its size as stored (before turning), how many frames, and why not as asked."""

    size: tuple[int, int]
    frames: int
    notes: tuple[str, ...]

    @property
    def note(self) -> str | None:
        return " ".join(self.notes) or None


class Compressor:
    """Compresses pictures; safe to use from many threads.

    `jpeg_optimize` and `jpeg_progressive` are libjpeg's. A picture (width × height) of more than `max_pixels` is
    refused; an animation (width × height × frames) of more becomes its first frame. `max_decode_bytes` is the memory
    that pictures being worked may take together; the rest wait for their turn.
    """

    def __init__(
        self,
        *,
        jpeg_optimize: bool = True,
        jpeg_progressive: bool = True,
        max_pixels: int = 50_000_000,
        max_decode_bytes: int = 1_000_000_000,
    ) -> None:
        self._jpeg = {"optimize": jpeg_optimize, "progressive": jpeg_progressive}
        self._max_pixels = max_pixels
        self._budget = MemoryBudget(max_decode_bytes)

    def warm_up(self) -> None:
        """Load the codecs ahead of the first picture."""
        load_plugins()
        import oxipng  # noqa: F401

    def compress(self, source: bytes, file: BinaryIO, options: CompressOptions) -> CompressedPicture:
        """Write the compressed picture `source` into `file`.

        `file` is a real, open, empty file in mode w+b: an encoder lets other threads run only while it writes into one.

        Raises NotAnImage, UnsupportedFormat, TooManyPixels or Truncated (permanent: all bytes are there, they cannot be
        decoded) for what the bytes are, StoreUnavailable when the disk does not take the result.
        """
        found = inspect(source, self._max_pixels)
        target = _target(found, options)
        plan = _plan(found, target, options, self._max_pixels)
        with self._budget.hold(_needed_bytes(found, target, plan)):
            return self._work(found, target, plan, file, options)

    def _work(
        self, found: Source, target: OutputFormat, plan: _Plan, file: BinaryIO, options: CompressOptions
    ) -> CompressedPicture:
        # A function of its own, so that the pixels are gone before their place in the budget is.
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
    ) -> CompressedPicture:
        if found.kind in ("BMP", "TIFF") and options.format == "keep" and picture.frames[0].mode in ("LA", "RGBA"):
            target = "PNG"
        with _written(file):
            _ENCODERS[target](picture, file, options.quality, self._jpeg)
        comparable = found.kind == target and not plan.notes and not picture.mended
        kept = comparable and plan.size == (found.width, found.height) and _size(file) >= len(found.data)
        return _delivered(found, file, target, picture.size, kept, plan.note)

    def _squeeze_animation(self, found: Source, file: BinaryIO, plan: _Plan) -> CompressedPicture:
        """An animated GIF or PNG in its own size: decoded to be sure that it can be, made smaller without any loss."""
        picture = found.decode(plan.size, plan.frames)
        if len(picture.frames) < plan.frames:
            plan = replace(plan, notes=("Only one picture was kept: the animation is damaged.",))
            return self._encode(found, picture, "PNG", plan, file, CompressOptions())
        with _written(file):
            if found.gif is not None:
                _write_smallest_gif(found, picture, file)
                target: OutputFormat = "GIF"
            else:
                file.write(_squeezed(found.data, found.width * found.height * plan.frames) or found.data)
                target = "PNG"
        kept = _size(file) >= len(found.data) and not picture.mended
        return _delivered(found, file, target, picture.size, kept, plan.note)


def _delivered(
    found: Source, file: BinaryIO, target: OutputFormat, size: tuple[int, int], kept: bool, note: str | None
) -> CompressedPicture:
    if kept:
        with _written(file):
            _rewind(file)
            file.write(found.data)
    return CompressedPicture(_EXTENSIONS[target], *size, _size(file), kept, note)


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
    elif frames > 1 and pixels * frames > (min(max_pixels, most) if target == "AVIF" else max_pixels):
        frames = 1
        notes.append(f"Only the first frame was kept: the animation is too long or too large ({found.frames} frames).")
    longest = max(found.width, found.height)
    wanted = min(longest, options.max_dimension or longest)
    possible = min(wanted, _LONGEST_SIDE[target])
    if pixels * (possible / longest) ** 2 > most:
        possible = math.floor(longest * math.sqrt(most / pixels))
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


def _needed_bytes(found: Source, target: OutputFormat, plan: _Plan) -> int:
    encode = _ENCODE_BYTES[target] + (_ALPHA_BYTES if found.alpha else 0)
    return found.decode_bytes(plan.size, plan.frames) + plan.size[0] * plan.size[1] * encode


def _is_lossless_job(found: Source, target: OutputFormat, plan: _Plan) -> bool:
    whole = plan.size == (found.width, found.height) and plan.frames == found.frames
    return found.kind == target and found.kind in ("GIF", "PNG") and found.frames > 1 and whole


@contextmanager
def _written(file: BinaryIO) -> Iterator[None]:
    """What goes wrong while writing is not the picture's fault: the disk's (it has an errno) or ours."""
    try:
        yield
        file.flush()
    except MemoryError as error:
        raise TooManyPixels("The picture needs more memory than there is; host a smaller version of it.") from error
    except FOREIGN_ERRORS as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise StoreUnavailable(f"The compressed picture could not be written: {error.strerror}.") from error
        raise InternalError from error


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _rewind(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


# --- encoders: (picture, file, quality, options of JPEG) -> None ---


def _save_jpeg(picture: Picture, file: BinaryIO, quality: int, jpeg: dict[str, bool]) -> None:
    image = _on_white(picture.frames[0])
    settings: dict[str, Any] = {"quality": quality, "icc_profile": _profile_for(image, picture), "comment": None}
    if min(image.size) < _SWATCH_SIDE:
        settings["subsampling"] = "4:4:4"
    try:
        image.save(file, "JPEG", **settings, **jpeg)
    except OSError as error:
        if error.errno is not None:
            raise
        # Optimising needs the whole result in one buffer, and Pillow's guess at it (a byte a pixel) is too small for
        # noise at high quality. Without, it is written piecemeal.
        _rewind(file)
        image.save(file, "JPEG", **settings)


def _save_webp(picture: Picture, file: BinaryIO, quality: int, _: dict[str, bool]) -> None:
    settings: dict[str, Any] = {"quality": quality, "icc_profile": picture.icc}
    if len(picture.frames) > 1:
        settings |= _moving(picture) | {"loop": picture.loop, "method": 3}
    picture.frames[0].save(file, "WEBP", **settings)


def _save_avif(picture: Picture, file: BinaryIO, quality: int, _: dict[str, bool]) -> None:
    image = picture.frames[0]
    settings: dict[str, Any] = {"quality": quality, "icc_profile": _profile_for(image, picture)}
    if len(picture.frames) > 1:
        settings |= _moving(picture)
    # One thread: the pool already has one per CPU, and each further one costs memory.
    image.save(file, "AVIF", max_threads=1, **settings)


def _moving(picture: Picture) -> dict[str, Any]:
    return {"save_all": True, "append_images": picture.frames[1:], "duration": picture.durations}


def _save_png(picture: Picture, file: BinaryIO, _: int, __: dict[str, bool]) -> None:
    image, settings = picture.frames[0], dict[str, Any]()
    if len(picture.frames) > 1:
        settings = _moving(picture) | {"loop": picture.loop}
    else:
        image = _with_palette(image)
    settings["icc_profile"] = _profile_for(image, picture)
    pixels = image.width * image.height * len(picture.frames)
    image.save(file, "PNG", compress_level=1 if pixels <= _SQUEEZE_PIXELS else 9, **settings)
    if pixels > _SQUEEZE_PIXELS:
        return
    file.flush()
    file.seek(0)
    smaller = _squeezed(file.read(), pixels)
    _rewind(file)
    if smaller is None:
        image.save(file, "PNG", compress_level=9, **settings)
    else:
        file.write(smaller)


def _save_gif(picture: Picture, file: BinaryIO, _: int, __: dict[str, bool]) -> None:
    _write_gif(picture, [_gif_frame(frame) for frame in picture.frames], file)


_ENCODERS: Final[dict[OutputFormat, Callable[[Picture, BinaryIO, int, dict[str, bool]], None]]] = {
    "JPEG": _save_jpeg, "PNG": _save_png, "WEBP": _save_webp, "GIF": _save_gif, "AVIF": _save_avif,
}  # fmt: skip


def _profile_for(image: Image.Image, picture: Picture) -> bytes | None:
    return picture.icc if image.mode in ("RGB", "RGBA", "P") else None


def _on_white(image: Image.Image) -> Image.Image:
    """Without alpha: a plain conversion would uncover the colours that transparent pixels hide, mostly black."""
    if image.mode not in ("LA", "RGBA"):
        return image
    flat = Image.new(image.mode[:-1], image.size, 255 if image.mode == "LA" else (255, 255, 255))
    flat.paste(image.convert(image.mode[:-1]), mask=image.getchannel("A"))
    return flat


def _with_palette(image: Image.Image) -> Image.Image:
    """At most 256 colours, alpha kept. What has no more already stays as it is: the squeezer finds its palette."""
    if image.mode in ("L", "LA") or image.getcolors(256) is not None:
        return image
    if image.mode == "RGB":
        return image.quantize(256, Image.Quantize.MEDIANCUT)
    return _with_alpha_palette(image)


def _with_alpha_palette(image: Image.Image) -> Image.Image:
    """A palette with alpha: Pillow's median cut for the opaque pixels, our own for the translucent ones."""
    alpha = image.getchannel("A")
    opaque = alpha.point([0] * 255 + [255])
    colours, places = median_cut(_counted(image), _share(alpha.histogram()))
    inner = image.convert("RGB")
    inner.paste(_some_colour(inner, opaque), mask=opaque.point([255] + [0] * 255))
    few = inner.quantize(256 - len(colours), Image.Quantize.MEDIANCUT)
    del inner
    indexes = _renumbered(few, len(colours))
    for box, values in _translucent_bands(image):
        size = (box[2] - box[0], box[3] - box[1])
        band = Image.frombytes("L", size, bytes(map(places.__getitem__, values)))
        indexes.paste(band, box, opaque.crop(box).point([255] * 255 + [0]))
    result = Image.frombytes("P", image.size, indexes.tobytes())
    few_colours = (few.getpalette("RGBA") or [])[: 4 * (256 - len(colours))]
    result.putpalette([*chain.from_iterable(colours), *few_colours], "RGBA")
    return result


def _renumbered(image: Image.Image, first: int) -> Image.Image:
    """The palette indexes of `image`, counted from `first`, as greys."""
    indexes = Image.frombytes("L", image.size, image.tobytes())
    return indexes.point([min(255, value + first) for value in range(256)])


def _counted(image: Image.Image) -> Counter[int]:
    counter: Counter[int] = Counter()
    for _, values in _translucent_bands(image):
        counter.update(values)
    return counter


def _translucent_bands(image: Image.Image) -> Iterator[tuple[tuple[int, int, int, int], "array[int]"]]:
    """Bands of `image` with the RGBA values in them as numbers: 0 where it is opaque or clear.

    Colours come in steps of 8 and alpha in steps of 2, which is below what 256 colours keep apart anyway: few enough
    for a cut in Python.
    """
    steps = [min(255, value & ~7 | 4) for value in range(256)] * 3 + [
        0,
        *(min(253, value | 1) for value in range(1, 255)),
        255,
    ]
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        band = image.crop(box).point(steps)
        band.paste((0, 0, 0, 0), mask=band.getchannel("A").point([255] + [0] * 254 + [255]))
        yield box, array("I", band.tobytes())


def _share(alpha: list[int]) -> int:
    """How many of 256 colours go to the pixels that are not opaque, by their number."""
    translucent, opaque = sum(alpha[1:255]), alpha[255]
    if not opaque:
        return 255
    return min(224, max(32, round(256 * translucent / (translucent + opaque))))


def _squeezed(png: bytes, pixels: int) -> bytes | None:
    """The same PNG in fewer bytes, without loss and without metadata; None when the squeezer cannot do it."""
    import oxipng

    level = 2 if pixels <= 1_000_000 else 1

    try:
        if pixels <= _SQUEEZE_HERE_PIXELS:
            keep = oxipng.StripChunks.keep(_KEPT_CHUNKS)
            return oxipng.optimize_from_memory(png, level=level, strip=keep)
        command = [sys.executable, "-I", "-c", _SQUEEZE, str(level), *(name.decode() for name in _KEPT_CHUNKS)]
        done = subprocess.run(command, input=png, capture_output=True, timeout=_SQUEEZE_SECONDS, check=True)
    except (oxipng.PngError, OSError, subprocess.SubprocessError):
        return None
    return done.stdout or None


def _gif_frame(image: Image.Image) -> Image.Image:
    """One frame in at most 256 colours; exact where it has no more than that (255 beside transparency)."""
    if image.mode in ("L", "RGB"):
        return image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT)
    clear = image.convert("RGBA").getchannel("A").point([255] * 128 + [0] * 128)
    inner = image.convert("RGB")
    opaque = clear.point([255] + [0] * 255)
    inner.paste(_some_colour(inner, opaque), mask=clear)
    frame = inner.quantize(255, Image.Quantize.MEDIANCUT)
    palette = (frame.getpalette() or [])[: 3 * 255]
    frame.putpalette(palette + [0] * (3 * 256 - len(palette)))
    frame.paste(255, mask=clear)
    frame.info["transparency"] = 255
    return frame


def _some_colour(image: Image.Image, mask: Image.Image) -> tuple[int, ...]:
    # A colour that the frame has anyway, for its transparent pixels: a new one would cost a place in an exact palette.
    box = mask.getbbox()
    if box is None:
        return (0, 0, 0)
    row = mask.crop((box[0], box[1], box[2], box[1] + 1)).getbbox()
    at = image.getpixel((box[0] + (row[0] if row else 0), box[1]))
    return at if isinstance(at, tuple) else (0, 0, 0)


def _write_gif(picture: Picture, frames: list[Image.Image], file: BinaryIO) -> None:
    settings: dict[str, Any] = {"optimize": True}
    if len(frames) > 1:
        settings |= {"save_all": True, "append_images": frames[1:], "duration": picture.durations}
        # A frame drawn over its predecessor cannot become transparent where that was not: each is drawn afresh.
        settings["disposal"] = 2 if any("transparency" in frame.info for frame in frames) else 1
        if picture.loop != 1:
            settings["loop"] = max(0, picture.loop - 1)
    frames[0].save(file, "GIF", **settings)


def _write_smallest_gif(found: Source, picture: Picture, file: BinaryIO) -> None:
    """Without loss: its own frames without comments, or, where that is smaller, only what changes between frames."""
    assert found.gif is not None
    stripped = strip_gif(found.data, found.gif)
    if all(len(frame.getcolors(256) or ()) for frame in picture.frames):
        try:
            _save_gif(picture, file, 0, {})
        except FOREIGN_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            _rewind(file)
    file.flush()
    if not 0 < _size(file) < len(stripped):
        _rewind(file)
        file.write(stripped)
