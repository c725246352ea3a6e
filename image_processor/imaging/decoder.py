"""Bytes of an image to upright pixels that every encoder takes.

Two steps, so that a caller can wait for memory in between: `inspect` recognises and measures, `Source.decode` decodes.
"""

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from PIL import Image, ImageFile

from image_processor.errors import ImageError, TooManyPixels, Truncated, UnsupportedFormat
from image_processor.imaging.colours import displayable
from image_processor.imaging.formats import (
    DAMAGED,
    Kind,
    avif_coded_size,
    check_jpeg,
    exif_orientation,
    jpeg_depth,
    png_chunks,
    png_size,
    recognise,
    tiff_tile,
    webp_canvas,
)
from image_processor.imaging.gif_blocks import GifFrame, GifMap, map_gif, single_gif
from image_processor.imaging.pillow_setup import load_plugins, open_picture
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

# Sizes that a decoder believes before anything can be asked of it.
_CLAIMED: Final[dict[Kind, Callable[[bytes], tuple[int, int]]]] = {
    "PNG": png_size, "AVIF": avif_coded_size, "TIFF": tiff_tile,
}  # fmt: skip

_END_OF_IMAGE: Final = b"\xff\xd9"
# Bits that no complete image reads and every incomplete one trips over, in every restart interval.
_RUBBISH: Final = b"".join(b"\x5a\x39\xc6\xa5\x17\xe8\x93\x6c" * 4 + bytes((0xFF, 0xD0 + n % 8)) for n in range(16))


@dataclass(slots=True)
class Picture:
    """Decoded pixels. `frames` holds at least one image of mode L, LA, RGB or RGBA, upright, all of one size.

    `durations` (milliseconds) has one entry per frame; `loop` counts how often an animation plays (0: for ever).
    `icc` is the colour profile the RGB values are meant in, None for sRGB. `unfit`: the file itself must not be
    delivered instead of a larger result, because it is not quite whole or because not every browser turns it upright.
    """

    frames: list[Image.Image]
    icc: bytes | None = None
    durations: list[int] = field(default_factory=list)
    loop: int = 0
    unfit: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.frames[0].size


@dataclass(slots=True)
class Source:
    """An image that is recognised and measured, not decoded. `width` and `height` are as stored, before turning.

    `pages`: the file holds further images that are no animation. `alpha`: it can be transparent.
    """

    kind: Kind
    data: bytes
    width: int
    height: int
    frames: int = 1
    pages: bool = False
    alpha: bool = False
    gif: GifMap | None = None
    image: ImageFile.ImageFile | None = None

    def decode(self, size: tuple[int, int], frames: int) -> Picture:
        """Decode the first `frames` frames, reduced to `size` (as stored, before turning; never larger than that).

        Raises Truncated (permanent) when the bytes cannot be decoded, UnsupportedFormat for a variant that is not
        handled, TooManyPixels when there is not the memory.
        """
        with _translated(self.kind):
            if self.gif is not None:
                return _decode_gif(self.data, self.gif, size, frames)
            if frames > 1 or (self.frames == 1 and getattr(self.image, "default_image", False)):
                with suppress(*(FOREIGN_ERRORS if self.kind == "PNG" else ())):
                    return self._decode_animation(size, frames)
                self.image = None  # a damaged APNG still has the still that every PNG has
            return self._decode_still(size)

    def _decode_still(self, size: tuple[int, int]) -> Picture:
        image, mended = _load(self, size)
        self.image = None
        orientation = 1 if self.kind == "TIFF" else exif_orientation(image.info.get("exif"))  # Pillow turns TIFF itself
        if self.kind == "TIFF" and image.size != (self.width, self.height):
            size = size[::-1]
        picture, icc = displayable(_alone(image), self.kind, self.data)
        picture = _reduced(picture, size, (self.width, self.height) if self.kind == "JPEG" else None)
        if orientation in _TRANSPOSE:
            picture = picture.transpose(_TRANSPOSE[orientation])
        return Picture([picture], icc, unfit=mended or _turned_here_only(self.kind, orientation))

    def _decode_animation(self, size: tuple[int, int], frames: int) -> Picture:
        image = self.image or open_picture(self.data, self.kind)
        start = 1 if getattr(image, "default_image", False) else 0  # an APNG whose still is no part of the animation
        orientation = exif_orientation(image.info.get("exif"))
        decoded, durations, icc = [], [], None
        for number in range(start, start + frames):
            image.seek(number)
            image.load()
            frame, icc = displayable(image.copy(), self.kind, self.data)
            frame = _reduced(frame, size)
            decoded.append(frame.transpose(_TRANSPOSE[orientation]) if orientation in _TRANSPOSE else frame)
            durations.append(_shown(round(image.info.get("duration", 0))))
        loop, unfit = int(image.info.get("loop", 0)), _turned_here_only(self.kind, orientation)
        return Picture(_alike(decoded), icc, durations, loop, unfit)


def _alone(image: ImageFile.ImageFile) -> Image.Image:
    """The pixels without their decoder, where an encoder would ask that for further frames or it holds much memory."""
    return image.copy() if image.format in ("AVIF", "WEBP") or getattr(image, "is_animated", False) else image


def _turned_here_only(kind: Kind, orientation: int) -> bool:
    # Every browser turns a JPEG by its EXIF, and AVIF says it in the container; EXIF in PNG and WebP is often ignored.
    return orientation != 1 and kind in ("PNG", "WEBP")


def inspect(data: bytes, max_pixels: int) -> Source:
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
        source = _measured(kind, data)
    _check_pixels((source.width, source.height), max_pixels)
    if source.gif is not None:
        boxes = [(right - left, bottom - top) for left, top, right, bottom in (f.box for f in source.gif.frames)]
        _check_pixels(max(boxes, key=math.prod), max_pixels)
        if sum(map(math.prod, boxes)) > max_pixels >= source.width * source.height * source.frames:
            source.frames, source.pages = 1, True  # frames that reach far beyond their canvas: no animation
    return source


def _check_pixels(size: tuple[int, int], max_pixels: int) -> None:
    if math.prod(size) > max_pixels:
        raise TooManyPixels(
            f"The image has {size[0]:,} × {size[1]:,} pixels; at most {max_pixels:,} are handled. "
            "Host a smaller version of it."
        )


def _measured(kind: Kind, data: bytes) -> Source:
    if kind == "GIF":
        found = map_gif(data)
        alpha = len(found.frames) > 1 or any(frame.control[3:4] > b"\0" for frame in found.frames)
        return Source(kind, data, found.width, found.height, len(found.frames), alpha=alpha, gif=found)
    if kind == "WEBP":  # opening one allocates its canvas twice: it is opened in `decode`
        width, height = webp_canvas(data)
        animated = data[12:16] == b"VP8X" and bool(data[20] & 0x02)
        alpha = data[12:16] == b"VP8L" or (data[12:16] == b"VP8X" and bool(data[20] & 0x10))
        return Source(kind, data, width, height, max(1, data.count(b"ANMF")) if animated else 1, alpha=alpha)
    image = _open_somehow(data, kind)
    frames = getattr(image, "n_frames", 1) if kind in ("PNG", "AVIF") else 1
    if kind == "PNG" and frames > 1:  # the count in the file may lie; the still of some is no part of the animation
        shown = frames - getattr(image, "default_image", False)
        frames = max(1, min(shown, sum(chunk == b"fcTL" for chunk, _, _ in png_chunks(data))))
    pages = kind == "TIFF" and bool(getattr(image, "is_animated", False))
    alpha = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    return Source(kind, data, *image.size, frames, pages, alpha, image=image)


def _open_somehow(data: bytes, kind: Kind) -> ImageFile.ImageFile:
    """Open an image, if need be without the parts that browsers do not care about."""
    try:
        return open_picture(data, kind)
    except FOREIGN_ERRORS as error:
        for repaired in repairs(data, kind):
            with suppress(*FOREIGN_ERRORS):
                return open_picture(repaired, kind)
        raise _explained(data, kind) from error


def _explained(data: bytes, kind: Kind) -> ImageError:
    """Why a file of a handled kind cannot be opened."""
    if kind == "JPEG" and (depth := jpeg_depth(data)) is not None and (depth[0] != 8 or depth[1]):
        variety = "lossless coding" if depth[1] else f"{depth[0]} bits per colour"
        return UnsupportedFormat(f"This is a JPEG with {variety}, which is not handled; save it as an ordinary JPEG.")
    if kind in ("TIFF", "BMP"):
        return UnsupportedFormat(
            f"The {kind} image is damaged or of a variety that is not handled; save it as JPEG, PNG or WebP."
        )
    return Truncated(DAMAGED.format(kind), permanent=True)


@contextmanager
def _translated(kind: Kind) -> Iterator[None]:
    """The one place where what decoders raise becomes the house's errors."""
    try:
        yield
    except MemoryError as error:
        raise TooManyPixels("The image needs more memory than there is; host a smaller version of it.") from error
    except FOREIGN_ERRORS as error:
        raise Truncated(DAMAGED.format(kind), permanent=True) from error


def _load(source: Source, size: tuple[int, int]) -> tuple[ImageFile.ImageFile, bool]:
    """The decoded image, and whether its file had to be mended for that."""
    image = source.image or _open_somehow(source.data, source.kind)
    try:
        return _drafted(image, size), False
    except FOREIGN_ERRORS:
        image.close()
        if source.kind == "JPEG":
            return _load_unfinished_jpeg(source.data, size), True
        for repaired in repairs(source.data, source.kind):
            with suppress(*FOREIGN_ERRORS):
                return _drafted(open_picture(repaired, source.kind), size), True
        raise


def _drafted(image: ImageFile.ImageFile, size: tuple[int, int]) -> ImageFile.ImageFile:
    if image.format in ("JPEG", "MPO") and size != image.size:
        image.draft(None, (2 * size[0], 2 * size[1]))
    image.load()
    return image


def _load_unfinished_jpeg(data: bytes, size: tuple[int, int]) -> ImageFile.ImageFile:
    """Decode a JPEG that lacks nothing but its last marker, as some cameras and proxies leave it.

    The decoder fills whatever is missing with grey and says nothing. So the image is decoded with two endings: where
    they make a difference, image data is missing, and the image is refused (OSError).
    """
    body = data.rstrip(b"\xff")
    first = _drafted(open_picture(body + _RUBBISH + _END_OF_IMAGE, "JPEG"), size)
    digest = hashlib.blake2b(first.tobytes()).digest()
    del first
    second = _drafted(open_picture(body + _END_OF_IMAGE, "JPEG"), size)
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


def _decode_gif(data: bytes, found: GifMap, size: tuple[int, int], frames: int) -> Picture:
    """Compose the frames as browsers do: on a transparent canvas, cleared and restored by each frame's disposal."""
    if frames == 1 and found.frames[0].box == (0, 0, found.width, found.height):
        return Picture([_reduced(_gif_image(data, found, found.frames[0]), size)], unfit=found.cut)
    canvas = Image.new("RGBA", (found.width, found.height))
    composed, durations = [], []
    for frame in found.frames[:frames]:
        drawn = _gif_image(data, found, frame).convert("RGBA")
        restore = canvas.copy() if frame.disposal == 3 else None
        if _inside(frame.box, canvas.size):
            canvas.alpha_composite(drawn, frame.box[:2])
        composed.append(_reduced(canvas.copy(), size))
        durations.append(frame.duration)
        if frame.disposal == 2:
            canvas.paste((0, 0, 0, 0), frame.box)
        elif restore is not None:
            canvas = restore
    loop = 1 if found.loop is None else found.loop and found.loop + 1
    return Picture(_alike(composed), None, durations, loop, unfit=found.cut)


def _gif_image(data: bytes, found: GifMap, frame: GifFrame) -> Image.Image:
    image = open_picture(single_gif(data, found, frame), "GIF")
    image.load()
    return displayable(image, "GIF", data)[0]


def _inside(box: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    return box[0] < size[0] and box[1] < size[1] and box[0] < box[2] and box[1] < box[3]


def _shown(duration: int) -> int:
    # Browsers show a frame that claims 10 ms or less for 100 ms; in another format the claim would be believed.
    return duration if duration > 10 else 100


def _alike(frames: list[Image.Image]) -> list[Image.Image]:
    """All frames of one mode, without an alpha channel when none of them is transparent anywhere."""
    if any(_is_transparent(frame) for frame in frames):
        return [frame if frame.mode == "RGBA" else frame.convert("RGBA") for frame in frames]
    return [frame if frame.mode == "RGB" else frame.convert("RGB") for frame in frames]


def _is_transparent(image: Image.Image) -> bool:
    return image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema()[0] != 255
