"""Files, each whole or absent, and their public URLs. No other module knows where files are.

A file is written as `*.tmp` in its own folder and renamed when it is whole. Names come from the id of the job and the
image's place, never from user text: processing an image again overwrites its own file and no other.
"""

import contextlib
import fcntl
import itertools
import os
import shutil
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from image_processor.errors import StoreUnavailable

TEMPORARY = ".tmp"
THUMBNAILS = "thumbnails"
OUTPUT_NAME = "output.csv"
WORKBOOK_NAME = "output.xlsx"
PUBLIC_PATH = "/processed_images/"


class NewFile:
    """A file that is being written, at `path`. It is removed unless it is kept."""

    def __init__(self, folder: str, path: str) -> None:
        self.path = path
        self.kept = False
        self._folder = folder

    def keep(self, name: str) -> None:
        """Give the file its name. Other users may read it: a web server may deliver these."""
        os.chmod(self.path, 0o644)
        self._rename(name)

    def keep_private(self, name: str, file: BinaryIO) -> None:
        """Give the file its name once all of it is on the disk. Only this user may read it."""
        file.flush()
        os.fsync(file.fileno())
        self._rename(name)
        _sync_folder(self._folder)

    def _rename(self, name: str) -> None:
        os.replace(self.path, f"{self._folder}/{name}")
        self.kept = True


class Storage:
    """The files of all jobs: compressed images (other users may read them), uploads and output.csv (private).

    Paths that are made for every image are strings, which is faster than `Path`.
    """

    def __init__(self, images: Path, uploads: Path) -> None:
        self.images = images.resolve()
        self._uploads = uploads.resolve()
        self._downloads = self._uploads.with_name("downloads")
        self._originals: list[BinaryIO] = []
        self._open_originals = contextlib.ExitStack()
        weakref.finalize(self, self._open_originals.close)
        self._token = uuid.uuid4().hex  # in the names of this process's temporary files
        self._numbers = itertools.count()
        for folder in (self.images, self._uploads, self._downloads):
            folder.mkdir(parents=True, exist_ok=True)

    # ---- uploads --------------------------------------------------------------------------------------------------

    def keep_upload(self, job_id: str, data: bytes) -> None:
        """Store an uploaded catalogue. It is on the disk when this returns."""
        with self._open_file(str(self._uploads)) as (new, file):
            file.write(data)
            new.keep_private(self.upload_path(job_id).name, file)

    def drop_upload(self, job_id: str) -> None:
        """Remove an uploaded catalogue, if there is one."""
        self.upload_path(job_id).unlink(missing_ok=True)

    def upload_path(self, job_id: str) -> Path:
        """The path of the uploaded catalogue of a job."""
        return self._uploads / f"{job_id}.csv"

    # ---- images and output.csv ------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def original(self) -> Iterator[BinaryIO]:
        """An empty private file for a download, with a path (`name`). Files are used again.

        To create and remove one for each image costs 0.4 ms on ext4 without a journal, to empty it 0.1 ms.
        """
        file = self._originals.pop() if self._originals else self._new_original()
        try:
            yield file
        finally:
            file.truncate(0)
            self._originals.append(file)

    def _new_original(self) -> BinaryIO:
        file = self._open_originals.enter_context(open(self._temporary(str(self._downloads)), "ab"))
        fcntl.lockf(file, fcntl.LOCK_EX)  # so that no other process removes it
        return file

    @contextlib.contextmanager
    def shown_original(self) -> Iterator[BinaryIO]:
        """An empty private file for a download, with a path (`name`), which any process of the installation may use.

        It is removed at the end; a duplicate of its descriptor can still be read then.
        """
        with self._open_file(str(self._downloads)) as (_, file):
            yield file

    def make_folder(self, job_id: str) -> None:
        """Make the public folder of a job."""
        _make_folder(f"{self.images}/{job_id}")

    @contextlib.contextmanager
    def new_image(self, job_id: str) -> Iterator[NewFile]:
        """A place for a new file in the public folder of a job, which must exist."""
        folder = f"{self.images}/{job_id}"
        # Not `tempfile`, which takes 0.2 to 0.4 ms per image.
        new = NewFile(folder, self._temporary(folder))
        try:
            yield new
        finally:
            if not new.kept:
                Path(new.path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def new_thumbnail(self, job_id: str) -> Iterator[NewFile]:
        """A new file in the folder of the job's thumbnails, which any process of the installation may write to."""
        folder = f"{self.images}/{job_id}/{THUMBNAILS}"
        _make_folder(folder)
        with self._open_file(folder) as (new, _):
            yield new

    def write_output(self, job_id: str, write: Callable[[BinaryIO], None], name: str = OUTPUT_NAME) -> None:
        """Let `write` fill output.csv (or .xlsx); it replaces an older one when it is whole and on the disk."""
        with self._open_file(f"{self.images}/{job_id}") as (new, file):
            write(file)
            new.keep_private(name, file)

    def output_path(self, job_id: str, name: str = OUTPUT_NAME) -> Path:
        """The path of the output.csv (or .xlsx) of a job, whether it exists or not."""
        return self.images / job_id / name

    def url(self, base_url: str, job_id: str, name: str) -> str:
        """The public URL of a file of a job."""
        return f"{base_url}{PUBLIC_PATH}{job_id}/{name}"

    def path_of(self, job_id: str, url: str) -> Path:
        """The path of the file with a public URL."""
        return self.images / job_id / url.rpartition("/")[2]

    def holds(self, job_id: str, url: str, size: int) -> bool:
        """Whether the file with a public URL exists with all its `size` bytes."""
        try:
            return self.path_of(job_id, url).stat().st_size == size
        except FileNotFoundError:
            return False

    # ---- clean up -------------------------------------------------------------------------------------------------

    def remove_temporary(self) -> None:
        """Remove the temporary files of dead processes; those that a running one writes stay."""
        for folder in (self._uploads, self._downloads, self.images):
            for leftover in folder.rglob(f"*{TEMPORARY}"):
                # Our own must not even be opened: closing any descriptor of a file drops all our locks on it.
                if leftover.name.startswith(self._token):
                    continue
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    _remove_unless_locked(leftover)

    def job_ids_with_files(self) -> Iterator[list[str]]:
        """The job ids that folders and uploads are named after, in batches; uploads of the last hour are left out.

        An upload is stored a moment before its job, so a recent one without a job is no orphan.
        """
        hour_ago = time.time() - 3600
        folders = (entry.name for entry in os.scandir(self.images) if entry.is_dir(follow_symlinks=False))
        uploads = (
            entry.name.removesuffix(".csv")
            for entry in os.scandir(self._uploads)
            if entry.name.endswith(".csv") and entry.stat().st_mtime < hour_ago
        )
        ids = filter(is_job_id, itertools.chain(folders, uploads))
        while batch := list(itertools.islice(ids, 500)):
            yield batch

    def remove(self, job_id: str) -> None:
        """Remove all files of a job."""
        removed = self._temporary(str(self.images))  # images that are still being processed can add nothing to it
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.images / job_id, removed)
        shutil.rmtree(removed, ignore_errors=True)
        self.drop_upload(job_id)

    def _temporary(self, folder: str) -> str:
        return f"{folder}/{self._token}-{next(self._numbers)}{TEMPORARY}"

    @contextlib.contextmanager
    def _open_file(self, folder: str) -> Iterator[tuple[NewFile, BinaryIO]]:
        """A new file, open and locked, so that no other process removes it while it is written."""
        new = NewFile(folder, self._temporary(folder))
        with open(new.path, "x+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX)
                if os.fstat(file.fileno()).st_nlink:
                    yield new, file
                    return
            finally:
                if not new.kept:
                    Path(new.path).unlink(missing_ok=True)
        # Another process removed it before it was locked.
        with self._open_file(folder) as opened:
            yield opened


@contextlib.contextmanager
def raises_store_unavailable() -> Iterator[None]:
    """Translate an error of the disk into StoreUnavailable, whose sentence has no path."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"The file could not be written: {os.strerror(error.errno or 0)}.") from error


def image_name(row: int, position: int, extension: str) -> str:
    """The file name of an image: its place in the catalogue, such as `12-3.jpg` for row 12, third URL."""
    return f"{row}-{position}{extension}"


def is_job_id(text: str) -> bool:
    """Whether a text has the form of a job's id. Only such a text may become a part of a path."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _make_folder(path: str) -> None:
    Path(path).mkdir(exist_ok=True)
    os.chmod(path, 0o755)  # whatever the umask is


def _remove_unless_locked(path: Path) -> None:
    with contextlib.suppress(BlockingIOError, FileNotFoundError), path.open("r+b") as file:
        # Held until it is removed: its writer may be about to lock it, and then checks whether it still exists.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
