"""The bench's own Python environment, .venv-bench: img2dataset, and matplotlib for the graphs."""

import sys
from pathlib import Path
from typing import Final

from processes import ROOT, run

FOLDER: Final = ROOT / ".venv-bench"
REQUIREMENTS: Final = ROOT / "bench" / "requirements.txt"
SECONDS: Final = 900


def program(name: str) -> str:
    """The path of a program in the environment, which is made first if it is missing or out of date.

    Raises BrokenRun when that fails.
    """
    done = FOLDER / "bench.done"
    if not done.exists() or done.stat().st_mtime < REQUIREMENTS.stat().st_mtime:
        print("  making .venv-bench …", flush=True)
        run([sys.executable, "-m", "venv", str(FOLDER)], seconds=SECONDS)
        pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "-r", str(REQUIREMENTS)], seconds=SECONDS)
        done.touch()
    return str(FOLDER / "bin" / name)


def installed(package: str) -> str:
    """The version that is pinned for a package."""
    lines = Path(REQUIREMENTS).read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{package}=="))
