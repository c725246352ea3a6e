"""Browser: upload, watch, result, webhooks, history. Every page and every action works without JavaScript."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from itertools import groupby
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
# How many pages the way back remembers; further back leads the first page.
TRAIL = 20
# A webhook that is due this soon is worth waiting for on its page.
SOON = timedelta(seconds=10)
YEAR_SECONDS = 31_536_000
# The filter of the table of images, by the word in the address.
SHOWN: dict[str, ImageFilter] = {
    "all": ImageFilter(),
    "failed": ImageFilter(status=ImageStatus.FAILED),
    "kept": ImageFilter(kept=True),
}

pages = Blueprint("pages", __name__)


# ---- upload --------------------------------------------------------------------------------------------------------


@pages.route("/", methods=["GET", "POST"])
def index() -> ResponseReturnValue:
    """The upload form with the recent requests; a good upload leads to the page of its request."""
    uploads = services().uploads
    defaults = uploads.options()
    form = UploadForm(quality=defaults.quality, max_dimension=defaults.max_dimension)
    if not form.validate_on_submit():
        return _index(form, status=HTTPStatus.BAD_REQUEST if form.is_submitted() else HTTPStatus.OK)
    try:
        guard().count_upload()
        options = uploads.options(**form.options())
        accepted = uploads.accept(form.file.data.read(), form.file.data.filename or "", options, g.base_url)
    except RequestError as error:
        return _index(form, error, HTTPStatus(error.status))
    return redirect(url_for("pages.one_request", request_id=accepted.id), HTTPStatus.SEE_OTHER)


def _index(
    form: UploadForm, error: RequestError | None = None, status: HTTPStatus = HTTPStatus.OK
) -> ResponseReturnValue:
    problems = error.problems[: InvalidCSV.MAX_LISTED] if isinstance(error, InvalidCSV) else []
    recent, _ = services().queries.jobs(RECENT)
    page = render_template(
        "index.html", form=form, error=error, problems=problems, requests=recent, inbox=g.base_url + INBOX_PATH
    )
    return page, status


@pages.route(SIGN_IN_PATH, methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Ask for the API key, once per browser; go on to where the visitor wanted to go."""
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


# ---- requests ------------------------------------------------------------------------------------------------------


@pages.get("/requests")
def history() -> ResponseReturnValue:
    """All requests, newest first, in pages; with `status` only those in one state."""
    states = [state.value for state in JobStatus]
    chosen = request.args.get("status", "")
    found, next_cursor = services().queries.jobs(
        PAGE, request.args.get("cursor") or None, chosen if chosen in states else None
    )
    return render_template("requests.html", requests=found, states=states, chosen=chosen, pager=_pager(next_cursor))


@pages.get("/requests/<request_id>")
def one_request(request_id: str) -> ResponseReturnValue:
    """One request: its progress while it runs, then its result."""
    found = services().queries.job(request_id)
    if not found.done:
        return render_template("running.html", status=services().queries.status(request_id))
    return _result(found)


def _result(found: Job) -> ResponseReturnValue:
    """The result: a sentence, the sizes, and one page of the images, filtered and searched."""
    answers, status = services().queries, status_body(found)
    show = request.args.get("show", "all")
    search = request.args.get("q", "").strip()
    chosen = SHOWN.get(show, SHOWN["all"])
    chosen = ImageFilter(chosen.status, chosen.kept, search or None)
    images, next_cursor = answers.images(found.id, PAGE, _number(request.args.get("cursor")), chosen)
    failures, _ = answers.images(found.id, FAILURES_AT_A_GLANCE, chosen=SHOWN["failed"]) if found.failed else ([], None)
    return render_template(
        "result.html",
        status=status,
        verdict=_verdict(status),
        products=[(rows[0][1], [image for image, _ in rows]) for rows in _by_row(images)],
        failures=failures,
        skipped=_skipped(found),
        skipped_rows=found.invalid_rows,
        sizes=_chart(answers.sizes(found.id)) if found.succeeded and not request.args else [],
        show=show if show in SHOWN else "all",
        search=search,
        pager=_pager(next_cursor),
        webhook=found.webhook_url,
    )


def _chart(classes: Sequence[SizeClass]) -> list[dict[str, Any]]:
    """The size classes from the first to the last that is not empty, with their names."""
    used = [place for place, one in enumerate(classes) if one.before or one.after]
    names = [f"under {_limit(one.below)}" if one.below else f"{_limit(classes[-2].below)} or more" for one in classes]
    bars = [{"label": name, "before": one.before, "after": one.after} for name, one in zip(names, classes, strict=True)]
    return bars[used[0] : used[-1] + 1] if used else []


def _limit(number: int | None) -> str:
    return size(number or 0).replace(".0 ", " ")


def _by_row(images: Sequence[tuple[ProductImage, Product]]) -> list[list[tuple[ProductImage, Product]]]:
    return [list(rows) for _, rows in groupby(images, key=lambda pair: pair[1].row)]


def _skipped(found: Job) -> list[Any]:
    """Some of the rows that were not worked at all: those among the first products. errors.csv has every one."""
    products = services().queries.status(found.id).products if found.invalid_rows else []
    return [product for product in products if product.error][:SKIPPED_AT_A_GLANCE]


def _verdict(status: StatusBody) -> str:
    if not status.bytes.input or not status.message.endswith("."):
        return status.message
    return f"{status.message[:-1]}: {size(status.bytes.input)} → {size(status.bytes.output)}."


@pages.get("/thumbnails/<request_id>/<name>")
def thumbnail(request_id: str, name: str) -> ResponseReturnValue:
    """A small image of a result. Its address carries the size of the result, so that it may be kept for long."""
    return send_file(
        services().thumbnails.path(request_id, name, partial(client_is_gone, request.environ)), max_age=YEAR_SECONDS
    )


# ---- what can be done to a request ---------------------------------------------------------------------------------


@pages.post("/requests/<request_id>/cancel")
def cancel(request_id: str) -> ResponseReturnValue:
    """End a request; what is done stays."""
    return _act(lambda: services().actions.cancel(request_id), "", url_for("pages.one_request", request_id=request_id))


@pages.post("/requests/<request_id>/retry")
def retry(request_id: str) -> ResponseReturnValue:
    """Work again what failed."""

    def start_again() -> None:
        services().actions.retry(request_id)
        services().worker.submit(request_id)

    return _act(start_again, "", url_for("pages.one_request", request_id=request_id))


@pages.route("/requests/<request_id>/delete", methods=["GET", "POST"])
def delete(request_id: str) -> ResponseReturnValue:
    """Ask whether the request shall go, with all its images; then remove it."""
    found = services().queries.job(request_id)
    if request.method == "GET":
        return render_template("delete.html", status=status_body(found))
    done = f"{found.filename or 'The request'} and its images are deleted."
    return _act(lambda: services().actions.delete(request_id), done, url_for("pages.history"))


@pages.get("/requests/<request_id>/webhooks")
def webhooks(request_id: str) -> ResponseReturnValue:
    """The webhook log of a request: deliveries, newest first, with every attempt, what was sent and what came back."""
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
    """Send a webhook once more."""
    page = url_for("pages.webhooks", request_id=request_id)
    return _act(lambda: services().actions.redeliver(request_id, delivery_id), "The webhook is being sent again.", page)


def _act(action: Callable[[], object], done: str, page: str) -> ResponseReturnValue:
    """Do what a button says, then show `page`. What cannot be done (any more) is told there."""
    if not ActionForm().validate_on_submit():
        flash("This page was open for a long time. Please press the button once more.", "warn")
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
    """The callbacks this server received: for trying webhooks without anybody else."""
    return render_template("inbox.html", callbacks=services().inbox.callbacks(), address=g.base_url + INBOX_PATH)


# ---- errors --------------------------------------------------------------------------------------------------------


def error_page(error: RequestError | HTTPException) -> ResponseReturnValue:
    """The page that says what went wrong, and where to go on; without the key, the way to the sign-in page."""
    if isinstance(error, Unauthorized):
        return redirect(url_for("pages.sign_in", next=request.full_path.rstrip("?")), HTTPStatus.SEE_OTHER)
    if isinstance(error, RequestError):
        title, detail, status = error.title, error.detail, error.status
    else:
        title, detail, status = error.name, error.description or "", error.code or 500
    return render_template("error.html", title=title, detail=detail, status=status), status


# ---- helpers -------------------------------------------------------------------------------------------------------


def _pager(next_cursor: object | None) -> dict[str, str]:
    """The addresses of the first, the previous and the next page, where there are such.

    Cursors lead forwards only; the way back is the trail of cursors that led here, `-` for the first page.
    """
    here = request.args.get("cursor", "")
    trail = [cursor for cursor in request.args.get("back", "").split(",") if cursor]
    kept = {name: request.args[name] for name in ("show", "q", "status") if request.args.get(name)}
    links: dict[str, str] = {}
    if here:
        links["first"] = _address(kept)
        if trail:
            before = {} if trail[-1] == "-" else {"cursor": trail[-1], "back": ",".join(trail[:-1])}
            links["previous"] = _address(kept | before)
    if next_cursor is not None:
        links["next"] = _address(kept | {"cursor": str(next_cursor), "back": ",".join([*trail, here or "-"][-TRAIL:])})
    return links


def _address(parameters: dict[str, str]) -> str:
    return url_for(request.endpoint or "", **{**(request.view_args or {}), **parameters})


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0


for to_words in (size, moment, pretty, short_address, timestamp, with_code):
    pages.add_app_template_filter(to_words)
