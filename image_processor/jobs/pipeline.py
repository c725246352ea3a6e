"""The steps of one job: insert its products, process the images, write output.csv and finish."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    Portion,
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
    """Processes jobs in three steps, or in one, in the thread that calls.

    Each step continues from what is recorded. It may be repeated, and run in several processes at the same time. They
    raise Interrupted when the process ends first, OSError or StoreUnavailable when nothing can be written, UploadGone
    when the uploaded file is missing.

    A portion has at most `portion_images` images; all of the job without that.
    """

    jobs: Jobs
    products: Products
    storage: Storage
    image_job: Callable[[Job, Portion], ImageJob]
    csv_limits: CSVLimits
    portion_images: int | None = None

    def run(self, job_id: str) -> None:
        """Process a job to its end, from wherever an earlier run was interrupted."""
        catalogue, portions = self._begin(job_id)
        while True:
            for portion in portions:
                self.work(portion)
            if not (portions := self.end(job_id, catalogue)):
                return

    def begin(self, job_id: str) -> list[Portion]:
        """Insert the products of a job that are not inserted yet. Returns the images to be processed."""
        return self._begin(job_id)[1]

    def work(self, portion: Portion) -> None:
        """Process the images of a portion that are not final."""
        job = self._unfinished(portion.job_id)
        if job is not None:
            with with_http_request_id(job.call_id):
                self.storage.make_folder(job.id)
                self.products.take_back(portion)
                self.image_job(job, portion).run()

    def end(self, job_id: str, catalogue: Catalogue | None = None) -> list[Portion]:
        """Finish a job whose images are final; a cancelled one in any case. Its catalogue is read, unless it is given.

        Returns the images whose files are missing, to be processed again before that. While images are not final,
        another process has them; then nothing is done.
        """
        job = self._unfinished(job_id)
        if job is None:
            return []
        with with_http_request_id(job.call_id):
            if job.cancel_requested:
                self.jobs.cancel_rest(job.id)
            elif self.products.portions(job.id):
                return []
            elif self._put_back_missing(job.id) and (again := self.products.portions(job.id, self.portion_images)):
                return again
            self._write_output(job, self._read_catalogue(job) if catalogue is None else catalogue)
            self._finish(job.id)
        return []

    def fail(self, job_id: str, message: str) -> None:
        """End a job that cannot be processed."""
        self.jobs.fail_rest(job_id)
        job = self._unfinished(job_id)
        if job is not None:
            self._record_end(job, JobStatus.FAILED, message)

    def _unfinished(self, job_id: str) -> Job | None:
        job = self.jobs.get(job_id)
        return None if job is None or job.done else job

    def _read_catalogue(self, job: Job) -> Catalogue:
        path = self.storage.upload_path(job.id)
        if not path.exists():
            raise UploadGone("The uploaded file is not in its folder any more; upload the catalogue again.")
        return read_catalogue(path, self.csv_limits, TableOptions(**job.table_options))

    def _begin(self, job_id: str) -> tuple[Catalogue | None, list[Portion]]:
        job = self.jobs.claim(job_id)
        if job is None:
            return None, []
        with with_http_request_id(job.call_id):
            log.info("job %s: %d images in %d rows", job.id, job.total, job.row_count)
            catalogue = self._read_catalogue(job)
            for chunk in _chunks(map(_new_product, catalogue.rows(start_after=self.products.last_row(job.id)))):
                self.products.insert(job.id, chunk)
            return catalogue, self.products.portions(job.id, self.portion_images)

    def _put_back_missing(self, job_id: str) -> int:
        """Make images whose files are missing or short pending again. Returns how many they were."""
        number = 0
        for page in self._completed_images(job_id):
            if missing := [image for image in page if not self._has_file(image)]:
                self.products.reset_images(job_id, missing)
                number += len(missing)
        if number:
            log.warning("job %s: %d files are missing or short; processed again", job_id, number)
        return number

    def _has_file(self, image: ProductImage) -> bool:
        return self.storage.holds(image.request_id, image.output_url or "", image.bytes_out or 0)

    def _completed_images(self, job_id: str) -> Iterator[Sequence[ProductImage]]:
        last = 0
        while images := self.products.completed_images(job_id, after_id=last, limit=IMAGES_PER_PAGE):
            yield images
            last = images[-1].id

    def _write_output(self, job: Job, catalogue: Catalogue) -> None:
        self.storage.make_folder(job.id)
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

    def _finish(self, job_id: str) -> None:
        finished = self._unfinished(job_id)
        if finished is not None:
            status = JobStatus.CANCELLED if finished.cancelled else JobStatus.COMPLETED
            self._record_end(finished, status, final_message(finished))

    def _record_end(self, job: Job, status: JobStatus, message: str) -> None:
        """Record the final state, and the webhook about it."""
        job.status, job.message, job.completed_at = status, message, now()
        job.outcome = outcome_of(job) if status is not JobStatus.FAILED else Outcome.FAILED
        delivery = None
        if job.webhook_url:
            delivery = new_delivery(job.id, job.webhook_url, json.dumps(webhook_payload(job)))
        if self.jobs.finish(job, delivery):
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
