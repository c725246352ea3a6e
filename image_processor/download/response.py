"""Reads the answer of a server that may be hostile: http.client's reading without its unbounded parts."""

import contextlib
import http.client
import re
import socket
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final

from image_processor.errors import StoreUnavailable, TooLarge, Truncated

_PIECE: Final = 262_144
_BUFFER_BYTES: Final = 65_536
_MAX_HEADER_BYTES: Final = 65_536
_MAX_HEADER_LINES: Final = 100
_MAX_CHUNK_LINE: Final = 4_096
_CHUNK_SIZE: Final = re.compile(rb"[0-9A-Fa-f]{1,15}")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_LINE_ENDS: Final = (b"\r\n", b"\n")
_WITHOUT_BODY: Final = frozenset({204, 304})


class _Buffered:
    """A socket to http.client, which asks it for one thing: a file to read from.

    The usual buffer holds 8 KB: three reads for a picture of 100 KB. Between two reads others take the interpreter, and
    it has to be waited for.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, _: str) -> Any:
        return self._sock.makefile("rb", _BUFFER_BYTES)


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


class Fields(dict[str, str]):
    """Header fields, made with names in lower case, which may be asked for in any. Much cheaper than requests' own."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field."""
        return super().get(name.lower(), default)


class BoundedResponse(http.client.HTTPResponse):
    """http.client's reading of the answer to a `method`, without its unbounded parts.

    `begin` reads up to the body; then `status` and `headers` are known, and `read_body` reads on. `answered` is called
    for every status line, interim ones included, `done` at the end: with whether the answer was read to its end and
    another may follow on the socket. Raises, for what the server does: Truncated, TooLarge, HTTPException, OSError.
    """

    fp: Any
    headers: Any  # Fields
    chunk_left: int | None

    def __init__(
        self, sock: socket.socket, method: str, answered: Callable[[], None], done: Callable[[bool], None]
    ) -> None:
        super().__init__(_Buffered(sock), method=method)  # type: ignore[arg-type]
        self._sock = sock
        self._answered = answered
        self._done: Callable[[bool], None] | None = done
        self._has_an_end = True

    def begin(self) -> None:
        """Read the status line and the headers.

        http.client has the email package parse them, which takes a sixth of the time of a whole download.
        """
        lines = self.fp
        self.fp = _HeaderLines(lines)
        try:
            version, self.status, self.reason = self._read_status()
            self.headers = _fields(self.fp)
        finally:
            if self.fp is not None:
                self.fp = lines
        self.version = 10 if version == "HTTP/1.0" else 11
        self._find_end()

    def _find_end(self) -> None:
        """Where the body ends, and whether the connection goes on after it (RFC 9112, sections 6.3 and 9.3)."""
        self.length, self.chunked, self.chunk_left = 0, False, None
        if self.status not in _WITHOUT_BODY:
            try:
                self.length = _declared_length(self.headers)
                self.chunked = self.length is None and _is_chunked(self.headers)
            except Truncated:  # which matters only to who wants the body
                self.length, self._has_an_end = None, False
        ends_by_closing = self.length is None and not self.chunked
        contradictory = self.chunked and "content-length" in self.headers
        self.will_close = ends_by_closing or contradictory or self._check_close()  # type: ignore[attr-defined]
        if self.length == 0:
            self._close_conn()

    def close(self) -> None:
        """Be done with the answer, whether it was read or not."""
        reusable = self.isclosed() and not self.will_close and not self.length
        super().close()
        if self._done is not None:
            done, self._done = self._done, None
            done(reusable)

    def read_body(self, file: BinaryIO, at_most: int) -> int:
        """Write the body to its end into `file`, but no more than `at_most` bytes; give their number.

        Raises StoreUnavailable when the disk does not take them.
        """
        if not self._has_an_end:
            raise Truncated
        size = 0
        while size < at_most and (piece := self.read(min(_PIECE, at_most - size))):
            size += len(piece)
            save(file, piece)
        if self.length and size < at_most:
            raise Truncated
        return size

    def _close_conn(self) -> None:
        """What http.client calls at the end of the answer.

        Bytes beyond it are lost with the buffer: their rest would be the beginning of the next answer.
        """
        if not self.will_close:
            self._sock.settimeout(0.0)
            with contextlib.suppress(OSError):  # TLS raises where there is nothing to read
                self.will_close = bool(self.fp.peek())
            self._sock.settimeout(None)
        super()._close_conn()  # type: ignore[misc]  # not in the stubs

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # not in the stubs
            if not version.startswith("HTTP/1."):
                raise http.client.UnknownProtocol(version)
            self._answered()
            if not 100 <= status < 200 or status == 101:
                return version, status, reason
            # Any number of interim answers (100, 102, 103) may come first; their lines count as header lines.
            while self.fp.readline() not in _LINE_ENDS:
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
            self._close_conn()
        return self.chunk_left

    def _skip_trailer(self) -> None:
        for _ in range(_MAX_HEADER_LINES):
            line = self.fp.readline(_MAX_CHUNK_LINE)
            if line in (*_LINE_ENDS, b""):
                self.will_close = self.will_close or not line
                return
        raise http.client.IncompleteRead(b"")


def save(file: BinaryIO, piece: bytes) -> None:
    """Write some bytes of a body. Raises StoreUnavailable when the disk does not take them."""
    try:
        file.write(piece)
    except OSError as error:  # no fault of the server, for which an OSError is taken elsewhere
        raise StoreUnavailable(f"The downloaded image could not be written: {error.strerror}.") from error


def _fields(lines: _HeaderLines) -> Fields:
    """The header fields up to the empty line (RFC 9112, section 5). What is none is passed over.

    Those of one name are one list (RFC 9110, section 5.3); a folded line goes on with the one before.
    """
    fields: dict[str, str] = {}
    name = ""
    while (line := lines.readline()) not in _LINE_ENDS:
        text = line.decode("latin-1")
        if text[0] in " \t":
            if name:
                fields[name] += " " + text.strip(" \t\r\n")
            continue
        name, colon, value = text.partition(":")
        name = name.lower() if colon else ""
        if name:
            value = value.strip(" \t\r\n")
            fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return Fields(fields)


def _is_chunked(headers: Mapping[str, str]) -> bool:
    """Whether the body comes in chunks. Raises Truncated for a coding that nobody asked for."""
    coding = headers.get("transfer-encoding", "identity").strip(" \t").lower()
    if coding not in ("chunked", "identity"):
        raise Truncated
    return coding == "chunked"


def _declared_length(headers: Mapping[str, str]) -> int | None:
    """The length of the body as the headers tell it, None when the body ends by itself (RFC 9112, section 6.3)."""
    stated = headers.get("content-length")
    if stated is None or _is_chunked(headers):
        return None
    lengths = {part.strip() for part in stated.split(",")}
    if len(lengths) != 1 or not _DIGITS.fullmatch(length := lengths.pop()):
        raise Truncated
    return int(length)
