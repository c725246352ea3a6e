"""The worker of an installation: takes unfinished requests up, each in a thread of its own, and sends due webhooks.

Exactly one process of an installation works: the one that holds `worker.lock` for as long as it lives. The others only
serve HTTP, and take over when the lock is free.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from image_processor.errors import StoreUnavailable, UploadGone
from image_processor.jobs.deliveries import Deliveries
from image_processor.jobs.image_job import DownloadThreads, Stopped
from image_processor.jobs.pipeline import Pipeline
from image_processor.store import Health, Repository, Storage

log = logging.getLogger(__name__)

REQUEST_THREADS = 64
POLL_SECONDS = 0.5
TAKE_OVER_SECONDS = 1.0
LIFE_SIGN_SECONDS = 15.0
TIDY_SECONDS = 86_400.0
EXIT_SECONDS = 8


class WorkerLock:
    """A POSIX lock on a file, held until the process dies.

    `lockf`, not `flock`: a forked child keeps a `flock` alive. The file is opened once and never again, for closing any
    descriptor of it would drop the lock.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def acquire(self) -> bool:
        """Take the lock if it is free."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def show_life(self) -> None:
        """Let the other processes see that the owner lives."""
        os.utime(self._descriptor)


class Worker:
    """Owns the request threads, and sees to a clean end.

    `warm_up` is called first; `tidy` at the start and once a day; `cut_network` and `stop_images` at the end.
    """

    def __init__(
        self,
        lock_path: Path,
        repository: Repository,
        pipeline: Pipeline,
        deliveries: Deliveries,
        storage: Storage,
        threads: DownloadThreads,
        health: Health,
        *,
        warm_up: Callable[[], None],
        tidy: Callable[[], None],
        cut_network: Callable[[], None],
        stop_images: Callable[[], None],
    ) -> None:
        self._lock_path = lock_path
        self._repository = repository
        self._pipeline = pipeline
        self._deliveries = deliveries
        self._storage = storage
        self._threads = threads
        self._health = health
        self._warm_up = warm_up
        self._tidy = tidy
        self._cut_network = cut_network
        self._stop_images = stop_images
        self._stop = threads.stopping
        self._nudge = threading.Event()
        self._ended = threading.Event()
        self._requests = ThreadPoolExecutor(REQUEST_THREADS, thread_name_prefix="request")
        self._running: set[str] = set()
        self._works = False
        self._exit_code = 0

    def start(self) -> None:
        """Begin, in the background: get the lock, now or later, and work."""
        for work in (self._own, self._end):
            threading.Thread(target=work, name=f"worker{work.__name__}", daemon=True).start()

    def submit(self, request_id: str) -> None:
        """Say that there is something new. Only a nudge: the database is what counts."""
        log.info("request %s: handed to the worker", request_id)
        self._nudge.set()

    def stop(self, exit_code: int = 0) -> None:
        """Ask for the end. Returns at once, so that a signal handler may call it; the end itself is `_end`.

        `exit_code` is what the process ends with should it have to be cut off.
        """
        self._exit_code = exit_code
        self._stop.set()

    @property
    def is_active(self) -> bool:
        """Whether it is this process that works."""
        return self._works

    def wait_for_finished_job(self, seconds: float) -> None:
        """Return when a request that this process works has come to an end, or after `seconds`. For one caller."""
        self._ended.wait(seconds)
        self._ended.clear()

    def is_any_active(self) -> bool:
        """Whether some process of the installation works: this one, or one that gave a sign of life lately."""
        try:
            last_sign = self._lock_path.stat().st_mtime
        except FileNotFoundError:
            return False
        return abs(time.time() - last_sign) < LIFE_SIGN_SECONDS

    # ---- the thread that owns the work ----------------------------------------------------------------------------

    def _own(self) -> None:
        self._guarded(self._warm_up)
        lock = WorkerLock(self._lock_path)
        while not lock.acquire():
            self._health.look()
            if self._stop.wait(TAKE_OVER_SECONDS):
                return
        self._works = True
        log.info("worker: process %d works the requests", os.getpid())
        self._until_it_works(self._take_over)
        threading.Thread(target=self._send_webhooks, name="delivery", daemon=True).start()
        tidied = time.monotonic()
        while not self._stop.is_set():
            lock.show_life()
            self._guarded(self._round)
            if time.monotonic() - tidied > TIDY_SECONDS:
                tidied = time.monotonic()
                self._guarded(self._tidy)
            self._nudge.wait(POLL_SECONDS)
            self._nudge.clear()

    def _take_over(self) -> None:
        """See to what the process before left behind."""
        self._storage.remove_temporary()
        self._tidy()

    def _round(self) -> None:
        """Look after the store; take up every request that nobody works yet."""
        if not self._health.look():
            return
        for request_id in self._repository.unfinished_requests():
            if request_id not in self._running and len(self._running) < REQUEST_THREADS and not self._stop.is_set():
                self._running.add(request_id)
                self._requests.submit(self._run, request_id)

    def _run(self, request_id: str) -> None:
        """In a request thread. The one catch-all around a request: whatever goes wrong, the request says so."""
        try:
            self._pipeline.run(request_id)
        except Stopped:
            log.info("request %s: stopped, goes on at the next start", request_id)
        except UploadGone as error:
            self._guarded(partial(self._pipeline.fail, request_id, str(error)))
        except (OSError, StoreUnavailable) as error:
            # Nothing is wrong with the request. It is taken up again by the round that finds all well.
            self._health.pause(error)
            log.warning("request %s: pauses. %s", request_id, self._health.reason)
        except Exception:
            if self._stop.is_set():  # pools that shut down under a request raise what they like
                return
            log.exception("request %s: could not be worked", request_id)
            self._guarded(partial(self._pipeline.fail, request_id, "The request could not be worked; see the log."))
        finally:
            self._running.discard(request_id)
            self._ended.set()

    def _send_webhooks(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._guarded(self._deliveries.send_due)

    # ---- the end --------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """When asked: cut the downloads, end the image processes, and never take longer than 8 s.

        What is not recorded then is processed again at the next start.
        """
        self._stop.wait()
        self._nudge.set()
        self._deliveries.stop()
        self._requests.shutdown(wait=False, cancel_futures=True)
        self._threads.stop()
        self._stop_images()
        for _ in range(EXIT_SECONDS * 10):
            self._cut_network()  # again and again: a download may have been between two sockets
            time.sleep(0.1)
        log.warning("worker: still busy after %d s; ends as a kill would", EXIT_SECONDS)
        os._exit(self._exit_code)

    def _until_it_works(self, step: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                step()
                return
            except (OSError, StoreUnavailable) as error:
                self._health.pause(error)
                log.warning("worker: waits. %s", self._health.reason)
                self._stop.wait(TAKE_OVER_SECONDS)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Nothing that goes wrong in one round may end the rounds."""
        try:
            step()
        except (OSError, StoreUnavailable) as error:
            self._health.pause(error)
            log.warning("worker: pauses. %s", self._health.reason)
        except Exception:
            if not self._stop.is_set():
                log.exception("worker: a round failed, the next one follows")
