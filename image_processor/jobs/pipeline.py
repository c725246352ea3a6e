"""The story of one request, top to bottom: claim, load, work the images, write output.csv, finish."""

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from image_processor.catalogue import CSVLimits, ProductCSV, ProductRow, read_products, write_output
from image_processor.download import direct_link
from image_processor.errors import UploadGone
from image_processor.jobs.image_job import ImageJob
from image_processor.jobs.status import final_message, outcome_of, product_status, webhook_payload
from image_processor.logs import with_http_request_id
from image_processor.store import (
    Job,
    JobStatus,
    NewImage,
    NewProduct,
    Outcome,
    Product,
    ProductImage,
    ProductOutput,
    Repository,
    Storage,
    new_delivery,
    now,
)
from image_processor.urls import host_of

log = logging.getLogger(__name__)

# Inserted in one transaction; between two of them those who ask have their turn. A single row is never split.
ROWS_PER_CHUNK = 250
IMAGES_PER_CHUNK = 2_000
ROWS_PER_PAGE = 250  # read at once when results are gathered
IMAGES_PER_PAGE = 250  # looked for at once on the disk


class Pipeline:
    """Works requests, each in the thread that calls `run`."""

    def __init__(
        self,
        repository: Repository,
        storage: Storage,
        image_job: Callable[[Job], ImageJob],
        csv_limits: CSVLimits,
    ) -> None:
        self._repository = repository
        self._storage = storage
        self._image_job = image_job
        self._csv_limits = csv_limits

    def run(self, request_id: str) -> None:
        """Work one request to its end. Raises Stopped when the process ends first.

        Safe to call again at any point of the story: it goes on where the database says it is. Raises OSError or
        StoreUnavailable when nothing can be written just now, UploadGone when the kept upload is not there.
        """
        request = self._repository.claim(request_id)
        if request is not None:
            with with_http_request_id(request.call_id):
                self._work(request)

    def _work(self, request: Job) -> None:
        log.info("request %s: %d images in %d rows", request.id, request.total, request.row_count)
        catalogue = self._read_catalogue(request)
        self._load_products(request, catalogue)
        self._work_images(request)
        self._write_output(request, catalogue)
        self._finish(request)

    def fail(self, request_id: str, message: str) -> None:
        """End a request that could not be worked at all."""
        self._repository.fail_rest(request_id)
        request = self._repository.get_request(request_id)
        if request is not None and not request.done:
            self._end(request, JobStatus.FAILED, message)

    def _read_catalogue(self, request: Job) -> ProductCSV:
        path = self._storage.upload_path(request.id)
        if not path.exists():
            raise UploadGone("The uploaded file is not in its folder any more; upload the catalogue again.")
        return read_products(path, self._csv_limits)

    def _load_products(self, request: Job, catalogue: ProductCSV) -> None:
        """Put the rows into the database, chunk by chunk, those that are not there yet."""
        for chunk in _chunks(map(_new_product, catalogue.rows(start_after=self._repository.last_row(request.id)))):
            self._repository.insert_products(request.id, chunk)

    def _work_images(self, request: Job) -> None:
        """Work every image that is not final, and again those whose file is gone when we look for it."""
        self._storage.make_folder(request.id)
        while True:
            self._image_job(request).run()
            if self._repository.cancel_requested(request.id):
                self._repository.cancel_rest(request.id)
                return
            missing = self._missing_files(request.id)
            if not missing:
                return
            log.warning("request %s: %d files are missing or short; worked again", request.id, len(missing))
            self._repository.put_back(request.id, missing)

    def _missing_files(self, request_id: str) -> list[ProductImage]:
        return [
            image
            for image in self._completed_images(request_id)
            if not self._storage.holds(request_id, image.output_url or "", image.bytes_out or 0)
        ]

    def _completed_images(self, request_id: str) -> Iterator[ProductImage]:
        last = 0
        while images := self._repository.completed_images(request_id, after_id=last, limit=IMAGES_PER_PAGE):
            yield from images
            last = images[-1].id

    def _write_output(self, request: Job, catalogue: ProductCSV) -> None:
        """Write output.csv, whole or not at all, and the results of the rows."""
        rows = self._output_rows(request.id)
        self._storage.write_output(request.id, lambda file: write_output(catalogue, rows, file))

    def _output_rows(self, request_id: str) -> Iterator[list[str | None]]:
        """The output URLs of each row, in the order of the rows. Each page is recorded as it passes by."""
        for products, images in self._results(request_id):
            outputs = _outputs(products, images)
            self._repository.save_outputs(outputs)
            yield from (output.output_image_urls for output in outputs)

    def _results(self, request_id: str) -> Iterator[tuple[Sequence[Product], Sequence[ProductImage]]]:
        row = 0
        while products := self._repository.products(request_id, after_row=row, limit=ROWS_PER_PAGE):
            yield products, self._repository.images_of([product.id for product in products])
            row = products[-1].row

    def _finish(self, request: Job) -> None:
        """Record the final state, together with the webhook that tells of it."""
        finished = self._repository.get_request(request.id)
        if finished is not None:
            status = JobStatus.CANCELLED if finished.cancelled else JobStatus.COMPLETED
            self._end(finished, status, final_message(finished))

    def _end(self, request: Job, status: JobStatus, message: str) -> None:
        request.status, request.message, request.completed_at = status, message, now()
        request.outcome = outcome_of(request) if status is not JobStatus.FAILED else Outcome.FAILED
        delivery = None
        if request.webhook_url:
            delivery = new_delivery(request.id, request.webhook_url, json.dumps(webhook_payload(request)))
        self._repository.finish(request, delivery)
        log.info("request %s: %s. %s", request.id, status.value, message)


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


def _new_product(row: ProductRow) -> NewProduct:
    if row.problems:
        error = " ".join(problem.detail for problem in row.problems)
        return NewProduct(row.row, row.serial_number, row.product_name, list(row.image_urls), [], error)
    images = [
        NewImage(position, url, fetch_url := direct_link(url), host_of(fetch_url))
        for position, url in enumerate(row.image_urls, start=1)
        if url
    ]
    return NewProduct(row.row, row.serial_number, row.product_name, list(row.image_urls), images)


def _outputs(products: Sequence[Product], images: Sequence[ProductImage]) -> list[ProductOutput]:
    by_product: dict[int, list[ProductImage]] = {product.id: [] for product in products}
    for image in images:
        by_product[image.product_id].append(image)
    return [_output(product, by_product[product.id]) for product in products]


def _output(product: Product, images: Sequence[ProductImage]) -> ProductOutput:
    urls: list[str | None] = [None] * len(product.input_image_urls)
    for image in images:
        urls[image.position - 1] = image.output_url
    status = product_status([image.status for image in images]) if images else product.status
    return ProductOutput(product.id, urls, status)
