"""The bytes of an image become upright pixels that every encoder accepts.

In two steps: `inspect` recognises and measures, so that the result can be planned; `Original.decode` decodes.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from PIL import Image, ImageFile

from image_processor.errors import ImageError, TooManyPixels, UnsupportedFormat
from image_processor.imaging.colours import displayable
from image_processor.imaging.formats import (
    Kind,
    avif_coded_size,
    check_jpeg,
    damaged,
    exif_orientation,
    png_chunks,
    png_size,
    recognise,
    tiff_tile,
    webp_canvas,
)
from image_processor.imaging.gif_blocks import Gif, GifFrame, parse_gif, single_gif
from image_processor.imaging.pillow_setup import load_plugins, open_image
from image_processor.imaging.repair import FOREIGN_ERRORS, repairs

_TRANSPOSE: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Sizes in a file that a decoder trusts as soon as it is opened.
_CLAIMED: Final[dict[Kind, Callable[[bytes], tuple[int, int]]]] = {
    "PNG": png_size, "AVIF": avif_coded_size, "TIFF": tiff_tile,
}  # fmt: skip

_END_OF_IMAGE: Final = b"\xff\xd9"
# Bits that a decoder never reads in a complete image, and always in an incomplete one, in every restart interval.
_FILLING: Final = b"".join(b"\x5a\x39\xc6\xa5\x17\xe8\x93\x6c" * 4 + bytes((0xFF, 0xD0 + n % 8)) for n in range(16))


@dataclass(slots=True)
class DecodedImage:
    """Pixels. `frames` holds at least one image of mode L, LA, RGB or RGBA, upright, all of one size.

    `durations` (milliseconds) has one entry per frame; `loop` is how often an animation plays (0: for ever). `icc` is
    the colour profile of the RGB values, None for sRGB. `unfit`: the original must not be kept in place of a larger
    result, because it is not quite complete or because not every browser turns it upright.
    """

    frames: list[Image.Image]
    icc: bytes | None = None
    durations: list[int] = field(default_factory=list)
    loop: int = 0
    unfit: bool = False


@dataclass(slots=True)
class Original:
    """An image that is recognised and measured, not decoded. `size` is in pixels, as stored, before turning.

    `pages`: the file holds further images that are no animation. `alpha`: it can be transparent.
    """

    kind: Kind
    data: bytes
    size: tuple[int, int]
    frames: int = 1
    pages: bool = False
    alpha: bool = False
    gif: Gif | None = None
    image: ImageFile.ImageFile | None = None

    def decode(self, size: tuple[int, int], frames: int) -> DecodedImage:
        """Decode the first `frames` frames, reduced to `size` (as stored, before turning). Can be done once.

        A damaged animated PNG gives its still, which every PNG has. Raises Truncated (permanent) when the bytes cannot
        be decoded, TooManyPixels when there is not enough memory.
        """
        image, self.image = self.image, None
        with _translated(self.kind):
            if self.gif is not None:
                return _decode_gif(self.gif, size, frames)
            if frames > 1 or (self.frames == 1 and getattr(image, "default_image", False)):
                with suppress(*(FOREIGN_ERRORS if self.kind == "PNG" else ())):
                    return self._decode_animation(image or open_image(self.data, self.kind), size, frames)
                image = None
            return self._decode_still(image or _open_repaired(self.data, self.kind), size)

    def _decode_still(self, opened: ImageFile.ImageFile, size: tuple[int, int]) -> DecodedImage:
        image, is_repaired = self._load(opened, size)
        orientation = _orientation(image, self.kind)
        if self.kind == "TIFF" and image.size != self.size:
            size = size[::-1]
        # Without its decoder where that holds much memory, or further frames that an encoder would write.
        is_shared = image.format in ("AVIF", "WEBP") or getattr(image, "is_animated", False)
        shown, icc = displayable(image.copy() if is_shared else image, self.kind, self.data)
        shown = _reduced(shown, size, self.size if self.kind == "JPEG" else None)
        return DecodedImage(
            [_turned(shown, orientation)], icc, unfit=is_repaired or _is_turned_here_only(self.kind, orientation)
        )

    def _load(self, image: ImageFile.ImageFile, size: tuple[int, int]) -> tuple[ImageFile.ImageFile, bool]:
        """The decoded image, and whether its file had to be repaired for that."""
        try:
            return _drafted(image, size), False
        except FOREIGN_ERRORS:
            image.close()
            if self.kind == "JPEG":
                return _load_unfinished_jpeg(self.data, size), True
            for repaired in repairs(self.data, self.kind):
                with suppress(*FOREIGN_ERRORS):
                    return _drafted(open_image(repaired, self.kind), size), True
            raise

    def _decode_animation(self, image: ImageFile.ImageFile, size: tuple[int, int], frames: int) -> DecodedImage:
        start = 1 if getattr(image, "default_image", False) else 0  # the still of some is no part of the animation
        orientation = _orientation(image, self.kind)
        decoded, durations, icc = [], [], None
        for number in range(start, start + frames):
            image.seek(number)
            image.load()
            frame, icc = displayable(image.copy(), self.kind, self.data)
            decoded.append(_turned(_reduced(frame, size), orientation))
            durations.append(_shown_duration(round(image.info.get("duration", 0))))
        loop, unfit = int(image.info.get("loop", 0)), _is_turned_here_only(self.kind, orientation)
        return DecodedImage(_of_one_mode(decoded), icc, durations, loop, unfit)


def _orientation(image: Image.Image, kind: Kind) -> int:
    return 1 if kind == "TIFF" else exif_orientation(image.info.get("exif"))  # Pillow turns TIFF itself


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else image


def _is_turned_here_only(kind: Kind, orientation: int) -> bool:
    # Every browser turns a JPEG by its EXIF, and AVIF says it in the container; EXIF in PNG and WebP is often ignored.
    return orientation != 1 and kind in ("PNG", "WEBP")


def inspect(data: bytes, max_pixels: int) -> Original:
    """Recognise and measure an image without decoding it.

    Raises NotAnImage, UnsupportedFormat, Truncated (permanent), or TooManyPixels when one frame of it has more than
    `max_pixels` pixels.
    """
    kind = recognise(data)
    load_plugins()
    with _translated(kind):
        if kind == "JPEG":
            check_jpeg(data)
        elif kind in _CLAIMED:
            _check_pixels(_CLAIMED[kind](data), max_pixels)
        original = _measured(kind, data)
    _check_pixels(original.size, max_pixels)
    if original.gif is not None:
        sizes = [(right - left, bottom - top) for left, top, right, bottom in (f.box for f in original.gif.frames)]
        _check_pixels(max(sizes, key=math.prod), max_pixels)
        if sum(map(math.prod, sizes)) > max_pixels >= math.prod(original.size) * original.frames:
            original.frames, original.pages = 1, True  # frames that reach far beyond their canvas: no animation
    return original


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    if math.prod(size) > max_pixels:
        raise TooManyPixels(
            f"The image has {size[0]:,} × {size[1]:,} pixels; at most {max_pixels:,} are allowed. "
            "Host a smaller version of it."
        )


def _measured(kind: Kind, data: bytes) -> Original:
    if kind == "GIF":
        gif = parse_gif(data)
        alpha = len(gif.frames) > 1 or any(frame.control[3:4] > b"\0" for frame in gif.frames)
        return Original(kind, data, gif.size, len(gif.frames), alpha=alpha, gif=gif)
    if kind == "WEBP":  # opening one allocates its canvas twice: it is opened in `decode`
        extended, flags = data[12:16] == b"VP8X", data[20]
        frames = max(1, data.count(b"ANMF")) if extended and flags & 0x02 else 1
        alpha = data[12:16] == b"VP8L" or (extended and bool(flags & 0x10))
        return Original(kind, data, webp_canvas(data), frames, alpha=alpha)
    image = _open_repaired(data, kind)
    if image.mode in ("I", "F", "LAB"):
        raise _unreadable(kind)
    frames = getattr(image, "n_frames", 1) if kind in ("PNG", "AVIF") else 1
    if kind == "PNG" and frames > 1:  # the file may claim more than it has
        shown = frames - getattr(image, "default_image", False)
        frames = max(1, min(shown, sum(chunk == b"fcTL" for chunk, _, _ in png_chunks(data))))
    pages = kind == "TIFF" and bool(getattr(image, "is_animated", False))
    alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    return Original(kind, data, image.size, frames, pages, alpha, image=image)


def _open_repaired(data: bytes, kind: Kind) -> ImageFile.ImageFile:
    """Open an image, if necessary without the parts that browsers ignore."""
    try:
        return open_image(data, kind)
    except FOREIGN_ERRORS as error:
        for repaired in repairs(data, kind):
            with suppress(*FOREIGN_ERRORS):
                return open_image(repaired, kind)
        raise _unreadable(kind) from error


def _unreadable(kind: Kind) -> ImageError:
    if kind in ("TIFF", "BMP"):
        return UnsupportedFormat(
            f"The {kind} image is damaged or of a variety that is not supported; save it as JPEG, PNG or WebP."
        )
    return damaged(kind)


@contextmanager
def _translated(kind: Kind) -> Iterator[None]:
    """Turn what decoders raise into errors of this project."""
    try:
        yield
    except MemoryError as error:
        raise TooManyPixels("The image needs more memory than there is; host a smaller version of it.") from error
    except FOREIGN_ERRORS as error:
        raise damaged(kind) from error


def _drafted(image: ImageFile.ImageFile, size: tuple[int, int]) -> ImageFile.ImageFile:
    if image.format in ("JPEG", "MPO") and size != image.size:
        image.draft(None, (2 * size[0], 2 * size[1]))
    image.load()
    return image


def _load_unfinished_jpeg(data: bytes, size: tuple[int, int]) -> ImageFile.ImageFile:
    """Decode a JPEG that lacks nothing but its last marker, as some cameras and proxies leave it.

    The decoder silently fills what is missing with grey. So the image is decoded with two endings: if the results
    differ, image data is missing. Raises OSError then.
    """
    body = data.rstrip(b"\xff")
    first = _drafted(open_image(body + _FILLING + _END_OF_IMAGE, "JPEG"), size)
    digest = hashlib.blake2b(first.tobytes()).digest()
    del first
    second = _drafted(open_image(body + _END_OF_IMAGE, "JPEG"), size)
    if hashlib.blake2b(second.tobytes()).digest() != digest:
        raise OSError("image data is missing")
    return second


def _reduced(image: Image.Image, size: tuple[int, int], full: tuple[int, int] | None = None) -> Image.Image:
    """`image` at `size`. `full` is its size before `draft` rounded it up to whole pixels."""
    if image.size == size:
        return image
    box = None
    if full is not None and full != image.size:
        scale = round(full[0] / image.size[0]) or 1
        box = (0.0, 0.0, min(full[0] / scale, image.width), min(full[1] / scale, image.height))
    return image.resize(size, Image.Resampling.LANCZOS, box=box, reducing_gap=2.0)


def _decode_gif(gif: Gif, size: tuple[int, int], frames: int) -> DecodedImage:
    """Compose the frames as browsers do: on a transparent canvas, cleared or restored by each frame's disposal."""
    if frames == 1 and gif.frames[0].box == (0, 0, *gif.size):
        return DecodedImage([_reduced(_gif_image(gif, gif.frames[0]), size)], unfit=gif.cut)
    canvas = Image.new("RGBA", gif.size)
    composed, durations = [], []
    for frame in gif.frames[:frames]:
        drawn = _gif_image(gif, frame).convert("RGBA")
        restore = canvas.copy() if frame.disposal == 3 else None
        canvas.alpha_composite(drawn, frame.box[:2])
        composed.append(_reduced(canvas.copy(), size))
        durations.append(frame.duration)
        if frame.disposal == 2:
            canvas.paste((0, 0, 0, 0), frame.box)
        elif restore is not None:
            canvas = restore
    loop = 1 if gif.loop is None else gif.loop and gif.loop + 1
    return DecodedImage(_of_one_mode(composed), None, durations, loop, unfit=gif.cut)


def _gif_image(gif: Gif, frame: GifFrame) -> Image.Image:
    image = open_image(single_gif(gif, frame), "GIF")
    image.load()
    return displayable(image, "GIF", gif.data)[0]


def _shown_duration(duration: int) -> int:
    # Browsers show a frame that claims 10 ms or less for 100 ms; in another format they would follow the claim.
    return duration if duration > 10 else 100


def _of_one_mode(frames: list[Image.Image]) -> list[Image.Image]:
    mode = "RGBA" if any(map(_is_transparent, frames)) else "RGB"
    return [frame if frame.mode == mode else frame.convert(mode) for frame in frames]


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema()[0] != 255
