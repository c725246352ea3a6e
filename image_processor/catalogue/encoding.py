"""What an uploaded file is, as bytes: a text in which encoding, or something else that is only named .csv."""

import codecs
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from image_processor.errors import InvalidCSV

Source = bytes | Path

_HEAD_BYTES = 4_096
_CHUNK_BYTES = 1_000_000
_SAVE_AS_UTF8 = "Save it as “CSV UTF-8” (in Excel: File, Save As) and upload that."
_UNPACK = "Unpack it and upload the CSV file inside."
_EXPORT = "Export the catalogue as CSV and upload that."

# Signatures at the start of files that people upload by mistake (or on purpose).
_SIGNATURES = (
    (b"PK\x03\x04", "a ZIP archive", _UNPACK),
    (b"PK\x05\x06", "a ZIP archive", _UNPACK),
    (b"\x1f\x8b", "a gzip archive", _UNPACK),
    (b"BZh", "a bzip2 archive", _UNPACK),
    (b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"%PDF-", "a PDF document", _EXPORT),
    (b"{\\rtf", "an RTF document", _EXPORT),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook or Word document", _SAVE_AS_UTF8),
    (b"SQLite format 3\0", "a database file", _EXPORT),
    (b"PAR1\x15", "a Parquet file", _EXPORT),
    (b"\x89PNG\r\n\x1a\n", "an image", _EXPORT),
    (b"\xff\xd8\xff", "an image", _EXPORT),
    (b"GIF87a", "an image", _EXPORT),
    (b"GIF89a", "an image", _EXPORT),
    (b"II*\0", "an image", _EXPORT),
    (b"MM\0*", "an image", _EXPORT),
)
_UTF32_BOMS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the bytes become text: the Python codec, and the byte order mark that stands before it (or `b""`)."""

    name: str
    bom: bytes


def size_of(source: Source) -> int:
    """The size of the upload in bytes."""
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def open_text(source: Source, encoding: Encoding) -> io.TextIOWrapper:
    """The text behind the byte order mark. Line ends arrive as they are (`newline=""`), as `csv` wants it."""
    raw = _open_bytes(source)
    raw.seek(len(encoding.bom))
    return io.TextIOWrapper(raw, encoding.name, newline="")


def likely_encoding(source: Source, called: str) -> Encoding:
    """The encoding as the first bytes show it: UTF-8 or UTF-16, with or without a byte order mark.

    `called` is the file's name in sentences. Raises InvalidCSV for other kinds of files. The rest of the file may still
    be in another encoding: where decoding fails, `true_encoding` finds it.
    """
    with _open_bytes(source) as file:
        head = file.read(_HEAD_BYTES)
    _refuse_foreign(head, called)
    return _declared(head) or _utf16_without_bom(head) or _plain(head)


def true_encoding(source: Source, likely: Encoding) -> Encoding:
    """The encoding of a whole file: the likely one, or Windows-1252 where that is UTF-8 and does not fit.

    Raises InvalidCSV, with the byte offset, for NUL bytes and for text in none of the accepted encodings.
    """
    encoding, broken = likely, _broken_byte(source, likely)
    if broken and likely == Encoding("utf-8", b"") and not _is_damaged_utf8(source):
        encoding = Encoding("cp1252", b"")
        broken = _broken_byte(source, encoding)
    if broken:
        raise _undecodable(*broken, encoding)
    return encoding


def _open_bytes(source: Source) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _refuse_foreign(head: bytes, called: str) -> None:
    if not head:
        raise InvalidCSV.whole_file("empty_file", f"{called} is empty.", "Check that the export wrote something.")
    kind, hint = _foreign_kind(head)
    if kind:
        raise InvalidCSV.whole_file("not_a_csv", f"{called} is {kind}, not a CSV file.", hint)


def _foreign_kind(head: bytes) -> tuple[str, str]:
    if head.startswith(b"PK") and any(part in head for part in (b"xl/", b"[Content_Types].xml", b"docProps/")):
        return "an Excel workbook (.xlsx)", _SAVE_AS_UTF8
    if head.startswith(b"PK") and b"opendocument" in head:
        return "a LibreOffice document", _SAVE_AS_UTF8
    if (head.startswith(b"RIFF") and head[8:12] == b"WEBP") or head[4:12] in (b"ftypavif", b"ftypheic"):
        return "an image", _EXPORT
    return next(((kind, hint) for magic, kind, hint in _SIGNATURES if head.startswith(magic)), ("", ""))


def _declared(head: bytes) -> Encoding | None:
    if head.startswith(_UTF32_BOMS):
        raise InvalidCSV.whole_file("encoding", "The file is written in UTF-32, which is not read.", _SAVE_AS_UTF8)
    return next((Encoding(name, bom) for bom, name in _BOMS if head.startswith(bom)), None)


def _utf16_without_bom(head: bytes) -> Encoding | None:
    """Only where it is unmistakable: half of the bytes are NUL, and read like this they say “product”."""
    for name in ("utf-16-le", "utf-16-be") if b"\0" in head else ():
        text = head.decode(name, "replace")
        if "\0" not in text and "product" in text.lower():
            return Encoding(name, b"")
    return None


def _plain(head: bytes) -> Encoding:
    if b"\0" in head:
        raise _nul(head.index(b"\0"))
    return Encoding("utf-8", b"")


def _broken_byte(source: Source, encoding: Encoding) -> tuple[int, int] | None:
    """The offset and the value of the first byte that is not of the encoding. Raises InvalidCSV for a NUL."""
    decoder = codecs.getincrementaldecoder(encoding.name)()
    for offset, chunk, final in _chunks(source, len(encoding.bom)):
        waiting = len(decoder.getstate()[0])  # the bytes of a character cut in two by the end of the last chunk
        try:
            text = decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            return offset - waiting + error.start, error.object[error.start]
        if "\0" in text:
            raise _nul(offset + max(chunk.find(b"\0"), 0))
    return None


def _chunks(source: Source, offset: int) -> Iterator[tuple[int, bytes, bool]]:
    """Each piece of the file from `offset` on, with its offset and whether it is the (empty) last."""
    with _open_bytes(source) as file:
        file.seek(offset)
        while chunk := file.read(_CHUNK_BYTES):
            yield offset, chunk, False
            offset += len(chunk)
        yield offset, b"", True


def _nul(offset: int) -> InvalidCSV:
    return InvalidCSV.whole_file(
        "nul_byte",
        f"The file contains a NUL byte (near byte offset {offset}): it is damaged or not a text file.",
        _SAVE_AS_UTF8,
        value="0x00",
    )


def _is_damaged_utf8(source: Source) -> bool:
    """Whether most of what is not ASCII is good UTF-8: then Windows-1252 would only turn every name to garbage."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    good = bad = 0
    for _, chunk, final in _chunks(source, 0):
        text = decoder.decode(chunk, final)
        broken = text.count("\ufffd")
        bad += broken
        good += len(text) - len(text.encode("ascii", "ignore")) - broken
    return good > bad


def _undecodable(offset: int, value: int, encoding: Encoding) -> InvalidCSV:
    tried = {"cp1252": "neither UTF-8 nor Windows-1252", "utf-8": "not valid UTF-8"}.get(
        encoding.name, "not valid UTF-16"
    )
    return InvalidCSV.whole_file(
        "encoding",
        f"The text is {tried}: byte 0x{value:02X} at offset {offset} cannot be read.",
        _SAVE_AS_UTF8,
        value=f"0x{value:02X}",
    )
