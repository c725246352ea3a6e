"""What is told about a request: the status body of the contract, its sentences and its links.

The classes are the answer and its documentation at once: `api` returns them, the OpenAPI document is made from them.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from image_processor.store import (
    WORKING,
    ImageStatus,
    Job,
    JobStatus,
    Outcome,
    Product,
    ProductImage,
    ProductStatus,
    WebhookDelivery,
)

MOST_PRODUCTS = 100
MOST_IMAGES = 500


class Counts(BaseModel):
    """Images of the request by state. `total` is the sum of the others."""

    total: int = Field(description="All images of the catalogue: the sum of the others.")
    pending: int = Field(description="Not begun yet.")
    processing: int = Field(description="Being downloaded or compressed now.")
    succeeded: int = Field(description="Compressed, or kept where nothing could be saved.")
    failed: int = Field(description="Given up; each says why.")
    cancelled: int = Field(description="Not worked, because the request was cancelled.")


class Progress(BaseModel):
    """How far the request is."""

    percent: float = Field(description="Final images, in percent of all.")
    images_per_second: float | None = Field(description="Since the start; null before the first image.")
    eta_seconds: int | None = Field(description="Seconds left at this pace; 0 when done.")


class Bytes(BaseModel):
    """Bytes downloaded and bytes delivered, over the compressed images."""

    input: int = Field(description="Bytes that were downloaded.")
    output: int = Field(description="Bytes of the results.")
    saved_percent: float | None = Field(description="By how much the results are smaller; null before the first image.")


class Options(BaseModel):
    """The options the request is worked with."""

    quality: int = Field(description="Quality of the encoder, 1 to 95.")
    max_dimension: int = Field(description="Longest side of a result in pixels; 0 for no limit.")
    format: str = Field(description="Format of the results; `keep` keeps each image's own.")
    on_invalid: str = Field(description="What was asked for bad rows: `reject` or `skip`.")


class ImageErrorBody(BaseModel):
    """Why an image has no result."""

    code: str = Field(description="The kind of failure, for programs.")
    detail: str = Field(description="What is wrong and what to do, for people.")
    http_status: int | None = Field(description="What the image host answered, if it answered.")
    attempts: int = Field(description="How often the download was tried.")


class ImageBody(BaseModel):
    """One image URL of a product and what became of it."""

    id: int = Field(description="Names the image in the addresses of this request.")
    position: int = Field(description="Place in the row's list of URLs, from 1.")
    input_url: str = Field(description="As it stands in the catalogue.")
    output_url: str | None = Field(description="Where the result is hosted; null while there is none.")
    status: ImageStatus
    kept_original: bool = Field(
        description="The image is delivered as it came, because compressing would not have made it smaller."
    )
    note: str | None = Field(
        description="What a person should know of the result, such as that only one frame was kept."
    )
    bytes_in: int | None = Field(description="Bytes of the source.")
    bytes_out: int | None = Field(description="Bytes of the result.")
    width: int | None = Field(description="Pixels of the result, upright.")
    height: int | None = Field(description="Pixels of the result, upright.")
    error: ImageErrorBody | None = Field(description="Why there is no result; null unless it failed.")


class ProductBody(BaseModel):
    """One row of the catalogue. The lists of URLs have an entry per entry of the row; null where there is no result."""

    row: int = Field(description="Number of the row in the catalogue, from 1, the header not counted.")
    serial_number: str
    product_name: str
    status: ProductStatus
    input_image_urls: list[str] = Field(description="The entries of the cell, in their order.")
    output_image_urls: list[str | None] = Field(description="The results, entry by entry; null where there is none.")
    error: str | None = Field(description="Why a row was not worked at all.")
    images: list[ImageBody]


class WebhookBody(BaseModel):
    """The newest webhook delivery of the request."""

    url: str
    state: str = Field(description="`pending`, `delivered` or `failed`.")
    attempts: int = Field(description="How often it was sent.")
    last_status_code: int | None = Field(description="What the receiver answered last; null when nothing did.")


class Links(BaseModel):
    """Absolute addresses of everything that belongs to the request."""

    model_config = ConfigDict(title="Links")

    self: str
    html: str
    images: str
    output_csv: str
    errors_csv: str
    images_zip: str
    cancel: str
    retry: str
    webhook_deliveries: str


class StatusBody(BaseModel):
    """Everything about one request."""

    request_id: str
    status: JobStatus
    done: bool = Field(description="Nothing more is worked, unless somebody retries.")
    outcome: Outcome | None = Field(description="How it ended; null until it is done.")
    message: str = Field(description="Where it stands, in a sentence for people.")
    row_count: int = Field(description="Products in the catalogue.")
    filename: str = Field(description="Name of the uploaded file.")
    warnings: list[str] = Field(description="What was repaired or skipped in the catalogue, in sentences.")
    counts: Counts
    progress: Progress
    bytes: Bytes
    options: Options
    created_at: str = Field(description="When the upload was accepted: ISO 8601, in UTC, like all times.")
    started_at: str | None = Field(description="When the work began.")
    completed_at: str | None = Field(description="When it was done.")
    updated_at: str = Field(description="When anything of it changed last.")
    products: list[ProductBody] = Field(description="The first products of the catalogue, in its order.")
    products_truncated: bool = Field(description="Whether there are more products or images than are listed here.")
    webhook: WebhookBody | None = Field(description="Null when no webhook was asked for.")
    links: Links


def status_body(
    request: Job,
    products: Sequence[ProductBody] = (),
    deliveries: Sequence[WebhookDelivery] = (),
    paused: str | None = None,
) -> StatusBody:
    """The status of a request. `products` are its first ones. `paused` says why nothing is worked just now, if so."""
    listed = sum(len(product.images) for product in products)
    return StatusBody(
        request_id=request.id,
        status=JobStatus(request.status),
        done=request.done,
        outcome=Outcome(request.outcome) if request.outcome else None,
        message=f"Paused. {paused}" if paused and not request.done else live_message(request),
        row_count=request.row_count,
        filename=request.filename,
        warnings=request.warnings,
        counts=_counts(request),
        progress=_progress(request),
        bytes=_bytes(request),
        options=Options(
            quality=request.quality,
            max_dimension=request.max_dimension,
            format=request.format,
            on_invalid=request.on_invalid,
        ),
        created_at=timestamp(request.created_at) or "",
        started_at=timestamp(request.started_at),
        completed_at=timestamp(request.completed_at),
        updated_at=timestamp(request.updated_at) or "",
        products=list(products),
        products_truncated=len(products) < request.row_count or listed < request.total,
        webhook=_webhook(request, deliveries),
        links=links(request.base_url, request.id),
    )


def links(base_url: str, request_id: str) -> Links:
    """The addresses of everything that belongs to a request."""
    resource = f"{base_url}/api/v1/requests/{request_id}"
    return Links(
        self=resource,
        html=f"{base_url}/requests/{request_id}",
        images=f"{resource}/images",
        output_csv=f"{resource}/output.csv",
        errors_csv=f"{resource}/errors.csv",
        images_zip=f"{resource}/images.zip",
        cancel=f"{resource}/cancel",
        retry=f"{resource}/retry",
        webhook_deliveries=f"{resource}/webhook-deliveries",
    )


def webhook_payload(request: Job) -> dict[str, Any]:
    """The body of the webhook of a request that is done."""
    at = timestamp(request.completed_at)
    data = {
        "request_id": request.id,
        "status": request.status,
        "outcome": request.outcome,
        "message": request.message,
        "counts": _counts(request).model_dump(),
        "bytes": _bytes(request).model_dump(),
        "links": links(request.base_url, request.id).model_dump(),
    }
    kind = f"request.{request.status.lower()}"
    return {"type": kind, "timestamp": at, "request_id": request.id, "status": request.status, "data": data}


def outcome_of(request: Job) -> Outcome:
    """What became of a request, by its counters. A row that was refused counts as something that failed."""
    if request.cancelled:
        return Outcome.CANCELLED
    if not request.failed and not request.invalid_rows:
        return Outcome.SUCCEEDED
    return Outcome.PARTIAL if request.succeeded else Outcome.FAILED


def product_status(statuses: Sequence[str]) -> ProductStatus:
    """The state of a product by the states of its images."""
    kinds = set(statuses)
    if kinds & {ImageStatus.PENDING, ImageStatus.PROCESSING}:
        return ProductStatus.PENDING if kinds == {ImageStatus.PENDING} else ProductStatus.PROCESSING
    if kinds == {ImageStatus.COMPLETED}:
        return ProductStatus.COMPLETED
    if ImageStatus.COMPLETED in kinds:
        return ProductStatus.PARTIAL
    return ProductStatus.CANCELLED if ImageStatus.CANCELLED in kinds else ProductStatus.FAILED


def etag(request: Job, deliveries: Sequence[WebhookDelivery], paused: str | None) -> str:
    """What changes whenever the status body does."""
    told = [request.updated_at.isoformat(), *(f"{one.state}{one.attempts}" for one in deliveries), paused or ""]
    return blake2b("|".join(told).encode(), digest_size=12).hexdigest()


def final_message(request: Job) -> str:
    """One sentence that sums a finished request up."""
    parts = [f"{request.succeeded} of {_plural(request.total, 'image')} compressed"]
    if request.failed:
        parts.append(f"{request.failed} failed")
    if request.cancelled:
        parts.append(f"{request.cancelled} cancelled")
    if request.invalid_rows:
        parts.append(f"{_plural(request.invalid_rows, 'row')} skipped")
    saved = _bytes(request).saved_percent
    ending = f"; {saved:.0f}% smaller." if saved is not None else "."
    return ", ".join(parts) + ending


def live_message(request: Job) -> str:
    """The message to show: while images are worked and nothing is special, how many are done."""
    if request.message == WORKING and request.final:
        return f"{request.final} of {_plural(request.total, 'image')} done."
    return request.message


def waiting_message(hosts: Sequence[str]) -> str:
    """Why nothing happens just now, when all that is left waits for its hosts."""
    others = f" and {_plural(len(hosts) - 1, 'other host')}" if len(hosts) > 1 else ""
    return f"Waiting for {hosts[0]}{others} to answer again; the next try follows by itself."


def timestamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _counts(request: Job) -> Counts:
    return Counts(
        total=request.total,
        pending=request.pending,
        processing=request.processing,
        succeeded=request.succeeded,
        failed=request.failed,
        cancelled=request.cancelled,
    )


def _progress(request: Job) -> Progress:
    percent = 100.0 if request.done and not request.total else round(request.progress, 1)
    seconds = _seconds_worked(request)
    worked = request.final - request.cancelled - request.run_base
    pace = worked / seconds if seconds and worked > 0 else None
    left = request.total - request.final
    eta = 0 if request.done else round(left / pace) if pace else None
    return Progress(percent=percent, images_per_second=pace and round(pace, 1), eta_seconds=eta)


def _seconds_worked(request: Job) -> float:
    if request.started_at is None:
        return 0.0
    end = request.completed_at or request.updated_at  # so that the answer changes only when the record does
    return max((end - request.started_at).total_seconds(), 0.0)


def _bytes(request: Job) -> Bytes:
    saved = round(100 * (1 - request.bytes_out / request.bytes_in), 1) if request.bytes_in else None
    return Bytes(input=request.bytes_in, output=request.bytes_out, saved_percent=saved)


def _webhook(request: Job, deliveries: Sequence[WebhookDelivery]) -> WebhookBody | None:
    if request.webhook_url is None:
        return None
    if not deliveries:
        return WebhookBody(url=request.webhook_url, state="waiting", attempts=0, last_status_code=None)
    newest = deliveries[-1]
    return WebhookBody(
        url=newest.url, state=newest.state, attempts=newest.attempts, last_status_code=newest.last_status_code
    )


def product_bodies(products: Sequence[Product], images: Sequence[ProductImage]) -> list[ProductBody]:
    """Products as they are told. `images` (at most MOST_IMAGES) are theirs, in the order of rows and positions."""
    by_product: dict[int, list[ProductImage]] = {}
    for image in images:
        by_product.setdefault(image.product_id, []).append(image)
    return [_product_body(product, by_product.get(product.id, [])) for product in products]


def _product_body(product: Product, images: Sequence[ProductImage]) -> ProductBody:
    outputs = list(product.output_image_urls)  # written when the request ends; until then the images know more
    for image in images:
        outputs[image.position - 1] = image.output_url
    return ProductBody(
        row=product.row,
        serial_number=product.serial_number,
        product_name=product.product_name,
        status=product_status([image.status for image in images]) if images else ProductStatus(product.status),
        input_image_urls=product.input_image_urls,
        output_image_urls=outputs,
        error=product.error,
        images=[image_body(image) for image in images],
    )


def image_body(image: ProductImage) -> ImageBody:
    """One image as it is told."""
    error = None
    if image.error_code:
        error = ImageErrorBody(
            code=image.error_code,
            detail=image.error_detail or "",
            http_status=image.http_status,
            attempts=image.attempts,
        )
    return ImageBody(
        id=image.id,
        position=image.position,
        input_url=image.input_url,
        output_url=image.output_url,
        status=ImageStatus(image.status),
        kept_original=image.kept_original,
        note=image.note,
        bytes_in=image.bytes_in,
        bytes_out=image.bytes_out,
        width=image.width,
        height=image.height,
        error=error,
    )
