"""REST: JSON answers, problem+json errors. The classes of the answers and options are the OpenAPI document, too."""

import io
from http import HTTPStatus
from typing import Annotated, Any, Literal

from flask import Response, current_app, g, jsonify, request, send_file, send_from_directory
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.file import FileStorage
from flask_openapi.models.tag import Tag
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.json_schema import SkipJsonSchema
from werkzeug.exceptions import HTTPException

from image_processor.answers import Answers, Inbox
from image_processor.compressor import CONTENT_TYPES
from image_processor.door import Door
from image_processor.errors import (
    BadSignature,
    InvalidCSV,
    InvalidOption,
    MissingFile,
    NotFound,
    RequestError,
    UnsupportedMediaType,
)
from image_processor.models import ProcessingRequest
from image_processor.product_csv import ProductCSV, write_problems
from image_processor.status import StatusBody, links, timestamp
from image_processor.storage import OUTPUT_NAME, Storage
from image_processor.uploads import Uploads

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "1"
YEAR_SECONDS = 31_536_000
CSV_TYPES = ("text/csv", "application/csv", "text/plain", "application/vnd.ms-excel", "application/octet-stream")
PREVIEW_ROWS = 5

requests_tag = Tag(name="requests", description="Upload a catalogue, watch it, fetch the result.")
files_tag = Tag(name="files", description="The compressed images.")
webhooks_tag = Tag(name="webhooks", description="Callbacks that this server receives.")
server_tag = Tag(name="server", description="Whether the server is well.")

api = APIBlueprint("api", __name__)


# ---- errors --------------------------------------------------------------------------------------------------------


class Problem(BaseModel):
    """What went wrong (RFC 9457). `error` repeats `detail`, for simple clients. Some types carry more members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    error: str


def _problems(*statuses: int) -> dict[str | int, Any]:
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


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
    status = HTTPStatus(error.code or 500)
    answer = _problem(status.phrase.lower().replace(" ", "-"), status.phrase, status.value, error.description or "")
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after"):
            answer.headers[name] = value
    return answer


def _problem(kind: str, title: str, status: int, detail: str, **extra: Any) -> Response:
    body = {"type": f"/problems/{kind}", "title": title, "status": status, "detail": detail, "error": detail} | extra
    answer = jsonify(body)
    answer.status_code = status
    answer.content_type = PROBLEM_TYPE
    return answer


def invalid_option(error: ValidationError) -> Response:
    """The answer to parameters that do not fit their description: one sentence for each."""
    sentences = [
        f"{'.'.join(str(part) for part in item['loc'])} is {str(item['input'])[:100]!r}: {item['msg']}."
        for item in error.errors()
    ]
    return problem(InvalidOption(" ".join(sentences)))


# ---- what comes in -------------------------------------------------------------------------------------------------


def _none_if_blank(value: Any) -> Any:
    """An empty form field is one that nobody filled in."""
    return None if isinstance(value, str) and not value.strip() else value


Blank = BeforeValidator(_none_if_blank)


class RequestPath(BaseModel):
    """Which request."""

    request_id: str


class UploadQuery(BaseModel):
    """How the images are worked and who is told. May stand in the query or in the form; the form wins."""

    webhook_url: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="Called when output.csv is written."
    )
    webhook_secret: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="Signs this request's webhooks instead of the server's secret: `whsec_` and base64."
    )
    quality: Annotated[int | SkipJsonSchema[None], Blank] = Field(
        None, ge=1, le=95, description="Encoder quality; 50 unless the server says otherwise."
    )
    max_dimension: Annotated[int | SkipJsonSchema[None], Blank] = Field(
        None, ge=0, le=65_500, description="Longest side in pixels; larger images are reduced; 0 never resizes."
    )
    format: Annotated[Literal["keep", "jpeg", "webp", "avif", "png"] | SkipJsonSchema[None], Blank] = Field(
        None, description="Format of the results; `keep` (the default) keeps each image's own."
    )
    on_invalid: Annotated[Literal["reject", "skip"] | SkipJsonSchema[None], Blank] = Field(
        None, description="`reject` (the default) refuses a catalogue with bad rows; `skip` works the good ones."
    )
    dry_run: Annotated[bool | SkipJsonSchema[None], Blank] = Field(
        None, description="Only check the catalogue: nothing is stored, every problem is told."
    )


class UploadForm(UploadQuery):
    """The catalogue and the options."""

    file: FileStorage | SkipJsonSchema[None] = Field(None, description="The catalogue, as CSV.")


# ---- what goes out -------------------------------------------------------------------------------------------------


class Readiness(BaseModel):
    """Whether the server can do its work."""

    ready: bool


class Callback(BaseModel):
    """A callback that came in with a good signature."""

    id: str
    received_at: str
    sent_at: str
    body: dict[str, Any]


class Callbacks(BaseModel):
    """The newest callbacks, newest first."""

    callbacks: list[Callback]


class Preview(BaseModel):
    """What a dry run understood."""

    valid: bool
    row_count: int
    image_count: int
    hosts: dict[str, int]
    preview: list[dict[str, Any]]
    warnings: list[str]
    error_count: int
    errors: list[dict[str, Any]]


# ---- requests ------------------------------------------------------------------------------------------------------


def upload(query: UploadQuery, form: UploadForm) -> Response:
    """Upload a catalogue.

    Takes multipart with a file, or a raw text/csv body. Answers at once; the images are worked in the background.
    """
    fields = query.model_dump(exclude_none=True) | form.model_dump(exclude_none=True, exclude={"file"})
    _door().count_upload()
    data, filename = _uploaded_file()
    if fields.pop("dry_run", False):
        return _dry_run(data, filename)
    accepted = _uploads().accept_upload(data, filename, _uploads().options(**fields), g.base_url)
    answer = _json(_answers().status(accepted.id), HTTPStatus.ACCEPTED)
    answer.headers["Location"] = links(g.base_url, accepted.id).self
    answer.headers["Retry-After"] = RETRY_AFTER_SECONDS
    return answer


api.post(
    "/api/v1/requests",
    tags=[requests_tag],
    operation_id="upload",
    responses={202: StatusBody, 200: Preview, **_problems(400, 401, 403, 413, 415, 429)},
)(upload)
for number, alias in enumerate(("/upload", "/upload/", "/upload_csv"), start=1):
    api.post(alias, doc_ui=False, endpoint=f"upload_{number}")(upload)


def status(path: RequestPath) -> Response:
    """The status of a request, live while it runs."""
    body = _answers().status(path.request_id)
    answer = _json(body)
    answer.headers["Cache-Control"] = "no-cache"
    if not body.done:
        answer.headers["Retry-After"] = RETRY_AFTER_SECONDS
    return answer


api.get(
    "/api/v1/requests/<request_id>",
    tags=[requests_tag],
    operation_id="status",
    responses={200: StatusBody, **_problems(401, 404)},
)(status)
for number, alias in enumerate(("/status/<request_id>", "/request_status/<request_id>"), start=1):
    api.get(alias, doc_ui=False, endpoint=f"status_{number}")(status)


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
    return send_output(path.request_id)


def send_output(request_id: str) -> Response:
    """output.csv as a download, in the encoding of the upload."""
    path, found = _answers().output_csv(request_id)
    answer = send_file(path, mimetype="text/csv", as_attachment=True, download_name=output_name(found), max_age=0)
    answer.content_type = f"text/csv; charset={found.charset}"
    return answer


def output_name(found: ProcessingRequest) -> str:
    """The file name a downloaded output.csv is offered under: after the uploaded file."""
    stem = found.filename.rpartition(".")[0] or found.filename or "catalogue"
    return f"{stem}-{OUTPUT_NAME}"


# ---- files ---------------------------------------------------------------------------------------------------------


class FilePath(BaseModel):
    """Which file."""

    filename: str


@api.get(
    "/processed_images/<path:filename>",
    tags=[files_tag],
    operation_id="processed_image",
    responses={200: {"description": "The file.", "content": {"image/*": {}, "text/csv": {}}}, **_problems(404)},
)
def processed_image(path: FilePath) -> Response:
    """A compressed image, or the output.csv of a request."""
    request_id, _, name = path.filename.partition("/")
    if name == OUTPUT_NAME:
        return send_output(request_id)
    media_type = CONTENT_TYPES.get("." + name.rpartition(".")[2])
    if media_type is None:
        raise NotFound(f"There is no file {path.filename[:200]!r}.")
    answer = send_from_directory(_storage().images, path.filename, mimetype=media_type, max_age=YEAR_SECONDS)
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


@api.get(
    "/sample.csv",
    tags=[files_tag],
    operation_id="sample_csv",
    responses={200: {"description": "A catalogue that works as it is.", "content": {"text/csv": {}}}},
)
def sample() -> Response:
    """A catalogue whose images this server hosts itself."""
    answer = Response(_uploads().sample(g.base_url), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = "attachment; filename=sample.csv"
    return answer


# ---- webhooks ------------------------------------------------------------------------------------------------------


@api.post(
    "/webhooks/inbox", tags=[webhooks_tag], operation_id="receive_callback", responses={204: None, **_problems(401)}
)
def receive_callback() -> Response:
    """Receive a callback: verified by its signature, stored once per `webhook-id`."""
    _inbox().receive(dict(request.headers), request.get_data())
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get("/webhooks/inbox", tags=[webhooks_tag], operation_id="list_callbacks", responses={200: Callbacks})
def list_callbacks() -> Response:
    """The callbacks that came in."""
    callbacks = [
        Callback(
            id=callback.id,
            received_at=timestamp(callback.received_at) or "",
            sent_at=timestamp(callback.sent_at) or "",
            body=callback.body,
        )
        for callback in _inbox().callbacks()
    ]
    return _json(Callbacks(callbacks=callbacks))


# ---- server --------------------------------------------------------------------------------------------------------


@api.get("/healthz", tags=[server_tag], operation_id="health", responses={200: Readiness})
def health() -> Response:
    """Whether the process answers."""
    return _json(Readiness(ready=True))


# ---- helpers -------------------------------------------------------------------------------------------------------


def _door() -> Door:
    return current_app.extensions["door"]  # type: ignore[no-any-return]


def _uploads() -> Uploads:
    return current_app.extensions["uploads"]  # type: ignore[no-any-return]


def _answers() -> Answers:
    return current_app.extensions["answers"]  # type: ignore[no-any-return]


def _inbox() -> Inbox:
    return current_app.extensions["inbox"]  # type: ignore[no-any-return]


def _storage() -> Storage:
    return current_app.extensions["storage"]  # type: ignore[no-any-return]


def _json(body: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(body.model_dump_json(), status=status, content_type="application/json")


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
        catalogue: ProductCSV | None = _uploads().read(data, filename)
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
