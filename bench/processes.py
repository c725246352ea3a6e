"""How the bench starts programs, and what the system says they have used."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from image_processor.config import PREFIX

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER_PREFIX: Final = "skulight-bench-"
MEMORY: Final = Path("/dev/shm")
MEMORY_BYTES: Final = 4_000_000_000
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class BrokenRun(Exception):
    """A run that did not do its job: there is no figure, and above all no good one."""


def end_in_order() -> None:
    """Let SIGTERM end this program as Ctrl-C does: what it started is ended, its folders are removed."""

    def end(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # `timeout` sends it twice, and the second would end the tidying
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


def use_memory() -> None:
    """Let all folders of the bench lie in memory, where the system has room for that.

    ext4 without a journal does not use the inodes of deleted files again for a minute, and looks through them for each
    new file: a run that follows another one spent 1.6 ms longer on every image.
    """
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        os.environ.setdefault("TMPDIR", str(MEMORY))


def plain_environment() -> dict[str, str]:
    """The environment without settings, and with modules that are compiled only once, as users have them."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PREFIX) and name != "PYTHONDONTWRITEBYTECODE"
    }


def product_environment(folder: Path, settings: dict[str, str]) -> dict[str, str]:
    """The environment of a SKUlight in folders of its own below `folder`, with some settings (without the prefix)."""
    mine = {
        "INSTANCE_PATH": str(folder / "instance"),
        "PROCESSED_IMAGES_PATH": str(folder / "processed_images"),
        "ALLOWED_PRIVATE_ADDRESSES": "127.0.0.0/8",
        "LOG_LEVEL": "WARNING",
        **settings,
    }
    return plain_environment() | {f"{PREFIX}{name}": value for name, value in mine.items()}


def answer_of(script: str, *arguments: object, seconds: float) -> Any:
    """Run a script of the bench in a process of its own; give the JSON it prints last. Raises BrokenRun."""
    command = [sys.executable, str(ROOT / "bench" / script), *map(str, arguments)]
    done = run(command, seconds=seconds)
    return json.loads(done.splitlines()[-1])


def run(command: list[str], *, seconds: float, **options: Any) -> str:
    """Run a command to its end; give what it printed. Raises BrokenRun, with what it said, when it fails."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **options
    )
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise BrokenRun(f"{_short(command)} was not done after {seconds:.0f} s.") from None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever it has started: a group of our own making
        process.wait(10)
    if process.returncode:
        said = f"{out}\n{err}".strip()[-2_000:]
        raise BrokenRun(f"{_short(command)} failed (exit code {process.returncode}):\n{said}")
    return out


def _short(command: list[str]) -> str:
    return " ".join(Path(word).name for word in command[:4])


def cpu_seconds(session: int) -> float:
    """CPU time of all processes of a session, those included that have ended and were waited for."""
    return sum(sum(map(int, fields[11:15])) for fields in _stats(session)) / _TICKS


def children_seconds(parent: int) -> float:
    """CPU time of the living children of a process."""
    stats = [fields for pid in _pids() if (fields := _stat(pid)) and int(fields[1]) == parent]
    return sum(sum(map(int, fields[11:13])) for fields in stats) / _TICKS


def peak_bytes(session: int) -> int:
    """The most memory (RSS) that the largest process of a session ever had."""
    return max((_peak(pid) for pid in _members(session)), default=0)


def rss_bytes(session: int) -> int:
    """The memory (RSS) of all processes of a session together, now. What they share counts once for each."""
    return sum(int(fields[21]) for fields in _stats(session)) * os.sysconf("SC_PAGE_SIZE")


def _members(session: int) -> list[int]:
    return [pid for pid in _pids() if (fields := _stat(pid)) and int(fields[3]) == session]


def _stats(session: int) -> list[list[str]]:
    return [fields for pid in _pids() if (fields := _stat(pid)) and int(fields[3]) == session]


def _pids() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may hold anything (proc(5): from `state` on)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
