"""Whether folders and database can be used just now. When not, the work pauses and says why; nothing fails for it."""

import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from image_processor.errors import StoreUnavailable
from image_processor.store.files import TEMPORARY

# Below this a folder counts as full: the database needs room for its log, and a batch of images for its files.
LEAST_FREE_BYTES = 50_000_000
WELL_SECONDS = 2.0


class Health:
    """What is wrong with the place where everything is kept, if anything. Shared by all threads of a process."""

    def __init__(
        self, folders: Sequence[Path], check_database: Callable[[], None], least_free_bytes: int = LEAST_FREE_BYTES
    ) -> None:
        self._folders = folders
        self._check_database = check_database
        self._least_free_bytes = least_free_bytes
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._well_until = 0.0

    @property
    def reason(self) -> str | None:
        """Why the work pauses, as a sentence; None when it does not."""
        return self._reason

    def pause(self, error: OSError | StoreUnavailable) -> None:
        """Pause the work because of what went wrong, until `check` finds all well."""
        self._reason = sentence(error)

    def look(self) -> bool:
        """`check`, unless all was well a moment ago."""
        if self._reason is None and time.monotonic() < self._well_until:
            return True
        return self.check()

    def check(self) -> bool:
        """Try everything the work needs; pause when something is wrong, else go on. Gives whether all is well."""
        with self._lock:
            try:
                for folder in self._folders:
                    self._check_folder(folder)
                self._check_database()
            except (OSError, StoreUnavailable) as error:
                self.pause(error)
            else:
                self._reason = None
                self._well_until = time.monotonic() + WELL_SECONDS
        return self._reason is None

    def _check_folder(self, folder: Path) -> None:
        if shutil.disk_usage(folder).free < self._least_free_bytes:
            raise StoreUnavailable(
                f"The disk is full: less than {self._least_free_bytes / 1e6:.0f} MB are free. "
                "Make room, and it goes on."
            )
        probe = folder / f"probe-{uuid.uuid4().hex}{TEMPORARY}"
        try:
            probe.write_bytes(b"x" * 4096)
        finally:
            probe.unlink(missing_ok=True)


def sentence(error: OSError | StoreUnavailable) -> str:
    """What to tell about a failing store, without paths."""
    if isinstance(error, StoreUnavailable):
        return str(error)
    return f"Files cannot be written just now: {os.strerror(error.errno or 0)}. The work goes on when they can."
