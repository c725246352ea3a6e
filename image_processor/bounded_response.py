"""Reads the answer of a server that may be hostile: http.client's reading without its unbounded parts."""

import http.client
import re
from collections.abc import Mapping
from typing import Any

from image_processor.errors import TooLarge, Truncated

_BUFFER_BYTES = 65_536
_MAX_HEADER_BYTES = 65_536
_MAX_HEADER_LINES = 100
_MAX_CHUNK_LINE = 4_096
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}")
_DIGITS = re.compile(r"[0-9]{1,18}")


class _HeaderLines:
    """Reads the lines before the body, within bounds, and notices when they stop midway.

    http.client takes the end of the connection for the end of the headers: an answer cut there would be a `200` with an
    empty body.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._bytes_left = _MAX_HEADER_BYTES
        self._lines_left = _MAX_HEADER_LINES
        self._begun = False

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._source.readline(self._bytes_left + 1)
        self._bytes_left -= len(line)
        self._lines_left -= 1
        if self._bytes_left < 0 or self._lines_left < 0:
            raise TooLarge("The server sent more headers than are accepted before the picture.")
        if not line.endswith(b"\n") and (self._begun or line):
            raise Truncated
        self._begun = True
        return line

    def close(self) -> None:
        self._source.close()


class BoundedResponse(http.client.HTTPResponse):
    """http.client's reading of an answer, without its unbounded parts."""

    fp: Any
    chunk_left: int | None

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # http.client's buffer holds 8 KB: three reads for a picture of 100 KB. Between two reads others take the
        # interpreter, and it has to be waited for.
        self.fp.close()
        self.fp = sock.makefile("rb", _BUFFER_BYTES)

    def begin(self) -> None:
        body = self.fp
        self.fp = _HeaderLines(body)
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = body

    def note_sign_of_life(self) -> None:
        """Called for every status line, interim ones included."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # not in the stubs
            self.note_sign_of_life()
            if not 100 <= status < 200 or status == 101:
                return version, status, reason
            # Any number of interim answers (100, 102, 103) may come first; their lines count as header lines.
            while self.fp.readline() not in (b"\r\n", b"\n"):
                pass

    def _get_chunk_left(self) -> int | None:
        # http.client takes a chunk size of -1 and then reads without end.
        if self.chunk_left:
            return self.chunk_left
        if self.chunk_left is not None and self._safe_read(2) != b"\r\n":  # type: ignore[attr-defined]
            raise http.client.IncompleteRead(b"")
        line = self.fp.readline(_MAX_CHUNK_LINE)
        size = line.partition(b";")[0].strip()
        if not line.endswith(b"\n") or not _CHUNK_SIZE.fullmatch(size):
            raise http.client.IncompleteRead(b"")
        self.chunk_left = int(size, 16) or None
        if self.chunk_left is None:
            self._skip_trailer()
            self._close_conn()  # type: ignore[attr-defined]
        return self.chunk_left

    def _skip_trailer(self) -> None:
        for _ in range(_MAX_HEADER_LINES):
            if self.fp.readline(_MAX_CHUNK_LINE) in (b"\r\n", b"\n", b""):
                return
        raise http.client.IncompleteRead(b"")


def declared_length(headers: Mapping[str, str]) -> int | None:
    """The length of the body as the headers tell it, None when the body ends by itself (RFC 9112, section 6.3)."""
    transfer = headers.get("Transfer-Encoding")
    if transfer is not None and transfer.strip().lower() != "identity":
        if transfer.lower() != "chunked":
            raise Truncated
        return None
    stated = headers.get("Content-Length")
    if stated is None:
        return None
    lengths = {part.strip() for part in stated.split(",")}
    if len(lengths) != 1 or not _DIGITS.fullmatch(length := lengths.pop()):
        raise Truncated
    return int(length)
