"""How long the start takes: `make run` until the server is ready, and the import of the application."""

import sys
import tempfile
import time
from pathlib import Path

from plan import Figures, Plan
from processes import FOLDER_PREFIX, START_SECONDS, plain_environment, run, skulight


def measure(plan: Plan) -> Figures:
    """Seconds, with the start of Python. The first of each, which migrates or compiles, does not count."""
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
        made = [_make_run(Path(folder)) for _ in range(plan.rounds + 1)][1:]
    imported = [_import_app() for _ in range(plan.rounds + 1)][1:]
    return {"make_run": made, "import_app": imported}


def _import_app() -> float:
    started = time.perf_counter()
    run([sys.executable, "-c", "import app"], seconds=START_SECONDS, env=plain_environment())
    return time.perf_counter() - started


def _make_run(folder: Path) -> float:
    started = time.perf_counter()
    with skulight(("make", "run"), folder, {}):
        return time.perf_counter() - started
