"""One function for each output format. The parameters are (image, file, quality, options of libjpeg)."""

import math
import os
from array import array
from collections.abc import Callable
from itertools import chain
from typing import Any, BinaryIO, Final, Literal

from PIL import Image

from image_processor.imaging.decoder import DecodedImage, Original
from image_processor.imaging.gif_blocks import Gif, strip_gif
from image_processor.imaging.palette import median_cut
from image_processor.imaging.repair import FOREIGN_ERRORS

OutputFormat = Literal["JPEG", "PNG", "WEBP", "GIF", "AVIF"]

# Below this side, as for a colour swatch, halving the resolution of the colours mixes them up, and saves nothing.
_SWATCH_SIDE: Final = 32
_BAND_PIXELS: Final = 500_000  # at once, where Python looks at each pixel
_CUT_COLOURS: Final = 20_000
_SQUEEZE_PIXELS: Final = 16_000_000
# Of 49 megapixels of noisy greys level 9 takes 60 to 110 s, level 7 takes 11 s and 7% more bytes.
_PACKING: Final = 7
_KEPT_CHUNKS: Final = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"tRNS", b"acTL", b"fcTL", b"fdAT")
_INVERTED_MASK: Final = [255] + [0] * 255  # as a lookup table: zero becomes 255, everything else zero


def size_of(file: BinaryIO) -> int:
    """Bytes in `file`, from the system: encoders bypass Python's buffer."""
    file.flush()
    return os.fstat(file.fileno()).st_size


def rewind(file: BinaryIO) -> None:
    """Empty `file`."""
    file.seek(0)
    file.truncate()


def _save_jpeg(image: DecodedImage, file: BinaryIO, quality: int, jpeg: dict[str, bool]) -> None:
    frame = _on_white(image.frames[0])
    settings: dict[str, Any] = {"quality": quality, "icc_profile": image.icc}
    if min(frame.size) < _SWATCH_SIDE:
        settings["subsampling"] = "4:4:4"
    try:
        frame.save(file, "JPEG", **settings, **jpeg)
    except OSError as error:
        if error.errno is not None:
            raise
        # Optimising needs the whole result in one buffer, and Pillow's guess at it (a byte a pixel) is too small for
        # noise at high quality. Without, the file is written in parts.
        rewind(file)
        frame.save(file, "JPEG", **settings)


def _save_webp(image: DecodedImage, file: BinaryIO, quality: int, _: dict[str, bool]) -> None:
    settings: dict[str, Any] = {"quality": quality, "icc_profile": image.icc}
    if len(image.frames) > 1:
        settings |= _animation(image) | {"loop": image.loop, "method": 3}
    image.frames[0].save(file, "WEBP", **settings)
    if len(image.frames) > 1 and image.frames[0].mode == "RGBA":
        # The encoder declares alpha only when a piece of a frame has some, even if the canvas is clear.
        file.seek(20)
        flags = file.read(1)[0]
        file.seek(20)
        file.write(bytes((flags | 0x10,)))


def _save_avif(image: DecodedImage, file: BinaryIO, quality: int, _: dict[str, bool]) -> None:
    frame = image.frames[0]
    frame.save(file, "AVIF", quality=quality, icc_profile=image.icc, **_animation(image))


def _animation(image: DecodedImage) -> dict[str, Any]:
    if len(image.frames) == 1:
        return {}
    return {"save_all": True, "append_images": image.frames[1:], "duration": image.durations}


def _save_png(image: DecodedImage, file: BinaryIO, _: int, __: dict[str, bool]) -> None:
    frame, settings = image.frames[0], {"icc_profile": image.icc}
    if len(image.frames) > 1:
        settings |= _animation(image) | {"loop": image.loop}
    else:
        frame = _with_palette(frame)
    pixels = frame.width * frame.height * len(image.frames)
    if pixels > _SQUEEZE_PIXELS:
        frame.save(file, "PNG", compress_level=_PACKING, **settings)
        return
    frame.save(file, "PNG", compress_level=1, **settings)
    file.seek(0)
    if smaller := squeezed(file.read(), pixels):
        rewind(file)
        file.write(smaller)


def _save_gif(image: DecodedImage, file: BinaryIO, _: int, __: dict[str, bool]) -> None:
    first, *others = [_gif_frame(frame) for frame in image.frames]
    settings = _animation(image)
    if settings:
        settings["append_images"] = others
        # A frame drawn over its predecessor cannot become transparent where that was not: each is drawn afresh.
        settings["disposal"] = 2 if any("transparency" in frame.info for frame in (first, *others)) else 1
        if image.loop != 1:
            settings["loop"] = max(0, image.loop - 1)
    first.save(file, "GIF", optimize=True, **settings)


ENCODERS: Final[dict[OutputFormat, Callable[[DecodedImage, BinaryIO, int, dict[str, bool]], None]]] = {
    "JPEG": _save_jpeg, "PNG": _save_png, "WEBP": _save_webp, "GIF": _save_gif, "AVIF": _save_avif,
}  # fmt: skip


def write_lossless(original: Original, image: DecodedImage, file: BinaryIO) -> None:
    """Write the animation `original` (PNG or GIF) into `file` without loss; `image` is what it decodes to."""
    if original.gif is not None:
        _write_smallest_gif(original.gif, image, file)
    else:
        pixels = math.prod(original.size) * len(image.frames)
        file.write(squeezed(original.data, pixels) or original.data)


def _write_smallest_gif(gif: Gif, image: DecodedImage, file: BinaryIO) -> None:
    """Its own frames without comments or, where that is smaller, only what changes between frames."""
    stripped = strip_gif(gif)
    if all(frame.getcolors(256) for frame in image.frames):
        try:
            _save_gif(image, file, 0, {})
        except FOREIGN_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            rewind(file)
    if not 0 < size_of(file) < len(stripped):
        rewind(file)
        file.write(stripped)


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode not in ("LA", "RGBA"):
        return image
    # A plain conversion would uncover the colours of transparent pixels, mostly black.
    flat = Image.new(image.mode[:-1], image.size, 255 if image.mode == "LA" else (255, 255, 255))
    flat.paste(image.convert(image.mode[:-1]), mask=image.getchannel("A"))
    return flat


def _with_palette(image: Image.Image) -> Image.Image:
    """At most 256 colours, alpha kept. An image that has no more is not changed: oxipng makes its palette."""
    if image.mode in ("L", "LA") or image.getcolors(256) is not None:
        return image
    if image.mode == "RGB":
        return image.quantize(256, Image.Quantize.MEDIANCUT)
    return _with_alpha_palette(image)


def _with_alpha_palette(image: Image.Image) -> Image.Image:
    """A palette with alpha: Pillow's median cut for the opaque pixels, `palette` for the translucent ones."""
    alpha = image.getchannel("A")
    opaque = alpha.point([0] * 255 + [255])
    coarse, counted = _translucent(image, alpha)
    colours, indexes = median_cut(counted, _share(alpha.histogram()))
    translucent = _looked_up(coarse, indexes)
    inner = image.convert("RGB")
    del coarse, alpha
    inner.paste(_some_colour(inner, opaque), mask=opaque.point(_INVERTED_MASK))
    few = inner.quantize(256 - len(colours), Image.Quantize.MEDIANCUT)
    del inner
    translucent.paste(_renumbered(few, len(colours)), mask=opaque)
    result = Image.frombytes("P", image.size, translucent.tobytes())
    few_colours = (few.getpalette("RGBA") or [])[: 4 * (256 - len(colours))]
    result.putpalette([*chain.from_iterable(colours), *few_colours], "RGBA")
    return result


def _renumbered(image: Image.Image, first: int) -> Image.Image:
    """The palette indexes of `image`, counted from `first`, as greys."""
    indexes = Image.frombytes("L", image.size, image.tobytes())
    return indexes.point([min(255, value + first) for value in range(256)])


def _translucent(image: Image.Image, alpha: Image.Image) -> tuple[Image.Image, list[tuple[int, Any]]]:
    """`image` in coarser steps, clear where it is opaque or clear, and how often it has each of its colours.

    The steps are 8 for colours and 2 for alpha, finer than a palette of 256. Where that leaves too many colours for a
    median cut in Python, they are doubled; at 32 and 8 there are no more than 16,384.
    """
    for step in (2, 4, 8):
        steps = [value & -4 * step | 2 * step for value in range(256)] * 3
        steps += [0, *(min(253, value & -step | step // 2) for value in range(1, 255)), 255]
        coarse = image.point(steps)
        coarse.paste((0, 0, 0, 0), mask=alpha.point([255] + [0] * 254 + [255]))
        if (counted := coarse.getcolors(_CUT_COLOURS)) is not None:
            break
    assert counted is not None
    return coarse, counted


def _looked_up(image: Image.Image, indexes: dict[int, int]) -> Image.Image:
    """The index of each pixel's RGBA value, as greys."""
    result, rows = Image.new("L", image.size), max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        found = bytes(map(indexes.__getitem__, array("I", band.tobytes())))
        result.paste(Image.frombytes("L", band.size, found), (0, top))
    return result


def _share(alpha: list[int]) -> int:
    """How many of 256 colours the translucent pixels get, by their share of an image with this histogram."""
    translucent, opaque = sum(alpha[1:255]), alpha[255]
    if not opaque:
        return 255
    return min(224, max(32, round(256 * translucent / (translucent + opaque))))


def squeezed(png: bytes, pixels: int) -> bytes | None:
    """The same PNG in fewer bytes, without loss and without metadata; None when it is too large or oxipng fails."""
    import oxipng

    if pixels > _SQUEEZE_PIXELS:
        return None
    keep = oxipng.StripChunks.keep(_KEPT_CHUNKS)
    try:
        return oxipng.optimize_from_memory(png, level=2 if pixels <= 1_000_000 else 1, strip=keep)
    except oxipng.PngError:
        return None
    except BaseException as error:  # a panic in Rust is no Exception, and its class cannot be imported
        if type(error).__name__ != "PanicException":
            raise
        return None


def _gif_frame(image: Image.Image) -> Image.Image:
    """A frame in 256 colours, or 255 and transparency; exact where it has no more than that."""
    if image.mode in ("L", "RGB"):
        return image.convert("RGB").quantize(256, Image.Quantize.MEDIANCUT)
    clear = image.convert("RGBA").getchannel("A").point([255] * 128 + [0] * 128)
    inner = image.convert("RGB")
    opaque = clear.point(_INVERTED_MASK)
    inner.paste(_some_colour(inner, opaque), mask=clear)
    frame = inner.quantize(255, Image.Quantize.MEDIANCUT)
    palette = (frame.getpalette() or [])[: 3 * 255]
    frame.putpalette(palette + [0] * (3 * 256 - len(palette)))
    frame.paste(255, mask=clear)
    frame.info["transparency"] = 255
    return frame


def _some_colour(image: Image.Image, mask: Image.Image) -> tuple[int, int, int]:
    """A colour of `image` (RGB) under `mask`, for transparent pixels: another would take a place in the palette."""
    at = mask.tobytes().find(255)
    return (0, 0, 0) if at < 0 else image.getpixel((at % image.width, at // image.width))  # type: ignore[return-value]
