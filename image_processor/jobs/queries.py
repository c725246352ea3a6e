"""Queries about jobs: status, images, results, webhook deliveries."""

import base64
import binascii
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

from image_processor.catalogue import Catalogue, CSVLimits, TableOptions, read_catalogue, write_replacements
from image_processor.errors import InvalidOption, NotFound, NotReady
from image_processor.jobs.bodies import StatusBody
from image_processor.jobs.status import MAX_IMAGES, MAX_PRODUCTS, etag, product_bodies, status_body
from image_processor.store import (
    OUTPUT_NAME,
    WORKBOOK_NAME,
    Health,
    ImageFilter,
    Job,
    Jobs,
    Listings,
    Outbox,
    Product,
    ProductImage,
    Products,
    SizeClass,
    Storage,
    WebhookAttempt,
)
from image_processor.store import WebhookDelivery as Delivery

MAX_SIZES_CACHED = 256


class Queries:
    """Reads jobs, for the API, the pages and the command line. Methods that take an id raise NotFound."""

    def __init__(
        self,
        jobs: Jobs,
        products: Products,
        listings: Listings,
        outbox: Outbox,
        storage: Storage,
        health: Health,
        csv_limits: CSVLimits,
    ) -> None:
        self._jobs = jobs
        self._products = products
        self._listings = listings
        self._outbox = outbox
        self._storage = storage
        self._health = health
        self._csv_limits = csv_limits
        # To count 100,000 images takes 0.2 s: it is done once for each state of a job.
        self._sizes = lru_cache(MAX_SIZES_CACHED)(lambda job_id, _as_of: listings.sizes(job_id))

    def job(self, job_id: str) -> Job:
        """The job with this id."""
        return self._jobs.find(job_id)

    def status(self, job_id: str) -> StatusBody:
        """The status of a job with its first products."""
        job = self.job(job_id)
        return self._status(job, self._deliveries(job), self._health.reason)

    def status_unless_known(self, job_id: str, is_known: Callable[[str], bool]) -> tuple[str, StatusBody | None]:
        """The ETag of the status, and the status unless `is_known` says yes to its ETag."""
        job = self.job(job_id)
        deliveries, paused = self._deliveries(job), self._health.reason
        tag = etag(job, deliveries, paused)
        return tag, None if is_known(tag) else self._status(job, deliveries, paused)

    def _deliveries(self, job: Job) -> Sequence[Delivery]:
        return [delivery for delivery, _ in self._outbox.deliveries(job.id)] if job.webhook_url else []

    def _status(self, job: Job, deliveries: Sequence[Delivery], paused: str | None) -> StatusBody:
        products = self._products.page(job.id, limit=MAX_PRODUCTS)
        images = self._products.images_of([product.id for product in products], limit=MAX_IMAGES)
        return status_body(job, product_bodies(products, images), deliveries, paused)

    def jobs(
        self, limit: int, cursor: str | None = None, status: str | None = None
    ) -> tuple[list[StatusBody], str | None]:
        """One page of jobs, newest first, without their products, and the cursor of the next page.

        Raises InvalidOption for an invalid cursor.
        """
        found = self._listings.jobs(limit + 1, _place(cursor), status)
        page = [status_body(job, paused=self._health.reason) for job in found[:limit]]
        return page, _cursor(found[limit - 1]) if len(found) > limit else None

    def images(
        self, job_id: str, limit: int, cursor: int = 0, chosen: ImageFilter | None = None
    ) -> tuple[Sequence[tuple[ProductImage, Product]], int | None]:
        """One page of the images of a job with their products, and the cursor of the next page."""
        job = self.job(job_id)
        found = self._listings.images(job.id, limit + 1, cursor, chosen or ImageFilter())
        return found[:limit], found[limit - 1][0].id if len(found) > limit else None

    def image(self, job_id: str, image_id: int) -> ProductImage:
        """One image of a job."""
        image = self._listings.image(self.job(job_id).id, image_id)
        if image is None:
            raise NotFound(f"Job {job_id} has no image {image_id}.")
        return image

    def sizes(self, job_id: str) -> list[SizeClass]:
        """The distribution of the sizes of the compressed images, before and after."""
        job = self.job(job_id)
        return self._sizes(job.id, job.updated_at)

    def deliveries(self, job_id: str) -> list[tuple[Delivery, list[WebhookAttempt]]]:
        """The webhook deliveries of a job with all their attempts, oldest first."""
        return self._outbox.deliveries(self.job(job_id).id)

    def output(self, job_id: str, name: str = OUTPUT_NAME) -> tuple[Path, Job]:
        """The path of the output.csv (or .xlsx) of a job. Raises NotReady while it is not written."""
        job = self.job(job_id)
        if name == WORKBOOK_NAME and job.workbook is None:
            raise NotFound(
                f"The upload of job {job.id} was not an Excel workbook (xlsx, xlsm); its result is output.csv."
            )
        path = self._storage.output_path(job.id, name)
        if not path.exists():
            raise _not_ready(job, name)
        return path, job

    def errors_csv(self, job_id: str) -> tuple[BinaryIO, Job]:
        """A CSV file of the rows that failed: URLs without a result, and why. It can be corrected and uploaded again.

        Raises NotReady while the job is not done.
        """
        job = self.job(job_id)
        catalogue = self._catalogue(job, "errors.csv")
        return _file(lambda file: catalogue.write_errors(self._listings.failures(job.id), file)), job

    def replacements_csv(self, job_id: str) -> tuple[BinaryIO, Job]:
        """A CSV file of every image: where it is in the catalogue, its old and its new URL, and its error.

        Raises NotReady while the job is not done.
        """
        job = self.job(job_id)
        catalogue = self._catalogue(job, "replacements.csv")
        return _file(lambda file: write_replacements(self._replacements(job, catalogue), file)), job

    def _replacements(self, job: Job, catalogue: Catalogue) -> Iterator[tuple[object, ...]]:
        products = chain.from_iterable(self._products.with_images(job.id))
        for row, (product, of_product) in zip(catalogue.rows(), products, strict=False):
            images = {image.position: image for image in of_product}
            for position, (column, place, text) in enumerate(catalogue.places_of(row), start=1):
                image = images.get(position)
                if image:
                    yield row.row, column, place, text, image.output_url, image.error_detail
                elif text:
                    yield row.row, column, place, text, None, product.error

    def _catalogue(self, job: Job, what: str) -> Catalogue:
        """The uploaded catalogue of a job that is done."""
        if not job.done:
            raise _not_ready(job, what)
        path, options = self._storage.upload_path(job.id), TableOptions(**job.table_options)
        try:
            return read_catalogue(path, self._csv_limits, options)
        except FileNotFoundError as error:
            raise NotFound(f"The uploaded catalogue is no longer kept, so there is no {what}.") from error

    def files(self, job_id: str) -> tuple[Iterator[tuple[Path, str]], Job]:
        """The path of every compressed image of a job, and a readable name for it.

        Raises NotReady while the job is not done.
        """
        job = self.job(job_id)
        if not job.done:
            raise _not_ready(job, "ZIP archive")
        files = (
            (self._storage.path_of(job.id, image.output_url or ""), _readable_name(image, product))
            for image, product in self._listings.files(job.id)
        )
        return ((path, name) for path, name in files if path.exists()), job


def _file(write: Callable[[BinaryIO], None]) -> BinaryIO:
    """A temporary file that `write` has filled."""
    file = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=1_000_000))
    write(file)
    file.seek(0)
    return file


def _not_ready(job: Job, what: str) -> NotReady:
    return NotReady(
        f"The {what} of job {job.id} is not ready yet ({job.progress:.0f}% done); try again when its status is done."
    )


def _readable_name(image: ProductImage, product: Product) -> str:
    """A file name that sorts like the catalogue: row, position, product. Valid on every file system."""
    words = re.sub(r"[^\w.-]+", "-", f"{product.serial_number} {product.product_name}").strip("-.")[:80]
    extension = (image.output_url or "").rpartition(".")[2]
    return f"{image.row:05}-{image.position:02}{'-' if words else ''}{words}.{extension}"


def _cursor(job: Job) -> str:
    place = f"{job.created_at.isoformat()}|{job.id}"
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    try:
        at, _, job_id = base64.urlsafe_b64decode(cursor + "==").decode().partition("|")
        return datetime.fromisoformat(at).astimezone(UTC), job_id
    except (ValueError, OverflowError, binascii.Error) as error:
        raise InvalidOption("The cursor is not one of this server's; begin without one.") from error
