"""Images for the tests, and measures of their similarity."""

import io
import struct
import tempfile
import zlib
from typing import Any

import numpy as np
from PIL import Image

from image_processor.imaging.compressor import CompressedImage, CompressOptions, Compressor


def photo(width: int = 320, height: int = 240, seed: int = 1) -> Image.Image:
    """Something like a photograph: soft shapes of several sizes, an edge or two, a little noise."""
    random = np.random.default_rng(seed)
    values = np.full((height, width, 3), 128.0)
    for cells, strength in ((3, 90), (9, 40), (27, 15)):
        small = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        values += (np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), float) - 128) * strength / 128
    values[height // 4 : height // 2, width // 3 : width // 2] += (60, -40, 20)
    values += random.normal(0, 2, values.shape)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def corners(width: int = 96, height: int = 64) -> Image.Image:
    """A different colour in each corner: shows how an image was turned."""
    image = Image.new("RGB", (width, height), (200, 200, 200))
    half = (width // 2, height // 2)
    for place, colour in (((0, 0), (220, 30, 30)), ((half[0], 0), (30, 200, 30)), ((0, half[1]), (30, 30, 220))):
        image.paste(colour, (*place, place[0] + half[0], place[1] + half[1]))
    return image


def cut_out(width: int = 320, height: int = 240) -> Image.Image:
    """A photograph cut out with a soft edge. The clear pixels are black, as from most programs."""
    ramp = np.hypot(*np.meshgrid(np.linspace(-1.2, 1.2, width), np.linspace(-1.2, 1.2, height)))
    alpha = Image.fromarray(((1.05 - ramp) * 2550).clip(0, 255).astype(np.uint8))
    image = photo(width, height).convert("RGBA")
    image.putalpha(alpha)
    image.paste((0, 0, 0, 0), mask=alpha.point([255] + [0] * 255))
    return image


def encoded(image: Image.Image, format: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **settings)
    return buffer.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def compressed(
    data: bytes, compressor: Compressor | None = None, **options: Any
) -> tuple[CompressedImage, Image.Image, bytes]:
    """The result of the compressor: its report, the image in the file, the bytes of the file."""
    with tempfile.TemporaryFile() as file:
        report = (compressor or Compressor()).compress(data, file, CompressOptions(**options))
        file.seek(0)
        written = file.read()
    assert report.bytes_out == len(written)
    image = decoded(written)
    return report, image, written


def on_white(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")


def mean_difference(first: Image.Image, second: Image.Image) -> float:
    """The largest difference between the mean colours of two images, 0 to 255."""
    means = [np.asarray(image.convert("RGB"), float).mean((0, 1)) for image in (first, second)]
    return float(np.abs(means[0] - means[1]).max())


def ssim(first: Image.Image, second: Image.Image, window: int = 7) -> float:
    """Structural similarity of the lightness (Wang et al., 2004), with a uniform window; 1 is identical."""
    x, y = (np.asarray(image.convert("L"), float) for image in (first, second))

    def mean(values: np.ndarray) -> np.ndarray:
        sums = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        boxes = sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window] + sums[:-window, :-window]
        return boxes / window**2

    mean_x, mean_y = mean(x), mean(y)
    var_x, var_y = mean(x * x) - mean_x**2, mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float((top / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))).mean())


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def raw_png(width: int, height: int, depth: int, colour: int, rows: bytes, *chunks: bytes) -> bytes:
    """A PNG written by hand: `rows` without filter bytes, `chunks` before the image data."""
    stride = len(rows) // height
    packed = zlib.compress(b"".join(b"\0" + rows[at : at + stride] for at in range(0, len(rows), stride)))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body


def bitmap(width: int, height: int, bits: int, compression: int, extra: bytes, pixels: bytes) -> bytes:
    """A Windows bitmap written by hand; `extra` are masks or a palette."""
    size = 56 if len(extra) == 16 else 40  # BITMAPV3INFOHEADER includes its four masks
    info = struct.pack("<IiiHHIIiiII", size, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    offset = 54 + len(extra)
    return b"BM" + struct.pack("<IHHI", offset + len(pixels), 0, 0, offset) + info + extra + pixels


def exif_with(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
