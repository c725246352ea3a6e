"""The worker of an installation: processes unfinished jobs, each in a thread of its own, and sends due webhooks.

Only the process that holds `worker.lock` does so. The others only serve HTTP, and take over when the lock is free.
"""

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from image_processor.errors import StoreUnavailable, UploadGone
from image_processor.jobs.deliveries import Deliveries
from image_processor.jobs.image_job import DownloadThreads, Interrupted
from image_processor.jobs.pipeline import Pipeline
from image_processor.store import Health, Jobs, Storage

log = logging.getLogger(__name__)

JOB_THREADS = 64
POLL_SECONDS = 0.5
TAKE_OVER_SECONDS = 1.0
ACTIVE_SECONDS = 15.0
CLEAN_UP_SECONDS = 86_400.0
CLEAN_UP_RETRY_SECONDS = 60.0
EXIT_SECONDS = 8


class WorkerLock:
    """A POSIX lock on a file, held until the process dies.

    `lockf`, not `flock`: a forked child keeps a `flock`. The file is opened once and never again, because closing any
    descriptor of it would release the lock.
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

    def touch(self) -> None:
        """Set the time of the file, by which other processes see that its owner is active."""
        os.utime(self._descriptor)


class Worker:
    """Owns the job threads.

    `warm_up` runs first, `clean_up` at the start and once a day, `cut_network` and `stop_images` at the end.
    """

    def __init__(
        self,
        lock_path: Path,
        jobs: Jobs,
        pipeline: Pipeline,
        deliveries: Deliveries,
        storage: Storage,
        threads: DownloadThreads,
        health: Health,
        *,
        warm_up: Callable[[], None],
        clean_up: Callable[[], None],
        cut_network: Callable[[], None],
        stop_images: Callable[[], None],
    ) -> None:
        self._lock_path = lock_path
        self._url_path = lock_path.with_name("server_url")
        self._jobs = jobs
        self._pipeline = pipeline
        self._deliveries = deliveries
        self._storage = storage
        self._threads = threads
        self._health = health
        self._warm_up = warm_up
        self._clean_up = clean_up
        self._cut_network = cut_network
        self._stop_images = stop_images
        self._stop = threads.stopping
        self._submitted = threading.Event()
        self._job_finished = threading.Event()
        self._job_threads = ThreadPoolExecutor(JOB_THREADS, thread_name_prefix="job")
        self._running: set[str] = set()
        self._is_active = False
        self._exit_code = 0

    def start(self, server_url: str | None = None) -> None:
        """Begin, in the background: process jobs as soon as the lock is free. A server passes its base URL."""
        if server_url:
            with suppress(OSError):  # only the command line reads it
                self._url_path.write_text(server_url)
        threading.Thread(target=self._run, name="worker", daemon=True).start()
        threading.Thread(target=self._shut_down, name="shutdown", daemon=True).start()

    def submit(self, job_id: str) -> None:
        """Announce a new job. It is found in the database without this, too, but later."""
        log.info("job %s: submitted to the worker", job_id)
        self._submitted.set()

    def stop(self, exit_code: int = 0) -> None:
        """End all processing. Returns at once, so that a signal handler may call it.

        A process that has not ended after 8 s is ended with `exit_code`.
        """
        self._exit_code = exit_code
        self._stop.set()

    @property
    def is_active(self) -> bool:
        """Whether this process processes jobs."""
        return self._is_active

    def is_any_active(self) -> bool:
        """Whether any process of the installation processes jobs, by the time of its lock file."""
        try:
            touched = self._lock_path.stat().st_mtime
        except FileNotFoundError:
            return False
        return abs(time.time() - touched) < ACTIVE_SECONDS

    def server_url(self) -> str | None:
        """The base URL of the server that processes the jobs of the installation; None when none does."""
        return self._url_path.read_text() if self.is_any_active() and self._url_path.exists() else None

    def wait_for_finished_job(self, seconds: float) -> None:
        """Return when a job of this process has ended, or after `seconds`. For one caller."""
        self._job_finished.wait(seconds)
        self._job_finished.clear()

    # ---- the worker thread ----------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._attempt(self._warm_up)
        lock = WorkerLock(self._lock_path)
        while not lock.acquire():
            self._health.check_if_due()
            if self._stop.wait(TAKE_OVER_SECONDS):
                return
        self._is_active = True
        log.info("worker: process %d processes the jobs", os.getpid())
        threading.Thread(target=self._send_webhooks, name="delivery", daemon=True).start()
        threading.Thread(target=self._clean_up_daily, name="clean-up", daemon=True).start()
        while not self._stop.is_set():
            lock.touch()
            self._attempt(self._start_jobs)
            self._submitted.wait(POLL_SECONDS)
            self._submitted.clear()

    def _start_jobs(self) -> None:
        """Start every unfinished job that is not running, unless nothing can be written."""
        if not self._health.check_if_due():
            return
        for job_id in self._jobs.unfinished():
            if job_id not in self._running and len(self._running) < JOB_THREADS and not self._stop.is_set():
                self._running.add(job_id)
                self._job_threads.submit(self._run_job, job_id)

    def _run_job(self, job_id: str) -> None:
        """In a job thread. The one catch-all around a job: after an unexpected error the job is `Failed`."""
        try:
            self._pipeline.run(job_id)
        except Interrupted:
            log.info("job %s: interrupted, continues at the next start", job_id)
        except UploadGone as error:
            self._attempt(partial(self._pipeline.fail, job_id, str(error)))
        except (OSError, StoreUnavailable) as error:
            # Nothing is wrong with the job. It is started again when files and database can be written.
            self._health.pause(error)
            log.warning("job %s: paused. %s", job_id, self._health.reason)
        except Exception:
            if self._stop.is_set():  # pools that shut down raise errors of many kinds
                return
            log.exception("job %s: could not be processed", job_id)
            self._attempt(partial(self._pipeline.fail, job_id, "The job could not be processed; see the log."))
        finally:
            self._running.discard(job_id)
            self._job_finished.set()

    def _send_webhooks(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._attempt(self._deliveries.send_due)

    def _clean_up_daily(self) -> None:
        """In a thread of its own, because to delete many jobs takes long. What the end cuts, the next start repeats."""
        seconds = 0.0
        while not self._stop.wait(seconds):
            succeeded = self._attempt(self._storage.remove_temporary) and self._attempt(self._clean_up)
            seconds = CLEAN_UP_SECONDS if succeeded else CLEAN_UP_RETRY_SECONDS

    def _attempt(self, step: Callable[[], None]) -> bool:
        """Do one step and return whether it succeeded. An error never ends the thread."""
        try:
            step()
        except (OSError, StoreUnavailable) as error:
            self._health.pause(error)
            log.warning("worker: paused. %s", self._health.reason)
            return False
        except Exception:
            if not self._stop.is_set():
                log.exception("worker: a step failed; the next one follows")
            return False
        return True

    # ---- the end --------------------------------------------------------------------------------------------------

    def _shut_down(self) -> None:
        """Once stopped: cut the downloads, end the image processes, and end the process after 8 s.

        Images that are not recorded by then are processed again at the next start.
        """
        self._stop.wait()
        self._submitted.set()
        self._deliveries.stop()
        self._job_threads.shutdown(wait=False, cancel_futures=True)
        self._threads.stop()
        self._stop_images()
        for _ in range(EXIT_SECONDS * 10):
            self._cut_network()  # again and again: a download may have been between two sockets
            time.sleep(0.1)
        log.warning("worker: still busy after %d s; the process is ended", EXIT_SECONDS)
        os._exit(self._exit_code)
