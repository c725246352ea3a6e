"""The blocks of a GIF, found and put together again without decoding. No image library is involved."""

import struct
from dataclasses import dataclass

from image_processor.imaging.formats import damaged

# A frame takes as little as 13 bytes: a million fit into a download. Real animations have a few hundred.
MOST_FRAMES = 3_000


@dataclass(frozen=True, slots=True)
class GifFrame:
    """A frame: its box on the canvas (left, top, right, bottom), and its place in the file (`start`, `end`).

    `duration` is in milliseconds; `disposal` is the number in the specification (2 clear, 3 restore); `control` is the
    extension block before the frame, perhaps empty.
    """

    box: tuple[int, int, int, int]
    duration: int
    disposal: int
    start: int
    end: int
    control: bytes


@dataclass(frozen=True, slots=True)
class Gif:
    """A GIF and its parts (GIF89a specification, sections 17 to 27).

    `size` is that of the canvas in pixels; `loop` is the NETSCAPE repeat count (0 for ever), None when the animation
    plays once. `cut`: the file ends before its data does.
    """

    data: bytes
    size: tuple[int, int]
    header: bytes
    frames: tuple[GifFrame, ...]
    loop: int | None
    cut: bool


def parse_gif(data: bytes) -> Gif:
    """Find the frames of a GIF, at most one more than MOST_FRAMES. Raises Truncated (permanent) when there is none."""
    width, height, flags = struct.unpack_from("<HHB", data.ljust(13, b"\0"), 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    header, frames, loop, control, cut = data[:at], list[GifFrame](), None, b"", True
    while at < len(data) and len(frames) <= MOST_FRAMES:
        introducer = data[at]
        if introducer == 0x21:
            end = _end_of_blocks(data, at + 2)
            if data[at + 1 : at + 3] == b"\xf9\x04":
                control = data[at : at + 8]
            elif data[at + 1 : at + 14] == b"\xff\x0bNETSCAPE2.0" and data[at + 14 : at + 16] == b"\x03\x01":
                loop = int.from_bytes(data[at + 16 : at + 18], "little")
        elif introducer == 0x2C and at + 10 <= len(data):
            flags = data[at + 9]
            end = _end_of_blocks(data, at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
            frames.append(_gif_frame(data, at, min(end, len(data)), control))
            control = b""
        else:  # the trailer or an unknown block: every browser stops here
            cut = introducer not in (0x3B, 0x00)
            break
        if end > len(data):
            break
        at = end
    else:
        cut = False  # only the trailer is missing
    if not frames:
        raise damaged("GIF")
    # A first frame larger than the canvas enlarges it, as in browsers; later ones are cut to it.
    size = max(width, frames[0].box[2]), max(height, frames[0].box[3])
    return Gif(data, size, header, tuple(frames), loop, cut)


def _gif_frame(data: bytes, start: int, end: int, control: bytes) -> GifFrame:
    left, top, width, height = struct.unpack_from("<4H", data, start + 1)
    delay = int.from_bytes(control[4:6], "little") * 10 if control else 0
    disposal = control[3] >> 2 & 7 if control else 0
    return GifFrame((left, top, left + width, top + height), delay, disposal, start, end, control)


def _end_of_blocks(data: bytes, at: int) -> int:
    """The index after the sub-blocks that start at `at`; beyond the end of the file when they are cut."""
    while at < len(data):
        size = data[at]
        at += 1 + size
        if size == 0:
            return at
    return len(data) + 1


def single_gif(gif: Gif, frame: GifFrame) -> bytes:
    """A frame as a GIF of its own, of the size of the frame and with one table of colours."""
    left, top, right, bottom = frame.box
    flags, start = gif.data[frame.start + 9], frame.start + 10
    if flags & 0x80:
        size = flags & 7
        table = gif.data[start : start + (3 << size + 1)]
        start += 3 << size + 1
    else:
        size, table = gif.header[10] & 7, gif.header[13:]
    if not table:  # greys by convention
        size, table = 7, bytes(value for value in range(256) for _ in range(3))
    screen = gif.header[:6] + struct.pack("<HHBH", right - left, bottom - top, 0xF0 | size, 0) + table
    descriptor = b"\x2c" + struct.pack("<4HB", 0, 0, right - left, bottom - top, flags & 0x40)
    return b"".join((screen, frame.control, descriptor, gif.data[start : frame.end], b"\x3b"))


def strip_gif(gif: Gif) -> bytes:
    """The same frames, byte for byte, without comments and application data other than the loop."""
    loop = b"" if gif.loop is None else b"\x21\xff\x0bNETSCAPE2.0\x03\x01" + struct.pack("<HB", gif.loop, 0)
    version = b"GIF89a" if loop or any(frame.control for frame in gif.frames) else gif.header[:6]
    body = (part for frame in gif.frames for part in (frame.control, gif.data[frame.start : frame.end]))
    return b"".join((version, gif.header[6:], loop, *body, b"\x3b"))
