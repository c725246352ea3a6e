"""Small images of the results for the pages: made once, on first demand, and never more than 10 kB."""

import contextlib
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from image_processor.errors import ImageError, NotFound, shorten
from image_processor.imaging import CompressOptions, Compressor, ImagePool, compress_file
from image_processor.jobs.short_queue import ShortQueue
from image_processor.store import THUMBNAILS, Storage

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
# A browser asks for six at once, of the fifty that a page shows.
_WAITING: Final = 32
_SECONDS: Final = 10.0


class Thumbnails:
    """Makes and keeps the thumbnails, beside the images they show: they are removed with their request."""

    def __init__(self, storage: Storage, compressor: Compressor, pool: ImagePool) -> None:
        self._storage = storage
        self._compressor = compressor
        self._pool = pool
        self._queue = ShortQueue(1, waiting=_WAITING, seconds=_SECONDS)

    def path(self, request_id: str, name: str, is_abandoned: Callable[[], bool] = lambda: False) -> Path:
        """The thumbnail of a result (`name` is its file name), made if there is none yet: WebP or JPEG.

        `is_abandoned` says that nobody waits for it any more. Raises NotFound for whatever is not the file of a
        compressed image, Unavailable when too many wait, and StoreUnavailable when the disk takes no more.
        """
        if not _is_id(request_id) or not _NAME.fullmatch(name):
            raise NotFound(f"There is no image {shorten(name)!r}.")
        picture = self._storage.images / request_id / name
        made = self._made_before(picture)
        if made is None:
            with self._queue.place(is_abandoned):
                made = self._made_before(picture) or self._make(picture, is_abandoned)
        return made

    def _made_before(self, picture: Path) -> Path | None:
        """The thumbnail, unless the image was worked again after it."""
        for extension in (".webp", ".jpg"):
            thumbnail = picture.parent / THUMBNAILS / f"{picture.name}{extension}"
            with contextlib.suppress(FileNotFoundError):
                if thumbnail.stat().st_mtime >= picture.stat().st_mtime:
                    return thumbnail
        return None

    def _make(self, picture: Path, is_abandoned: Callable[[], bool]) -> Path:
        if not picture.exists():
            raise NotFound(f"There is no image {picture.name!r} any more.")
        try:
            with self._storage.new_thumbnail(picture.parent.name) as new:
                arguments = self._compressor, str(picture), new.path
                extension = self._pool.run(THUMBNAILS, is_abandoned, write_thumbnail, *arguments)
                new.keep(picture.name + extension)
        except (FileNotFoundError, ImageError) as error:  # deleted meanwhile, or nothing that can be shown
            raise NotFound(f"There is no image {picture.name!r} any more.") from error
        return picture.parent / THUMBNAILS / (picture.name + extension)


def write_thumbnail(compressor: Compressor, picture: str, result: str) -> str:
    """Write the first attempt that fits into the file `result` and give its extension. Runs in a process of the pool.

    Raises NotFound when none fits, and what `compress_file` raises.
    """
    for extension, options in ATTEMPTS:
        if compress_file(compressor, picture, result, options).bytes_out <= MOST_BYTES:
            return extension
    raise NotFound("There is no thumbnail of this image.")


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
