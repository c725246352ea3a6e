"""The pages: upload, progress, result, webhooks, history. Every page and action works without JavaScript."""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from itertools import groupby
from pathlib import Path
from typing import Any

from flask import Blueprint, flash, g, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from image_processor.errors import InvalidCSV, NotFound, RequestError, Unauthorized
from image_processor.jobs import (
    INBOX_PATH,
    StatusBody,
    client_is_gone,
    status_body,
    timestamp,
)
from image_processor.store import (
    DeliveryState,
    ImageFilter,
    ImageStatus,
    Job,
    JobStatus,
    Product,
    ProductImage,
    SizeClass,
)
from image_processor.web.api.blueprint import YEAR_SECONDS
from image_processor.web.filters import moment, pretty, short_address, size, with_code
from image_processor.web.forms import ActionForm, SignInForm, UploadForm
from image_processor.web.guard import SIGN_IN_PATH, guard
from image_processor.web.services import services

PAGE = 50
RECENT = 5
FAILURES_AT_A_GLANCE = 5
SKIPPED_AT_A_GLANCE = 20
# A path of this server: `//host`, `/\\host` and, as browsers drop tabs, `/<tab>/host` name another one.
LOCAL_PATH = re.compile(r"/(?![/\\])[!-~]*")
# How many previous pages the pager remembers; before them is the first page.
TRAIL = 20
# The webhook log reloads while a delivery is due this soon.
SOON = timedelta(seconds=10)
# The filters of the table of images, by the query parameter `show`.
SHOWN: dict[str, ImageFilter] = {
    "all": ImageFilter(),
    "failed": ImageFilter(status=ImageStatus.FAILED),
    "kept": ImageFilter(kept=True),
}

# Problems that another choice of columns, or the base URL of their paths, may solve.
OF_COLUMNS = {"no_image_column", "unknown_column", "ambiguous_column", "invalid_url", "no_url"}

pages = Blueprint("pages", __name__)


# ---- upload --------------------------------------------------------------------------------------------------------


@pages.route("/", methods=["GET", "POST"])
def index() -> ResponseReturnValue:
    """The upload form with the recent jobs; redirects to the page of the new job."""
    defaults = services().uploads.options()
    form = UploadForm(quality=defaults.quality, max_dimension=defaults.max_dimension)
    error: RequestError | None = None
    if form.validate_on_submit():
        try:
            return redirect(url_for("pages.one_request", request_id=_accept(form)), HTTPStatus.SEE_OTHER)
        except RequestError as refusal:
            error = refusal
    status = HTTPStatus.BAD_REQUEST if form.is_submitted() else HTTPStatus.OK
    return _index(form, error), HTTPStatus(error.status) if error else status


def _accept(form: UploadForm) -> str:
    """Accept the upload of a form; give the id of its job."""
    guard().count_upload()
    uploads = services().uploads
    return uploads.accept(*form.upload(), uploads.options(**form.options()), g.base_url).id


def _index(form: UploadForm, error: RequestError | None) -> str:
    problems = error.problems[: InvalidCSV.MAX_LISTED] if isinstance(error, InvalidCSV) else []
    recent, _ = services().queries.jobs(RECENT)
    return render_template(
        "index.html",
        form=form,
        error=error,
        problems=problems,
        columns=_columns(form) if form.use.data or {one.code for one in problems} & OF_COLUMNS else [],
        relative=any(one.code == "invalid_url" and "://" not in one.value for one in problems),
        requests=recent,
        inbox=g.base_url + INBOX_PATH,
    )


def _columns(form: UploadForm) -> list[dict[str, Any]]:
    """The columns of a refused table with what each can be used for, to choose by hand; none of a file without any."""
    uploads = services().uploads
    try:
        found = uploads.read(*form.upload(), uploads.options(**form.options_of_file())).understood
    except RequestError:
        return []
    if found.profile in ("assignment", "list"):
        return []
    times = Counter(column.name for column in found.columns)
    columns = []
    for column in found.columns:
        # Only a name that occurs once identifies a column, and a form sends line ends in another way.
        is_named = column.name and times[column.name] == 1 and not re.search(r"[\r\n]", column.name)
        key = column.name if is_named else str(column.number)
        role = column.role or ("images" if column.name == found.suggested_images_column else "")
        chosen = {value.partition(":")[0] for value in form.use.data if value.partition(":")[2] == key}
        columns.append({"column": column, "key": key, "role": next(iter(chosen), "") if form.use.data else role})
    return columns


@pages.route(SIGN_IN_PATH, methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Ask for the API key, once per browser; then redirect to the requested page."""
    form = SignInForm()
    wanted = request.args.get("next", "")
    target = wanted if LOCAL_PATH.fullmatch(wanted) else url_for("pages.index")
    if not guard().locked:
        return redirect(target)
    status = HTTPStatus.OK
    if form.validate_on_submit():
        if guard().sign_in(form.key.data):
            return redirect(target, HTTPStatus.SEE_OTHER)
        form.key.errors = ["This is not the key of this server."]
        status = HTTPStatus.FORBIDDEN
    return render_template("sign_in.html", form=form), status


# ---- jobs ----------------------------------------------------------------------------------------------------------


@pages.get("/requests")
def history() -> ResponseReturnValue:
    """All jobs, newest first, in pages; optionally only those with one status."""
    states = [state.value for state in JobStatus]
    chosen = request.args.get("status", "")
    found, next_cursor = services().queries.jobs(
        PAGE, request.args.get("cursor") or None, chosen if chosen in states else None
    )
    return render_template("requests.html", requests=found, states=states, chosen=chosen, pager=_pager(next_cursor))


@pages.get("/requests/<request_id>")
def one_request(request_id: str) -> ResponseReturnValue:
    """One job: its progress while it runs, then its result."""
    found = services().queries.job(request_id)
    if not found.done:
        return render_template("running.html", status=services().queries.status(request_id))
    return _result(found)


def _result(found: Job) -> ResponseReturnValue:
    """The result: a sentence, the sizes, and one page of the images, filtered or searched."""
    queries, status = services().queries, status_body(found)
    show = request.args.get("show", "all")
    search = request.args.get("q", "").strip()
    chosen = SHOWN.get(show, SHOWN["all"])
    chosen = ImageFilter(chosen.status, chosen.kept, search or None)
    images, next_cursor = queries.images(found.id, PAGE, _number(request.args.get("cursor")), chosen)
    failures, _ = queries.images(found.id, FAILURES_AT_A_GLANCE, chosen=SHOWN["failed"]) if found.failed else ([], None)
    return render_template(
        "result.html",
        status=status,
        verdict=_verdict(status),
        output=status.links.output.rpartition("/")[2],
        output_name=f"{Path(found.filename or 'catalogue').stem}{found.workbook or '.csv'}",
        products=[(rows[0][1], [image for image, _ in rows]) for rows in _by_row(images)],
        failures=failures,
        skipped=_skipped(found),
        skipped_rows=found.invalid_rows,
        sizes=_chart(queries.sizes(found.id)) if found.succeeded and not request.args else [],
        show=show if show in SHOWN else "all",
        search=search,
        pager=_pager(next_cursor),
        webhook=found.webhook_url,
    )


def _chart(classes: Sequence[SizeClass]) -> list[dict[str, Any]]:
    """The size classes between the first and the last that are not empty, with their labels."""
    used = [place for place, one in enumerate(classes) if one.before or one.after]
    names = [f"under {_limit(one.below)}" if one.below else f"{_limit(classes[-2].below)} or more" for one in classes]
    bars = [{"label": name, "before": one.before, "after": one.after} for name, one in zip(names, classes, strict=True)]
    return bars[used[0] : used[-1] + 1] if used else []


def _limit(number: int | None) -> str:
    return size(number or 0).replace(".0 ", " ")


def _by_row(images: Sequence[tuple[ProductImage, Product]]) -> list[list[tuple[ProductImage, Product]]]:
    return [list(rows) for _, rows in groupby(images, key=lambda pair: pair[1].row)]


def _skipped(found: Job) -> list[Any]:
    """Skipped rows among the first products; errors.csv has all of them."""
    products = services().queries.status(found.id).products if found.invalid_rows else []
    return [product for product in products if product.error][:SKIPPED_AT_A_GLANCE]


def _verdict(status: StatusBody) -> str:
    if not status.bytes.input or not status.message.endswith("."):
        return status.message
    return f"{status.message[:-1]}: {size(status.bytes.input)} → {size(status.bytes.output)}."


@pages.get("/thumbnails/<request_id>/<name>")
def thumbnail(request_id: str, name: str) -> ResponseReturnValue:
    """A thumbnail of a result. Its URL has the size of the result, so it can be cached for a year."""
    return send_file(
        services().thumbnails.path(request_id, name, partial(client_is_gone, request.environ)), max_age=YEAR_SECONDS
    )


# ---- actions -------------------------------------------------------------------------------------------------------


@pages.post("/requests/<request_id>/cancel")
def cancel(request_id: str) -> ResponseReturnValue:
    """Cancel a job; finished images are kept."""
    return _act(lambda: services().actions.cancel(request_id), "", url_for("pages.one_request", request_id=request_id))


@pages.post("/requests/<request_id>/retry")
def retry(request_id: str) -> ResponseReturnValue:
    """Process failed and cancelled images again."""

    def start_again() -> None:
        services().actions.retry(request_id)
        services().worker.submit(request_id)

    return _act(start_again, "", url_for("pages.one_request", request_id=request_id))


@pages.route("/requests/<request_id>/delete", methods=["GET", "POST"])
def delete(request_id: str) -> ResponseReturnValue:
    """Ask for confirmation; then delete the job with all its images."""
    found = services().queries.job(request_id)
    if request.method == "GET":
        return render_template("delete.html", status=status_body(found))
    done = f"{found.filename or 'The job'} and its images were deleted."
    return _act(lambda: services().actions.delete(request_id), done, url_for("pages.history"))


@pages.get("/requests/<request_id>/webhooks")
def webhooks(request_id: str) -> ResponseReturnValue:
    """The webhook log of a job: deliveries, newest first, with every attempt, payload and response."""
    found = services().queries.job(request_id)
    deliveries = services().queries.deliveries(request_id)[::-1]
    pending = [one.due_at for one, _ in deliveries if one.state == DeliveryState.PENDING and one.due_at]
    return render_template(
        "webhooks.html",
        status=status_body(found),
        webhook=found.webhook_url,
        deliveries=deliveries,
        soon=any(due < datetime.now(UTC) + SOON for due in pending),
    )


@pages.post("/requests/<request_id>/webhooks/<delivery_id>/redeliver")
def redeliver(request_id: str, delivery_id: str) -> ResponseReturnValue:
    """Send a webhook again."""
    page = url_for("pages.webhooks", request_id=request_id)
    return _act(lambda: services().actions.redeliver(request_id, delivery_id), "The webhook is being sent again.", page)


def _act(action: Callable[[], object], done: str, page: str) -> ResponseReturnValue:
    """Run the action of a button, then redirect to `page`, with a message if the action was refused."""
    if not ActionForm().validate_on_submit():
        flash("This page has expired. Press the button again.", "warn")
        return redirect(request.referrer if _is_ours(request.referrer) else page, HTTPStatus.SEE_OTHER)
    try:
        action()
    except NotFound:
        raise
    except RequestError as error:
        flash(error.detail, "warn")
    else:
        if done:
            flash(done, "good")
    return redirect(page, HTTPStatus.SEE_OTHER)


def _is_ours(address: str | None) -> bool:
    return address is not None and address.startswith(g.base_url + "/")


@pages.get("/inbox")
def inbox() -> ResponseReturnValue:
    """The webhooks that this server received, for trying webhooks out."""
    return render_template("inbox.html", callbacks=services().inbox.callbacks(), address=g.base_url + INBOX_PATH)


# ---- errors --------------------------------------------------------------------------------------------------------


def error_page(error: RequestError | HTTPException) -> ResponseReturnValue:
    """The page of an error; without the key, a redirect to the sign-in page."""
    if isinstance(error, Unauthorized):
        return redirect(url_for("pages.sign_in", next=request.full_path.rstrip("?")), HTTPStatus.SEE_OTHER)
    if isinstance(error, RequestError):
        title, detail, status = error.title, error.detail, error.status
    else:
        title, detail, status = error.name, error.description or "", error.code or 500
    return render_template("error.html", title=title, detail=detail, status=status), status


# ---- helpers -------------------------------------------------------------------------------------------------------


def _pager(next_cursor: object | None) -> dict[str, str]:
    """The URLs of the first, the previous and the next page, as far as they exist.

    A cursor leads to the next page only. `back` has the cursors of the previous pages, `-` for the first.
    """
    here = request.args.get("cursor", "")
    trail = [cursor for cursor in request.args.get("back", "").split(",") if cursor]
    kept = {name: request.args[name] for name in ("show", "q", "status") if request.args.get(name)}
    links: dict[str, str] = {}
    if here:
        links["first"] = _page_url(kept)
        if trail:
            before = {} if trail[-1] == "-" else {"cursor": trail[-1], "back": ",".join(trail[:-1])}
            links["previous"] = _page_url(kept | before)
    if next_cursor is not None:
        links["next"] = _page_url(kept | {"cursor": str(next_cursor), "back": ",".join([*trail, here or "-"][-TRAIL:])})
    return links


def _page_url(parameters: dict[str, str]) -> str:
    return url_for(request.endpoint or "", **{**(request.view_args or {}), **parameters})


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0


for to_words in (size, moment, pretty, short_address, timestamp, with_code):
    pages.add_app_template_filter(to_words)
