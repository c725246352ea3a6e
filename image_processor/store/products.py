"""Products and images, the rows and URLs of a job: their queries and transactions.

Counters change by SQL, in the transaction of what they count: `+= 1` in Python lost 80% of them under 32 threads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from hashlib import blake2b
from typing import Any

from sqlalchemy import Select, bindparam, case, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from image_processor.store.database import Database, read_rows
from image_processor.store.jobs import update_job
from image_processor.store.models import UNFINISHED_IMAGES, ImageStatus, Job, Product, ProductImage, ProductStatus

ROWS_PER_PAGE = 250


def url_key(url: str) -> int:
    """A signed 64-bit hash of a URL, indexed instead of the long text."""
    return int.from_bytes(blake2b(url.encode(), digest_size=8).digest(), signed=True)


@dataclass(frozen=True, slots=True)
class NewImage:
    """One URL of a row to be inserted: its 1-based place in the list, as written, and where it is fetched from."""

    position: int
    input_url: str
    fetch_url: str
    host: str


@dataclass(frozen=True, slots=True)
class NewProduct:
    """One row of the catalogue to be inserted; `error` says why it is not processed, if so."""

    row: int
    serial_number: str
    product_name: str
    input_image_urls: list[str]
    images: list[NewImage]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image to be processed, in plain values. `slots` counts the images of the job that have this URL."""

    id: int
    row: int
    position: int
    url: str
    host: str
    slots: int


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """The outcome of one image, as it is recorded."""

    image: ImageTask
    status: ImageStatus
    attempts: int = 1
    output_url: str | None = None
    kept_original: bool = False
    note: str | None = None
    bytes_in: int | None = None
    bytes_out: int | None = None
    width: int | None = None
    height: int | None = None
    error_code: str | None = None
    error_detail: str | None = None
    http_status: int | None = None


@dataclass(frozen=True, slots=True)
class ProductOutput:
    """The result of one row, for output.csv and the products table."""

    id: int
    output_image_urls: list[str | None]
    status: str


class Products:
    """Inserts products, lists images, and records their outcomes."""

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    def last_row(self, job_id: str) -> int:
        """The highest row that was inserted, 0 for none. Rows are inserted in order, so there is no gap below it."""
        with self._read() as session:
            return session.scalar(select(func.max(Product.row)).where(Product.request_id == job_id)) or 0

    def insert(self, job_id: str, products: Sequence[NewProduct]) -> None:
        """Insert some rows with their images, in one transaction.

        An image whose URL the job has already points to the first image with it: a URL is fetched once.
        """
        with self._write() as session:
            ids = session.scalars(
                insert(Product).returning(Product.id, sort_by_parameter_order=True),
                [_product_values(job_id, product) for product in products],
            ).all()
            images = [
                _image_values(job_id, product_id, product.row, image)
                for product_id, product in zip(ids, products, strict=True)
                for image in product.images
            ]
            if images:
                session.execute(insert(ProductImage), images)
                _link_same_urls(session, ids)

    def page(self, job_id: str, after_row: int = 0, limit: int = 100) -> list[Any]:
        """The products after a row, in order, as named tuples with the columns of `Product`."""
        with self._read() as session:
            return read_rows(session, _PAGE, request_id=job_id, after_row=after_row, limit=limit)

    def with_images(self, job_id: str) -> Iterator[list[tuple[Product, list[ProductImage]]]]:
        """All products with their images, in order, page by page."""
        row = 0
        while products := self.page(job_id, after_row=row, limit=ROWS_PER_PAGE):
            yield list(grouped(products, self.images_of([product.id for product in products])))
            row = products[-1].row

    def save_outputs(self, outputs: Sequence[ProductOutput]) -> None:
        """Write the results of some rows into the products table."""
        with self._write() as session:
            session.execute(update(Product), [asdict(output) for output in outputs])

    def images_of(self, product_ids: Sequence[int], limit: int | None = None) -> list[Any]:
        """The images of some products by row and position, as named tuples with the columns of `ProductImage`."""
        with self._read() as session:
            return read_rows(session, _IMAGES_OF, ids=product_ids, limit=limit or _ALL)

    def completed_images(self, job_id: str, after_id: int, limit: int) -> Sequence[ProductImage]:
        """The images that have a result, by id."""
        completed = (
            select(ProductImage)
            .where(
                ProductImage.request_id == job_id,
                ProductImage.status == ImageStatus.COMPLETED,
                ProductImage.id > after_id,
            )
            .order_by(ProductImage.id)
            .limit(limit)
        )
        with self._read() as session:
            return session.scalars(completed).all()

    def pending_images(
        self, job_id: str, after_id: int, limit: int, *, host: str | None = None, without: Sequence[str] = ()
    ) -> list[ImageTask]:
        """Images to be processed, by id: those of one `host`, or of all hosts but those in `without`.

        A URL is listed once.
        """
        chosen = {"request_id": job_id, "after_id": after_id, "limit": limit, "host": host, "without": without}
        with self._read() as session:
            return [ImageTask(*task) for task in session.execute(_pending(host is not None), chosen)]

    def record_images(self, job_id: str, started: Sequence[ImageTask], records: Sequence[ImageRecord]) -> None:
        """Write what was begun, what is final, and the counters, in one transaction.

        `started` are all images in progress now. The outcome of an image is that of all images with its URL.
        """
        with self._write() as session:
            if started:
                _mark_started(session, [image.id for image in started])
            if records:
                session.connection().execute(_FINALISE, [_record_values(record) for record in records])
            _count(session, job_id, started, records)

    def reset_images(self, job_id: str, images: Sequence[ProductImage]) -> None:
        """Make finished images, whose files are missing, pending again and take them out of the counters."""
        with self._write() as session:
            session.execute(
                update(ProductImage),
                [{"id": image.id, "status": ImageStatus.PENDING, "output_url": None} for image in images],
            )
            update_job(
                session,
                job_id,
                succeeded=Job.succeeded - len(images),
                bytes_in=Job.bytes_in - sum(image.bytes_in or 0 for image in images),
                bytes_out=Job.bytes_out - sum(image.bytes_out or 0 for image in images),
            )


def grouped(
    products: Sequence[Product], images: Sequence[ProductImage]
) -> Iterator[tuple[Product, list[ProductImage]]]:
    """Each product with its images."""
    by_product: dict[int, list[ProductImage]] = {}
    for image in images:
        by_product.setdefault(image.product_id, []).append(image)
    return ((product, by_product.get(product.id, [])) for product in products)


def _link_same_urls(session: Session, product_ids: Sequence[int]) -> None:
    image, same = ProductImage, aliased(ProductImage)
    of_the_url = same.request_id == image.request_id, same.url_key == image.url_key
    first = select(func.min(same.id)).where(*of_the_url).scalar_subquery()
    session.execute(
        update(image)
        .where(image.product_id.in_(product_ids), image.id > first)
        .values(same_as_id=first)
        .execution_options(synchronize_session=False)
    )


def _mark_started(session: Session, ids: Sequence[int]) -> None:
    session.execute(
        update(ProductImage)
        .where(
            or_(ProductImage.id.in_(ids), ProductImage.same_as_id.in_(ids)), ProductImage.status == ImageStatus.PENDING
        )
        .values(status=ImageStatus.PROCESSING)
        .execution_options(synchronize_session=False)
    )


def _count(session: Session, job_id: str, started: Sequence[ImageTask], records: Sequence[ImageRecord]) -> None:
    def slots(status: ImageStatus) -> int:
        return sum(record.image.slots for record in records if record.status is status)

    final = Job.succeeded + Job.failed + Job.cancelled + sum(record.image.slots for record in records)
    # Within a run it never falls, not even when files were lost and are processed again.
    progress = 100.0 * (final - Job.run_base) / func.nullif(Job.total - Job.run_base, 0)
    update_job(
        session,
        job_id,
        processing=sum(image.slots for image in started),
        succeeded=Job.succeeded + slots(ImageStatus.COMPLETED),
        failed=Job.failed + slots(ImageStatus.FAILED),
        progress=case((progress > Job.progress, progress), else_=Job.progress),
        bytes_in=Job.bytes_in + sum((record.bytes_in or 0) * record.image.slots for record in records),
        bytes_out=Job.bytes_out + sum((record.bytes_out or 0) * record.image.slots for record in records),
    )


def _product_values(job_id: str, product: NewProduct) -> dict[str, Any]:
    return {
        "request_id": job_id,
        "row": product.row,
        "serial_number": product.serial_number,
        "product_name": product.product_name,
        "input_image_urls": product.input_image_urls,
        "output_image_urls": [None] * len(product.input_image_urls),
        "status": _first_status(product),
        "error": product.error,
    }


def _first_status(product: NewProduct) -> ProductStatus:
    if product.error is not None:
        return ProductStatus.FAILED
    return ProductStatus.PENDING if product.images else ProductStatus.COMPLETED


def _image_values(job_id: str, product_id: int, row: int, image: NewImage) -> dict[str, Any]:
    return {
        "request_id": job_id,
        "product_id": product_id,
        "row": row,
        "position": image.position,
        "input_url": image.input_url,
        "url_key": url_key(image.fetch_url),
        "host": image.host,
    }


_FINAL_COLUMNS = [field.name for field in fields(ImageRecord) if field.name != "image"]
# For executemany: one image, and those that share its URL, become final, once.
_FINALISE = (
    update(ProductImage)
    .where(
        or_(ProductImage.id == bindparam("image_id"), ProductImage.same_as_id == bindparam("image_id")),
        or_(*(ProductImage.status == status for status in UNFINISHED_IMAGES)),  # executemany takes no IN
    )
    .values({name: bindparam(f"new_{name}") for name in _FINAL_COLUMNS})
)


def _record_values(record: ImageRecord) -> dict[str, Any]:
    return {"image_id": record.image.id} | {f"new_{name}": getattr(record, name) for name in _FINAL_COLUMNS}


_ALL = 2**31
_PAGE = (
    select(Product.__table__)
    .where(Product.request_id == bindparam("request_id"), Product.row > bindparam("after_row"))
    .order_by(Product.row)
    .limit(bindparam("limit"))
)
_IMAGES_OF = (
    select(ProductImage.__table__)
    .where(ProductImage.product_id.in_(bindparam("ids", expanding=True)))
    .order_by(ProductImage.row, ProductImage.position)
    .limit(bindparam("limit"))
)


@cache  # to build it took longer than to execute it
def _pending(of_one_host: bool) -> Select[tuple[Any, ...]]:
    image, same = ProductImage, aliased(ProductImage)
    copies = select(func.count()).where(same.same_as_id == image.id).scalar_subquery()
    others = image.host.not_in(bindparam("without", expanding=True))
    return (
        select(image.id, image.row, image.position, image.input_url, image.host, copies + 1)
        .where(
            image.request_id == bindparam("request_id"),
            image.status == ImageStatus.PENDING,
            image.same_as_id.is_(None),
            image.id > bindparam("after_id"),
            image.host == bindparam("host") if of_one_host else others,
        )
        .order_by(image.id)
        .limit(bindparam("limit"))
    )
