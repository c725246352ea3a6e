"""Jobs: upload a catalogue, follow it, cancel, retry, delete."""

import io
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from flask import Response, g, request
from pydantic import ValidationError

from image_processor.catalogue import (
    Catalogue,
    plain_sample,
    shopify_sample,
    woocommerce_sample,
    workbook_sample,
    write_problems,
)
from image_processor.errors import InvalidCSV, MissingFile, UnsupportedMediaType
from image_processor.jobs import StatusBody, UploadOptions, links
from image_processor.web.api.blueprint import (
    api,
    file_of,
    invalid_option,
    jobs_tag,
    json_response,
    page_response,
    problems,
)
from image_processor.web.api.results import WORKBOOK_TYPES
from image_processor.web.guard import guard
from image_processor.web.schemas import (
    Layout,
    Preview,
    RequestPath,
    RequestsPage,
    RequestsQuery,
    RequestSummary,
    UploadForm,
    UploadHeaders,
    UploadQuery,
)
from image_processor.web.services import services

RETRY_AFTER_SECONDS = "1"
FILE_TYPES = (
    "text/csv",
    "text/tab-separated-values",
    "text/plain",
    "application/csv",
    "application/octet-stream",
    "application/vnd.ms-excel",
    "application/vnd.ms-excel.sheet.macroenabled.12",
    "application/vnd.ms-excel.sheet.binary.macroenabled.12",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.oasis.opendocument.spreadsheet",
)
PREVIEW_ROWS = 5
A_SAMPLE = "A catalogue that can be uploaded as it is."


@api.before_request
def check_form() -> Response | None:
    """Check the fields of a form as the texts they are.

    flask-openapi reads numbers of a form as JSON: `true` became quality 1, a deep `[[[…` a RecursionError, a number of
    5,000 digits a ValueError.
    """
    if request.method == "POST" and request.form:
        try:
            columns = request.form.getlist("images_column")
            UploadQuery.model_validate({**request.form.to_dict(), "images_column": columns})
        except ValidationError as error:
            return invalid_option(error)
    return None


def upload(header: UploadHeaders, query: UploadQuery, form: UploadForm) -> Response:
    """Upload a catalogue.

    Accepts multipart/form-data with a file, or the file as the raw body: CSV in any dialect, an Excel or OpenDocument
    workbook, or a plain list of URLs. The response comes at once; the images are processed in the background.
    """
    guard().count_upload()
    fields = _chosen(query) | _chosen(form)
    data, filename = _uploaded_file()
    dry_run = fields.pop("dry_run", False)
    uploads = services().uploads
    options = uploads.options(**fields, idempotency_key=header.idempotency_key)
    if dry_run:
        return _dry_run(data, filename, options)
    accepted = uploads.accept(data, filename, options, g.base_url)
    response = json_response(services().queries.status(accepted.id), HTTPStatus.ACCEPTED)
    response.headers["Location"] = links(g.base_url, accepted.id).self
    response.headers["Retry-After"] = RETRY_AFTER_SECONDS
    return response


api.post(
    "/api/v1/requests",
    tags=[jobs_tag],
    responses={202: StatusBody, 200: Preview, **problems(400, 401, 403, 413, 415, 422)},
)(upload)
for number, alias in enumerate(("/upload", "/upload/", "/upload_csv"), start=1):
    api.post(alias, doc_ui=False, endpoint=f"upload_{number}")(upload)


def status(path: RequestPath) -> Response:
    """The status of a job, live while it runs."""
    tag, body = services().queries.status_unless_known(path.request_id, request.if_none_match.contains_weak)
    if body is None:
        response = Response(status=HTTPStatus.NOT_MODIFIED)
    else:
        response = json_response(body)
        if not body.done:
            response.headers["Retry-After"] = RETRY_AFTER_SECONDS
    response.set_etag(tag)
    response.headers["Cache-Control"] = "no-cache"
    return response


api.get(
    "/api/v1/requests/<request_id>",
    tags=[jobs_tag],
    responses={200: StatusBody, 304: None, **problems(401, 404)},
)(status)
for number, alias in enumerate(("/status/<request_id>", "/request_status/<request_id>"), start=1):
    api.get(alias, doc_ui=False, endpoint=f"status_{number}")(status)


@api.get("/api/v1/requests", tags=[jobs_tag], responses={200: RequestsPage, **problems(400, 401)})
def list_requests(query: RequestsQuery) -> Response:
    """The jobs, newest first, in pages."""
    found, cursor = services().queries.jobs(query.limit, query.cursor, query.status)
    page = [RequestSummary.model_validate(one.model_dump()) for one in found]
    return page_response(RequestsPage(requests=page, next_cursor=cursor), cursor)


@api.post(
    "/api/v1/requests/<request_id>/cancel",
    tags=[jobs_tag],
    responses={202: StatusBody, 200: StatusBody, **problems(401, 403, 404, 409)},
)
def cancel(path: RequestPath) -> Response:
    """Cancel a job: finished images are kept, the others are cancelled, output.csv is written."""
    changed = services().actions.cancel(path.request_id)
    return json_response(services().queries.status(path.request_id), HTTPStatus.ACCEPTED if changed else HTTPStatus.OK)


@api.post(
    "/api/v1/requests/<request_id>/retry",
    tags=[jobs_tag],
    responses={202: StatusBody, **problems(401, 403, 404, 409)},
)
def retry(path: RequestPath) -> Response:
    """Process the failed and cancelled images again, in a new run."""
    services().actions.retry(path.request_id)
    services().worker.submit(path.request_id)
    return json_response(services().queries.status(path.request_id), HTTPStatus.ACCEPTED)


@api.delete("/api/v1/requests/<request_id>", tags=[jobs_tag], responses={204: None, **problems(401, 403, 404, 409)})
def delete_request(path: RequestPath) -> Response:
    """Delete a job that is done, with all its files."""
    services().actions.delete(path.request_id)
    return Response(status=HTTPStatus.NO_CONTENT)


@api.get(
    "/sample.csv",
    tags=[jobs_tag],
    responses={200: file_of(A_SAMPLE, "text/csv"), **problems(401)},
)
def sample_csv() -> Response:
    """A catalogue of images that this server hosts."""
    return _sample(plain_sample(g.base_url), "sample.csv")


@api.get("/samples/shopify.csv", tags=[jobs_tag], responses={200: file_of(A_SAMPLE, "text/csv"), **problems(401)})
def sample_shopify() -> Response:
    """The same products as Shopify exports them."""
    return _sample(shopify_sample(g.base_url), "shopify.csv")


@api.get("/samples/woocommerce.csv", tags=[jobs_tag], responses={200: file_of(A_SAMPLE, "text/csv"), **problems(401)})
def sample_woocommerce() -> Response:
    """The same products as WooCommerce exports them."""
    return _sample(woocommerce_sample(g.base_url), "woocommerce.csv")


@api.get(
    "/samples/workbook.xlsx",
    tags=[jobs_tag],
    responses={200: file_of(A_SAMPLE, WORKBOOK_TYPES[".xlsx"]), **problems(401)},
)
def sample_workbook() -> Response:
    """The same products in an Excel workbook."""
    return _sample(workbook_sample(g.base_url), "workbook.xlsx", WORKBOOK_TYPES[".xlsx"])


def _sample(data: bytes, name: str, content_type: str = "text/csv; charset=utf-8") -> Response:
    response = Response(data, content_type=content_type)
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response


# ---- helpers -------------------------------------------------------------------------------------------------------


def _chosen(options: UploadQuery) -> dict[str, Any]:
    """The options that were sent."""
    return {name: value for name, value in options.model_dump(exclude={"file"}).items() if value not in (None, [])}


def _uploaded_file() -> tuple[bytes, str]:
    """The bytes and the name of the one file that was sent, in a form or as the raw body."""
    if request.mimetype == "multipart/form-data":
        files = [file for _, file in request.files.items(multi=True) if file.filename]
        named = [file for file in request.files.getlist("file") if file.filename]
        chosen = named or files
        if len(chosen) != 1:
            raise MissingFile(f"The form holds {len(chosen)} files; send exactly one, as the form field `file`.")
        return chosen[0].read(), chosen[0].filename or ""
    if request.mimetype in FILE_TYPES:
        if data := request.get_data():
            return data, ""
        raise MissingFile("The body is empty; send the catalogue as the form field `file` or as the body.")
    if request.mimetype in ("", "application/x-www-form-urlencoded"):
        raise MissingFile("The upload has no file; send the catalogue as the form field `file`.")
    raise UnsupportedMediaType(
        f"The body is {request.mimetype!r}; send multipart/form-data with the form field `file`, or the file with its "
        "type, such as text/csv."
    )


def _dry_run(data: bytes, filename: str, options: UploadOptions) -> Response:
    """What was read of a catalogue, valid or not; nothing is stored."""
    uploads = services().uploads
    try:
        catalogue: Catalogue | None = uploads.read(data, filename, options)
        found = catalogue.problems if catalogue else []
    except InvalidCSV as error:
        catalogue, found = None, error.problems
    if request.accept_mimetypes.best_match(["application/json", "text/csv"]) == "text/csv":
        file = io.BytesIO()
        write_problems(found, file)
        return Response(file.getvalue(), content_type="text/csv; charset=utf-8")
    errors = [item.as_dict() for item in found[: InvalidCSV.MAX_LISTED]]
    preview = Preview(valid=not found, error_count=len(found), errors=errors)
    if catalogue:
        understood = asdict(catalogue.understood)
        preview = Preview(
            **preview.model_dump(include={"valid", "error_count", "errors"}),
            row_count=catalogue.row_count,
            image_count=catalogue.image_count,
            hosts=catalogue.hosts,
            preview=_first_rows(catalogue),
            warnings=uploads.warnings(catalogue, options, g.base_url),
            suggested_images_column=understood.pop("suggested_images_column"),
            layout=Layout.model_validate(understood),
        )
    return json_response(preview)


def _first_rows(catalogue: Catalogue) -> list[dict[str, Any]]:
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
