"""Decoded pixels as a browser shows them: eight bits, grey or RGB, with the colours and the alpha that are meant."""

import io
from typing import Any, Final

from PIL import Image

from image_processor.imaging.formats import Kind
from image_processor.imaging.repair import FOREIGN_ERRORS

_KEEP_PROFILE_BYTES: Final = 16_384
_SRGB_PROFILE_BYTES: Final = 3_144  # the one profile (by HP, 1998) that most tagged images carry


def displayable(image: Image.Image, kind: Kind, data: bytes) -> tuple[Image.Image, bytes | None]:
    """A loaded image in mode L, LA, RGB or RGBA, as a browser shows it, and the profile of its colours.

    `info` of the result is empty: no metadata of the file is left that an encoder could write.
    """
    icc = image.info.get("icc_profile")
    gamma = _browser_gamma(image.info) if kind == "PNG" else None
    if image.mode == "CMYK":
        image, icc = _to_srgb(image, icc) or image.convert("RGB"), None
    elif image.mode not in ("L", "RGB") or "transparency" in image.info:
        image = _from_any_mode(image, data[24] if kind == "PNG" else 8)
    if image.mode in ("LA", "RGBA") and _is_alpha_unused(image, kind):
        image = image.convert(image.mode[:-1])
    image.info = {}
    if gamma is not None:
        image = _through_table(image, [_srgb_of_light((value / 255) ** gamma) for value in range(256)])
    return _with_web_profile(image, icc)


def _is_alpha_unused(image: Image.Image, kind: Kind) -> bool:
    lowest, highest = image.getchannel("A").getextrema()
    # Many programs leave the fourth byte of a bitmap zero. Browsers ignore it then.
    return lowest == 255 or (kind == "BMP" and highest == 0)


def _from_any_mode(image: Image.Image, depth: int) -> Image.Image:
    mode, key = image.mode, image.info.get("transparency")
    if mode.startswith("I;16"):
        return _from_deep_grey(image)
    if mode in ("1", "L", "RGB") and key is not None:
        image.info["transparency"] = _eight_bit_key(key, depth)
        return image.convert("RGBA" if mode == "RGB" else "LA")
    if mode in ("P", "PA", "RGBa") or key is not None:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.convert({"1": "L", "La": "LA", "LA": "LA", "RGBA": "RGBA"}.get(mode, "RGB"))


def _eight_bit_key(key: Any, depth: int) -> Any:
    """The transparent colour of a PNG in the 8-bit values that pixels have once decoded (PNG, 11.3.2.1)."""
    if isinstance(key, tuple):
        return tuple(_eight_bit_key(value, depth) for value in key)
    return {2: (key & 3) * 85, 4: (key & 15) * 17, 16: key >> 8}.get(depth, key)


def _from_deep_grey(image: Image.Image) -> Image.Image:
    # Pillow's own conversion from 16 bits clips: nearly everything turns white.
    wide, key = image.convert("I"), image.info.get("transparency")
    grey = wide.point([(value * 255 + 32767) // 65535 for value in range(65536)], "L")
    if key is not None:
        grey.putalpha(wide.point([0 if value == key else 255 for value in range(65536)], "L"))
    return grey


def _to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image | None:
    """`image` in sRGB, or None when the profile is broken or belongs to another kind of image."""
    from PIL import ImageCms

    if not icc:
        return None
    mode = "RGBA" if image.mode == "RGBA" else "RGB"
    try:
        result = ImageCms.profileToProfile(image, io.BytesIO(icc), ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, *FOREIGN_ERRORS):
        return None
    if result is not None:
        result.info = {}
    return result


def _browser_gamma(info: dict[Any, Any]) -> float | None:
    """The exponent from a PNG's values to light (PNG, 11.3.3.2), unless it is that of sRGB or overruled."""
    gamma = info.get("gamma")
    if not gamma or "srgb" in info or info.get("icc_profile"):
        return None
    return 1 / gamma if abs(gamma - 1 / 2.2) > 0.02 and 0.1 < gamma < 10 else None


def _srgb_of_light(light: float) -> int:
    # IEC 61966-2-1, 5.2
    return round(255 * (12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055))


def _through_table(image: Image.Image, table: list[int]) -> Image.Image:
    if image.mode in ("LA", "RGBA"):
        return image.point(table * (len(image.mode) - 1) + list(range(256)))
    return image.point(table * len(image.mode))


def _with_web_profile(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes | None]:
    """The profile is kept when it is small, RGB and not sRGB itself; else the colours become sRGB, without profile."""
    if not isinstance(icc, bytes) or icc[36:40] != b"acsp":
        return image, None
    space = icc[16:20]
    if space == b"GRAY" and image.mode in ("L", "LA"):
        curve = _to_srgb(Image.frombytes("L", (256, 1), bytes(range(256))), icc)
        return (image if curve is None else _through_table(image, list(curve.getchannel("G").tobytes()))), None
    is_srgb = len(icc) == _SRGB_PROFILE_BYTES and b"sRGB IEC61966-2.1" in icc
    if space != b"RGB " or image.mode not in ("RGB", "RGBA") or is_srgb:
        return image, None
    if len(icc) <= _KEEP_PROFILE_BYTES:
        return image, icc
    return _to_srgb(image, icc) or image, None
