"""How soon it is there: `make run` to the first answer, and the import of the application."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests
from origin import free_port
from plan import Figures, Plan
from processes import FOLDER_PREFIX, ROOT, BrokenRun, product_environment, run

SECONDS = 60


def measure(plan: Plan) -> Figures:
    """Seconds, the interpreter's start included. The first `make run` in new folders, which migrates, is left out."""
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX) as folder:
        environment = product_environment(Path(folder), {})
        made = [_make_run(environment) for _ in range(plan.rounds + 1)][1:]
        imported = [_import_app(environment) for _ in range(plan.rounds + 1)][1:]
    return {"make_run": made, "import_app": imported}


def _import_app(environment: dict[str, str]) -> float:
    started = time.perf_counter()
    run([sys.executable, "-c", "import app"], seconds=SECONDS, env=environment)
    return time.perf_counter() - started


def _make_run(environment: dict[str, str]) -> float:
    port = free_port()
    started = time.perf_counter()
    process = subprocess.Popen(
        ["make", "run"],
        cwd=ROOT, env=environment | {"HOST": "127.0.0.1", "PORT": str(port)}, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not _answers(f"http://127.0.0.1:{port}/healthz"):
            if process.poll() is not None or time.perf_counter() - started > SECONDS:
                raise BrokenRun("`make run` gave no answer.")
            time.sleep(0.005)
        return time.perf_counter() - started
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # make and what it started: a group of our own making
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.ConnectionError:
        return False
