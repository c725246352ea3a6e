"""Unpacks a body that was sent packed (RFC 9110, section 8.4), never beyond a limit."""

import zlib
from collections.abc import Callable
from io import BytesIO

from image_processor.errors import TooLarge, Truncated, UnsupportedFormat

# Packed twice is odd, three times is an attack.
_MAX_LAYERS = 2
# Members of one gzip file. Concatenated files have a few; a million empty ones only cost time.
_MAX_MEMBERS = 64
# Small, because zlib copies what follows the end of a member.
_SLICE = 65_536


def unpack(body: bytes, content_encoding: str, limit: int) -> bytes:
    """Undo the codings that the `Content-Encoding` header names and return at most `limit` bytes.

    Raises TooLarge beyond the limit, Truncated when the packed data is damaged or ends early, UnsupportedFormat for a
    coding that was not asked for and is not known.
    """
    codings = [coding.strip().lower() for coding in content_encoding.split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if len(codings) > _MAX_LAYERS:
        raise UnsupportedFormat("The server sent the picture packed several times over.")
    for coding in reversed(codings):
        body = _undo(coding, body, limit)
    return body


def _undo(coding: str, body: bytes, limit: int) -> bytes:
    try:
        if coding in ("gzip", "x-gzip"):
            return _inflate(body, lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), limit)
        if coding == "deflate":
            return _inflate(body, lambda: zlib.decompressobj(_deflate_window(body)), limit)
    except zlib.error:
        raise Truncated("The server sent the picture packed, and the packed data is damaged.") from None
    raise UnsupportedFormat("The server sent the picture packed in a way that was not asked for and is not known here.")


def _deflate_window(body: bytes) -> int:
    """`deflate` means a zlib stream; many servers send the bare one. A zlib header is a multiple of 31 (RFC 1950)."""
    is_zlib = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS


def _inflate(body: bytes, new_stream: Callable[[], "zlib._Decompress"], limit: int) -> bytes:
    source, result = BytesIO(body), BytesIO()
    stream, members, pending = new_stream(), 1, b""
    while pending or (pending := source.read(_SLICE)):
        result.write(stream.decompress(pending, limit + 1 - result.tell()))
        if result.tell() > limit:
            raise TooLarge
        pending = stream.unconsumed_tail
        if stream.eof:
            # Whatever follows the end and is not another member is padding, which other clients ignore, too.
            pending = stream.unused_data + source.read(_SLICE)
            if members == _MAX_MEMBERS or not pending.startswith(b"\x1f\x8b"):
                break
            stream, members = new_stream(), members + 1
    if not stream.eof:
        raise Truncated
    return result.getvalue()
