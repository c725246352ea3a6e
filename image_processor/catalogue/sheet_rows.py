"""The rows of the sheets of a workbook. A process of its own reads them, so that no workbook can end the server."""

import io
import marshal
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from image_processor.catalogue import sheet_process

_SECONDS: Final = 2 * sheet_process.CPU_SECONDS  # of time, when the machine is busy
# Each may take as much memory as `sheet_process` allows.
_places = threading.Semaphore(2)


class UnreadableWorkbook(Exception):
    """`exit_code` is that of the process: of `sheet_process`, or another one when it was too large or took too long."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class SheetRows:
    """The sheets of a workbook in memory; the rows are in a temporary file.

    `names` are all sheets, those that people see first. The rows of the first 20 can be read, or of the `wanted` one.
    Raises UnreadableWorkbook.
    """

    def __init__(self, data: bytes, wanted: str | None = None) -> None:
        self._file = tempfile.TemporaryFile()
        weakref.finalize(self, self._file.close)
        command = [sys.executable, "-I", str(Path(sheet_process.__file__)), *([wanted] if wanted else [])]
        with tempfile.TemporaryFile() as source, _places:
            source.write(data)
            source.seek(0)
            self._run(command, source)
        self._file.seek(-sheet_process.SIZE_BYTES, io.SEEK_END)
        self._file.seek(self._size())
        self.names: list[str]
        self.names, self._at = self._read()

    def _run(self, command: list[str], source: Any) -> None:
        try:
            done = subprocess.run(
                command, stdin=source, stdout=self._file, stderr=subprocess.DEVNULL, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UnreadableWorkbook(-1) from error
        if done.returncode:
            raise UnreadableWorkbook(done.returncode)

    @property
    def readable(self) -> list[str]:
        """The sheets whose rows can be read."""
        return list(self._at)

    def rows(self, sheet: str) -> Iterator[list[Any]]:
        """The rows of a sheet, from its top left corner: texts, numbers, booleans; dates are texts."""
        at = self._at[sheet]
        while True:
            self._file.seek(at)
            rows = self._read()
            at = self._file.tell()
            if rows is None:
                return
            yield from rows

    def _read(self) -> Any:
        return marshal.loads(self._file.read(self._size()))

    def _size(self) -> int:
        return int.from_bytes(self._file.read(sheet_process.SIZE_BYTES), "big")
