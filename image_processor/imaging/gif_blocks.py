"""A GIF taken apart into its blocks and put together again, without decoding a pixel. Pure: knows no image library."""

import struct
from dataclasses import dataclass

from image_processor.errors import Truncated
from image_processor.imaging.formats import DAMAGED

# A frame can be had for 13 bytes, a million of them in a download. Real animations have a few hundred.
MOST_FRAMES = 3_000


@dataclass(frozen=True, slots=True)
class GifFrame:
    """One frame of a GIF: its place on the canvas, what becomes of it, and itself as a GIF of one frame.

    `duration` is in milliseconds. `disposal` is the number of the specification (2 clear, 3 restore).
    """

    box: tuple[int, int, int, int]
    duration: int
    disposal: int
    start: int
    end: int
    control: bytes


@dataclass(frozen=True, slots=True)
class GifMap:
    """Where everything lies in a GIF (GIF89a specification, sections 17 to 27).

    `width` and `height` are those of the canvas in pixels; `loop` is the NETSCAPE repeat count (0 for ever), None when
    the animation plays once. `cut` says that the file ends before its data does.
    """

    width: int
    height: int
    header: bytes
    frames: tuple[GifFrame, ...]
    loop: int | None
    cut: bool


def map_gif(source: bytes) -> GifMap:
    """Find the frames of a GIF without decoding any: at most one more than MOST_FRAMES.

    Raises Truncated when there is not even one.
    """
    width, height, flags = struct.unpack_from("<HHB", source.ljust(13, b"\0"), 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    header, frames, loop, control, cut = source[:at], list[GifFrame](), None, b"", True
    while at < len(source) and len(frames) <= MOST_FRAMES:
        introducer = source[at]
        if introducer == 0x21:
            end = _end_of_blocks(source, at + 2)
            if source[at + 1 : at + 3] == b"\xf9\x04":
                control = source[at : at + 8]
            elif source[at + 1 : at + 14] == b"\xff\x0bNETSCAPE2.0" and source[at + 14 : at + 16] == b"\x03\x01":
                loop = int.from_bytes(source[at + 16 : at + 18], "little")
        elif introducer == 0x2C and at + 10 <= len(source):
            flags = source[at + 9]
            end = _end_of_blocks(source, at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
            frames.append(_gif_frame(source, at, min(end, len(source)), control))
            control = b""
        else:  # the trailer, or rubbish after the last block: every browser stops here
            cut = introducer not in (0x3B, 0x00)
            break
        if end > len(source):
            break
        at = end
    else:
        cut = False  # only the trailer is missing
    if not frames:
        raise Truncated(DAMAGED.format("GIF"), permanent=True)
    # A first frame larger than the canvas enlarges it, as in browsers; later ones are cut to it.
    width, height = max(width, frames[0].box[2]), max(height, frames[0].box[3])
    return GifMap(width, height, header, tuple(frames), loop, cut)


def _gif_frame(source: bytes, start: int, end: int, control: bytes) -> GifFrame:
    left, top, width, height = struct.unpack_from("<4H", source, start + 1)
    delay = int.from_bytes(control[4:6], "little") * 10 if control else 0
    disposal = control[3] >> 2 & 7 if control else 0
    return GifFrame((left, top, left + width, top + height), delay, disposal, start, end, control)


def _end_of_blocks(source: bytes, at: int) -> int:
    """The index after a chain of data sub-blocks that starts at `at`; beyond the end of `source` when it is cut."""
    while at < len(source):
        size = source[at]
        at += 1 + size
        if size == 0:
            return at
    return len(source) + 1


def single_gif(source: bytes, found: GifMap, frame: GifFrame) -> bytes:
    """One frame of a GIF as a GIF of its own, exactly as large as the frame and with one table of colours."""
    left, top, right, bottom = frame.box
    flags, data = source[frame.start + 9], frame.start + 10
    if flags & 0x80:
        size = flags & 7
        table = source[data : data + (3 << size + 1)]
        data += 3 << size + 1
    else:
        size, table = found.header[10] & 7, found.header[13:]
    if not table:  # no colours at all: greys, as decoders do by convention
        size, table = 7, bytes(value for value in range(256) for _ in range(3))
    screen = found.header[:6] + struct.pack("<HHBH", right - left, bottom - top, 0xF0 | size, 0) + table
    descriptor = b"\x2c" + struct.pack("<4HB", 0, 0, right - left, bottom - top, flags & 0x40)
    return b"".join((screen, frame.control, descriptor, source[data : frame.end], b"\x3b"))


def strip_gif(source: bytes, found: GifMap) -> bytes:
    """The same GIF, frame for frame and byte for byte, without comments and application data other than the loop."""
    loop = b"" if found.loop is None else b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", found.loop, 0)
    version = b"GIF89a" if loop or any(frame.control for frame in found.frames) else found.header[:6]
    body = (part for frame in found.frames for part in (frame.control, source[frame.start : frame.end]))
    return b"".join((version, found.header[6:], loop, *body, b"\x3b"))
