"""Whatever pixels a decoder delivers, as a browser shows them: eight bits, RGB or grey, colours and alpha true."""

import io
from typing import Any, Final

from PIL import Image

from image_processor.imaging.formats import Kind
from image_processor.imaging.repair import FOREIGN_ERRORS

_KEEP_PROFILE_BYTES: Final = 16_384
_SRGB_PROFILE_BYTES: Final = 3_144  # the one profile (by HP, 1998) that most tagged images carry


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
        # LAB has no plain formula in Pillow; its lightness is at least the right image.
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
