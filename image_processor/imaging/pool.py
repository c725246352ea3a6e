"""Functions on images run in child processes, within a limit of time and of memory.

A malicious file can hang, exhaust or crash a decoder, so no decoder runs in the server. A process that exceeds a limit
or dies is replaced, and only its own call fails. Why this is not a pool of a library: `docs/adr/0012`.
"""

import fcntl
import logging
import os
import pickle
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, BinaryIO, Final, ParamSpec, TypeVar, cast

from image_processor.errors import Crashed, ImageCancelled, SkulightError, TooManyPixels, TooSlow
from image_processor.imaging.fair_queue import LOOK_SECONDS, FairQueue

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

START_SECONDS: Final = 120.0  # for a process to load its codecs, which takes 0.2 s on a quiet machine
_STDERR_BYTES: Final = 2_000
# One thread for oxipng. glibc keeps freed memory for the next image: 11.6 + 2.9 ms (user + system) for an 800² JPEG
# become 10.7 + 0.2 ms.
_CHILD_ENVIRONMENT: Final = {
    "RAYON_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "33554432", "MALLOC_TRIM_THRESHOLD_": "67108864",
}  # fmt: skip
_CHILD: Final = """
import sys
sys.path.insert(0, sys.argv[1])
from image_processor.imaging.pool import serve
serve(*map(int, sys.argv[2:4]))
"""


class ImagePool:
    """Runs functions in `workers` processes. Thread-safe.

    A call may take `seconds` of wall time from its start; a process may have `memory_bytes` of address space where the
    system has `RLIMIT_AS`. Processes start when they are first needed. A call that is too slow, or whose process dies,
    is retried once in the pool `alone`, if there is one. `name` is the last word of their command lines.
    """

    def __init__(
        self,
        workers: int,
        *,
        seconds: float,
        memory_bytes: int,
        name: str = "images",
        alone: "ImagePool | None" = None,
    ) -> None:
        self._name = name
        self._alone = alone
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._queue = FairQueue(workers)
        self._idle: list[_Process] = []
        self._all: set[_Process] = set()
        self._stopped = False
        weakref.finalize(self, _close, self._all)

    def run(
        self, owner: str, is_abandoned: Callable[[], bool], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return `function(*args, **kwargs)`, run in a process; wait for one as long as necessary.

        Processes are shared fairly among owners. The call ends with ImageCancelled when `is_abandoned()`, which is
        checked several times a second, is true. Arguments and result must be picklable.

        Raises what the function raises; TooSlow when it takes too long, TooManyPixels when it needs too much memory,
        Crashed when its process dies.
        """
        try:
            with self._queue.place(owner, is_abandoned), self._process() as process:
                return process.call(self._seconds, is_abandoned, function, args, kwargs)
        except (TooSlow, Crashed) as error:
            if self._stopped:
                raise ImageCancelled from error
            if self._alone is None:
                raise
            log.info("job %s: an image is retried alone: %s", owner, error.code)
        return self._alone.run(owner, is_abandoned, function, *args, **kwargs)

    def stop(self) -> None:
        """End every process at once. Running calls raise ImageCancelled, and so does every later one."""
        self._stopped = True
        for process in list(self._all):
            process.kill()
        if self._alone is not None:
            self._alone.stop()

    @contextmanager
    def _process(self) -> Iterator["_Process"]:
        """A running process for one call, kept for the next unless this one broke it."""
        process = self._idle.pop() if self._idle else self._start()
        if not process.is_alive():
            self._discard(process)
            process = self._start()
        try:
            if self._stopped:
                raise ImageCancelled
            yield process
        finally:
            if process.is_busy:
                self._discard(process)
            else:
                self._idle.append(process)

    def _start(self) -> "_Process":
        process = _Process(self._memory_bytes, self._name)
        self._all.add(process)
        return process

    def _discard(self, process: "_Process") -> None:
        self._all.discard(process)
        process.close()


def _close(processes: "set[_Process]") -> None:
    for process in processes:
        process.close()


class _Process:
    """A process and the connection to it. Used by one thread at a time, except for `kill`.

    `is_busy` from the start of a call until its result has arrived.
    """

    def __init__(self, memory_bytes: int, name: str) -> None:
        self.is_busy = False
        self._is_ready = False
        self._connection, theirs = Pipe()
        parent = str(Path(__file__).parents[2])
        with theirs:
            self._child = subprocess.Popen(
                # -P: no module of the current folder is imported in place of one of ours
                [sys.executable, "-P", "-c", _CHILD, parent, str(theirs.fileno()), str(memory_bytes), name],
                stdin=subprocess.PIPE,  # closes when this process ends, see _end_with_parent
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                env=os.environ | _CHILD_ENVIRONMENT,
            )
        self._stderr = cast(BinaryIO, self._child.stderr)
        self._printed = b""
        self._readable = select.poll()
        for end in self._connection, self._stderr:
            self._readable.register(end, select.POLLIN)

    def call(
        self, seconds: float, is_abandoned: Callable[[], bool], function: Callable[..., T], args: Any, kwargs: Any
    ) -> T:
        """Run a function and wait for its result. Raises the same errors as `ImagePool.run`."""
        self.is_busy = True
        try:
            if not self._is_ready:
                self._is_ready = self._receive(START_SECONDS, is_abandoned)
            self._connection.send_bytes(pickle.dumps((function, args, kwargs)))
            succeeded, result = self._receive(seconds, is_abandoned)
            self.is_busy = False
        except (EOFError, OSError) as error:
            raise Crashed from error
        finally:
            self._log_stderr()
        if not succeeded:
            raise result
        return result  # type: ignore[no-any-return]

    def _receive(self, seconds: float, is_abandoned: Callable[[], bool]) -> Any:
        deadline = time.monotonic() + seconds
        while True:
            arrived = [descriptor for descriptor, _ in self._readable.poll(1_000 * LOOK_SECONDS)]
            if self._stderr.fileno() in arrived:
                self._printed = (self._printed + os.read(self._stderr.fileno(), select.PIPE_BUF))[:_STDERR_BYTES]
            if self._connection.fileno() in arrived:
                return pickle.loads(self._connection.recv_bytes())
            if is_abandoned():
                raise ImageCancelled
            if time.monotonic() > deadline:
                raise TooSlow

    def is_alive(self) -> bool:
        """Whether the process is running."""
        return self._child.poll() is None

    def kill(self) -> None:
        """End the process."""
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        """End the process and close the connection to it."""
        with self._connection, self._child:
            self._child.kill()

    def _log_stderr(self) -> None:
        # C libraries print warnings.
        if self._printed:
            lines = self._printed.decode(errors="replace").split("\n")
            log.warning("image process %d: %s", self._child.pid, " | ".join(lines).strip(" |"))
            self._printed = b""


# ---- in the child process -------------------------------------------------------------------------------------------


def serve(descriptor: int, memory_bytes: int) -> None:
    """Run the calls that arrive over the connection `descriptor` until it closes."""
    _end_with_parent()
    _limit(memory_bytes)
    from image_processor.imaging.compressor import load_codecs

    load_codecs()
    connection = Connection(descriptor)
    connection.send_bytes(pickle.dumps(True))  # ready
    while True:
        try:
            call = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(pickle.dumps(_outcome(*pickle.loads(call))))


def _outcome(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[bool, Any]:
    try:
        return True, function(*args, **kwargs)
    except SkulightError as error:
        return False, error
    except OSError as error:  # with a number it comes from the system, without one from a library
        return False, error if error.errno else RuntimeError(repr(error))
    except MemoryError:
        return False, TooManyPixels("The image needs more memory than it may have; host a smaller version of it.")
    except Exception as error:  # noqa: BLE001  # the server logs it; its type may not be picklable
        return False, RuntimeError("".join(traceback.format_exception(error)))


def _end_with_parent() -> None:
    """Let the system end this process when its parent ends, even in the middle of a C function.

    When the parent's end of standard input closes, the system sends SIGIO, which ends a process that does not handle
    it. (`PR_SET_PDEATHSIG` would depend on the thread that started the process, not on the server.)
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([0], [], [], 0)[0]:
        sys.exit()  # the parent has ended already
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole process group: the server decides


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Some systems (macOS) have the name and refuse the limit.
    try:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    except (ValueError, OSError):
        log.debug("this system has no limit for the memory of a process")
