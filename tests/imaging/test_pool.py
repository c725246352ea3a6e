"""Functions run in child processes: limited in time and memory, replaced when they die, never left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pool_calls import raising, reported
from servers import is_running, session, wait_for

from image_processor.errors import Crashed, ImageCancelled, NotAnImage, TooManyPixels, TooSlow
from image_processor.imaging.pool import ImagePool

ROOT = Path(__file__).parents[2]
MEMORY = 1_000_000_000
LIMIT = 5.0


def never() -> bool:
    return False


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the processes find `pool_calls`."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))


@pytest.fixture
def pool() -> Iterator[ImagePool]:
    """Two processes, and one for retries."""
    alone = ImagePool(1, seconds=120, memory_bytes=MEMORY)
    pool = ImagePool(2, seconds=120, memory_bytes=MEMORY, alone=alone)
    yield pool
    pool.stop()


@pytest.fixture
def hasty_pool() -> Iterator[ImagePool]:
    """One process that has LIMIT seconds for each call, the start of the process included."""
    pool = ImagePool(1, seconds=LIMIT, memory_bytes=MEMORY)
    yield pool
    pool.stop()


def pids(file: Path) -> list[int]:
    return [int(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_a_result_comes_back_from_another_process_that_is_kept(pool: ImagePool) -> None:
    first = pool.run("job", never, os.getpid)
    assert first != os.getpid()
    assert pool.run("job", never, os.getpid) == first


def test_what_a_function_raises_is_raised_here_and_the_process_is_kept(pool: ImagePool) -> None:
    first = pool.run("job", never, os.getpid)
    with pytest.raises(NotAnImage, match="a web page") as caught:
        pool.run("job", never, raising, NotAnImage("a web page"))
    assert caught.value.detail == "a web page" and not caught.value.retryable
    with pytest.raises(RuntimeError, match="invalid literal") as unexpected:
        pool.run("job", never, int, "x")
    assert "Traceback" in str(unexpected.value)
    assert pool.run("job", never, os.getpid) == first


def test_an_error_between_a_call_and_its_result_does_not_give_the_result_to_the_next_call(pool: ImagePool) -> None:
    def fail() -> bool:
        raise ValueError("somewhere else")

    with pytest.raises(ValueError, match="somewhere else"):
        pool.run("job", fail, eval, "__import__('time').sleep(1) or 'secret'")
    assert pool.run("job", never, eval, "'mine'") == "mine"


def test_an_error_of_the_disk_comes_as_what_it_is(pool: ImagePool, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pool.run("job", never, open, str(tmp_path / "missing"))


def test_the_start_of_a_process_does_not_count_as_the_time_of_a_call() -> None:
    for _ in range(5):
        pool = ImagePool(1, seconds=0.01, memory_bytes=MEMORY)
        pool.run("job", never, os.getpid)
        pool.stop()


def test_a_process_has_only_what_images_need(pool: ImagePool) -> None:
    loaded = pool.run("job", never, eval, "set(__import__('sys').modules)")
    assert not {"flask", "pandas", "numpy", "sqlalchemy", "requests", "gunicorn"} & loaded
    assert "PIL.JpegImagePlugin" in loaded, "the codecs are loaded before the first image"


def test_what_takes_too_long_is_ended_even_inside_a_c_function(hasty_pool: ImagePool, tmp_path: Path) -> None:
    ran = tmp_path / "pids"
    with pytest.raises(TooSlow):
        hasty_pool.run("job", never, reported, str(ran), "ctypes.PyDLL(None).sleep(600)")
    assert len(pids(ran)) == 1
    assert not is_running(pids(ran)[0])


def test_time_counts_from_the_start_of_a_call_not_from_its_queueing(hasty_pool: ImagePool) -> None:
    hasty_pool.run("job", never, os.getpid)
    with ThreadPoolExecutor(12) as threads:  # the last one waits longer than any may take
        calls = [threads.submit(hasty_pool.run, "job", never, time.sleep, LIMIT / 10) for _ in range(12)]
        for call in calls:
            call.result(120)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is obeyed on Linux")
def test_what_needs_too_much_memory_fails_alone(pool: ImagePool) -> None:
    first = pool.run("job", never, os.getpid)
    with pytest.raises(TooManyPixels, match="memory"):
        pool.run("job", never, bytes, 2 * MEMORY)
    assert pool.run("job", never, os.getpid) == first


def test_a_call_whose_process_dies_is_retried_once_alone(pool: ImagePool, tmp_path: Path) -> None:
    ran = tmp_path / "pids"
    with pytest.raises(Crashed):
        pool.run("job", never, reported, str(ran), "os.kill(os.getpid(), 9)")
    assert len(set(pids(ran))) == 2
    assert pool.run("job", never, os.getpid) not in pids(ran)


def test_a_call_whose_process_was_killed_by_chance_succeeds(pool: ImagePool, tmp_path: Path) -> None:
    ran = tmp_path / "pids"
    only_the_first_takes_long = f"time.sleep(600 if len(open({str(ran)!r}).readlines()) == 1 else 0) or 7"
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(pool.run, "job", never, reported, str(ran), only_the_first_takes_long)
        os.kill(wait_for(lambda: pids(ran))[0], signal.SIGKILL)
        assert call.result(120) == 7
    assert len(pids(ran)) == 2


def test_an_idle_process_that_was_killed_is_replaced(pool: ImagePool) -> None:
    first = pool.run("job", never, os.getpid)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: not is_running(first))
    assert pool.run("job", never, os.getpid) != first


def test_every_call_returns_although_processes_are_killed_again_and_again(pool: ImagePool, tmp_path: Path) -> None:
    ran, done = tmp_path / "pids", threading.Event()
    kills = 0

    def kill() -> None:
        nonlocal kills
        while not done.wait(0.05):
            if (running := [pid for pid in pids(ran)[-2:] if is_running(pid)]) and kills < 20:
                os.kill(running[-1], signal.SIGKILL)
                kills += 1

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    crashed = 0

    def call(number: int) -> int:
        nonlocal crashed
        try:
            return pool.run("job", never, reported, str(ran), f"time.sleep(0.01) or {number + 1}")
        except Crashed:  # killed twice, which is what this test does at random
            crashed += 1
            return number + 1

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(call, range(400))) == list(range(1, 401))
    done.set()
    killer.join(120)
    assert kills and crashed <= kills // 2


def test_an_abandoned_call_ends_and_frees_its_place(pool: ImagePool, tmp_path: Path) -> None:
    ran = tmp_path / "pids"
    with pytest.raises(ImageCancelled):
        pool.run("job", lambda: bool(pids(ran)), reported, str(ran), "time.sleep(600)")
    assert not is_running(pids(ran)[0])
    assert pool.run("job", never, os.getpid)


def test_a_stop_ends_what_runs_and_every_process(pool: ImagePool, tmp_path: Path) -> None:
    ran = tmp_path / "pids"
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(pool.run, "job", never, reported, str(ran), "time.sleep(600)") for _ in range(2)]
        wait_for(lambda: len(pids(ran)) == 2)
        pool.stop()
        for call in calls:
            with pytest.raises(ImageCancelled):
                call.result(120)
    assert not any(is_running(pid) for pid in pids(ran))
    with pytest.raises(ImageCancelled):
        pool.run("job", never, os.getpid)


PARENT = """
import os, sys
from image_processor.imaging.pool import ImagePool
sys.path.insert(0, "tests")
from pool_calls import reported
pool = ImagePool(1, seconds=600, memory_bytes=1_000_000_000)
pool.run("job", lambda: False, reported, sys.argv[1], sys.argv[2])
"""


@pytest.mark.parametrize("busy", ["time.sleep(600)", "ctypes.PyDLL(None).sleep(600)", "all(iter(int, 1))"])
def test_no_busy_process_survives_the_kill_of_its_parent(tmp_path: Path, busy: str) -> None:
    ran = tmp_path / "pids"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(ran), busy], cwd=ROOT, env=environment)
    try:
        (child,) = wait_for(lambda: pids(ran))
    finally:
        parent.kill()
        parent.wait(120)
    wait_for(lambda: not is_running(child))


@pytest.mark.parametrize("milliseconds", [1, 20, 50, 100, 200])
def test_no_process_survives_the_kill_of_its_parent_while_it_starts(tmp_path: Path, milliseconds: int) -> None:
    ran = tmp_path / "pids"
    code = PARENT.replace(
        "pool.run(",
        f"import threading; threading.Timer({milliseconds / 1000}, os.kill, (os.getpid(), 9)).start(); pool.run(",
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(ran), "time.sleep(600)"], cwd=ROOT, env=environment, start_new_session=True
    )
    parent.wait(60)
    wait_for(lambda: not [pid for pid in session(parent.pid) if is_running(pid)], 60)


def test_what_c_libraries_print_becomes_one_line_of_the_log(
    pool: ImagePool, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    pool.run("job", never, os.write, 2, b"libpng warning: one\nlibpng warning: two\n")
    assert "libpng warning: one | libpng warning: two" in caplog.text
    assert capfd.readouterr().err == ""


def test_a_job_of_slow_images_does_not_delay_another(hasty_pool: ImagePool) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(8) as threads:
        slow = [threads.submit(hasty_pool.run, "slow", stop.is_set, time.sleep, 600) for _ in range(8)]
        try:
            hasty_pool.run("quick", never, os.getpid)
            assert not all(call.done() for call in slow), "it ran after all of them"
        finally:
            stop.set()
