"""One request that a person waits for at a terminal: worked to its end, shown, and its results written where he wants.

The work is done by the same worker as in the server: by this process if the worker lock is free, else by its holder.
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
from image_processor.store import DeliveryState, Job, JobStatus, Outcome

STDOUT = "-"
SOME_FAILED = 1
POLL_SECONDS = 0.1
# Where nobody sees the steps: each look takes the interpreter from the work.
SELDOM_SECONDS = 0.5
# A first attempt to deliver a webhook takes 15 s at most; whoever does not take it then is tried again later.
WEBHOOK_SECONDS = 20.0


class _Ended(BaseException):
    """The person or the system asks this process to end. No Exception: nothing may take it for an error."""

    def __init__(self, signal_number: int) -> None:
        self.code = 128 + signal_number


@dataclass(frozen=True, slots=True)
class AttendedRun:
    """One job, run from a terminal. `-` as `output` is stdout."""

    services: Services
    request_id: str
    output: str
    errors: str | None

    def run(self) -> int:
        """Work or watch until the request is done; give the exit code.

        The worker is stopped then: it begins nothing more, and what was begun for others goes on at the next start.
        """
        code = SOME_FAILED
        try:
            with _signals_end():
                code = self._run()
        except _Ended as ended:
            code = ended.code
            where = "The server goes on with it. " if self._is_worked_elsewhere() else "What is done is kept. "
            click.echo(f"\nStopped. {where}{self._hint()}", err=True)
        except OSError as error:
            click.echo(f"Error: the result cannot be written: {error.strerror}. {self._hint()}", err=True)
        finally:
            self.services.worker.stop(code)
        return code

    def _run(self) -> int:
        if not self._look().done:
            self.services.worker.start()
        request = self._watch_with_bar() if sys.stderr.isatty() else self._watch()
        self._await_webhook(request)
        self._write_results(request)
        return 0 if request.outcome == Outcome.SUCCEEDED else SOME_FAILED

    # ---- watch ----------------------------------------------------------------------------------------------------

    def _watch(self) -> Job:
        while not (request := self._look()).done:
            self.services.worker.wait_for_finished_job(SELDOM_SECONDS)
        return request

    def _watch_with_bar(self) -> Job:
        request = self._look()
        with click.progressbar(length=request.total, file=sys.stderr, item_show_func=self._beside_the_bar) as bar:
            while True:
                bar.update(request.final - bar.pos, request)
                if request.done:
                    return request
                self.services.worker.wait_for_finished_job(POLL_SECONDS)
                request = self._look()

    def _look(self) -> Job:
        """The request as it is recorded; while the database is not to be had, wait for it as the work does."""
        while True:
            with suppress(StoreUnavailable):
                return self.services.queries.job(self.request_id)
            time.sleep(POLL_SECONDS)

    def _beside_the_bar(self, request: Job | None) -> str | None:
        reason = self.services.health.reason
        if reason and request and not request.done:
            return f"Paused. {reason}"
        return live_message(request) if request else None

    def _await_webhook(self, request: Job) -> None:
        """Without a server nobody else sends the webhook: stay for the first attempt, and say what came of it."""
        if not request.webhook_url or not self.services.worker.is_active:
            return
        patience = time.monotonic() + WEBHOOK_SECONDS
        while True:
            newest, attempts = self.services.queries.deliveries(request.id)[-1]
            if newest.state == DeliveryState.DELIVERED:
                return
            if attempts or time.monotonic() > patience:
                break
            time.sleep(POLL_SECONDS)
        reason = f"it answered {newest.last_status_code}" if newest.last_status_code else "it gave no answer"
        click.echo(
            f"The webhook was not taken ({reason}). A running server sends it again by its schedule, or after: "
            f"flask --app app webhook redeliver {request.id} {newest.id}",
            err=True,
        )

    # ---- results --------------------------------------------------------------------------------------------------

    def _write_results(self, request: Job) -> None:
        if request.status == JobStatus.FAILED:
            click.echo(f"Error: {request.message}", err=True)
            return
        with self.services.queries.output_csv(request.id)[0].open("rb") as result:
            _copy(result, self.output)
        if self.errors is not None:
            _copy(self.services.queries.errors_csv(request.id)[0], self.errors)
        click.echo(f"{request.message} Request {request.id}, {self.output}", err=self.output == STDOUT)

    def _is_worked_elsewhere(self) -> bool:
        return self.services.worker.is_any_active() and not self.services.worker.is_active

    def _hint(self) -> str:
        return (
            f"Request {self.request_id} goes on with a server, or with: "
            f"flask --app app process --resume {self.request_id} -o {self.output}"
        )


@contextmanager
def _signals_end() -> Iterator[None]:
    """Ctrl-C and a polite kill end the command in order: what is recorded stays, the rest waits."""

    def end(number: int, _frame: object) -> None:
        raise _Ended(number)

    before: dict[int, Any] = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _copy(source: BinaryIO, target: str) -> None:
    """Copy a result to where the person wants it: whole, or not at all."""
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
