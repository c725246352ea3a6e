"""One function per output format: pixels into a file. Each takes (image, file, quality, libjpeg's options)."""

import os
from array import array
from collections.abc import Callable
from itertools import chain
from typing import Any, BinaryIO, Final, Literal

from PIL import Image

from image_processor.imaging.decoder import Picture, Source
from image_processor.imaging.gif_blocks import strip_gif
from image_processor.imaging.palette import median_cut
from image_processor.imaging.repair import FOREIGN_ERRORS

OutputFormat = Literal["JPEG", "PNG", "WEBP", "GIF", "AVIF"]

# Below this a swatch is so small that halving the resolution of its colours mixes them up, and saves nothing.
_SWATCH_SIDE: Final = 32

# Rows are handled in bands of about this many pixels where Python looks at each of them.
_BAND_PIXELS: Final = 500_000

_CUT_COLOURS: Final = 20_000

_SQUEEZE_PIXELS: Final = 16_000_000
# Of 49 megapixels of noisy greys level 9 takes 60 to 110 s, level 7 takes 11 s and 7% more bytes.
_PACKING: Final = 7
_KEPT_CHUNKS: Final = (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"tRNS", b"acTL", b"fcTL", b"fdAT")


def size_of(file: BinaryIO) -> int:
    """Bytes in `file`. Encoders write past Python's buffer: only the system knows."""
    file.flush()
    return os.fstat(file.fileno()).st_size


def rewind(file: BinaryIO) -> None:
    """Empty `file`."""
    file.seek(0)
    file.truncate()


def _save_jpeg(picture: Picture, file: BinaryIO, quality: int, jpeg: dict[str, bool]) -> None:
    image = _on_white(picture.frames[0])
    settings: dict[str, Any] = {"quality": quality, "icc_profile": _profile_for(image, picture)}
    if min(image.size) < _SWATCH_SIDE:
        settings["subsampling"] = "4:4:4"
    try:
        image.save(file, "JPEG", **settings, **jpeg)
    except OSError as error:
        if error.errno is not None:
            raise
        # Optimising needs the whole result in one buffer, and Pillow's guess at it (a byte a pixel) is too small for
        # noise at high quality. Without, it is written piecemeal.
        rewind(file)
        image.save(file, "JPEG", **settings)


def _save_webp(picture: Picture, file: BinaryIO, quality: int, _: dict[str, bool]) -> None:
    settings: dict[str, Any] = {"quality": quality, "icc_profile": picture.icc}
    if len(picture.frames) > 1:
        settings |= _moving(picture) | {"loop": picture.loop, "method": 3}
    picture.frames[0].save(file, "WEBP", **settings)
    if len(picture.frames) > 1 and picture.frames[0].mode == "RGBA":
        # The encoder declares alpha only where a piece of a frame has some; a clear canvas it leaves to be guessed.
        file.seek(20)
        flags = file.read(1)[0]
        file.seek(20)
        file.write(bytes((flags | 0x10,)))


def _save_avif(picture: Picture, file: BinaryIO, quality: int, _: dict[str, bool]) -> None:
    image = picture.frames[0]
    settings: dict[str, Any] = {"quality": quality, "icc_profile": _profile_for(image, picture)}
    if len(picture.frames) > 1:
        settings |= _moving(picture)
    image.save(file, "AVIF", **settings)


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
    if pixels > _SQUEEZE_PIXELS:
        image.save(file, "PNG", compress_level=_PACKING, **settings)
        return
    image.save(file, "PNG", compress_level=1, **settings)
    file.flush()
    file.seek(0)
    smaller = squeezed(file.read(), pixels)
    rewind(file)
    if smaller is None:
        image.save(file, "PNG", compress_level=_PACKING, **settings)
    else:
        file.write(smaller)


def _save_gif(picture: Picture, file: BinaryIO, _: int, __: dict[str, bool]) -> None:
    _write_gif(picture, [_gif_frame(frame) for frame in picture.frames], file)


ENCODERS: Final[dict[OutputFormat, Callable[[Picture, BinaryIO, int, dict[str, bool]], None]]] = {
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
    coarse, counted = _translucent(image, alpha)
    colours, places = median_cut(counted, _share(alpha.histogram()))
    translucent = _looked_up(coarse, places)
    inner = image.convert("RGB")
    del coarse, alpha
    inner.paste(_some_colour(inner, opaque), mask=opaque.point([255] + [0] * 255))
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

    The steps are 8 for colours and 2 for alpha, which is below what 256 colours keep apart anyway. Where that leaves
    more colours than a cut in Python should see, they are doubled; at 32 and 8 there are no more than 16,384.
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


def _looked_up(image: Image.Image, places: dict[int, int]) -> Image.Image:
    """The place of each pixel's RGBA value, as greys."""
    result, rows = Image.new("L", image.size), max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        indexes = bytes(map(places.__getitem__, array("I", band.tobytes())))
        result.paste(Image.frombytes("L", band.size, indexes), (0, top))
    return result


def _share(alpha: list[int]) -> int:
    """How many of 256 colours go to the pixels that are not opaque, by their number."""
    translucent, opaque = sum(alpha[1:255]), alpha[255]
    if not opaque:
        return 255
    return min(224, max(32, round(256 * translucent / (translucent + opaque))))


def squeezed(png: bytes, pixels: int) -> bytes | None:
    """The same PNG in fewer bytes, without loss and without metadata; None when the squeezer cannot do it."""
    import oxipng

    if pixels > _SQUEEZE_PIXELS:
        return None
    keep = oxipng.StripChunks.keep(_KEPT_CHUNKS)
    try:
        return oxipng.optimize_from_memory(png, level=2 if pixels <= 1_000_000 else 1, strip=keep)
    except oxipng.PngError:
        return None
    except BaseException as error:  # a panic of the Rust code is no Exception, and its class cannot be imported
        if type(error).__name__ != "PanicException":
            raise
        return None


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


def write_smallest_gif(found: Source, picture: Picture, file: BinaryIO) -> None:
    """Without loss: its own frames without comments, or, where that is smaller, only what changes between frames."""
    assert found.gif is not None
    stripped = strip_gif(found.data, found.gif)
    if all(len(frame.getcolors(256) or ()) for frame in picture.frames):
        try:
            _save_gif(picture, file, 0, {})
        except FOREIGN_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            rewind(file)
    if not 0 < size_of(file) < len(stripped):
        rewind(file)
        file.write(stripped)
