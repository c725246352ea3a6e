"""Originals, downloaded again to be shown beside the results."""

import os
from collections.abc import Callable
from typing import BinaryIO

from image_processor.download import Downloader
from image_processor.errors import ImageError, SourceGone
from image_processor.imaging import ImagePool, media_type
from image_processor.jobs.queries import Queries
from image_processor.jobs.short_queue import ShortQueue
from image_processor.store import Storage, raises_store_unavailable


class Originals:
    """Downloads originals, at most two at once."""

    def __init__(self, queries: Queries, storage: Storage, downloader: Downloader, pool: ImagePool) -> None:
        self._queries = queries
        self._storage = storage
        self._downloader = downloader
        self._pool = pool
        self._queue = ShortQueue(2, waiting=8, seconds=10.0)

    def fetch(
        self, job_id: str, image_id: int, is_abandoned: Callable[[], bool] = lambda: False
    ) -> tuple[BinaryIO, str]:
        """The original as a file, which the caller closes, and its media type.

        `is_abandoned` returns True when nobody waits for it. Raises NotFound, SourceGone with the reason,
        Unavailable when too many wait, or StoreUnavailable when the disk is full.
        """
        image = self._queries.image(job_id, image_id)
        base_url = self._queries.job(job_id).base_url
        with self._queue.place(is_abandoned), raises_store_unavailable(), self._storage.shown_original() as file:
            try:
                self._downloader.download(image.input_url, file, own_base_url=base_url, is_abandoned=is_abandoned)
                kind = self._pool.run("originals", is_abandoned, media_type, file.name)
            except ImageError as error:
                raise SourceGone(f"The source of this image can no longer be fetched. {error.detail}") from error
            shown = open(os.dup(file.fileno()), "rb")
            shown.seek(0)
            return shown, kind
