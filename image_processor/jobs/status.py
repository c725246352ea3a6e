"""The status of a job in the API: its body, messages and links."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from image_processor.jobs.bodies import (
    IMAGE_COLUMNS,
    Bytes,
    Counts,
    ImageBody,
    ImageErrorBody,
    Links,
    Options,
    ProductBody,
    Progress,
    StatusBody,
    WebhookBody,
)
from image_processor.store import (
    OUTPUT_NAME,
    PROCESSING_MESSAGE,
    WORKBOOK_NAME,
    ImageStatus,
    Job,
    JobStatus,
    Outcome,
    Product,
    ProductImage,
    ProductStatus,
    WebhookDelivery,
    grouped,
)

MAX_PRODUCTS = 100
MAX_IMAGES = 500


def status_body(
    job: Job,
    products: Sequence[ProductBody] = (),
    deliveries: Sequence[WebhookDelivery] = (),
    paused: str | None = None,
) -> StatusBody:
    """The status of a job. `products` are its first ones. `paused` says why processing is paused, if it is."""
    listed = sum(len(product.images) for product in products)
    return StatusBody(
        request_id=job.id,
        status=JobStatus(job.status),
        done=job.done,
        outcome=Outcome(job.outcome) if job.outcome else None,
        message=f"Paused. {paused}" if paused and not job.done else live_message(job),
        row_count=job.row_count,
        filename=job.filename,
        warnings=job.warnings,
        counts=Counts.model_validate(job, from_attributes=True),
        progress=_progress(job),
        bytes=_bytes(job),
        options=_options(job),
        created_at=timestamp(job.created_at) or "",
        started_at=timestamp(job.started_at),
        completed_at=timestamp(job.completed_at),
        updated_at=timestamp(job.updated_at) or "",
        products=list(products),
        products_truncated=len(products) < job.row_count or listed < job.total,
        webhook=_webhook(job, deliveries),
        links=_links(job),
    )


def _links(job: Job) -> Links:
    return links(job.base_url, job.id, is_workbook=job.workbook is not None)


def _options(job: Job) -> Options:
    own = {name: getattr(job, name) for name in ("quality", "max_dimension", "format", "on_invalid")}
    return Options(**own, **job.table_options)


def links(base_url: str, job_id: str, *, is_workbook: bool = False) -> Links:
    """The URLs of everything that belongs to a job."""
    resource = f"{base_url}/api/v1/requests/{job_id}"
    return Links(
        self=resource,
        html=f"{base_url}/requests/{job_id}",
        images=f"{resource}/images",
        output=f"{resource}/{WORKBOOK_NAME if is_workbook else OUTPUT_NAME}",
        output_csv=f"{resource}/{OUTPUT_NAME}",
        errors_csv=f"{resource}/errors.csv",
        replacements_csv=f"{resource}/replacements.csv",
        images_zip=f"{resource}/images.zip",
        cancel=f"{resource}/cancel",
        retry=f"{resource}/retry",
        webhook_deliveries=f"{resource}/webhook-deliveries",
    )


def webhook_payload(job: Job) -> dict[str, Any]:
    """The body of the webhook of a job that is done."""
    at = timestamp(job.completed_at)
    data = {
        "request_id": job.id,
        "status": job.status,
        "outcome": job.outcome,
        "message": job.message,
        "counts": Counts.model_validate(job, from_attributes=True).model_dump(),
        "bytes": _bytes(job).model_dump(),
        "links": _links(job).model_dump(),
    }
    kind = f"request.{job.status.lower()}"
    return {"type": kind, "timestamp": at, "request_id": job.id, "status": job.status, "data": data}


def outcome_of(job: Job) -> Outcome:
    """The outcome of a job, by its counters. An invalid row counts as a failure."""
    if job.cancelled:
        return Outcome.CANCELLED
    if not job.failed and not job.invalid_rows:
        return Outcome.SUCCEEDED
    return Outcome.PARTIAL if job.succeeded else Outcome.FAILED


def product_status(product: Product, images: Sequence[ProductImage]) -> ProductStatus:
    """The status of a product by those of its images, or the recorded one where images are missing.

    An invalid row has none, and a status does not list all images of a long row. While the job runs, the recorded one
    is `Pending`; such a row is then `Processing` once an image was begun.
    """
    kinds = {image.status for image in images}
    if len(images) < sum(map(bool, product.input_image_urls)) or not kinds:
        recorded = ProductStatus(product.status)
        begun = recorded is ProductStatus.PENDING and kinds - {ImageStatus.PENDING}
        return ProductStatus.PROCESSING if begun else recorded
    if kinds & {ImageStatus.PENDING, ImageStatus.PROCESSING}:
        return ProductStatus.PENDING if kinds == {ImageStatus.PENDING} else ProductStatus.PROCESSING
    if kinds == {ImageStatus.COMPLETED}:
        return ProductStatus.COMPLETED
    if ImageStatus.COMPLETED in kinds:
        return ProductStatus.PARTIAL
    return ProductStatus.CANCELLED if ImageStatus.CANCELLED in kinds else ProductStatus.FAILED


def output_urls(product: Product, images: Sequence[ProductImage]) -> list[str | None]:
    """The output URLs of a product, which have those of its images only when the job is done."""
    urls = list(product.output_image_urls)
    for image in images:
        urls[image.position - 1] = image.output_url
    return urls


def etag(job: Job, deliveries: Sequence[WebhookDelivery], paused: str | None) -> str:
    """A hash that changes whenever the status body does."""
    parts = [job.updated_at.isoformat(), *(f"{one.state}{one.attempts}" for one in deliveries), paused or ""]
    return blake2b("|".join(parts).encode(), digest_size=12).hexdigest()


def final_message(job: Job) -> str:
    """A summary of a finished job."""
    parts = [f"{job.succeeded} of {_plural(job.total, 'image')} compressed"]
    if job.failed:
        parts.append(f"{job.failed} failed")
    if job.cancelled:
        parts.append(f"{job.cancelled} cancelled")
    if job.invalid_rows:
        parts.append(f"{_plural(job.invalid_rows, 'row')} skipped")
    saved = _bytes(job).saved_percent
    ending = f"; {saved:.0f}% smaller." if saved is not None else "."
    return ", ".join(parts) + ending


def live_message(job: Job) -> str:
    """The message of a job; while images are processed, how many are done."""
    if job.message == PROCESSING_MESSAGE and job.final:
        return f"{job.final} of {_plural(job.total, 'image')} done."
    return job.message


def waiting_message(hosts: Sequence[str]) -> str:
    """The message while all remaining images wait for their hosts."""
    others = f" and {_plural(len(hosts) - 1, 'other host')}" if len(hosts) > 1 else ""
    return f"Waiting for {hosts[0]}{others} to respond; the downloads are retried automatically."


def timestamp(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC, to the millisecond."""
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _progress(job: Job) -> Progress:
    percent = 100.0 if job.done and not job.total else round(job.progress, 1)
    seconds = _seconds(job)
    processed = job.final - job.cancelled - job.run_base
    pace = processed / seconds if seconds and processed > 0 else None
    eta = 0 if job.done else round((job.total - job.final) / pace) if pace else None
    return Progress(percent=percent, images_per_second=pace and round(pace, 1), eta_seconds=eta)


def _seconds(job: Job) -> float:
    if job.started_at is None:
        return 0.0
    end = job.completed_at or job.updated_at  # not the current time: the status changes only with the record
    return max((end - job.started_at).total_seconds(), 0.0)


def _bytes(job: Job) -> Bytes:
    saved = round(100 * (1 - job.bytes_out / job.bytes_in), 1) if job.bytes_in else None
    return Bytes(input=job.bytes_in, output=job.bytes_out, saved_percent=saved)


def _webhook(job: Job, deliveries: Sequence[WebhookDelivery]) -> WebhookBody | None:
    if job.webhook_url is None:
        return None
    if not deliveries:
        return WebhookBody(url=job.webhook_url, state="waiting", attempts=0, last_status_code=None)
    return WebhookBody.model_validate(deliveries[-1], from_attributes=True)


def product_bodies(products: Sequence[Product], images: Sequence[ProductImage]) -> list[ProductBody]:
    """Products with their images, which are in the order of rows and positions."""
    return [_product_body(product, of_product) for product, of_product in grouped(products, images)]


def _product_body(product: Product, images: Sequence[ProductImage]) -> ProductBody:
    return ProductBody(
        row=product.row,
        serial_number=product.serial_number,
        product_name=product.product_name,
        status=product_status(product, images),
        input_image_urls=product.input_image_urls,
        output_image_urls=output_urls(product, images),
        error=product.error,
        images=[image_body(image) for image in images],
    )


def image_body(image: ProductImage) -> ImageBody:
    """One image."""
    error = None
    if image.error_code:
        error = ImageErrorBody(
            code=image.error_code,
            detail=image.error_detail or "",
            http_status=image.http_status,
            attempts=image.attempts,
        )
    values = {name: getattr(image, name) for name in IMAGE_COLUMNS}
    return ImageBody(**values, error=error)
