"""The steps of one job: claim it, insert its products, process the images, write output.csv, finish."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from image_processor.catalogue import Catalogue, CSVLimits, Row, TableOptions, read_catalogue
from image_processor.download import direct_link
from image_processor.errors import UploadGone
from image_processor.jobs.image_job import ImageJob
from image_processor.jobs.status import final_message, outcome_of, output_urls, product_status, webhook_payload
from image_processor.logs import with_http_request_id
from image_processor.store import (
    WORKBOOK_NAME,
    Job,
    Jobs,
    JobStatus,
    NewImage,
    NewProduct,
    Outcome,
    ProductImage,
    ProductOutput,
    Products,
    Storage,
    new_delivery,
    now,
)
from image_processor.urls import host_of

log = logging.getLogger(__name__)

# Inserted in one transaction, so that others need not wait long. A row is never split.
ROWS_PER_CHUNK = 250
IMAGES_PER_CHUNK = 2_000
IMAGES_PER_PAGE = 250


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Processes jobs, each in the thread that calls `run`."""

    jobs: Jobs
    products: Products
    storage: Storage
    image_job: Callable[[Job], ImageJob]
    csv_limits: CSVLimits

    def run(self, job_id: str) -> None:
        """Process a job to its end, from wherever an earlier run was interrupted.

        Raises Interrupted when the process ends first, OSError or StoreUnavailable when nothing can be written,
        UploadGone when the uploaded file is missing.
        """
        job = self.jobs.claim(job_id)
        if job is not None:
            with with_http_request_id(job.call_id):
                self._process(job)

    def _process(self, job: Job) -> None:
        log.info("job %s: %d images in %d rows", job.id, job.total, job.row_count)
        catalogue = self._read_catalogue(job)
        self._insert_products(job, catalogue)
        self._process_images(job)
        self._write_output(job, catalogue)
        self._finish(job)

    def fail(self, job_id: str, message: str) -> None:
        """End a job that cannot be processed."""
        self.jobs.fail_rest(job_id)
        job = self.jobs.get(job_id)
        if job is not None and not job.done:
            self._end(job, JobStatus.FAILED, message)

    def _read_catalogue(self, job: Job) -> Catalogue:
        path = self.storage.upload_path(job.id)
        if not path.exists():
            raise UploadGone("The uploaded file is not in its folder any more; upload the catalogue again.")
        return read_catalogue(path, self.csv_limits, TableOptions(**job.table_options))

    def _insert_products(self, job: Job, catalogue: Catalogue) -> None:
        rows = catalogue.rows(start_after=self.products.last_row(job.id))
        for chunk in _chunks(map(_new_product, rows)):
            self.products.insert(job.id, chunk)

    def _process_images(self, job: Job) -> None:
        """Process every image that is not final, and again those whose file is missing then."""
        self.storage.make_folder(job.id)
        while True:
            self.image_job(job).run()
            if self.jobs.cancel_requested(job.id):
                self.jobs.cancel_rest(job.id)
                return
            missing = self._missing_files(job.id)
            if not missing:
                return
            log.warning("job %s: %d files are missing or short; processed again", job.id, len(missing))
            self.products.reset_images(job.id, missing)

    def _missing_files(self, job_id: str) -> list[ProductImage]:
        return [
            image
            for image in self._completed_images(job_id)
            if not self.storage.holds(job_id, image.output_url or "", image.bytes_out or 0)
        ]

    def _completed_images(self, job_id: str) -> Iterator[ProductImage]:
        last = 0
        while images := self.products.completed_images(job_id, after_id=last, limit=IMAGES_PER_PAGE):
            yield from images
            last = images[-1].id

    def _write_output(self, job: Job, catalogue: Catalogue) -> None:
        rows = self._output_rows(job.id)
        self.storage.write_output(job.id, lambda file: catalogue.write_output(rows, file))
        if job.workbook:
            again = self._output_rows(job.id)
            self.storage.write_output(job.id, lambda file: catalogue.write_workbook(again, file), WORKBOOK_NAME)

    def _output_rows(self, job_id: str) -> Iterator[list[str | None]]:
        """The output URLs of each row, in order. They are recorded, too, page by page."""
        for page in self.products.with_images(job_id):
            outputs = [
                ProductOutput(product.id, output_urls(product, images), product_status(product, images))
                for product, images in page
            ]
            self.products.save_outputs(outputs)
            yield from (output.output_image_urls for output in outputs)

    def _finish(self, job: Job) -> None:
        finished = self.jobs.get(job.id)
        if finished is not None:
            status = JobStatus.CANCELLED if finished.cancelled else JobStatus.COMPLETED
            self._end(finished, status, final_message(finished))

    def _end(self, job: Job, status: JobStatus, message: str) -> None:
        """Record the final state, and the webhook about it."""
        job.status, job.message, job.completed_at = status, message, now()
        job.outcome = outcome_of(job) if status is not JobStatus.FAILED else Outcome.FAILED
        delivery = None
        if job.webhook_url:
            delivery = new_delivery(job.id, job.webhook_url, json.dumps(webhook_payload(job)))
        self.jobs.finish(job, delivery)
        log.info("job %s: %s. %s", job.id, status.value, message)


def _chunks(products: Iterable[NewProduct]) -> Iterator[list[NewProduct]]:
    """The products in lists of at most ROWS_PER_CHUNK rows and IMAGES_PER_CHUNK images."""
    chunk: list[NewProduct] = []
    images = 0
    for product in products:
        images += len(product.images)
        if chunk and (len(chunk) == ROWS_PER_CHUNK or images > IMAGES_PER_CHUNK):
            yield chunk
            chunk, images = [], len(product.images)
        chunk.append(product)
    if chunk:
        yield chunk


def _new_product(row: Row) -> NewProduct:
    if row.problems:
        error = " ".join(problem.detail for problem in row.problems)
        return NewProduct(row.row, row.serial_number, row.product_name, list(row.image_urls), [], error)
    images = [
        NewImage(position, url, fetch_url := direct_link(url), host_of(fetch_url))
        for position, url in enumerate(row.image_urls, start=1)
        if url
    ]
    return NewProduct(row.row, row.serial_number, row.product_name, list(row.image_urls), images)
