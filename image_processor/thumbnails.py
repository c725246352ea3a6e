"""Small pictures of the results for the pages: made once, on first demand, and never more than 10 kB."""

import contextlib
import re
import threading
import uuid
from pathlib import Path
from typing import BinaryIO, Final

from image_processor.compressor import CompressOptions, Compressor
from image_processor.errors import ImageError, NotFound
from image_processor.storage import THUMBNAILS, Storage

MOST_BYTES: Final = 10_000
# From good to small, until one fits. JPEG comes last because it is always a still: an animation of many frames fits in
# no other format. 64 pixels of noise at quality 5 are about 1 kB.
ATTEMPTS: Final = (
    (".webp", CompressOptions(quality=60, max_dimension=160, format="webp")),
    (".webp", CompressOptions(quality=35, max_dimension=128, format="webp")),
    (".jpg", CompressOptions(quality=50, max_dimension=128, format="jpeg")),
    (".jpg", CompressOptions(quality=25, max_dimension=96, format="jpeg")),
    (".jpg", CompressOptions(quality=5, max_dimension=64, format="jpeg")),
)
# The names that `storage.image_name` gives. Nothing else is ever joined to a path.
_NAME: Final = re.compile(r"\d{1,9}-\d{1,9}\.(jpg|png|webp|gif|avif)", re.ASCII)
# A page asks for fifty at once. The cores belong to the catalogues that are worked.
_AT_ONCE: Final = 2


class Thumbnails:
    """Makes and keeps the thumbnails, beside the pictures they show: they are removed with their request."""

    def __init__(self, storage: Storage, compressor: Compressor) -> None:
        self._storage = storage
        self._compressor = compressor
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def path(self, request_id: str, name: str) -> Path:
        """The thumbnail of a result (`name` is its file name), made if there is none yet: WebP or JPEG.

        Raises NotFound for whatever is not the file of a compressed image, and StoreUnavailable when the disk takes no
        more.
        """
        if not _is_id(request_id) or not _NAME.fullmatch(name):
            raise NotFound(f"There is no picture {name[:100]!r}.")
        picture = self._storage.images / request_id / name
        made = self._made_before(picture)
        if made is None:
            with self._places:
                made = self._made_before(picture) or self._make(picture)
        return made

    def _made_before(self, picture: Path) -> Path | None:
        """The thumbnail, unless the picture was worked again after it."""
        for extension in (".webp", ".jpg"):
            thumbnail = picture.parent / THUMBNAILS / f"{picture.name}{extension}"
            with contextlib.suppress(FileNotFoundError):
                if thumbnail.stat().st_mtime >= picture.stat().st_mtime:
                    return thumbnail
        return None

    def _make(self, picture: Path) -> Path:
        try:
            source = picture.read_bytes()
            with self._storage.new_thumbnail(picture.parent.name) as new:
                name = picture.name + self._write(source, new.file)
                new.keep(name)
        except (FileNotFoundError, ImageError) as error:  # deleted meanwhile, or nothing that can be shown
            raise NotFound(f"There is no picture {picture.name!r} any more.") from error
        return picture.parent / THUMBNAILS / name

    def _write(self, source: bytes, file: BinaryIO) -> str:
        """Write the first attempt that fits into `file`; give its extension."""
        for extension, options in ATTEMPTS:
            file.seek(0)
            file.truncate()
            made = self._compressor.compress(source, file, options)
            file.flush()
            if made.bytes_out <= MOST_BYTES:
                return extension
        raise NotFound("There is no thumbnail of this picture.")


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
