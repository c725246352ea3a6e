"""The command line: `flask --app app …`. Processes a catalogue without a server, and has commands for operators.

It can be used while a server runs: the process that holds the worker lock processes jobs, all read the same database.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, cast

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from image_processor.cli.process import STDOUT, AttendedRun, is_workbook_path
from image_processor.cli.tables import problem_table, table
from image_processor.errors import InvalidCSV, RequestError, StoreUnavailable
from image_processor.jobs import Services, StatusBody, timestamp
from image_processor.logs import escaped
from image_processor.store import JobStatus

P = ParamSpec("P")

BAD_INPUT = 2
FAILURES_SHOWN = 20


def register(app: Flask) -> None:
    """Give the application its commands."""
    for command in (process, prune, requests, webhook):
        app.cli.add_command(command)


def _exits_with_errors(command: Callable[P, None]) -> Callable[P, None]:
    """An error is a sentence on stderr (for a catalogue, a table) and exit code 2."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except InvalidCSV as error:
            click.echo(f"{error.detail}\n\n{problem_table(error.problems)}", err=True)
            sys.exit(BAD_INPUT)
        except (RequestError, StoreUnavailable) as error:
            click.echo(f"Error: {escaped(str(error))}", err=True)
            sys.exit(BAD_INPUT)

    return run


# ---- process -------------------------------------------------------------------------------------------------------


@click.command(
    epilog="""\b
Examples:
  flask --app app process catalogue.csv -o output.csv
  flask --app app process catalogue.csv -o output.csv --quality 60 --format webp
  flask --app app process catalogue.csv -o output.csv --on-invalid skip --errors errors.csv
  flask --app app process shopify.csv -o shopify-new.csv --replacements replacements.csv
  flask --app app process products.xlsx -o products-new.xlsx --images-column "Photo link"
  flask --app app process catalogue.csv --dry-run
  flask --app app process --resume 5ba9aab8-b23c-4152-9290-1da736f716cf -o output.csv
  curl -s https://shop.example/export.csv | flask --app app process - -o - > output.csv

\b
Exit codes:
  0  every image was compressed
  1  some images failed: their old URLs stay, or their slots are empty (see --failed); --errors has the reasons
  2  the file or an option is not valid; nothing was stored"""
)
@click.argument("catalogue", type=click.File("rb"), required=False)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Path of the result: a CSV, or .xlsx or .xlsm for a workbook; - for stdout.",
)
@click.option(
    "--errors",
    type=click.Path(dir_okay=False),
    help="Path of errors.csv: the rows that failed, to correct and process again.",
)
@click.option(
    "--replacements",
    type=click.Path(dir_okay=False),
    help="Path of replacements.csv: every image with its old and its new URL.",
)
@click.option(
    "--images-column",
    multiple=True,
    metavar="COLUMN",
    help="A column of images, by its header or its number; repeatable. By default it is recognised, like the next two.",
)
@click.option("--name-column", metavar="COLUMN", help="The column of product names.")
@click.option("--id-column", metavar="COLUMN", help="The column of ids.")
@click.option("--sheet", help="The sheet of a workbook.")
@click.option("--image-base-url", metavar="URL", help="The URL that relative paths of images are below.")
@click.option(
    "--new-urls",
    "output",
    type=click.Choice(["add", "replace"]),
    help="Where new URLs are put: in an added column, or in the place of the old ones.",
)
@click.option(
    "--failed",
    type=click.Choice(["keep", "empty"]),
    help="For an image that failed: keep its old URL, or leave it empty.",
)
@click.option("--quality", type=click.IntRange(1, 95), help="Encoder quality, 1 to 95.")
@click.option("--max-dimension", type=click.IntRange(0, 65_500), help="Longest side in pixels; 0 never resizes.")
@click.option("--format", type=click.Choice(["keep", "jpeg", "webp", "avif", "png"]), help="Format of the results.")
@click.option(
    "--on-invalid",
    type=click.Choice(["reject", "skip"]),
    help="Refuse a catalogue with invalid rows, or skip these rows.",
)
@click.option("--webhook-url", help="Receives a signed POST when output.csv is written.")
@click.option("--webhook-secret", help="Signs the webhook instead of the secret of the installation.")
@click.option("--dry-run", is_flag=True, help="Only check the catalogue; store nothing.")
@click.option("--resume", metavar="REQUEST_ID", help="Resume a job instead of a new catalogue.")
@with_appcontext
@_exits_with_errors
def process(
    catalogue: BinaryIO | None,
    target: str | None,
    errors: str | None,
    replacements: str | None,
    dry_run: bool,
    resume: str | None,
    **options: Any,
) -> None:
    """Compress the images of CATALOGUE (a CSV, a workbook or a list of URLs; - for stdin); write it with the new URLs.

    No server is needed. If one is running, it processes the job and this command waits for it.
    """
    if (catalogue is None) == (resume is None):
        raise click.UsageError("Pass either a CATALOGUE or --resume REQUEST_ID.")
    options = {name: value for name, value in options.items() if value not in (None, ())}
    if target is None and not dry_run:
        raise click.UsageError("Pass the path of the result: -o output.csv.")
    if catalogue is not None and dry_run:
        _check(catalogue, options)
        return
    for path in (target, errors, replacements):
        _check_folder(path)
    request_id = resume or _accept(catalogue, options, target or "")
    _services().queries.job(request_id)
    sys.exit(AttendedRun(_services(), request_id, target or STDOUT, errors, replacements).run())


def _check(catalogue: BinaryIO, options: dict[str, Any]) -> None:
    """The dry run: how the table was understood, and all problems or the numbers of a valid catalogue."""
    uploads = _services().uploads
    chosen = uploads.options(**options)
    found = uploads.read(_read(catalogue), _name(catalogue), chosen)
    understood = found.understood
    if understood.profile != "assignment":
        columns = [(str(one.number), one.name, one.role or "–", one.example) for one in understood.columns]
        click.echo(table(("COLUMN", "NAME", "USED AS", "EXAMPLE"), columns), err=True)
    for warning in uploads.warnings(found, chosen, _base_url()):
        click.echo(f"Warning: {escaped(warning)}", err=True)
    if found.problems:
        raise InvalidCSV(f"Rows: {found.row_count}, problems: {len(found.problems)}.", found.problems)
    click.echo(
        f"The catalogue is valid. Rows: {found.row_count}, images: {found.image_count}, hosts: {len(found.hosts)}."
    )


def _check_folder(path: str | None) -> None:
    """Whether the result can be written: checked before processing, not after it."""
    if path not in (None, STDOUT) and not os.access(Path(path or "").absolute().parent, os.W_OK):
        raise click.UsageError(f"{path!r} cannot be written: its folder is missing or not writable.")


def _accept(catalogue: BinaryIO | None, options: dict[str, Any], target: str) -> str:
    assert catalogue is not None
    uploads, data, name = _services().uploads, _read(catalogue), _name(catalogue)
    chosen = uploads.options(**options)
    if is_workbook_path(target) and not uploads.read(data, name, chosen).is_editable:
        raise click.UsageError(
            f"The upload is not an Excel workbook (xlsx, xlsm), and {target!r} is. Name a .csv file."
        )
    return uploads.accept(data, name, chosen, _base_url()).id


def _read(catalogue: BinaryIO) -> bytes:
    return catalogue.read(_services().settings.max_upload_bytes + 1)  # one more than the limit is refused as too large


def _name(catalogue: BinaryIO) -> str:
    return Path(getattr(catalogue, "name", "<stdin>")).name.replace("<stdin>", "")


# ---- prune ---------------------------------------------------------------------------------------------------------


@click.command(
    epilog="""\b
Examples:
  flask --app app prune              (by the setting RETENTION_DAYS)
  flask --app app prune --days 30"""
)
@click.option("--days", type=click.IntRange(0, 36_500), help="Age in days; the default is the setting RETENTION_DAYS.")
@with_appcontext
@_exits_with_errors
def prune(days: int | None) -> None:
    """Delete jobs that were done more than some days ago, with their files; and files that belong to no job.

    Jobs that are not done are kept.
    """
    if days is None:
        days = _services().settings.retention_days or None
    control = _services().actions
    removed = control.prune(days) if days is not None else 0
    orphans = control.remove_orphans()
    click.echo(f"Deleted jobs: {removed}, files of jobs that no longer exist: {orphans}.")
    if days is None:
        click.echo("All jobs were kept: IMAGE_PROCESSOR_RETENTION_DAYS is 0, and --days was not passed.")


# ---- requests ------------------------------------------------------------------------------------------------------

requests = AppGroup("requests", help="List and show jobs.")


@requests.command(
    "list",
    epilog="""\b
Examples:
  flask --app app requests list
  flask --app app requests list --status Processing
  flask --app app requests list --limit 100 --json""",
)
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Maximum number of jobs.")
@click.option("--status", type=click.Choice([str(one) for one in JobStatus]), help="Only jobs with this status.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as the API returns it.")
@_exits_with_errors
def list_requests(limit: int, status: str | None, as_json: bool) -> None:
    """List jobs, newest first."""
    found, _ = _services().queries.jobs(limit, None, status)
    if as_json:
        click.echo(
            json.dumps(
                [one.model_dump(mode="json", exclude={"products", "products_truncated", "webhook"}) for one in found],
                indent=2,
            )
        )
    else:
        click.echo(table(("JOB", "CREATED", "STATUS", "OUTCOME", "IMAGES", "FILE"), [_row(one) for one in found]))


def _row(one: StatusBody) -> tuple[str, ...]:
    counts = one.counts
    images = f"{counts.succeeded}/{counts.total}"
    images += "".join(f", {number} {what}" for what in ("failed", "cancelled") if (number := getattr(counts, what)))
    return one.request_id, one.created_at, one.status, one.outcome or "–", images, one.filename


@requests.command(
    "show",
    epilog="""\b
Examples:
  flask --app app requests show 5ba9aab8-b23c-4152-9290-1da736f716cf
  flask --app app requests show 5ba9aab8-b23c-4152-9290-1da736f716cf --json""",
)
@click.argument("request_id")
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON, as the API returns it.")
@_exits_with_errors
def show_request(request_id: str, as_json: bool) -> None:
    """Show one job: its status, what failed and why, its webhooks."""
    body = _services().queries.status(request_id)
    if as_json:
        click.echo(body.model_dump_json(indent=2))
        return
    counts = ", ".join(f"{number} {state}" for state, number in body.counts.model_dump().items())
    lines = (
        ("job", body.request_id),
        ("file", body.filename),
        ("status", f"{body.status}{f' ({body.outcome})' if body.outcome else ''}, {body.progress.percent:g}%"),
        ("message", body.message),
        ("images", counts),
        ("bytes", f"{body.bytes.input} in, {body.bytes.output} out"),
        ("created", body.created_at),
        ("completed", body.completed_at or "–"),
        ("output.csv", body.links.output_csv),
        *(("warning", text) for text in body.warnings),
    )
    click.echo("\n".join(f"{name:<11}{escaped(value)}" for name, value in lines))
    _show_failures(body)
    _show_deliveries(request_id)


def _show_failures(body: StatusBody) -> None:
    failed = [
        (str(product.row), str(image.position), image.error.code, image.error.detail, image.input_url)
        for product in body.products
        for image in product.images
        if image.error
    ]
    if failed:
        click.echo("\n" + table(("ROW", "IMAGE", "CODE", "REASON", "URL"), failed[:FAILURES_SHOWN]))
    if body.counts.failed > FAILURES_SHOWN:
        click.echo(f"… {body.counts.failed} in total; errors.csv has all of them: {body.links.errors_csv}")


def _show_deliveries(request_id: str) -> None:
    rows = [
        (one.id, one.state, str(one.attempts), str(one.last_status_code or "–"), timestamp(one.due_at) or "–", one.url)
        for one, _ in _services().queries.deliveries(request_id)
    ]
    if rows:
        click.echo("\n" + table(("WEBHOOK", "STATE", "ATTEMPTS", "RESPONSE", "NEXT", "URL"), rows))


# ---- webhook -------------------------------------------------------------------------------------------------------

webhook = AppGroup("webhook", help="Webhooks that this installation sends.")


@webhook.command(
    epilog="""\b
Example (`requests show` prints the ids):
  flask --app app webhook redeliver 5ba9aab8-b23c-4152-9290-1da736f716cf msg_0b1c…"""
)
@click.argument("request_id")
@click.argument("delivery_id")
@_exits_with_errors
def redeliver(request_id: str, delivery_id: str) -> None:
    """Send a webhook again, with the same webhook-id."""
    _services().queries.job(request_id)
    _services().actions.redeliver(request_id, delivery_id)
    when = "immediately" if _services().worker.is_any_active() else "when a server is running"
    click.echo(f"Webhook {delivery_id} is due; it is sent {when}.")


# ---- helpers -------------------------------------------------------------------------------------------------------


def _base_url() -> str:
    """The base of the URLs in output.csv; without a setting, that of the running server or of the next one."""
    port = os.environ.get("IMAGE_PROCESSOR_PORT") or os.environ.get("PORT") or "8000"
    return _services().settings.public_base_url or _services().worker.server_url() or f"http://127.0.0.1:{port}"


def _services() -> Services:
    return cast(Services, current_app.extensions["services"])
