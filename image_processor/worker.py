"""The worker of an installation: takes unfinished requests up, each in a thread of its own, and sends due webhooks.

Exactly one process of an installation works: the one that holds `worker.lock` for as long as it lives. The others only
serve HTTP, and take over when the lock is free.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from image_processor.deliveries import Deliveries
from image_processor.image_work import Stopped, Workshop
from image_processor.pipeline import Pipeline
from image_processor.repository import Repository

log = logging.getLogger(__name__)

REQUEST_THREADS = 64
POLL_SECONDS = 0.5
TAKE_OVER_SECONDS = 1.0


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


class Worker:
    """Owns the request threads and sees to the pools' clean end."""

    def __init__(
        self,
        lock_path: Path,
        repository: Repository,
        pipeline: Pipeline,
        deliveries: Deliveries,
        workshop: Workshop,
        *,
        warm_up: Callable[[], None],
        cut_network: Callable[[], None],
    ) -> None:
        self._lock_path = lock_path
        self._repository = repository
        self._pipeline = pipeline
        self._deliveries = deliveries
        self._workshop = workshop
        self._warm_up = warm_up
        self._cut_network = cut_network
        self._stop = workshop.stop
        self._nudge = threading.Event()
        self._requests = ThreadPoolExecutor(REQUEST_THREADS, thread_name_prefix="request")
        self._running: set[str] = set()
        self._owner = threading.Thread(target=self._own, name="worker", daemon=True)
        self._courier = threading.Thread(target=self._send_webhooks, name="delivery", daemon=True)
        self.working = threading.Event()

    def start(self) -> None:
        """Begin, in the background: get the lock, now or later, and work."""
        self._owner.start()

    def submit(self, request_id: str) -> None:
        """Say that there is a new request. Only a nudge: the database is what counts."""
        log.debug("request %s: submitted", request_id)
        self._nudge.set()

    def stop(self) -> None:
        """End: begin nothing more, cut what is being downloaded, let only what is being compressed finish.

        What is not recorded is worked again at the next start.
        """
        self._stop.set()
        self._nudge.set()
        self._cut_network()
        self._deliveries.stop()
        for pool in (self._requests, self._workshop.download_pool, self._workshop.compress_pool):
            pool.shutdown(wait=False, cancel_futures=True)

    def _own(self) -> None:
        self._warm_up()
        lock = WorkerLock(self._lock_path)
        while not lock.acquire():
            if self._stop.wait(TAKE_OVER_SECONDS):
                return
        log.info("worker: process %d works the requests", os.getpid())
        self._workshop.storage.remove_temporary()
        self._courier.start()
        self.working.set()
        while not self._stop.is_set():
            self._guarded(self._take_up)
            self._nudge.wait(POLL_SECONDS)
            self._nudge.clear()

    def _send_webhooks(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._guarded(self._deliveries.send_due)

    def _take_up(self) -> None:
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
        except Exception:
            if self._stop.is_set():  # pools that shut down under a request raise what they like
                return
            log.exception("request %s: could not be worked", request_id)
            self._guarded(lambda: self._pipeline.fail(request_id, "The request could not be worked; see the log."))
        finally:
            self._running.discard(request_id)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Nothing that goes wrong in one round may end the rounds."""
        try:
            step()
        except Exception:
            if not self._stop.is_set():
                log.exception("worker: a round failed, the next one follows")
