"""What an uploaded file is, as bytes: text in which encoding, or another kind of file that is only named .csv."""

import codecs
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from image_processor.errors import InvalidCSV

Source = bytes | Path

_HEAD_BYTES = 4_096
_CHUNK_BYTES = 1_000_000
_BEYOND_ASCII = bytes(range(128, 256))
_CYRILLIC_WORD = re.compile(rb"[\xc0-\xff\xa8\xb8]{3,}")
_SAVE_AS_UTF8 = "Save it as “CSV UTF-8” (in Excel: File, Save As) and upload that."
_UNPACK = "Unpack it and upload the CSV file inside."
_EXPORT = "Export the catalogue as CSV or as an Excel workbook, and upload that."

# How files begin that people upload by mistake (or on purpose).
_FOREIGN = [
    (re.compile(pattern, re.DOTALL), kind, hint)
    for pattern, kind, hint in (
        (rb"PK\x03\x04.*(?:\[Content_Types\]\.xml|docProps/|opendocument)", "a document that is no workbook", _EXPORT),
        (rb"PK\x03\x04|PK\x05\x06", "a ZIP archive", _UNPACK),
        (rb"\x1f\x8b", "a gzip archive", _UNPACK),
        (rb"BZh", "a bzip2 archive", _UNPACK),
        (rb"\xfd7zXZ\0", "an xz archive", _UNPACK),
        (rb"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
        (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
        (rb"Rar!\x1a\x07", "a RAR archive", _UNPACK),
        (rb"%PDF-", "a PDF document", _EXPORT),
        (rb"{\\rtf", "an RTF document", _EXPORT),
        (rb"SQLite format 3\0", "a database file", _EXPORT),
        (rb"PAR1\x15", "a Parquet file", _EXPORT),
        (rb"\x89PNG\r|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF.{4}WEBP|.{4}ftyp(?:avif|heic)", "an image", _EXPORT),
        (rb"(?:\xef\xbb\xbf)?\s*<(?i:!doctype|html|head|body|table|!--)", "an HTML page", _EXPORT),
        (rb"(?:\xef\xbb\xbf)?\s*<(?i:\?xml|[a-z])", "an XML document", _EXPORT),
        (rb'(?:\xef\xbb\xbf)?\s*[\[{]\s*[\[{"\]}]', "a JSON document", _EXPORT),
    )
]


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the bytes become text: the Python codec, and the byte order mark before the text (or `b""`)."""

    name: str
    bom: bytes = b""

    @property
    def charset(self) -> str:
        """The name for a Content-Type header (IANA); UTF-16 without a byte order mark has to name the byte order."""
        if self.name.startswith("utf-16"):
            return "utf-16" if self.bom else self.name.replace("16-", "16")
        return self.name.replace("cp", "windows-")

    @property
    def warning(self) -> str | None:
        """What the owner of the file has to check, because the encoding was guessed."""
        guessed = {"cp1252": ("1252", "letters with accents"), "cp1251": ("1251, for Cyrillic", "the Cyrillic letters")}
        if self.name not in guessed:
            return None
        number, letters = guessed[self.name]
        return f"The file is not UTF-8; it was read as Windows-{number}. Check {letters}."


UTF8, UTF8_BOM = Encoding("utf-8"), Encoding("utf-8", codecs.BOM_UTF8)
_UTF16 = (Encoding("utf-16-le", codecs.BOM_UTF16_LE), Encoding("utf-16-be", codecs.BOM_UTF16_BE))
_UTF32_BOMS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


def size_of(source: Source) -> int:
    """The size of the upload in bytes."""
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def open_text(source: Source, encoding: Encoding) -> io.TextIOWrapper:
    """The text after the byte order mark. Line ends arrive as they are (`newline=""`), as `csv` needs it."""
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
    if not head:
        raise InvalidCSV.whole_file("empty_file", f"{called} is empty.", "Check that the export wrote something.")
    for pattern, kind, hint in _FOREIGN:
        if pattern.match(head):
            raise InvalidCSV.whole_file("not_a_csv", f"{called} is {kind}, not a CSV file or a workbook.", hint)
    if head.startswith(_UTF32_BOMS):
        raise InvalidCSV.whole_file("encoding", "The file is encoded in UTF-32, which is not supported.", _SAVE_AS_UTF8)
    if marked := next((known for known in (UTF8_BOM, *_UTF16) if head.startswith(known.bom)), None):
        return marked
    return _without_bom(head)


def true_encoding(source: Source, likely: Encoding) -> Encoding:
    """The encoding of a whole file: the likely one, or Windows-1252 (or -1251) where that is UTF-8 and does not fit.

    Raises InvalidCSV, with the byte offset, for NUL bytes and for text in none of the accepted encodings.
    """
    encoding, broken = likely, _broken_byte(source, likely)
    if broken and likely == UTF8 and not _is_damaged_utf8(source):
        encoding = Encoding(_code_page(source))
        broken = _broken_byte(source, encoding)
    if broken:
        raise _undecodable(*broken, encoding)
    return encoding


def _open_bytes(source: Source) -> io.BytesIO | io.BufferedReader:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _without_bom(head: bytes) -> Encoding:
    if b"\0" not in head:
        return UTF8
    for name in ("utf-16-le", "utf-16-be"):  # only where it is unmistakable
        text = head.decode(name, "replace")
        if "\0" not in text and 2 * sum(map(str.isascii, text)) > len(text):
            return Encoding(name)
    raise _nul(head.index(b"\0"))


def _broken_byte(source: Source, encoding: Encoding) -> tuple[int, int] | None:
    """The offset and the value of the first byte that is not of the encoding. Raises InvalidCSV for a NUL."""
    decoder = codecs.getincrementaldecoder(encoding.name)()
    for offset, chunk, final in _chunks(source, len(encoding.bom)):
        waiting = len(decoder.getstate()[0])  # the bytes of a character that the end of the last chunk cut in two
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
    detail = f"The file contains a NUL byte (near byte offset {offset}): it is damaged or not a text file."
    return InvalidCSV.whole_file("nul_byte", detail, _SAVE_AS_UTF8, value="0x00")


def _code_page(source: Source) -> str:
    """Windows-1251 for words of Cyrillic letters, else Windows-1252: there letters beyond ASCII are between others."""
    beyond_ascii = in_words = 0
    for _, chunk, _ in _chunks(source, 0):
        beyond_ascii += len(chunk) - len(chunk.translate(None, _BEYOND_ASCII))
        in_words += sum(map(len, _CYRILLIC_WORD.findall(chunk)))
    return "cp1251" if in_words > 0.7 * beyond_ascii else "cp1252"


def _is_damaged_utf8(source: Source) -> bool:
    """Whether most of what is not ASCII is good UTF-8: Windows-1252 would then garble every name."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    good = bad = 0
    for _, chunk, final in _chunks(source, 0):
        text = decoder.decode(chunk, final)
        broken = text.count("\ufffd")
        bad += broken
        good += len(text) - len(text.encode("ascii", "ignore")) - broken
    return good > bad


def _undecodable(offset: int, value: int, encoding: Encoding) -> InvalidCSV:
    windows = "neither UTF-8 nor a Windows encoding that is known here"
    tried = {"cp1252": "neither UTF-8 nor Windows-1252", "cp1251": windows, "utf-8": "not valid UTF-8"}
    reason = f"The text is {tried.get(encoding.name, 'not valid UTF-16')}"
    detail = f"{reason}: byte 0x{value:02X} at offset {offset} cannot be decoded."
    return InvalidCSV.whole_file("encoding", detail, _SAVE_AS_UTF8, value=f"0x{value:02X}")
