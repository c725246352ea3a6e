"""Thumbnails of the results, for the pages: made on first demand, and never more than 10 kB."""

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from image_processor.errors import ImageError, NotFound, shorten
from image_processor.imaging import CompressOptions, Compressor, ImagePool, compress_file
from image_processor.jobs.short_queue import ShortQueue
from image_processor.store import THUMBNAILS, Storage, is_job_id, raises_store_unavailable

MAX_BYTES: Final = 10_000
# From good to small, until one fits. JPEG comes last because it is always a still: an animation of many frames fits in
# no other format. 64 pixels of noise at quality 5 are about 1 kB.
ATTEMPTS: Final = (
    (".webp", CompressOptions(quality=60, max_dimension=160, format="webp")),
    (".webp", CompressOptions(quality=35, max_dimension=128, format="webp")),
    (".jpg", CompressOptions(quality=50, max_dimension=128, format="jpeg")),
    (".jpg", CompressOptions(quality=25, max_dimension=96, format="jpeg")),
    (".jpg", CompressOptions(quality=5, max_dimension=64, format="jpeg")),
)
# The names that `store.image_name` returns. Nothing else is ever joined to a path.
_NAME: Final = re.compile(r"\d{1,9}-\d{1,9}\.(jpg|png|webp|gif|avif)", re.ASCII)
# A browser requests six at once, of the fifty that a page shows.
_WAITING: Final = 32
_SECONDS: Final = 10.0


class Thumbnails:
    """Makes thumbnails and stores them in the folder of their job."""

    def __init__(self, storage: Storage, compressor: Compressor, pool: ImagePool) -> None:
        self._storage = storage
        self._compressor = compressor
        self._pool = pool
        self._queue = ShortQueue(1, waiting=_WAITING, seconds=_SECONDS)

    def path(self, job_id: str, name: str, is_abandoned: Callable[[], bool] = lambda: False) -> Path:
        """The thumbnail of the result with a file name, made if there is none yet: WebP or JPEG.

        `is_abandoned` returns True when nobody waits for it. Raises NotFound for a name that no result has, Unavailable
        when too many wait, and StoreUnavailable when the disk is full.
        """
        if not is_job_id(job_id) or not _NAME.fullmatch(name):
            raise NotFound(f"There is no image {shorten(name)!r}.")
        image = self._storage.images / job_id / name
        made = self._existing(image)
        if made is None:
            with self._queue.place(is_abandoned), raises_store_unavailable():
                made = self._existing(image) or self._make(image, is_abandoned)
        return made

    def _existing(self, image: Path) -> Path | None:
        """The thumbnail, unless the image was processed again after it."""
        for extension in (".webp", ".jpg"):
            thumbnail = image.parent / THUMBNAILS / f"{image.name}{extension}"
            with contextlib.suppress(FileNotFoundError):
                if thumbnail.stat().st_mtime >= image.stat().st_mtime:
                    return thumbnail
        return None

    def _make(self, image: Path, is_abandoned: Callable[[], bool]) -> Path:
        if not image.exists():
            raise NotFound(f"The image {image.name!r} no longer exists.")
        try:
            with self._storage.new_thumbnail(image.parent.name) as new:
                arguments = self._compressor, str(image), new.path
                extension = self._pool.run(THUMBNAILS, is_abandoned, write_thumbnail, *arguments)
                new.keep(image.name + extension)
        except (FileNotFoundError, ImageError) as error:  # deleted meanwhile, or it cannot be decoded
            raise NotFound(f"The image {image.name!r} no longer exists.") from error
        return image.parent / THUMBNAILS / (image.name + extension)


def write_thumbnail(compressor: Compressor, image: str, result: str) -> str:
    """Write the first thumbnail that is small enough to `result` and return its extension. Runs in an image process.

    Raises NotFound when none fits, and what `compress_file` raises.
    """
    for extension, options in ATTEMPTS:
        if compress_file(compressor, image, result, options).bytes_out <= MAX_BYTES:
            return extension
    raise NotFound("There is no thumbnail of this image.")
