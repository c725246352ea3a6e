"""Bytes on disk, whole or absent, and the public URL of a file. Nothing else knows where bytes lie.

A file is written as `*.tmp` in its own folder and renamed when it is whole. Names come from the request's id and the
image's place, never from user text: working an image again overwrites its own file and no other.
"""

import contextlib
import fcntl
import itertools
import os
import shutil
import tempfile
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

TEMPORARY = ".tmp"
THUMBNAILS = "thumbnails"
OUTPUT_NAME = "output.csv"
PUBLIC_PATH = "/processed_images/"


class NewFile:
    """A file that is being written, at `path`. It appears under its name only when `keep` is called."""

    def __init__(self, folder: str, path: str) -> None:
        self.path = path
        self.kept = False
        self._folder = folder

    def keep(self, name: str) -> None:
        """Give the file its name, at once and whole. Everybody may read it: a web server may deliver these."""
        os.chmod(self.path, 0o644)
        self._rename(name)

    def _rename(self, name: str) -> None:
        os.replace(self.path, f"{self._folder}/{name}")
        self.kept = True


class OpenFile(NewFile):
    """The same, open for writing as `file`."""

    def __init__(self, file: BinaryIO, folder: str, path: str) -> None:
        super().__init__(folder, path)
        self.file = file

    def keep_private(self, name: str) -> None:
        """Give the file its name once the disk has all of it; only this user may read it."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self._rename(name)
        _sync_folder(self._folder)


class Storage:
    """The files of all requests: compressed images (others may read them), uploads and output.csv (private).

    Where each image passes by, paths are texts: to build three `Path`s took twenty calls.
    """

    def __init__(self, images: Path, uploads: Path) -> None:
        self.images = images.resolve()
        self._uploads = uploads.resolve()
        self._downloads = self._uploads.with_name("downloads")
        self._originals: list[BinaryIO] = []
        weakref.finalize(self, _close, self._originals)
        self._token = uuid.uuid4().hex  # tells this process's half-written files from those of one before it
        self._numbers = itertools.count()
        self.images.mkdir(parents=True, exist_ok=True)
        self._uploads.mkdir(parents=True, exist_ok=True)
        self._downloads.mkdir(parents=True, exist_ok=True)

    def keep_upload(self, request_id: str, data: bytes) -> None:
        """Keep an uploaded catalogue as it came. On the disk when this returns."""
        with self._locked_file(str(self._uploads)) as new:
            new.file.write(data)
            new.keep_private(self.upload_path(request_id).name)

    def drop_upload(self, request_id: str) -> None:
        """Forget an upload whose request could not be recorded."""
        self.upload_path(request_id).unlink(missing_ok=True)

    def upload_path(self, request_id: str) -> Path:
        """Where the uploaded catalogue of a request lies."""
        return self._uploads / f"{request_id}.csv"

    @contextlib.contextmanager
    def original(self) -> Iterator[BinaryIO]:
        """An empty private file for what is downloaded, with a path (`name`). It is used again later.

        To create and remove one for each image costs 0.4 ms on ext4 without a journal, to empty it 0.1 ms.
        """
        file = self._originals.pop() if self._originals else self._new_original()
        try:
            yield file
        finally:
            file.truncate(0)
            self._originals.append(file)

    def _new_original(self) -> BinaryIO:
        file = open(self._temporary(str(self._downloads)), "ab")
        fcntl.lockf(file, fcntl.LOCK_EX)  # its owner lives
        return file

    def shown_original(self) -> "tempfile._TemporaryFileWrapper[bytes]":
        """A private file for what is downloaded to be sent to a client; it is gone when it is closed."""
        return tempfile.NamedTemporaryFile(dir=self._downloads, suffix=TEMPORARY)

    def make_folder(self, request_id: str) -> None:
        """Make the public folder of a request."""
        folder = self.images / request_id
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # whatever the umask is

    @contextlib.contextmanager
    def new_image(self, request_id: str) -> Iterator[NewFile]:
        """A place for a new file in the request's public folder, which must exist; removed again unless it is kept."""
        folder = f"{self.images}/{request_id}"
        new = NewFile(folder, self._temporary(folder))
        try:
            yield new
        finally:
            if not new.kept:
                Path(new.path).unlink(missing_ok=True)

    def new_thumbnail(self, request_id: str) -> AbstractContextManager[OpenFile]:
        """A new file in the folder of the request's thumbnails, which whichever process is asked makes."""
        return self._locked_file(f"{self.images}/{request_id}/{THUMBNAILS}")

    def write_output(self, request_id: str, write: Callable[[BinaryIO], None]) -> None:
        """Let `write` fill output.csv; it replaces an older one, whole and durable."""
        with self._new_file(f"{self.images}/{request_id}") as new:
            write(new.file)
            new.keep_private(OUTPUT_NAME)

    def output_path(self, request_id: str) -> Path:
        """Where the output.csv of a request lies, whether it exists or not."""
        return self.images / request_id / OUTPUT_NAME

    def url(self, base_url: str, request_id: str, name: str) -> str:
        """The public URL of a file of a request."""
        return f"{base_url}{PUBLIC_PATH}{request_id}/{name}"

    def path_of(self, request_id: str, url: str) -> Path:
        """Where the file behind one of our URLs lies."""
        return self.images / request_id / _name_in(url)

    def holds(self, request_id: str, url: str, size: int) -> bool:
        """Whether the file behind one of our URLs is there with all its `size` bytes."""
        try:
            return os.stat(f"{self.images}/{request_id}/{_name_in(url)}").st_size == size
        except FileNotFoundError:
            return False

    def remove_temporary(self) -> None:
        """Remove what dead processes left half-written; what this one and other living ones write now stays."""
        for folder in (self._uploads, self._downloads, self.images):
            for leftover in folder.rglob(f"*{TEMPORARY}"):
                # Our own must not even be opened: closing any descriptor of a file drops all our locks on it.
                if leftover.name.startswith(self._token):
                    continue
                if leftover.is_dir():
                    shutil.rmtree(leftover, ignore_errors=True)
                else:
                    _remove_unless_locked(leftover)

    def request_ids_with_files(self) -> Iterator[list[str]]:
        """The ids that folders and uploads are named after, in batches; uploads of the last hour are left out.

        An upload is kept a moment before its request is recorded, so a fresh one without a request is no orphan.
        """
        hour_ago = time.time() - 3600
        folders = (entry.name for entry in os.scandir(self.images) if entry.is_dir(follow_symlinks=False))
        uploads = (
            entry.name.removesuffix(".csv")
            for entry in os.scandir(self._uploads)
            if entry.name.endswith(".csv") and entry.stat().st_mtime < hour_ago
        )
        names = (name for name in itertools.chain(folders, uploads) if _is_request_id(name))
        while batch := list(itertools.islice(names, 500)):
            yield batch

    def remove(self, request_id: str) -> None:
        """Remove all files of a request."""
        gone = self._temporary(str(self.images))  # an image that is still being processed can add nothing to it
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.images / request_id, gone)
        shutil.rmtree(gone, ignore_errors=True)
        self.drop_upload(request_id)

    def _temporary(self, folder: str) -> str:
        return f"{folder}/{self._token}-{next(self._numbers)}{TEMPORARY}"

    @contextlib.contextmanager
    def _new_file(self, folder: str) -> Iterator[OpenFile]:
        # Not `tempfile`: its names cost as much time as all the rest, and ours are unique by themselves.
        path = self._temporary(folder)
        with _opened(folder, path) as file:
            new = OpenFile(file, folder, path)
            try:
                yield new
            finally:
                if not new.kept:
                    Path(path).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked_file(self, folder: str) -> Iterator[OpenFile]:
        """A new file whose lock tells every process that its writer lives, for exactly as long as it does.

        Images need none, for only the process that works writes them, and clears away.
        """
        with self._new_file(folder) as new:
            fcntl.lockf(new.file, fcntl.LOCK_EX)
            if os.fstat(new.file.fileno()).st_nlink:
                yield new
                return
        # Another process cleared it away in the moment before it was locked.
        with self._locked_file(folder) as new:
            yield new


def _close(files: list[BinaryIO]) -> None:
    for file in files:
        file.close()


def image_name(row: int, position: int, extension: str) -> str:
    """The file name of an image: its place in the catalogue, such as `12-3.jpg` for row 12, third URL."""
    return f"{row}-{position}{extension}"


def _name_in(url: str) -> str:
    return url.rpartition("/")[2]


def _opened(folder: str, path: str) -> BinaryIO:
    try:
        return open(path, "x+b")
    except FileNotFoundError:
        Path(folder).mkdir(exist_ok=True)
        os.chmod(folder, 0o755)  # whatever the umask is
        return open(path, "x+b")


def _remove_unless_locked(path: Path) -> None:
    with contextlib.suppress(BlockingIOError, FileNotFoundError), path.open("r+b") as file:
        # Held until it is gone: its writer may be about to lock it, and looks afterwards whether it is still there.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)


def _is_request_id(name: str) -> bool:
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
