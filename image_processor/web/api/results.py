"""Results of a job: output.csv, errors.csv, the ZIP archive, the images and their originals."""

import io
from functools import partial
from typing import BinaryIO

from flask import Response, request, send_file, send_from_directory
from zipstream import ZipStream

from image_processor.errors import NotFound, shorten
from image_processor.imaging import CONTENT_TYPES
from image_processor.jobs import client_is_gone, image_body
from image_processor.store import OUTPUT_NAME, WORKBOOK_NAME, ImageFilter
from image_processor.web.api.blueprint import (
    SANDBOX,
    YEAR_SECONDS,
    api,
    download,
    file_of,
    json_response,
    page_response,
    problems,
    results_tag,
)
from image_processor.web.schemas import (
    FilePath,
    ImagePath,
    ImagesPage,
    ImagesQuery,
    ListedImage,
    RequestPath,
    SizeBucket,
    Sizes,
)
from image_processor.web.services import services

WORKBOOK_TYPES = {
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xlsm": "application/vnd.ms-excel.sheet.macroEnabled.12",
}


@api.get("/processed_images/<request_id>/output.csv", doc_ui=False, endpoint="output_csv_1")
@api.get(
    "/api/v1/requests/<request_id>/output.csv",
    tags=[results_tag],
    responses={200: file_of("The catalogue with its output URLs.", "text/csv"), **problems(401, 404, 409)},
)
def output_csv(path: RequestPath) -> Response:
    """The result as CSV: the uploaded table with its new URLs, in the same order."""
    file, job = services().queries.output(path.request_id)
    return download(file, f"text/csv; charset={job.charset}", job, OUTPUT_NAME)


@api.get(
    "/api/v1/requests/<request_id>/output.xlsx",
    tags=[results_tag],
    responses={
        200: file_of("The uploaded workbook with its new URLs.", WORKBOOK_TYPES[".xlsx"]),
        **problems(401, 404, 409),
    },
)
def output_xlsx(path: RequestPath) -> Response:
    """The result as the uploaded Excel workbook, in which only the cells of images have changed."""
    file, job = services().queries.output(path.request_id, WORKBOOK_NAME)
    extension = job.workbook or ".xlsx"
    return download(file, WORKBOOK_TYPES.get(extension, WORKBOOK_TYPES[".xlsx"]), job, f"output{extension}")


@api.get(
    "/api/v1/requests/<request_id>/errors.csv",
    tags=[results_tag],
    responses={
        200: file_of("What failed and why, as a catalogue to correct and upload again.", "text/csv"),
        **problems(401, 404, 409),
    },
)
def errors_csv(path: RequestPath) -> Response:
    """The rows that failed, with only the URLs that failed and the reason."""
    file, job = services().queries.errors_csv(path.request_id)
    return _measured(download(file, f"text/csv; charset={job.charset}", job, "errors.csv"), file)


@api.get(
    "/api/v1/requests/<request_id>/replacements.csv",
    tags=[results_tag],
    responses={200: file_of("Every image with its old and its new URL.", "text/csv"), **problems(401, 404, 409)},
)
def replacements_csv(path: RequestPath) -> Response:
    """Every image: row, column, position in its cell, old URL, new URL, error."""
    file, job = services().queries.replacements_csv(path.request_id)
    return _measured(download(file, "text/csv; charset=utf-8", job, "replacements.csv"), file)


def _measured(response: Response, file: BinaryIO) -> Response:
    response.content_length = file.seek(0, io.SEEK_END)
    file.seek(0)
    return response


@api.get(
    "/api/v1/requests/<request_id>/images.zip",
    tags=[results_tag],
    responses={
        200: file_of("All compressed images, with readable names.", "application/zip"),
        **problems(401, 404, 409),
    },
)
def images_zip(path: RequestPath) -> Response:
    """All compressed images of a job, streamed."""
    files, job = services().queries.files(path.request_id)
    archive = ZipStream(sized=True)
    for file, name in files:
        archive.add_path(file, name)
    response = download(io.BytesIO(), "application/zip", job, "images.zip")
    response.response, response.content_length = iter(archive), len(archive)
    return response


@api.get(
    "/api/v1/requests/<request_id>/images",
    tags=[results_tag],
    responses={200: ImagesPage, **problems(400, 401, 404)},
)
def list_images(path: RequestPath, query: ImagesQuery) -> Response:
    """The images of a job with their products, in the order of the catalogue, in pages."""
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
    return page_response(ImagesPage(images=page, next_cursor=cursor), cursor)


@api.get(
    "/api/v1/requests/<request_id>/images/<int:image_id>/source",
    tags=[results_tag],
    responses={200: file_of("The original as it is now.", "image/*"), **problems(401, 404, 502, 503)},
)
def image_source(path: ImagePath) -> Response:
    """The original of an image, downloaded again, to compare it with the result."""
    is_abandoned = partial(client_is_gone, request.environ)
    file, media_type = services().originals.fetch(path.request_id, path.image_id, is_abandoned)
    response = send_file(file, media_type)
    response.headers["Content-Security-Policy"] = SANDBOX
    response.headers["Cache-Control"] = "private, max-age=300"
    return response


@api.get("/api/v1/requests/<request_id>/sizes", tags=[results_tag], responses={200: Sizes, **problems(401, 404)})
def sizes(path: RequestPath) -> Response:
    """The distribution of image sizes, before and after."""
    buckets = [
        SizeBucket(label=_size_label(one.below), below=one.below, before=one.before, after=one.after)
        for one in services().queries.sizes(path.request_id)
    ]
    return json_response(Sizes(buckets=buckets))


def _size_label(below: int | None) -> str:
    if below is None:
        return "larger"
    return f"< {below / 1e6:g} MB" if below >= 1_000_000 else f"< {below // 1000} kB"


@api.get(
    "/processed_images/<path:filename>",
    tags=[results_tag],
    responses={
        200: file_of("The file.", "image/*"),
        206: file_of("The part that `Range` asked for.", "image/*"),
        304: None,
        **problems(404, 416),
    },
)
def processed_image(path: FilePath) -> Response:
    """A compressed image."""
    media_type = CONTENT_TYPES.get("." + path.filename.rpartition(".")[2])
    if media_type is None:
        raise NotFound(f"There is no file {shorten(path.filename, 200)!r}.")
    folder = services().storage.images
    response = send_from_directory(folder, path.filename, mimetype=media_type, max_age=YEAR_SECONDS)
    response.headers["Content-Security-Policy"] = SANDBOX
    return response
