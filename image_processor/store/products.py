"""Products and images, the rows and URLs of a job: every query and every commit.

Counters change by SQL, in the transaction of what they count: `+= 1` in Python lost 80% of them under 32 threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any

from sqlalchemy import Select, bindparam, case, func, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from image_processor.store.database import Database, now, read_rows
from image_processor.store.jobs import Jobs
from image_processor.store.models import (
    UNFINISHED_IMAGES,
    ImageStatus,
    Job,
    Product,
    ProductImage,
    ProductStatus,
)


def url_key(url: str) -> int:
    """A signed 64-bit number for a URL: what finds the same URL again without an index over long texts."""
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
    """One row of the catalogue to be inserted; `error` says why it is not worked, if it is not."""

    row: int
    serial_number: str
    product_name: str
    input_image_urls: list[str]
    images: list[NewImage]
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image to be processed, in plain values. `slots` counts the images of the request that share the URL."""

    id: int
    row: int
    position: int
    url: str
    host: str
    slots: int


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What became of one image, as it is written down."""

    image: ImageTask
    status: ImageStatus
    attempts: int
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

    product_id: int
    output_image_urls: list[str | None]
    status: str


class Products:
    """The record of products and images."""

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    def last_row(self, request_id: str) -> int:
        """The highest row already inserted, 0 for none. Chunks are inserted in order, so everything below is there."""
        with self._read() as session:
            return session.scalar(select(func.max(Product.row)).where(Product.request_id == request_id)) or 0

    def insert_products(self, request_id: str, products: Sequence[NewProduct]) -> None:
        """Insert one chunk of rows with their images, whole or not at all.

        An image whose URL the request has already points to the first image with it: the URL is fetched once.
        """
        with self._write() as session:
            ids = session.scalars(
                insert(Product).returning(Product.id, sort_by_parameter_order=True),
                [_product_values(request_id, product) for product in products],
            ).all()
            images = [
                _image_values(request_id, product_id, product.row, image)
                for product_id, product in zip(ids, products, strict=True)
                for image in product.images
            ]
            if images:
                session.execute(insert(ProductImage), images)
                self._link_same_urls(session, ids)

    def products(self, request_id: str, after_row: int = 0, limit: int = 100) -> Sequence[Product]:
        """The products after a row, in order."""
        page = (
            select(Product.__table__)
            .where(Product.request_id == request_id, Product.row > after_row)
            .order_by(Product.row)
            .limit(limit)
        )
        with self._read() as session:
            return read_rows(session, page)

    def save_outputs(self, outputs: Sequence[ProductOutput]) -> None:
        """Write the result of a chunk of rows into the products table."""
        with self._write() as session:
            session.execute(
                update(Product),
                [
                    {"id": output.product_id, "output_image_urls": output.output_image_urls, "status": output.status}
                    for output in outputs
                ],
            )

    def images_of(self, product_ids: Sequence[int], limit: int | None = None) -> Sequence[ProductImage]:
        """The images of some products, in the order of rows and positions: plain rows, which are read twice as fast."""
        images = (
            select(ProductImage.__table__)
            .where(ProductImage.product_id.in_(product_ids))
            .order_by(ProductImage.row, ProductImage.position)
            .limit(limit)
        )
        with self._read() as session:
            return read_rows(session, images)

    def completed_images(self, request_id: str, after_id: int, limit: int) -> Sequence[ProductImage]:
        """The images that have a file, by id."""
        completed = (
            select(ProductImage)
            .where(
                ProductImage.request_id == request_id,
                ProductImage.status == ImageStatus.COMPLETED,
                ProductImage.id > after_id,
            )
            .order_by(ProductImage.id)
            .limit(limit)
        )
        with self._read() as session:
            return session.scalars(completed).all()

    def pending_images(
        self, request_id: str, after_id: int, limit: int, *, host: str | None = None, without: Sequence[str] = ()
    ) -> list[ImageTask]:
        """Images to be processed, by id: those of one `host`, or of all hosts but some. A URL is listed once."""
        chosen = {"request_id": request_id, "after_id": after_id, "limit": limit, "host": host, "without": without}
        with self._read() as session:
            return [ImageTask(*task) for task in session.execute(_pending(host is not None), chosen)]

    def record_images(self, request_id: str, started: Sequence[ImageTask], records: Sequence[ImageRecord]) -> None:
        """Write a batch: what was begun, what is final, and the counters, in one transaction.

        `started` are all images in progress now. An image that shares its URL with others fills all of their slots.
        """
        with self._write() as session:
            if started:
                self._mark_started(session, [image.id for image in started])
            if records:
                session.connection().execute(_FINALISE, [_record_values(record) for record in records])
            self._count(session, request_id, started, records)

    def _link_same_urls(self, session: Session, product_ids: Sequence[int]) -> None:
        """Let the images of some products point to the first image of their job that has the same URL."""
        image, same = ProductImage, aliased(ProductImage)
        of_the_url = same.request_id == image.request_id, same.url_key == image.url_key
        first = select(func.min(same.id)).where(*of_the_url).scalar_subquery()
        session.execute(
            update(image)
            .where(image.product_id.in_(product_ids), image.id > first)
            .values(same_as_id=first)
            .execution_options(synchronize_session=False)
        )

    def _mark_started(self, session: Session, ids: Sequence[int]) -> None:
        session.execute(
            update(ProductImage)
            .where(
                or_(ProductImage.id.in_(ids), ProductImage.same_as_id.in_(ids)),
                ProductImage.status == ImageStatus.PENDING,
            )
            .values(status=ImageStatus.PROCESSING)
            .execution_options(synchronize_session=False)
        )

    def _count(
        self, session: Session, request_id: str, started: Sequence[ImageTask], records: Sequence[ImageRecord]
    ) -> None:
        def slots(status: ImageStatus) -> int:
            return sum(record.image.slots for record in records if record.status is status)

        row = Job
        worked = row.succeeded + row.failed + row.cancelled + sum(record.image.slots for record in records)
        # Within a run it never falls, not even when files were lost and are processed again.
        progress = 100.0 * (worked - row.run_base) / func.nullif(row.total - row.run_base, 0)
        session.execute(
            update(row)
            .where(row.id == request_id)
            .values(
                processing=sum(image.slots for image in started),
                succeeded=row.succeeded + slots(ImageStatus.COMPLETED),
                failed=row.failed + slots(ImageStatus.FAILED),
                cancelled=row.cancelled + slots(ImageStatus.CANCELLED),
                progress=case((progress > row.progress, progress), else_=row.progress),
                bytes_in=row.bytes_in + sum((record.bytes_in or 0) * record.image.slots for record in records),
                bytes_out=row.bytes_out + sum((record.bytes_out or 0) * record.image.slots for record in records),
                updated_at=now(),
            )
            .execution_options(synchronize_session=False)
        )

    def put_back(self, request_id: str, images: Sequence[ProductImage]) -> None:
        """Make finished images pending again (their files are gone) and take them out of the counters."""
        row = Job
        with self._write() as session:
            session.execute(
                update(ProductImage),
                [{"id": image.id, "status": ImageStatus.PENDING, "output_url": None} for image in images],
            )
            session.execute(
                update(row)
                .where(row.id == request_id)
                .values(
                    succeeded=row.succeeded - len(images),
                    bytes_in=row.bytes_in - sum(image.bytes_in or 0 for image in images),
                    bytes_out=row.bytes_out - sum(image.bytes_out or 0 for image in images),
                )
            )


def _product_values(request_id: str, product: NewProduct) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "row": product.row,
        "serial_number": product.serial_number,
        "product_name": product.product_name,
        "input_image_urls": product.input_image_urls,
        "output_image_urls": [None] * len(product.input_image_urls),
        "status": ProductStatus.PENDING if product.error is None else ProductStatus.FAILED,
        "error": product.error,
    }


def _image_values(request_id: str, product_id: int, row: int, image: NewImage) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "product_id": product_id,
        "row": row,
        "position": image.position,
        "input_url": image.input_url,
        "url_key": url_key(image.fetch_url),
        "host": image.host,
        "status": ImageStatus.PENDING,
        "kept_original": False,
        "attempts": 0,
    }


_FINAL_COLUMNS = (
    "status", "attempts", "output_url", "kept_original", "note", "bytes_in", "bytes_out", "width", "height",
    "error_code", "error_detail", "http_status",
)  # fmt: skip
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


class Repository(Jobs, Products):
    """Both, for those who need both."""
