"""Whether folders and database can be used. While they cannot, processing pauses and the status says why."""

import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from image_processor.errors import StoreUnavailable
from image_processor.store.files import TEMPORARY

# Below this a disk counts as full: the database needs space for its log, and a batch of images for its files.
LEAST_FREE_BYTES = 50_000_000
CHECK_SECONDS = 2.0


class Health:
    """What is wrong with the disk or the database, if anything. Shared by all threads of a process."""

    def __init__(self, folders: Sequence[Path], check_database: Callable[[], None]) -> None:
        self._folders = folders
        self._check_database = check_database
        self._lock = threading.Lock()
        self._reason: str | None = None
        self._checked_until = 0.0

    @property
    def reason(self) -> str | None:
        """Why processing is paused, as a sentence; None when it is not."""
        return self._reason

    def pause(self, error: OSError | StoreUnavailable) -> None:
        """Pause because of an error, until `check` succeeds."""
        self._reason = _sentence(error)

    def check_if_due(self) -> bool:
        """`check`, unless it succeeded a moment ago."""
        return (self._reason is None and time.monotonic() < self._checked_until) or self.check()

    def check(self) -> bool:
        """Try to write everywhere: pause when something is wrong, else resume. Returns whether all is well."""
        with self._lock:
            try:
                for folder in self._folders:
                    self._check_folder(folder)
                self._check_database()
            except (OSError, StoreUnavailable) as error:
                self.pause(error)
            else:
                self._reason = None
                self._checked_until = time.monotonic() + CHECK_SECONDS
        return self._reason is None

    def _check_folder(self, folder: Path) -> None:
        if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
            raise StoreUnavailable(
                f"The disk is full: less than {LEAST_FREE_BYTES / 1e6:.0f} MB are free. "
                "Free some space; processing then resumes."
            )
        probe = folder / f"probe-{uuid.uuid4().hex}{TEMPORARY}"
        try:
            probe.write_bytes(b"x" * 4096)
        finally:
            probe.unlink(missing_ok=True)


def _sentence(error: OSError | StoreUnavailable) -> str:
    if isinstance(error, StoreUnavailable):
        return str(error)
    # Without the path, which is nothing for clients.
    return f"Files cannot be written: {os.strerror(error.errno or 0)}. Processing resumes when they can."
