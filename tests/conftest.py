"""What the tests share."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from servers import ImageHost, Receiver, SkulightServer, image_host, webhook_receiver


@pytest.fixture
def host() -> Iterator[ImageHost]:
    """An image host on loopback."""
    with image_host() as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A webhook receiver on loopback."""
    with webhook_receiver() as running:
        yield running


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 80 MB in memory. Needs the right to mount; the skip says so."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Callable[..., SkulightServer]]:
    """Makes servers (not started) in a folder of this test; each is stopped at the end, whatever happened."""
    with ExitStack() as stack:

        def make(**settings: str) -> SkulightServer:
            made = SkulightServer(tmp_path, **settings)
            stack.callback(made.stop)
            return made

        yield make
