"""REST: JSON answers, problem+json errors. The classes of the answers and options are the OpenAPI document, too."""

import io
import json
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

from flask import Response, g, jsonify, request, send_file, send_from_directory
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.tag import Tag
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from zipstream import ZipStream

from image_processor.catalogue import ProductCSV, write_problems
from image_processor.errors import (
    BadSignature,
    InvalidCSV,
    InvalidOption,
    MissingFile,
    NotFound,
    RequestError,
    UnsupportedMediaType,
    UploadTooLarge,
    shorten,
)
from image_processor.imaging import CONTENT_TYPES
from image_processor.jobs import (
    StatusBody,
    clean_name,
    client_is_gone,
    image_body,
    links,
    timestamp,
)
from image_processor.store import (
    OUTPUT_NAME,
    DeliveryState,
    ImageFilter,
    Job,
    WebhookAttempt,
    WebhookDelivery,
)
from image_processor.web.guard import guard
from image_processor.web.schemas import (
    Attempt,
    Callback,
    Callbacks,
    Deliveries,
    DeliveryBody,
    DeliveryPath,
    Health,
    ImagePath,
    ImagesPage,
    ImagesQuery,
    ListedImage,
    Preview,
    Readiness,
    RequestPath,
    RequestsPage,
    RequestsQuery,
    RequestSummary,
    SizeBucket,
    Sizes,
    UploadForm,
    UploadHeaders,
    UploadQuery,
)
from image_processor.web.services import services

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "1"
YEAR_SECONDS = 31_536_000
CSV_TYPES = ("text/csv", "application/csv", "text/plain", "application/vnd.ms-excel", "application/octet-stream")
PREVIEW_ROWS = 5
SANDBOX = "default-src 'none'; sandbox"

requests_tag = Tag(name="requests", description="Upload a catalogue, watch it, fetch the result.")
files_tag = Tag(name="files", description="The compressed images.")
webhooks_tag = Tag(name="webhooks", description="Callbacks that this server receives.")
server_tag = Tag(name="server", description="Whether the server is well.")


# ---- errors --------------------------------------------------------------------------------------------------------


def _problems(*statuses: int) -> dict[str | int, Any]:
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


api = APIBlueprint("api", __name__, abp_responses=_problems(400, 429, 503))


def problem(error: RequestError | HTTPException) -> Response:
    """The problem+json answer for an error of ours or of the framework."""
    if isinstance(error, RequestError):
        answer = _problem(error.type, error.title, error.status, error.detail, **error.extra)
        if error.retry_after is not None:
            answer.headers["Retry-After"] = str(error.retry_after)
        if error.status == HTTPStatus.UNAUTHORIZED and not isinstance(error, BadSignature):
            answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    if isinstance(error, RequestEntityTooLarge):
        return _problem(UploadTooLarge.type, UploadTooLarge.title, 413, _too_large_sentence())
    status = HTTPStatus(error.code or 500)
    answer = _problem(status.phrase.lower().replace(" ", "-"), status.phrase, status.value, error.description or "")
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "content-range"):
            answer.headers[name] = value
    return answer


def _too_large_sentence() -> str:
    """Which of the framework's limits was met: the one of the whole body, or those of a form's fields."""
    sent, limit = request.content_length or 0, request.max_content_length or 0
    if sent > limit:
        limit = min(limit, services().settings.max_upload_bytes)
        return f"The body has {sent:,} bytes; this address takes up to {limit:,}. Split a catalogue into several."
    return "The form has too many or too long fields, or more bytes than are taken; send one file and its options."


def _problem(kind: str, title: str, status: int, detail: str, **extra: Any) -> Response:
    body = {"type": f"/problems/{kind}", "title": title, "status": status, "detail": detail, "error": detail} | extra
    answer = jsonify(body)
    answer.status_code = status
    answer.content_type = PROBLEM_TYPE
    return answer


def invalid_option(error: ValidationError) -> Response:
    """The answer to parameters that do not fit their description: one sentence for each."""
    sentences = [
        f"{item['loc'][0]} is {shorten(str(item['input']))!r}: {item['msg'].removeprefix('Value error, ')}."
        for item in error.errors()
        if item["type"] != "none_required"  # an option left out is None; nobody can send that
    ]
    return problem(InvalidOption(" ".join(sentences)))


# ---- requests ------------------------------------------------------------------------------------------------------


@api.before_request
def check_form() -> Response | None:
    """Check the fields of a form as the texts they are.

    flask-openapi reads numbers of a form as JSON: `true` became quality 1, a deep `[[[…` a RecursionError, a number of
    5,000 digits a ValueError.
    """
    if request.method == "POST" and request.form:
        try:
            UploadQuery.model_validate(request.form.to_dict())
        except ValidationError as error:
            return invalid_option(error)
    return None


def upload(header: UploadHeaders, query: UploadQuery, form: UploadForm) -> Response:
    """Upload a catalogue.

    Takes multipart with a file, or a raw text/csv body. Queries at once; the images are worked in the background.
    """
    guard().count_upload()
    fields = query.model_dump(exclude_none=True) | form.model_dump(exclude_none=True, exclude={"file"})
    data, filename = _uploaded_file()
    if fields.pop("dry_run", False):
        return _dry_run(data, filename)
    options = services().uploads.options(**fields, idempotency_key=header.idempotency_key)
    accepted = services().uploads.accept(data, filename, options, g.base_url)
    answer = _json(services().queries.status(accepted.id), HTTPStatus.ACCEPTED)
    answer.headers["Location"] = links(g.base_url, accepted.id).self
    answer.headers["Retry-After"] = RETRY_AFTER_SECONDS
    return answer


api.post(
    "/api/v1/requests",
    tags=[requests_tag],
    operation_id="upload",
    responses={202: StatusBody, 200: Preview, **_problems(400, 401, 403, 413, 415, 422)},
)(upload)
for number, alias in enumerate(("/upload", "/upload/", "/upload_csv"), start=1):
    api.post(alias, doc_ui=False, endpoint=f"upload_{number}")(upload)


def status(path: RequestPath) -> Response:
    """The status of a request, live while it runs."""
    tag, body = services().queries.status_unless_known(path.request_id, request.if_none_match)
    if body is None:
        answer = Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        answer = _json(body)
        if not body.done:
            answer.headers["Retry-After"] = RETRY_AFTER_SECONDS
    answer.set_etag(tag)
    answer.headers["Cache-Control"] = "no-cache"
    return answer


api.get(
    "/api/v1/requests/<request_id>",
    tags=[requests_tag],
    operation_id="status",
    responses={200: StatusBody, 304: None, **_problems(401, 404)},
)(status)
for number, alias in enumerate(("/status/<request_id>", "/request_status/<request_id>"), start=1):
    api.get(alias, doc_ui=False, endpoint=f"status_{number}")(status)


@api.get(
    "/api/v1/requests",
    tags=[requests_tag],
    operation_id="list_requests",
    responses={200: RequestsPage, **_problems(400, 401)},
)
def list_requests(query: RequestsQuery) -> Response:
    """The requests, newest first, in pages."""
    found, cursor = services().queries.jobs(query.limit, query.cursor, query.status)
    page = [RequestSummary.model_validate(one.model_dump()) for one in found]
    return _page(RequestsPage(requests=page, next_cursor=cursor), cursor)


@api.get(
    "/api/v1/requests/<request_id>/images",
    tags=[requests_tag],
    operation_id="list_images",
    responses={200: ImagesPage, **_problems(400, 401, 404)},
)
def list_images(path: RequestPath, query: ImagesQuery) -> Response:
    """The images of a request with their products, in the order of the catalogue, in pages."""
    chosen = ImageFilter(query.status, query.kept, query.q)
    found, cursor = services().queries.images(path.request_id, query.limit, query.cursor, chosen)
    page = [
        ListedImage(
            row=product.row,
            serial_number=product.serial_number,
            product_name=product.product_name,
            **image_body(image).model_dump(),
        )
        for image, product in found
    ]
    return _page(ImagesPage(images=page, next_cursor=cursor), cursor)


@api.get(
    "/api/v1/requests/<request_id>/images/<int:image_id>/source",
    tags=[requests_tag],
    operation_id="image_source",
    responses={
        200: {"description": "The image as it is now.", "content": {"image/*": {}}},
        **_problems(401, 404, 502, 503),
    },
)
def image_source(path: ImagePath) -> Response:
    """The source of an image, fetched again, to be shown beside the result."""
    is_abandoned = partial(client_is_gone, request.environ)
    file, media_type = services().originals.fetch(path.request_id, path.image_id, is_abandoned)
    answer = send_file(file, media_type)
    answer.headers["Content-Security-Policy"] = SANDBOX
    answer.headers["Cache-Control"] = "private, max-age=300"
    return answer


@api.get(
    "/api/v1/requests/<request_id>/sizes",
    tags=[requests_tag],
    operation_id="sizes",
    responses={200: Sizes, **_problems(401, 404)},
)
def sizes(path: RequestPath) -> Response:
    """How the sizes of the images are distributed, before and after."""
    buckets = [
        SizeBucket(label=_size_label(one.below), below=one.below, before=one.before, after=one.after)
        for one in services().queries.sizes(path.request_id)
    ]
    return _json(Sizes(buckets=buckets))


@api.get(
    "/api/v1/requests/<request_id>/errors.csv",
    tags=[requests_tag],
    operation_id="errors_csv",
    responses={
        200: {"description": "What failed and why; mend it and upload it again.", "content": {"text/csv": {}}},
        **_problems(401, 404, 409),
    },
)
def errors_csv(path: RequestPath) -> Response:
    """The rows that failed, with only the URLs that failed and the reason."""
    file, found = services().queries.errors_csv(path.request_id)
    answer = _download(file, f"text/csv; charset={found.charset}", found, "errors.csv")
    answer.content_length = file.seek(0, io.SEEK_END)
    file.seek(0)
    return answer


@api.get(
    "/api/v1/requests/<request_id>/images.zip",
    tags=[requests_tag],
    operation_id="images_zip",
    responses={
        200: {"description": "All compressed images, with readable names.", "content": {"application/zip": {}}},
        **_problems(401, 404, 409),
    },
)
def images_zip(path: RequestPath) -> Response:
    """All compressed images of a request, streamed."""
    files, found = services().queries.files(path.request_id)
    archive = ZipStream(sized=True)
    for file, name in files:
        archive.add_path(file, name)
    answer = _download(io.BytesIO(), "application/zip", found, "images.zip")
    answer.response, answer.content_length = iter(archive), len(archive)
    return answer


@api.post(
    "/api/v1/requests/<request_id>/cancel",
    tags=[requests_tag],
    operation_id="cancel",
    responses={202: StatusBody, 200: StatusBody, **_problems(401, 403, 404, 409)},
)
def cancel(path: RequestPath) -> Response:
    """End a request: what is done stays, the rest is cancelled, output.csv is written."""
    changed = services().actions.cancel(path.request_id)
    return _json(services().queries.status(path.request_id), HTTPStatus.ACCEPTED if changed else HTTPStatus.OK)


@api.post(
    "/api/v1/requests/<request_id>/retry",
    tags=[requests_tag],
    operation_id="retry",
    responses={202: StatusBody, **_problems(401, 403, 404, 409)},
)
def retry(path: RequestPath) -> Response:
    """Work the failed and cancelled images again, in a new run."""
    services().actions.retry(path.request_id)
    services().worker.submit(path.request_id)
    return _json(services().queries.status(path.request_id), HTTPStatus.ACCEPTED)


@api.delete(
    "/api/v1/requests/<request_id>",
    tags=[requests_tag],
    operation_id="delete_request",
    responses={204: None, **_problems(401, 403, 404, 409)},
)
def delete(path: RequestPath) -> Response:
    """Remove a request that is done, with all its files."""
    services().actions.delete(path.request_id)
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get(
    "/api/v1/requests/<request_id>/webhook-deliveries",
    tags=[webhooks_tag],
    operation_id="list_deliveries",
    responses={200: Deliveries, **_problems(401, 404)},
)
def list_deliveries(path: RequestPath) -> Response:
    """The webhook deliveries of a request, with every attempt."""
    bodies = [_delivery(one, attempts) for one, attempts in services().queries.deliveries(path.request_id)]
    return _json(Deliveries(deliveries=bodies))


@api.post(
    "/api/v1/requests/<request_id>/webhook-deliveries/<delivery_id>/redeliver",
    tags=[webhooks_tag],
    operation_id="redeliver",
    responses={202: Deliveries, **_problems(401, 403, 404)},
)
def redeliver(path: DeliveryPath) -> Response:
    """Send a webhook again, with the same `webhook-id`."""
    services().queries.job(path.request_id)
    services().actions.redeliver(path.request_id, path.delivery_id)
    answer: Response = list_deliveries(path)
    answer.status_code = HTTPStatus.ACCEPTED
    return answer


@api.get("/processed_images/<request_id>/output.csv", doc_ui=False, endpoint="output_csv_1")
@api.get(
    "/api/v1/requests/<request_id>/output.csv",
    tags=[requests_tag],
    operation_id="output_csv",
    responses={
        200: {"description": "The catalogue with its output URLs.", "content": {"text/csv": {}}},
        **_problems(401, 404, 409),
    },
)
def output_csv(path: RequestPath) -> Response:
    """The result: the uploaded catalogue with the column `Output Image Urls`, in the same order."""
    file, found = services().queries.output_csv(path.request_id)
    return _download(file, f"text/csv; charset={found.charset}", found, OUTPUT_NAME)


def _download(file: Path | BinaryIO, content_type: str, found: Job, kind: str) -> Response:
    """A result as a file that is named after the upload: Werkzeug writes any name as RFC 6266 and 8187 say."""
    stem = Path(clean_name(found.filename)).stem or "catalogue"
    answer = send_file(file, content_type, as_attachment=True, download_name=f"{stem}-{kind}", max_age=0)
    answer.content_type = content_type
    return answer


# ---- files ---------------------------------------------------------------------------------------------------------


class FilePath(BaseModel):
    """Which file."""

    filename: str


@api.get(
    "/processed_images/<path:filename>",
    tags=[files_tag],
    operation_id="processed_image",
    responses={
        200: {"description": "The file.", "content": {"image/*": {}}},
        206: {"description": "The part that `Range` asked for.", "content": {"image/*": {}}},
        304: None,
        **_problems(404, 416),
    },
)
def processed_image(path: FilePath) -> Response:
    """A compressed image."""
    media_type = CONTENT_TYPES.get("." + path.filename.rpartition(".")[2])
    if media_type is None:
        raise NotFound(f"There is no file {shorten(path.filename, 200)!r}.")
    answer = send_from_directory(services().storage.images, path.filename, mimetype=media_type, max_age=YEAR_SECONDS)
    answer.headers["Content-Security-Policy"] = SANDBOX
    return answer


@api.get(
    "/sample.csv",
    tags=[files_tag],
    operation_id="sample_csv",
    responses={200: {"description": "A catalogue that works as it is.", "content": {"text/csv": {}}}, **_problems(401)},
)
def sample() -> Response:
    """A catalogue whose images this server hosts itself."""
    answer = Response(services().uploads.sample(g.base_url), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = "attachment; filename=sample.csv"
    return answer


# ---- webhooks ------------------------------------------------------------------------------------------------------


@api.post(
    "/webhooks/inbox",
    tags=[webhooks_tag],
    operation_id="receive_callback",
    responses={204: None, **_problems(401, 413)},
)
def receive_callback() -> Response:
    """Receive a callback: verified by its signature, stored once per `webhook-id`."""
    services().inbox.receive(dict(request.headers), request.get_data())
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get(
    "/webhooks/inbox", tags=[webhooks_tag], operation_id="list_callbacks", responses={200: Callbacks, **_problems(401)}
)
def list_callbacks() -> Response:
    """The callbacks that came in."""
    callbacks = [
        Callback(
            id=callback.id,
            received_at=timestamp(callback.received_at) or "",
            sent_at=timestamp(callback.sent_at) or "",
            body=callback.body,
        )
        for callback in services().inbox.callbacks()
    ]
    return _json(Callbacks(callbacks=callbacks))


# ---- server --------------------------------------------------------------------------------------------------------


@api.get("/healthz", tags=[server_tag], operation_id="health", responses={200: Health})
def health() -> Response:
    """Whether the process answers."""
    return _json(Health(ok=True))


@api.get(
    "/readyz", tags=[server_tag], operation_id="readiness", responses={200: Readiness, 503: Readiness, **_problems(401)}
)
def readiness() -> Response:
    """Whether the server can do its work: folders, database, worker."""
    reason = services().health.reason
    works = services().worker.is_any_active()
    if reason is None and not works:
        reason = "No process works the requests."
    body = Readiness(ready=reason is None, store=services().health.reason is None, worker=works, reason=reason)
    return _json(body, HTTPStatus.OK if body.ready else HTTPStatus.SERVICE_UNAVAILABLE)


@api.get(
    "/metrics",
    tags=[server_tag],
    operation_id="metrics",
    responses={
        200: {
            "description": "Counters, times and the queue, in the Prometheus text format or as OpenMetrics.",
            "content": {"text/plain": {}, "application/openmetrics-text": {}},
        },
        **_problems(401),
    },
)
def metrics() -> Response:
    """Numbers for a monitoring system: images, bytes, seconds in each step, the queue, webhook attempts."""
    body, content_type = services().metrics.page(request.headers.get("Accept", ""))
    return Response(body, content_type=content_type)


# ---- helpers -------------------------------------------------------------------------------------------------------


def _json(body: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(body.model_dump_json(), status=status, content_type="application/json")


def _page(body: BaseModel, cursor: str | int | None) -> Response:
    answer = _json(body)
    if cursor is not None:
        query = urlencode(request.args.to_dict() | {"cursor": cursor})
        answer.headers["Link"] = f'<{g.base_url}{request.path}?{query}>; rel="next"'
    return answer


def _delivery(delivery: WebhookDelivery, attempts: Sequence[WebhookAttempt]) -> DeliveryBody:
    return DeliveryBody(
        id=delivery.id,
        url=delivery.url,
        state=DeliveryState(delivery.state),
        attempts=delivery.attempts,
        last_status_code=delivery.last_status_code,
        due_at=timestamp(delivery.due_at),
        created_at=timestamp(delivery.created_at) or "",
        body=json.loads(delivery.body),
        log=[
            Attempt(
                attempted_at=timestamp(one.attempted_at) or "",
                duration_ms=one.duration_ms,
                status_code=one.status_code,
                answer=one.answer,
                error=one.error,
            )
            for one in attempts
        ],
    )


def _size_label(below: int | None) -> str:
    if below is None:
        return "larger"
    return f"< {below / 1e6:g} MB" if below >= 1_000_000 else f"< {below // 1000} kB"


def _uploaded_file() -> tuple[bytes, str]:
    """The bytes and the name of the one file that was sent, in a form or as the raw body."""
    if request.mimetype == "multipart/form-data":
        files = [file for _, file in request.files.items(multi=True) if file.filename]
        named = [file for file in request.files.getlist("file") if file.filename]
        chosen = named or files
        if len(chosen) != 1:
            raise MissingFile(f"The form holds {len(chosen)} files; send exactly one, as the form field `file`.")
        return chosen[0].read(), chosen[0].filename or ""
    if request.mimetype in CSV_TYPES:
        if data := request.get_data():
            return data, ""
        raise MissingFile("The body is empty; send the catalogue as the form field `file` or as a text/csv body.")
    if request.mimetype in ("", "application/x-www-form-urlencoded"):
        raise MissingFile("No file came with the upload; send the catalogue as the form field `file`.")
    raise UnsupportedMediaType(
        f"The body is {request.mimetype!r}; send multipart/form-data with the form field `file`, or text/csv."
    )


def _dry_run(data: bytes, filename: str) -> Response:
    """Tell what was understood of a catalogue, good or bad, and store nothing."""
    try:
        catalogue: ProductCSV | None = services().uploads.read(data, filename)
        problems = catalogue.problems if catalogue else []
    except InvalidCSV as error:
        catalogue, problems = None, error.problems
    if request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv":
        file = io.BytesIO()
        write_problems(problems, file)
        return Response(file.getvalue(), content_type="text/csv; charset=utf-8")
    return _json(
        Preview(
            valid=not problems,
            row_count=catalogue.row_count if catalogue else 0,
            image_count=catalogue.image_count if catalogue else 0,
            hosts=catalogue.hosts if catalogue else {},
            preview=_preview(catalogue) if catalogue else [],
            warnings=catalogue.warnings if catalogue else [],
            error_count=len(problems),
            errors=[item.as_dict() for item in problems[: InvalidCSV.MAX_LISTED]],
        )
    )


def _preview(catalogue: ProductCSV) -> list[dict[str, Any]]:
    rows = zip(range(PREVIEW_ROWS), catalogue.rows(), strict=False)
    return [
        {
            "row": row.row,
            "serial_number": row.serial_number,
            "product_name": row.product_name,
            "input_image_urls": list(row.image_urls),
        }
        for _, row in rows
    ]
