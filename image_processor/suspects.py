"""Which images are in the compressor's hands, written where a killed process cannot take it along.

Eight bytes per compress thread in a file: a write costs a microsecond, no transaction, and is there after `kill -9`.
What stands in it at the next start are the suspects, unless the process was stopped: a stop is no crash.
"""

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CELL = struct.Struct("<q")
_RUNNING, _STOPPED = 0, 1


class InHand:
    """The images being compressed now. Opened by the process that works, and by no other."""

    def __init__(self, path: Path, places: int) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._free = list(range(1, places + 1))  # place 0 says how the process ended
        self._lock = threading.Lock()

    def take_over(self) -> list[int]:
        """Begin anew. Gives the ids of the images that were in hand when the process before died."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        cells = os.read(self._descriptor, 1_000_000)
        cells = cells[: len(cells) - len(cells) % _CELL.size]
        ended, *images = [value for (value,) in _CELL.iter_unpack(cells)] or [_STOPPED]
        os.ftruncate(self._descriptor, 0)
        self._write(0, _RUNNING)
        return [] if ended == _STOPPED else [image for image in images if image]

    def stop(self) -> None:
        """Note that the process is being stopped: what is in hand now is no suspect."""
        if self._descriptor is not None:
            self._write(0, _STOPPED)

    @contextmanager
    def hold(self, image_id: int) -> Iterator[None]:
        """Note that an image is in hand, for as long as it is."""
        with self._lock:
            place = self._free.pop()
        self._write(place, image_id)
        try:
            yield
        finally:
            self._write(place, 0)
            with self._lock:
                self._free.append(place)

    def _write(self, place: int, value: int) -> None:
        if self._descriptor is not None:
            os.pwrite(self._descriptor, _CELL.pack(value), place * _CELL.size)
