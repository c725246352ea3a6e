"""Bytes of a picture to upright pixels that every encoder takes. With `compressor`, all there is that knows Pillow.

Two steps, so that a caller can wait for memory in between: `inspect` recognises and measures, `Source.decode` decodes.
"""

import hashlib
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image, ImageFile

from image_processor.bitmaps import plain_bitmap
from image_processor.errors import ImageError, TooManyPixels, Truncated, UnsupportedFormat
from image_processor.signatures import (
    DAMAGED,
    GifFrame,
    GifMap,
    Kind,
    exif_orientation,
    jpeg_depth,
    map_gif,
    png_chunks,
    recognise,
    single_gif,
    webp_canvas,
)

# Sizes are checked here, against the caller's limit, before anything is decoded. Pillow's own check knows one limit for
# the whole process and warns half-way to it.
Image.MAX_IMAGE_PIXELS = None

# What decoders raised on some ten thousand damaged files. MemoryError is met on sizes that are within the limit.
FOREIGN_ERRORS: Final = (
    OSError,  # and UnidentifiedImageError
    ValueError,  # and UnicodeError
    SyntaxError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    AssertionError,
    struct.error,
    zlib.error,
)

_TRANSPOSE: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Bytes of memory for one pixel while a picture is decoded and reduced: peaks measured at 49 MP, rounded up.
_DECODE_BYTES: Final[dict[Kind, int]] = {
    "JPEG": 6, "PNG": 6, "GIF": 8, "WEBP": 20, "AVIF": 14, "BMP": 6, "TIFF": 6,
}  # fmt: skip
_MODE_BYTES: Final = {"RGBA": 8, "LA": 8, "PA": 8, "P": 8, "CMYK": 5, "LAB": 5, "I": 8, "F": 8, "I;16": 6, "I;16B": 6}
_PROGRESSIVE_BYTES: Final = 6  # the coefficients of all scans are held, whatever the scale
_FRAME_BYTES: Final = 16  # of an animation, all of whose frames are held until they are written

_END_OF_IMAGE: Final = b"\xff\xd9"
# Bits that no complete picture reads and every incomplete one trips over, in every restart interval.
_RUBBISH: Final = b"".join(b"\x5a\x39\xc6\xa5\x17\xe8\x93\x6c" * 4 + bytes((0xFF, 0xD0 + n % 8)) for n in range(16))

_PNG_COLOUR: Final = frozenset((b"tRNS", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"eXIf"))
_PNG_CRITICAL: Final = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND"))

_KEEP_PROFILE_BYTES: Final = 16_384
_SRGB_PROFILE_BYTES: Final = 3_144  # the one profile (by HP, 1998) that most tagged pictures carry


@dataclass(slots=True)
class Picture:
    """Decoded pixels. `frames` holds at least one image of mode L, LA, RGB or RGBA, upright, all of one size.

    `durations` (milliseconds) has one entry per frame; `loop` counts how often an animation plays (0: for ever).
    `icc` is the colour profile the RGB values are meant in, None for sRGB. `mended`: the file is not quite whole.
    """

    frames: list[Image.Image]
    icc: bytes | None = None
    durations: list[int] = field(default_factory=list)
    loop: int = 0
    mended: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.frames[0].size


@dataclass(slots=True)
class Source:
    """A picture that is recognised and measured, not decoded. `width` and `height` are as stored, before turning.

    `pages`: the file holds further pictures that are no animation. `alpha`: it can be transparent.
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

    def decode_bytes(self, size: tuple[int, int], frames: int) -> int:
        """An upper estimate of the memory, in bytes, that `decode` takes."""
        shrink, held = 1, 0
        if self.kind == "JPEG":
            shrink = _draft_scale(self.width, self.height, size)
            held = _PROGRESSIVE_BYTES if self.image is not None and "progressive" in self.image.info else 0
        mode = "RGB" if self.image is None else self.image.mode
        factor = (_DECODE_BYTES[self.kind] + _MODE_BYTES.get(mode, 0)) / shrink**2 + held
        moving = frames * size[0] * size[1] * _FRAME_BYTES if frames > 1 else 0
        return int(self.width * self.height * factor) + moving

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
        picture, icc = displayable(image, self.kind, self.data)
        picture = _reduced(picture, size, (self.width, self.height) if self.kind == "JPEG" else None)
        if orientation in _TRANSPOSE:
            picture = picture.transpose(_TRANSPOSE[orientation])
        return Picture([picture], icc, mended=mended)

    def _decode_animation(self, size: tuple[int, int], frames: int) -> Picture:
        image = self.image or _open(self.data, self.kind)
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
        return Picture(_alike(decoded), icc, durations, int(image.info.get("loop", 0)))


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


def inspect(data: bytes, max_pixels: int) -> Source:
    """Recognise and measure a picture without decoding it.

    Raises NotAnImage, UnsupportedFormat, Truncated (permanent), or TooManyPixels when one frame of it has more than
    `max_pixels` pixels.
    """
    kind = recognise(data)
    load_plugins()
    with _translated(kind):
        source = _measured(kind, data)
        largest = source.width * source.height
        if source.gif is not None:
            boxes = (frame.box for frame in source.gif.frames)
            largest = max(largest, *((right - left) * (bottom - top) for left, top, right, bottom in boxes))
    if largest > max_pixels:
        raise TooManyPixels(
            f"The picture has {source.width:,} × {source.height:,} pixels; at most {max_pixels:,} are handled. "
            "Host a smaller version of it."
        )
    return source


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


def _open(data: bytes, kind: Kind) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(data), formats=(kind,))


def _open_somehow(data: bytes, kind: Kind) -> ImageFile.ImageFile:
    """Open a picture, if need be without the parts that browsers do not care about."""
    try:
        return _open(data, kind)
    except FOREIGN_ERRORS as error:
        for repaired in _repairs(data, kind):
            with suppress(*FOREIGN_ERRORS):
                return _open(repaired, kind)
        raise _explained(data, kind) from error


def _explained(data: bytes, kind: Kind) -> ImageError:
    """Why a file of a handled kind cannot be opened."""
    if kind == "JPEG" and (depth := jpeg_depth(data)) is not None and (depth[0] != 8 or depth[1]):
        variety = "lossless coding" if depth[1] else f"{depth[0]} bits per colour"
        return UnsupportedFormat(f"This is a JPEG with {variety}, which is not handled; save it as an ordinary JPEG.")
    if kind in ("TIFF", "BMP"):
        return UnsupportedFormat(
            f"The {kind} picture is damaged or of a variety that is not handled; save it as JPEG, PNG or WebP."
        )
    return Truncated(DAMAGED.format(kind), permanent=True)


@contextmanager
def _translated(kind: Kind) -> Iterator[None]:
    """The one place where what decoders raise becomes the house's errors."""
    try:
        yield
    except MemoryError as error:
        raise TooManyPixels("The picture needs more memory than there is; host a smaller version of it.") from error
    except FOREIGN_ERRORS as error:
        raise Truncated(DAMAGED.format(kind), permanent=True) from error


def _repairs(data: bytes, kind: Kind) -> Iterator[bytes]:
    """The same picture without what an open may stumble over and no browser minds: broken metadata."""
    if kind == "PNG":
        for kept in (_PNG_CRITICAL | _PNG_COLOUR, _PNG_CRITICAL | {b"tRNS"}):
            chunks = (_fresh_chunk(data[start:end]) for name, start, end in png_chunks(data) if name in kept)
            yield data[:8] + b"".join(chunks)
        yield _inflated_anew(data)
    elif kind == "JPEG":
        yield _without_metadata(data)
    elif kind == "BMP" and (plain := plain_bitmap(data)) is not None:
        yield plain


def _fresh_chunk(chunk: bytes) -> bytes:
    # Ancillary chunks with a wrong checksum are used or skipped by browsers, never fatal; image data is not checked.
    return chunk[:-4] + struct.pack(">I", zlib.crc32(chunk[4:-4]))


def _inflated_anew(data: bytes) -> bytes:
    """A PNG whose image data is packed again: a wrong checksum or window size of it stops no browser."""
    chunks = list(png_chunks(data))
    packed = b"".join(data[start + 8 : end - 4] for name, start, end in chunks if name == b"IDAT")
    width, height = struct.unpack_from(">II", data, 16)
    raw = zlib.decompressobj(-15).decompress(packed[2:], (width * 8 + 8) * height * 2)
    before = [data[start:end] for name, start, end in chunks if name in (b"IHDR", b"PLTE", b"tRNS")]
    image = b"IDAT" + zlib.compress(raw, 1)
    parts = (struct.pack(">I", len(image) - 4), image, struct.pack(">I", zlib.crc32(image)), b"\0\0\0\0IEND\xaeB`\x82")
    return b"".join((data[:8], *before, *parts))


def _without_metadata(data: bytes) -> bytes:
    """A JPEG without its application segments, but for the two that say how to read the colours (JFIF, Adobe)."""
    parts, at = [data[:2]], 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in (b"\xda", b"\xff", b""):
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if not (0xE1 <= data[at + 1] <= 0xED or data[at + 1] in (0xEF, 0xFE)):
            parts.append(data[at:end])
        at = end
    return b"".join((*parts, data[at:]))


def _load(source: Source, size: tuple[int, int]) -> tuple[ImageFile.ImageFile, bool]:
    """The decoded picture, and whether its file had to be mended for that."""
    image = source.image or _open_somehow(source.data, source.kind)
    try:
        return _drafted(image, size), False
    except FOREIGN_ERRORS:
        image.close()
        if source.kind == "JPEG":
            return _load_unfinished_jpeg(source.data, size), True
        for repaired in _repairs(source.data, source.kind):
            with suppress(*FOREIGN_ERRORS):
                return _drafted(_open(repaired, source.kind), size), True
        raise


def _drafted(image: ImageFile.ImageFile, size: tuple[int, int]) -> ImageFile.ImageFile:
    if image.format in ("JPEG", "MPO") and size != image.size:
        image.draft(None, (2 * size[0], 2 * size[1]))
    image.load()
    return image


def _draft_scale(width: int, height: int, size: tuple[int, int]) -> int:
    """By how much `draft` divides the sides of a JPEG: never to less than twice the wanted size."""
    scale = min(width // (2 * size[0]), height // (2 * size[1]))
    return next(step for step in (8, 4, 2, 1) if scale >= step or step == 1) if size != (width, height) else 1


def _load_unfinished_jpeg(data: bytes, size: tuple[int, int]) -> ImageFile.ImageFile:
    """Decode a JPEG that lacks nothing but its last marker, as some cameras and proxies leave it.

    The decoder fills whatever is missing with grey and says nothing. So the picture is decoded with two endings: where
    they make a difference, image data is missing, and the picture is refused (OSError).
    """
    body = data.rstrip(b"\xff")
    first = _drafted(_open(body + _RUBBISH + _END_OF_IMAGE, "JPEG"), size)
    digest = hashlib.blake2b(first.tobytes()).digest()
    del first
    second = _drafted(_open(body + _END_OF_IMAGE, "JPEG"), size)
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
        return Picture([_reduced(_gif_image(data, found, found.frames[0]), size)], mended=found.cut)
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
    return Picture(_alike(composed), None, durations, loop, mended=found.cut)


def _gif_image(data: bytes, found: GifMap, frame: GifFrame) -> Image.Image:
    image = _open(single_gif(data, found, frame), "GIF")
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


def displayable(image: Image.Image, kind: Kind, data: bytes) -> tuple[Image.Image, bytes | None]:
    """A loaded image in mode L, LA, RGB or RGBA, as a browser shows it, and the profile its colours are meant in.

    `info` of the result is empty: nothing of the file's metadata is left that an encoder could write.
    """
    icc = image.info.get("icc_profile")
    gamma = _browser_gamma(image.info) if kind == "PNG" else None
    if image.mode in ("CMYK", "LAB"):
        image, icc = _from_print(image, icc), None
    elif image.mode not in ("L", "RGB") or "transparency" in image.info:
        image = _from_any_mode(image, data[24] if kind == "PNG" else 8)
    if image.mode in ("LA", "RGBA") and _alpha_says_nothing(image, kind):
        image = image.convert(image.mode[:-1])
    image.info = {}
    if gamma is not None:
        image = _through_table(image, [_srgb_of_light((value / 255) ** gamma) for value in range(256)])
    return _with_web_profile(image, icc)


def _alpha_says_nothing(image: Image.Image, kind: Kind) -> bool:
    lowest, highest = image.getchannel("A").getextrema()
    # Bitmaps whose alpha is zero throughout are common: their writers left the byte unused. Browsers ignore it then.
    return lowest == 255 or (kind == "BMP" and highest == 0)


def _from_any_mode(image: Image.Image, depth: int) -> Image.Image:
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        return _from_deep_grey(image)
    if mode in ("1", "L", "RGB") and (key := image.info.get("transparency")) is not None:
        image.info["transparency"] = _eight_bit_key(key, depth)
        return image.convert("RGBA" if mode == "RGB" else "LA")
    if mode in ("P", "PA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert({"1": "L", "La": "LA", "LA": "LA", "RGBA": "RGBA"}.get(mode, "RGB"))


def _eight_bit_key(key: Any, depth: int) -> Any:
    """The transparent colour of a PNG in the 8-bit values that pixels have once decoded (PNG, 11.3.2.1)."""
    if isinstance(key, tuple):
        return tuple(_eight_bit_key(value, depth) for value in key)
    return {2: (key & 3) * 85, 4: (key & 15) * 17, 16: key >> 8}.get(depth, key)


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Greys of 16 or 32 bits or of floating point, to 8 bits. Pillow's own conversion clips: nearly all turns white."""
    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        wide = image.convert("I")
        grey = wide.point([(value * 255 + 32767) // 65535 for value in range(65536)], "L")
        if key is not None:
            grey.putalpha(wide.point([0 if value == key else 255 for value in range(65536)], "L"))
        return grey
    real = image.convert("F")
    low, high = (float(value) for value in real.getextrema())  # type: ignore[arg-type]
    top = next((limit for limit in (1.0, 255.0, 65535.0) if high <= limit), None) if image.mode == "F" else 65535.0
    if low < 0 or top is None or high > top:  # no known scale: the darkest value becomes black, the brightest white
        scale, offset = 255 / ((high - low) or 1), -low * 255 / ((high - low) or 1)
    else:
        scale, offset = 255 / top, 0.0
    return real.point(lambda value: value * scale + offset).convert("L")


def _from_print(image: Image.Image, icc: bytes | None) -> Image.Image:
    """CMYK or LAB to sRGB: through the profile when it works, else by the plain formula browsers use."""
    converted = _to_srgb(image, icc if image.mode == "CMYK" else b"LAB")
    if converted is None:
        # LAB has no plain formula in Pillow; its lightness is at least the right picture.
        converted = image.convert("RGB") if image.mode == "CMYK" else image.getchannel(0).convert("RGB")
    return converted


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image | None:
    """`image` in sRGB, or None when the profile does not work (or is for something else)."""
    from PIL import ImageCms

    if not icc:
        return None
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    source: Any
    try:
        source = ImageCms.createProfile("LAB") if icc == b"LAB" else io.BytesIO(icc)
        result = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, *FOREIGN_ERRORS):
        return None
    if result is not None:
        result.info = {}
    return result


def _browser_gamma(info: dict[Any, Any]) -> float | None:
    """The exponent from a PNG's values to light (PNG, 11.3.3.2), where it is neither sRGB's 2.2 nor overruled."""
    gamma = info.get("gamma")
    if not gamma or "srgb" in info or info.get("icc_profile"):
        return None
    return 1 / gamma if abs(gamma - 1 / 2.2) > 0.02 and 0.1 < gamma < 10 else None


def _srgb_of_light(light: float) -> int:
    # IEC 61966-2-1, 5.2
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


def _through_table(image: Image.Image, table: list[int]) -> Image.Image:
    if image.mode in ("LA", "RGBA"):
        alpha = list(range(256))
        return image.point(table * (len(image.mode) - 1) + alpha)
    return image.point(table * len(image.mode))


def _with_web_profile(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes | None]:
    """The profile kept when it is small, RGB and not sRGB itself; else the colours brought to sRGB, without profile."""
    if not isinstance(icc, bytes) or icc[36:40] != b"acsp":
        return image, None
    space = icc[16:20]
    if space == b"GRAY" and image.mode in ("L", "LA"):
        ramp = Image.frombytes("L", (256, 1), bytes(range(256)))
        curve = _to_srgb(ramp, icc)
        return (image if curve is None else _through_table(image, list(curve.getchannel("G").tobytes()))), None
    if space != b"RGB " or image.mode not in ("RGB", "RGBA"):
        return image, None
    if len(icc) == _SRGB_PROFILE_BYTES and b"sRGB IEC61966-2.1" in icc:
        return image, None
    if len(icc) <= _KEEP_PROFILE_BYTES:
        return image, icc
    converted = _to_srgb(image, icc)
    return (image if converted is None else converted), None
