"""How the bench starts programs, and what the system reports of their CPU time and memory."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from image_processor.config import PREFIX

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER_PREFIX: Final = "skulight-bench-"
MEMORY: Final = Path("/dev/shm")
MEMORY_BYTES: Final = 4_000_000_000
GUNICORN: Final = (sys.executable, "-m", "gunicorn")
READY: Final = "SKUlight is ready: "
START_SECONDS: Final = 60
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class BrokenRun(Exception):
    """A run that did not do its job, and so has no figure."""


def end_in_order() -> None:
    """Let SIGTERM end this program as Ctrl-C does: child processes are ended, temporary folders removed."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # `timeout` sends it twice, and the second would end the cleaning up
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


def use_memory() -> None:
    """Put all temporary folders on a file system in memory, where it has room.

    ext4 without a journal does not use the inodes of deleted files again for a minute, and looks through them for each
    new file: a run that followed another one spent 1.6 ms longer on every image.
    """
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        os.environ.setdefault("TMPDIR", str(MEMORY))


def plain_environment() -> dict[str, str]:
    """The environment without settings, and with compiled modules kept, as users have it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name != "PYTHONDONTWRITEBYTECODE"
    }


def product_environment(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """The environment of a SKUlight with folders below `folder`, and with `settings` (names without the prefix)."""
    mine = {
        "INSTANCE_PATH": str(folder / "instance"),
        "PROCESSED_IMAGES_PATH": str(folder / "processed_images"),
        "ALLOWED_PRIVATE_ADDRESSES": "127.0.0.0/8",
        "LOG_LEVEL": "WARNING",
        **settings,
    }
    return plain_environment() | {f"{PREFIX}{name}": value for name, value in mine.items()}


def output_of(script: str, *arguments: object, seconds: float) -> Any:
    """Run a script of the bench in a separate process; gives the JSON in its last line. Raises BrokenRun."""
    command = [sys.executable, str(ROOT / "bench" / script), *map(str, arguments)]
    done = run(command, seconds=seconds)
    return json.loads(done.splitlines()[-1])


def run(command: list[str], *, seconds: float, **options: Any) -> str:
    """Run a command; gives its output. Raises BrokenRun, with the output, when it fails."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise BrokenRun(f"{_short(command)} was not done after {seconds:.0f} s.") from None
    finally:
        _end(process, signal.SIGKILL)
    if process.returncode:
        output = f"{out}\n{err}".strip()[-2_000:]
        raise BrokenRun(f"{_short(command)} failed (exit code {process.returncode}):\n{output}")
    return out


def _short(command: list[str]) -> str:
    return " ".join(Path(word).name for word in command[:4])


@contextmanager
def skulight(command: tuple[str, ...], folder: Path, settings: dict[str, str]) -> Iterator[tuple[str, int]]:
    """Run a command that serves SKUlight, with its data in `folder`; gives its URL and its session when it is ready."""
    environment = product_environment(folder, settings) | {"HOST": "127.0.0.1", "PORT": "0"}
    log = folder / "server.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True)
    try:
        yield _address(process, log), process.pid
    finally:
        _end(process, signal.SIGTERM)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        _, _, rest = log.read_text().partition(READY)
        if "\n" in rest:
            return rest.partition("\n")[0]
        time.sleep(0.005)
    raise BrokenRun(f"The server did not start:\n{log.read_text()[-2_000:]}")


def _end(process: "subprocess.Popen[Any]", number: int) -> None:
    """Send a signal to the process and all that it started, which are one process group; after 30 s kill them."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def cpu_seconds(session: int) -> float:
    """CPU time of all processes of a session, including those that ended and were waited for."""
    return sum(sum(map(int, fields[11:15])) for _, fields in _stats() if fields[3] == str(session)) / _TICKS


def children_seconds(parent: int) -> float:
    """CPU time of the running child processes of a process."""
    return sum(sum(map(int, fields[11:13])) for _, fields in _stats() if fields[1] == str(parent)) / _TICKS


def peak_bytes(session: int) -> int:
    """The peak memory (RSS) of the largest process of a session."""
    return max((_peak(pid) for pid, fields in _stats() if fields[3] == str(session)), default=0)


def rss_bytes(session: int) -> int:
    """The memory (RSS) of all processes of a session now. Shared memory counts once for each."""
    return sum(int(fields[21]) for _, fields in _stats() if fields[3] == str(session)) * os.sysconf("SC_PAGE_SIZE")


def _stats() -> Iterator[tuple[Path, list[str]]]:
    """Of each process its folder in /proc and the fields of `stat` after the name (proc(5): from `state` on)."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield folder, (folder / "stat").read_text().rpartition(")")[2].split()


def _peak(folder: Path) -> int:
    with suppress(OSError):
        for line in (folder / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
