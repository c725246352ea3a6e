"""The blueprint that all resources of the API share, its problem+json errors and the forms of its responses."""

from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlencode

from flask import Response, g, jsonify, request, send_file
from flask_openapi.blueprint import APIBlueprint
from flask_openapi.models.tag import Tag
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from image_processor.errors import BadSignature, InvalidOption, RequestError, UploadTooLarge, shorten
from image_processor.jobs import clean_name
from image_processor.store import Job
from image_processor.web.services import services

PROBLEM_TYPE = "application/problem+json"
# An original or a hosted image may be a file with scripts; the browser runs nothing of it.
SANDBOX = "default-src 'none'; sandbox"
YEAR_SECONDS = 31_536_000

jobs_tag = Tag(name="jobs", description="Upload a catalogue, follow its job, cancel, retry or delete it.")
results_tag = Tag(name="results", description="The catalogue with its new URLs, what failed, the images.")
webhooks_tag = Tag(
    name="webhooks",
    description="When the output.csv of a job is written, a signed `POST` is sent to its `webhook_url` (Standard "
    "Webhooks), again until the response is 2xx. The inbox receives such webhooks, for trying them out.",
)
server_tag = Tag(name="server", description="Health and metrics of the server.")
# In the order of the document and its page.
TAGS = (jobs_tag, results_tag, webhooks_tag, server_tag)


def problems(*statuses: int) -> dict[str | int, Any]:
    """The error responses of an operation, for the OpenAPI document."""
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def file_of(description: str, *media_types: str) -> dict[str, Any]:
    """A response that is a file, for the OpenAPI document."""
    return {"description": description, "content": {media_type: {} for media_type in media_types}}


def _operation_id(*, name: str, path: str, method: str) -> str:
    return name


api = APIBlueprint("api", __name__, abp_responses=problems(400, 429, 503), operation_id_callback=_operation_id)


# ---- errors --------------------------------------------------------------------------------------------------------


def problem(error: RequestError | HTTPException) -> Response:
    """The problem+json response for an error of ours or of the framework."""
    if isinstance(error, RequestError):
        response = _problem(error.type, error.title, error.status, error.detail, **error.extra)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        if error.status == HTTPStatus.UNAUTHORIZED and not isinstance(error, BadSignature):
            response.headers["WWW-Authenticate"] = "Bearer"
        return response
    if error.response is not None:
        return error.response  # type: ignore[return-value]
    if isinstance(error, RequestEntityTooLarge):
        return _problem(UploadTooLarge.type, UploadTooLarge.title, 413, _too_large_detail())
    status = HTTPStatus(error.code or 500)
    response = _problem(status.phrase.lower().replace(" ", "-"), status.phrase, status.value, error.description or "")
    for name, value in error.get_headers():
        if name.lower() in ("allow", "retry-after", "content-range"):
            response.headers[name] = value
    return response


def _too_large_detail() -> str:
    """Which of the framework's limits was exceeded: that of the whole body, or those of the fields of a form."""
    sent, limit = request.content_length or 0, request.max_content_length or 0
    if sent > limit:
        limit = min(limit, services().settings.max_upload_bytes)
        return f"The body has {sent:,} bytes; this URL accepts up to {limit:,}. Split the catalogue into several files."
    return "The form has too many fields, or fields that are too long; send one file and its options."


def _problem(kind: str, title: str, status: int, detail: str, **extra: Any) -> Response:
    body = {"type": f"/problems/{kind}", "title": title, "status": status, "detail": detail, "error": detail} | extra
    response = jsonify(body)
    response.status_code = status
    response.content_type = PROBLEM_TYPE
    return response


def invalid_option(error: ValidationError) -> Response:
    """The response to parameters that are not valid: one sentence for each."""
    sentences = [
        f"{item['loc'][0]} is {shorten(str(item['input']))!r}: {item['msg'].removeprefix('Value error, ')}."
        for item in error.errors()
        if item["type"] != "none_required"  # an option left out is None; no client can send that
    ]
    return problem(InvalidOption(" ".join(sentences)))


# ---- responses -----------------------------------------------------------------------------------------------------


def json_response(body: BaseModel, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A body as JSON."""
    return Response(body.model_dump_json(), status=status, content_type="application/json")


def page_response(body: BaseModel, cursor: str | int | None) -> Response:
    """One page of a list, with the link to the next one."""
    response = json_response(body)
    if cursor is not None:
        query = urlencode(request.args.to_dict() | {"cursor": cursor})
        response.headers["Link"] = f'<{g.base_url}{request.path}?{query}>; rel="next"'
    return response


def download(file: Path | BinaryIO, content_type: str, job: Job, kind: str) -> Response:
    """A result as a file that is named after the upload: Werkzeug encodes the name by RFC 6266 and 8187."""
    stem = Path(clean_name(job.filename)).stem or "catalogue"
    response = send_file(file, content_type, as_attachment=True, download_name=f"{stem}-{kind}", max_age=0)
    response.content_type = content_type
    return response
