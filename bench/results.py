"""bench/results.json: the figures of each section, with the day and the machine they were measured on.

A section that is measured again replaces itself; the others stay, each with its own day.
"""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).resolve().parent / "results.json"


def load(path: Path = RESULTS) -> dict[str, Any]:
    """All sections."""
    return json.loads(path.read_text()) if path.exists() else {}


def keep(section: str, figures: Any, *, quick: bool, origin: str, path: Path = RESULTS) -> dict[str, Any]:
    """Save the figures of a section; gives the section as it is in the file."""
    kept = {"measured": circumstances(quick, origin), "figures": _rounded(figures)}
    sections = dict(sorted((load(path) | {section: kept}).items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(sections, indent=1) + "\n")
    new.replace(path)
    return kept


def circumstances(quick: bool, origin: str) -> dict[str, Any]:
    """The date, the machine and the versions of a measurement."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "quick": quick,
        "cpus": len(os.sched_getaffinity(0)),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "pillow": version("pillow"),
        "origin": origin,
        "commit": _commit(),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    """The commit that was measured, with a plus if there were uncommitted changes."""
    try:
        asked = [("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "app.py", "image_processor")]
        commit, changes = (
            subprocess.run(
                ["git", *words], cwd=RESULTS.parent.parent, capture_output=True, text=True, check=True, timeout=20
            )
            for words in asked
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit.stdout.strip() + ("+" if changes.stdout.strip() else "")


def _rounded(figures: Any) -> Any:
    """Four significant digits."""
    if isinstance(figures, dict):
        return {name: _rounded(value) for name, value in figures.items()}
    if isinstance(figures, (list, tuple)):
        return [_rounded(value) for value in figures]
    return float(f"{figures:.4g}") if isinstance(figures, float) else figures
