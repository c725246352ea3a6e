"""Make the images under static/samples/: five products, drawn by code, in the formats that shops host.

    .venv/bin/python bench/make_samples.py [FOLDER]

A small ray marcher (signed distances, soft shadows, ambient occlusion) in a photographer's sweep, with film grain, so
that the images compress as photographs do. Deterministic: the same files every time. Takes about five minutes.
"""

import io
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

Array = np.ndarray
Distance = Callable[[Array], Array]
# Colour of every point of a surface: (points, base colour) -> colours
Texture = Callable[[Array, Array], Array]

LIGHT = np.array((-0.55, 0.8, 0.45), np.float32) / np.float32(1.067)


@dataclass(frozen=True)
class Part:
    """One material of a product."""

    distance: Distance
    colour: tuple[float, float, float]
    gloss: float = 0.2
    glow: float = 0.0
    texture: Texture | None = None


# --- shapes: signed distances in decimetres, y up, the floor at 0 ---


def box(centre: tuple[float, float, float], half: tuple[float, float, float], round_by: float = 0.02) -> Distance:
    def distance(p: Array) -> Array:
        q = np.abs(p - np.float32(centre)) - np.float32(half) + round_by
        outside = np.linalg.norm(np.maximum(q, 0), axis=1)
        return outside + np.minimum(q.max(axis=1), 0) - round_by

    return distance


def lathe(profile: list[tuple[float, float]], wall: float = 0.0, smooth: bool = False) -> Distance:
    """A body of revolution: (height, radius) points; hollow with a `wall`, open at the top."""
    knots, widths = zip(*profile, strict=True)
    heights = np.linspace(knots[0], knots[-1], 400, dtype=np.float32)
    radii = np.interp(heights, knots, widths).astype(np.float32)
    if smooth:
        kernel = np.hanning(61) / np.hanning(61).sum()
        radii = np.convolve(np.pad(radii, 30, "edge"), kernel, "valid").astype(np.float32)

    def distance(p: Array) -> Array:
        around = np.hypot(p[:, 0], p[:, 2])
        radius = np.interp(p[:, 1], heights, radii).astype(np.float32)
        side = (around - radius) * np.float32(0.8)
        solid = np.maximum(side, np.maximum(heights[0] - p[:, 1], p[:, 1] - heights[-1]))
        if not wall:
            return solid
        inside = np.maximum(side + wall, heights[0] + wall - p[:, 1])
        return np.maximum(solid, -inside) - np.float32(0.008)

    return distance


def ring(centre: tuple[float, float, float], radius: float, thick: float, stretch: float = 1.0) -> Distance:
    """A ring standing upright (in the x-y plane), `stretch`ed upwards."""

    def distance(p: Array) -> Array:
        q = p - np.float32(centre)
        flat = np.hypot(q[:, 0], q[:, 1] / np.float32(stretch)) - np.float32(radius)
        return (np.hypot(flat, q[:, 2]) - np.float32(thick)) * np.float32(0.7)

    return distance


def cut(shape: Distance, away: Distance) -> Distance:
    return lambda p: np.maximum(shape(p), -away(p))


# --- surfaces ---


def noise(p: Array, scale: float, seed: int = 0) -> Array:
    """Smooth noise in 0 to 1 (value noise on a lattice)."""
    q = p * np.float32(scale)
    cell = np.floor(q).astype(np.int64)
    part = (q - cell).astype(np.float32)
    part = part * part * (3 - 2 * part)
    total = np.zeros(len(p), np.float32)
    for corner in range(8):
        step = np.array((corner & 1, corner >> 1 & 1, corner >> 2 & 1))
        place = cell + step
        mixed = (
            place[:, 0] * 73856093 ^ place[:, 1] * 19349663 ^ place[:, 2] * 83492791 ^ seed * 2654435761
        ) & 0xFFFFFF
        value = (mixed * 1103515245 + 12345 >> 8 & 0xFFFF).astype(np.float32) / 65535
        total += value * np.where(step, part, 1 - part).prod(axis=1)
    return total


def stoneware(p: Array, colour: Array) -> Array:
    speckles = noise(p, 42, 1) > 0.80
    glaze = (p[:, 1] > 0.42 + 0.05 * noise(p, 4, 2))[:, None]
    bare = np.float32((0.62, 0.47, 0.35)) * (0.9 + 0.2 * noise(p, 30, 3)[:, None])
    return np.where(glaze, colour, bare) * (1 - 0.45 * speckles[:, None])


def cardboard(p: Array, colour: Array) -> Array:
    fibres = 0.92 + 0.12 * noise(p * np.float32((1, 6, 1)), 16, 4)[:, None]
    label = ((np.abs(p[:, 0] + 0.5) < 0.5) & (np.abs(p[:, 1] - 0.42) < 0.16) & (p[:, 2] > 0.5))[:, None]
    bars = ((np.floor(p[:, 0] * 34) * 7919 % 5 < 2) & (np.abs(p[:, 1] - 0.38) < 0.07))[:, None]
    paper = np.where(bars, np.float32((0.1, 0.1, 0.12)), np.float32((0.93, 0.92, 0.88)))
    return np.where(label, paper, colour * fibres)


def canvas(p: Array, colour: Array) -> Array:
    weave = 0.9 + 0.07 * np.sin(p[:, 0] * 150) * np.sin(p[:, 1] * 150) + 0.1 * noise(p, 7, 5)
    seam = 1 - 0.25 * (np.abs(p[:, 1] - 1.52) < 0.012)
    x, y = p[:, 0], p[:, 1] - 0.85
    leaf = (np.abs(x) < 0.34 * np.sqrt(np.clip(1 - (y / 0.42) ** 2, 0, 1)) * (0.6 - y)) & (np.abs(x) > 0.012)
    tinted = np.where(leaf[:, None] & (p[:, 2] > 0)[:, None], np.float32((0.16, 0.36, 0.27)), colour)
    return tinted * (weave * seam)[:, None]


def linen(p: Array, colour: Array) -> Array:
    angle = np.arctan2(p[:, 2], p[:, 0])
    return colour * (0.93 + 0.05 * np.sin(angle * 130) + 0.06 * noise(p, 20, 6))[:, None]


def stripes(p: Array, colour: Array) -> Array:
    wave = p[:, 1] + 0.03 * np.sin(3 * np.arctan2(p[:, 2], p[:, 0])) + 0.03 * noise(p, 6, 7)
    band = (np.floor(wave * 5.5) % 2 == 0)[:, None]
    return np.where(band, colour, np.float32((0.93, 0.88, 0.78))) * (0.93 + 0.1 * noise(p, 26, 8)[:, None])


# --- the products ---

CLAY = (0.20, 0.42, 0.50)

MUG = [
    Part(lathe([(0.0, 0.50), (0.06, 0.56), (0.5, 0.60), (1.15, 0.58)], wall=0.07), CLAY, 0.6, texture=stoneware),
    Part(
        cut(ring((0.66, 0.62, 0), 0.30, 0.075, 1.15), lathe([(0.0, 0.57), (1.3, 0.57)])), CLAY, 0.6, texture=stoneware
    ),
]
SHOE_BOX = [
    Part(box((0, 0.36, 0), (1.15, 0.36, 0.68)), (0.72, 0.54, 0.36), 0.05, texture=cardboard),
    Part(box((0, 0.80, 0), (1.19, 0.12, 0.72)), (0.78, 0.30, 0.20), 0.1, texture=linen),
]
LAMP = [
    Part(lathe([(0.0, 0.50), (0.08, 0.50), (0.12, 0.10), (0.16, 0.045), (1.7, 0.045)]), (0.72, 0.58, 0.30), 1.0),
    Part(lathe([(1.35, 0.72), (2.2, 0.42)], wall=0.02), (0.95, 0.90, 0.78), 0.05, glow=0.42, texture=linen),
]
TOTE = [
    Part(box((0, 0.80, 0), (0.86, 0.80, 0.20), 0.12), (0.86, 0.80, 0.67), 0.05, texture=canvas),
    Part(cut(ring((0, 1.55, 0.13), 0.36, 0.045, 1.7), box((0, 0.75, 0), (2, 0.8, 1))), (0.45, 0.27, 0.16), 0.2),
    Part(cut(ring((0, 1.55, -0.13), 0.36, 0.045, 1.7), box((0, 0.75, 0), (2, 0.8, 1))), (0.45, 0.27, 0.16), 0.2),
]
_VASE = [(0, 0.34), (0.1, 0.40), (0.35, 0.56), (0.7, 0.64), (1.05, 0.52), (1.35, 0.29), (1.6, 0.24), (1.75, 0.34)]
VASE = [Part(lathe(_VASE, wall=0.05, smooth=True), (0.72, 0.32, 0.22), 0.5, texture=stripes)]


# --- the camera ---


@dataclass(frozen=True)
class Shot:
    """An image of a product: where the camera stands (degrees), how far, and what is behind (RGB 0 to 1)."""

    parts: list[Part]
    turn: float
    tilt: float
    away: float
    height: float
    backdrop: tuple[float, float, float]


def nearest(parts: list[Part], p: Array, floor: bool = True) -> tuple[Array, Array]:
    """Distance to the nearest surface, and which part it is (-1: the floor)."""
    best, which = (p[:, 1].copy() if floor else np.full(len(p), 9, np.float32)), np.full(len(p), -1)
    for number, part in enumerate(parts):
        distance = part.distance(p)
        closer = distance < best
        best[closer], which[closer] = distance[closer], number
    return best, which


def march(parts: list[Part], start: Array, direction: Array, floor: bool) -> tuple[Array, Array]:
    """Walk along rays until a surface; the distance walked (inf when there is none) and the part hit."""
    walked, which = np.zeros(len(start), np.float32), np.full(len(start), -1)
    active = np.arange(len(start))
    for _ in range(110):
        distance, part = nearest(parts, start[active] + direction[active] * walked[active, None], floor)
        walked[active] += distance
        which[active] = part
        active = active[(distance > 0.0008) & (walked[active] < 30)]
        if not len(active):
            break
    walked[walked >= 30] = np.inf
    return walked, which


def shadow(parts: list[Part], p: Array) -> Array:
    """How much of the lamp is seen from `p`, 0 to 1, with a soft edge."""
    seen, walked = np.ones(len(p), np.float32), np.full(len(p), 0.03, np.float32)
    for _ in range(36):
        distance, _ = nearest(parts, p + LIGHT * walked[:, None], floor=False)
        seen = np.minimum(seen, np.clip(7 * distance / walked, 0, 1))
        walked += np.clip(distance, 0.02, 0.3)
    return seen * seen * (3 - 2 * seen)


def normals(parts: list[Part], p: Array, floor: bool) -> Array:
    steps = np.eye(3, dtype=np.float32) * np.float32(0.0015)
    sides = [nearest(parts, p + step, floor)[0] - nearest(parts, p - step, floor)[0] for step in steps]
    normal = np.stack(sides, axis=1)
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)


def shade(shot: Shot, p: Array, which: Array, direction: Array, floor: bool) -> Array:
    """Colours (linear light) of the points that were hit."""
    normal = normals(shot.parts, p, floor)
    colour = np.tile(np.float32(shot.backdrop), (len(p), 1))
    gloss, glow = np.zeros(len(p), np.float32), np.zeros(len(p), np.float32)
    for number, part in enumerate(shot.parts):
        mine = which == number
        base = np.tile(np.float32(part.colour) ** np.float32(1.8), (int(mine.sum()), 1))
        colour[mine] = part.texture(p[mine], base) if part.texture else base
        gloss[mine], glow[mine] = part.gloss, part.glow
    direct = np.clip(normal @ LIGHT, 0, 1) * shadow(shot.parts, p + normal * np.float32(0.004))
    reach = (0.05, 0.15, 0.35)
    covered = sum((r - nearest(shot.parts, p + normal * np.float32(r), floor)[0]) / r * 0.3 for r in reach)
    open_sky = np.clip(1 - covered, 0.15, 1) * (0.65 + 0.35 * normal[:, 1])
    half = LIGHT - direction
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    shine = gloss * np.clip((normal * half).sum(axis=1), 0, 1) ** 60 * direct
    light = np.float32((1.0, 0.95, 0.87)) * direct[:, None] * 1.05 + np.float32((0.45, 0.50, 0.58)) * open_sky[:, None]
    return colour * light + shine[:, None] + colour * glow[:, None] * np.float32((1.5, 1.2, 0.8))


def render(shot: Shot, width: int, height: int, floor: bool = True, grain: float = 1.8) -> Image.Image:
    """The image (RGB), or the product alone on nothing (RGBA) without `floor`. Two by two rays a pixel."""
    wide, high = width * 2, height * 2
    turn, tilt = np.radians(shot.turn), np.radians(shot.tilt)
    target = np.float32((0, shot.height, 0))
    eye = target + shot.away * np.float32((np.sin(turn) * np.cos(tilt), np.sin(tilt), np.cos(turn) * np.cos(tilt)))
    forward = (target - eye) / shot.away
    right = np.cross(forward, (0, 1, 0))
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    result = np.zeros((high, wide, 4), np.float32)
    across = (np.arange(wide, dtype=np.float32) + 0.5 - wide / 2) / high
    for top in range(0, high, 96):
        down = (high / 2 - np.arange(top, min(top + 96, high), dtype=np.float32) - 0.5) / high
        x, y = np.meshgrid(across, down)
        rays = (x[..., None] * right + y[..., None] * up).reshape(-1, 3) * 0.52 + forward
        rays = (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)
        start = np.broadcast_to(eye.astype(np.float32), rays.shape)
        walked, which = march(shot.parts, start, rays, floor)
        hit = np.isfinite(walked)
        band = np.zeros((len(rays), 4), np.float32)
        backdrop = np.float32(shot.backdrop) * np.float32(0.95)
        band[:, :3] = backdrop * (0.75 if floor else 0)
        points = start[hit] + rays[hit] * walked[hit, None]
        colours = shade(shot, points, which[hit], rays[hit], floor)
        if floor:  # the sweep: the floor fades into the wall
            far = np.clip((np.linalg.norm(points[:, [0, 2]], axis=1) - 2.5) / 6, 0, 1) * (which[hit] == -1)
            colours += (backdrop * 0.75 - colours) * (far * far * (3 - 2 * far))[:, None]
        band[hit, :3], band[hit, 3] = colours, 1
        result[top : top + 96] = band.reshape(-1, wide, 4)
    return developed(result, floor, grain)


def developed(light: Array, floor: bool, grain: float) -> Image.Image:
    """From linear light to 8 bits: two by two averaged, exposed, with film grain."""
    alpha = light[..., 3:]
    averaged = (light[..., :3] * (1 if floor else alpha)).reshape(light.shape[0] // 2, 2, light.shape[1] // 2, 2, 3)
    averaged = averaged.mean(axis=(1, 3))
    cover = alpha.reshape(light.shape[0] // 2, 2, light.shape[1] // 2, 2).mean(axis=(1, 3))
    if not floor:
        averaged = averaged / np.maximum(cover, 1e-6)[..., None]
    values = 255 * np.clip(averaged * 0.95, 0, None) ** (1 / 2.1)
    values = values / (1 + np.maximum(values - 200, 0) / 420)
    values += np.random.default_rng(11).normal(0, grain, values.shape[:2])[..., None]
    values += np.random.default_rng(12).normal(0, grain / 2, values.shape)
    picture = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    if not floor:
        picture.putalpha(Image.fromarray((cover * 255).round().astype(np.uint8)))
        picture.paste((0, 0, 0, 0), mask=picture.getchannel("A").point([255] + [0] * 255))
    return picture


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sand, sky, rose, sage = (0.62, 0.56, 0.47), (0.50, 0.58, 0.64), (0.66, 0.52, 0.49), (0.50, 0.57, 0.48)

    def write(name: str, picture: Image.Image, format: str, **settings: object) -> None:
        picture.save(folder / name, format, **settings)
        print(f"{name:22} {picture.width} × {picture.height} {(folder / name).stat().st_size:>9,} bytes")

    photograph = {"quality": 90, "subsampling": 0}
    write("mug-front.jpg", render(Shot(MUG, 28, 22, 4.6, 0.52, sand), 1400, 1050), "JPEG", **photograph)
    sideways = render(Shot(MUG, -38, 42, 4.8, 0.5, sage), 900, 1200).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # as a phone held upright stores it: the image lies on its side, this says so
    write("mug-upright.jpg", sideways, "JPEG", exif=exif, **photograph)
    write("shoe-box.jpg", render(Shot(SHOE_BOX, 33, 27, 6.6, 0.4, rose), 1400, 1050), "JPEG", **photograph)
    write("shoe-box-end.webp", render(Shot(SHOE_BOX, -58, 18, 6.2, 0.42, sky), 1200, 900), "WEBP", quality=90)
    write("lamp.jpg", render(Shot(LAMP, 10, 12, 7.4, 1.1, sky), 1050, 1400), "JPEG", **photograph)
    write("lamp-shade.avif", render(Shot(LAMP, 60, 6, 4.4, 1.75, sage), 1200, 900), "AVIF", quality=80)
    write("tote.jpg", render(Shot(TOTE, 24, 14, 7.0, 1.08, sand), 1200, 1200), "JPEG", **photograph)
    write("tote-cut-out.png", render(Shot(TOTE, -18, 10, 7.0, 1.08, sand), 640, 640, floor=False, grain=1.2), "PNG")
    write("vase.jpg", render(Shot(VASE, 0, 16, 5.6, 0.88, rose), 1050, 1400), "JPEG", **photograph)
    frames = [render(Shot(VASE, 10 * n, 20, 5.6, 0.88, sand), 200, 200, grain=0) for n in range(12)]
    write_turning(folder / "vase-turning.gif", frames)


def write_turning(path: Path, frames: list[Image.Image]) -> None:
    """A GIF as simple programs write it: every frame whole, although the backdrop never changes."""
    palette = frames[0].quantize(96)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    table = bytes(palette.getpalette() or b"").ljust(3 * 128, b"\0")[: 3 * 128]
    parts = [b"GIF89a", flat[0].width.to_bytes(2, "little"), flat[0].height.to_bytes(2, "little"), b"\xf6\0\0", table]
    parts.append(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")
    for frame in flat:
        parts += [b"\x21\xf9\x04\x04\x0c\0\0\0", frame_data(frame)]
    path.write_bytes(b"".join(parts) + b"\x3b")
    print(f"{path.name:22} {flat[0].width} × {flat[0].height} {path.stat().st_size:>9,} bytes")


def frame_data(frame: Image.Image) -> bytes:
    """The image descriptor and data of one frame, taken out of a GIF of that frame alone."""
    buffer = io.BytesIO()
    frame.save(buffer, "GIF", optimize=False, interlace=0)
    data = buffer.getvalue()
    start = 13 + (3 << (data[10] & 7) + 1)
    return data[start:-1]


if __name__ == "__main__":
    started = time.perf_counter()
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent / "static" / "samples")
    print(f"{time.perf_counter() - started:.0f} s")
