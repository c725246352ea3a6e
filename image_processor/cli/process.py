"""`flask process`: one job from start to results, with a progress bar.

The worker is that of the server: this process runs the job if it gets the worker lock, else the holder of the lock.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import click

from image_processor.errors import StoreUnavailable
from image_processor.jobs import Services, live_message
from image_processor.logs import escaped
from image_processor.store import OUTPUT_NAME, WORKBOOK_NAME, DeliveryState, Job, JobStatus, Outcome

STDOUT = "-"
SOME_FAILED = 1
POLL_SECONDS = 0.1
# The first attempt to deliver a webhook takes at most 15 s.
WEBHOOK_SECONDS = 20.0


class _Ended(BaseException):
    """SIGINT or SIGTERM. Not an Exception, so that no handler takes it for an error."""

    def __init__(self, signal_number: int) -> None:
        self.code = 128 + signal_number


@dataclass(frozen=True, slots=True)
class AttendedRun:
    """One job, run from a terminal. `-` as `output` is stdout."""

    services: Services
    request_id: str
    output: str
    errors: str | None
    replacements: str | None = None

    def run(self) -> int:
        """Run or watch the job until it is done; return the exit code.

        Then the worker is stopped; other jobs that it began are resumed at its next start.
        """
        code = SOME_FAILED
        try:
            with _signals_end():
                code = self._run()
        except _Ended as ended:
            code = ended.code
            where = "The server continues the job. " if self._runs_elsewhere() else "Finished images are kept. "
            click.echo(f"\nStopped. {where}{self._hint()}", err=True)
        except OSError as error:
            click.echo(f"Error: the result cannot be written: {error.strerror}. {self._hint()}", err=True)
        finally:
            self.services.worker.stop(code)
        return code

    def _run(self) -> int:
        if not self._job().done:
            self.services.worker.start()
        job = self._watch()
        self._await_webhook(job)
        self._write_results(job)
        return 0 if job.outcome == Outcome.SUCCEEDED else SOME_FAILED

    # ---- watch ----------------------------------------------------------------------------------------------------

    def _watch(self) -> Job:
        job = self._job()
        with click.progressbar(
            length=job.total, file=sys.stderr, item_show_func=self._progress_text, hidden=not sys.stderr.isatty()
        ) as bar:
            while not job.done:
                self.services.worker.wait_for_finished_job(POLL_SECONDS)
                job = self._job()
                bar.update(job.final - bar.pos, job)
        return job

    def _job(self) -> Job:
        """The recorded job. Waits while the database is not available, as the worker does."""
        while True:
            with suppress(StoreUnavailable):
                return self.services.queries.job(self.request_id)
            time.sleep(POLL_SECONDS)

    def _progress_text(self, job: Job | None) -> str | None:
        reason = self.services.health.reason
        if reason and job and not job.done:
            return f"Paused. {reason}"
        return live_message(job) if job else None

    def _await_webhook(self, job: Job) -> None:
        """Wait for the first attempt: without a server, no other process sends the webhook."""
        if not job.webhook_url or not self.services.worker.is_active:
            return
        patience = time.monotonic() + WEBHOOK_SECONDS
        while True:
            newest, attempts = self.services.queries.deliveries(job.id)[-1]
            if newest.state == DeliveryState.DELIVERED:
                return
            if attempts or time.monotonic() > patience:
                break
            time.sleep(POLL_SECONDS)
        reason = f"the receiver responded with {newest.last_status_code}" if newest.last_status_code else "no response"
        click.echo(
            f"The webhook was not delivered ({reason}). A running server sends it again by its schedule, or after: "
            f"flask --app app webhook redeliver {job.id} {newest.id}",
            err=True,
        )

    # ---- results --------------------------------------------------------------------------------------------------

    def _write_results(self, job: Job) -> None:
        if job.status == JobStatus.FAILED:
            click.echo(f"Error: {job.message}", err=True)
            return
        as_workbook = job.workbook and is_workbook_path(self.output)
        with self.services.queries.output(job.id, WORKBOOK_NAME if as_workbook else OUTPUT_NAME)[0].open(
            "rb"
        ) as result:
            _copy(result, self.output)
        if self.replacements is not None:
            _copy(self.services.queries.replacements_csv(job.id)[0], self.replacements)
        if self.errors is not None:
            _copy(self.services.queries.errors_csv(job.id)[0], self.errors)
        for warning in job.warnings:
            click.echo(f"Warning: {escaped(warning)}", err=True)
        click.echo(f"{job.message} Job {job.id}, {self.output}", err=self.output == STDOUT)

    def _runs_elsewhere(self) -> bool:
        return self.services.worker.is_any_active() and not self.services.worker.is_active

    def _hint(self) -> str:
        return (
            f"Job {self.request_id} is resumed by a server, or with: "
            f"flask --app app process --resume {self.request_id} -o {self.output}"
        )


@contextmanager
def _signals_end() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the command in order: recorded results are kept."""

    def end(number: int, _frame: object) -> None:
        raise _Ended(number)

    before: dict[int, Any] = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def is_workbook_path(path: str) -> bool:
    """Whether a result at a path is to be the uploaded workbook, and not CSV."""
    return Path(path).suffix.lower() in (".xlsx", ".xlsm")


def _copy(source: BinaryIO, target: str) -> None:
    """Copy a result to its target: the whole file, or nothing."""
    if target == STDOUT:
        shutil.copyfileobj(source, sys.stdout.buffer)
        return
    path = Path(target).resolve()
    if path.exists() and not path.is_file():  # a pipe, /dev/null
        path.write_bytes(source.read())
        return
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as new:
        try:
            shutil.copyfileobj(source, new)
            os.fchmod(new.fileno(), 0o644)
            os.replace(new.name, path)
        except BaseException:
            os.unlink(new.name)
            raise
