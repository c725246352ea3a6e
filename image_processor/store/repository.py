"""Requests, products and images: every query and every commit. What is not committed here has not happened.

Counters change by SQL, in the transaction of what they count: `+= 1` in Python lost 80 % of them under 32 threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, Update, bindparam, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from image_processor.errors import ImageCancelled, InternalError
from image_processor.store.database import Database, now
from image_processor.store.models import (
    WORKING,
    ImageStatus,
    ProcessingRequest,
    Product,
    ProductImage,
    ProductStatus,
    RequestStatus,
    WebhookDelivery,
)

UNFINISHED = (RequestStatus.PENDING, RequestStatus.PROCESSING)


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
class ImageResult:
    """What is recorded of one image, as far as output.csv needs it."""

    id: int
    product_id: int
    position: int
    status: str
    output_url: str | None
    bytes_in: int | None
    bytes_out: int | None


@dataclass(frozen=True, slots=True)
class ProductOutput:
    """The result of one row, for output.csv and the products table."""

    product_id: int
    output_image_urls: list[str | None]
    status: str


class Repository:
    """The record of everything: requests, products, images, deliveries, callbacks."""

    def __init__(self, database: Database) -> None:
        self._read, self._write = database.read, database.write

    # ---- requests -------------------------------------------------------------------------------------------------

    def create_request(self, request: ProcessingRequest) -> ProcessingRequest:
        """Commit an accepted upload. When this returns, the request exists whatever happens to the process.

        Gives the request that exists: another one, when that one came first with the same Idempotency-Key.
        """
        request.created_at = request.updated_at = now()
        try:
            with self._write() as session:
                session.add(request)
        except IntegrityError:
            first = self.find_by_key(request.idempotency_key or "")
            if first is None:
                raise
            return first
        return request

    def find_by_key(self, idempotency_key: str) -> ProcessingRequest | None:
        """The request that was accepted with an Idempotency-Key."""
        with self._read() as session:
            return session.scalars(
                select(ProcessingRequest).where(ProcessingRequest.idempotency_key == idempotency_key)
            ).one_or_none()

    def get_request(self, request_id: str) -> ProcessingRequest | None:
        """One request, detached, or None."""
        with self._read() as session:
            return session.scalars(_REQUEST, {"id": request_id}).one_or_none()

    def unfinished_requests(self) -> Sequence[str]:
        """Ids of all requests that are not done, oldest first."""
        ids = (
            select(ProcessingRequest.id)
            .where(ProcessingRequest.status.in_(UNFINISHED))
            .order_by(ProcessingRequest.created_at)
        )
        with self._read() as session:
            return session.scalars(ids).all()

    def existing(self, request_ids: Sequence[str]) -> set[str]:
        """Those of some ids that belong to a request."""
        with self._read() as session:
            return set(session.scalars(select(ProcessingRequest.id).where(ProcessingRequest.id.in_(request_ids))))

    def done_before(self, moment: datetime) -> Sequence[str]:
        """Ids of the requests that were done before a moment."""
        old = select(ProcessingRequest.id).where(
            ProcessingRequest.status.not_in(UNFINISHED), ProcessingRequest.completed_at < moment
        )
        with self._read() as session:
            return session.scalars(old).all()

    def claim(self, request_id: str) -> ProcessingRequest | None:
        """Take an unfinished request up: it is `Processing` from here on. None when there is nothing to take up."""
        with self._write() as session:
            claimed = session.execute(
                update(ProcessingRequest)
                .where(ProcessingRequest.id == request_id, ProcessingRequest.status.in_(UNFINISHED))
                .values(
                    status=RequestStatus.PROCESSING,
                    message=WORKING,
                    started_at=func.coalesce(ProcessingRequest.started_at, now()),
                    processing=0,
                    updated_at=now(),
                )
            )
            if not claimed.rowcount:  # type: ignore[attr-defined]
                return None
            session.execute(
                update(ProductImage)
                .where(ProductImage.request_id == request_id, ProductImage.status == ImageStatus.PROCESSING)
                .values(status=ImageStatus.PENDING)
            )
            return session.get(ProcessingRequest, request_id)

    def say(self, request_id: str, message: str) -> None:
        """Let a request that is being worked tell something, unless somebody asked to cancel it."""
        row = ProcessingRequest
        with self._write() as session:
            session.execute(
                update(row)
                .where(row.id == request_id, row.cancel_requested.is_(False))
                .values(message=message, updated_at=now())
            )

    def ask_to_cancel(self, request_id: str) -> bool:
        """Ask whoever works an unfinished request to end it. False when it is done already."""
        with self._write() as session:
            asked = session.execute(
                update(ProcessingRequest)
                .where(ProcessingRequest.id == request_id, ProcessingRequest.status.in_(UNFINISHED))
                .values(cancel_requested=True, message="Cancelling.", updated_at=now())
            )
            return bool(asked.rowcount)  # type: ignore[attr-defined]

    def cancel_requested(self, request_id: str) -> bool:
        """Whether somebody asked to cancel a request, or deleted it."""
        asked = select(ProcessingRequest.cancel_requested).where(ProcessingRequest.id == request_id)
        with self._read() as session:
            return session.scalar(asked) is not False

    def cancel_rest(self, request_id: str) -> None:
        """Make every image that is not final `Cancelled`."""
        row = ProcessingRequest
        with self._write() as session:
            cancelled = session.execute(
                update(ProductImage)
                .where(ProductImage.request_id == request_id, ProductImage.status.in_(UNFINISHED))
                .values(
                    status=ImageStatus.CANCELLED,
                    error_code=ImageCancelled.code,
                    error_detail=ImageCancelled.sentence,
                )
            )
            number = cancelled.rowcount  # type: ignore[attr-defined]
            session.execute(
                update(row)
                .where(row.id == request_id)
                .values(cancelled=row.cancelled + number, processing=0, progress=100.0, updated_at=now())
            )

    def fail_rest(self, request_id: str) -> None:
        """Make every image that is not final `Failed`, those whose rows were never read included."""
        row = ProcessingRequest
        with self._write() as session:
            session.execute(
                update(ProductImage)
                .where(ProductImage.request_id == request_id, ProductImage.status.in_(UNFINISHED))
                .values(status=ImageStatus.FAILED, error_code=InternalError.code, error_detail=InternalError.sentence)
            )
            session.execute(
                update(row)
                .where(row.id == request_id)
                .values(failed=row.total - row.succeeded - row.cancelled, processing=0, progress=100.0)
            )

    def start_again(self, request_id: str) -> bool:
        """Begin a new run of a request that is done: what failed or was cancelled is pending again.

        False when the request is not done, or has nothing to repeat.
        """
        row, again = ProcessingRequest, (ImageStatus.FAILED, ImageStatus.CANCELLED)
        with self._write() as session:
            started = session.execute(
                update(row)
                .where(
                    row.id == request_id,
                    row.status.not_in(UNFINISHED),
                    or_(row.failed + row.cancelled > 0, row.status == RequestStatus.FAILED),
                )
                .values(
                    status=RequestStatus.PENDING,
                    outcome=None,
                    message="Accepted again; what failed is worked next.",
                    failed=0,
                    cancelled=0,
                    processing=0,
                    progress=0.0,
                    run=row.run + 1,
                    run_base=row.succeeded,
                    cancel_requested=False,
                    started_at=None,
                    completed_at=None,
                    updated_at=now(),
                )
            )
            if not started.rowcount:  # type: ignore[attr-defined]
                return False
            session.execute(
                update(ProductImage)
                .where(ProductImage.request_id == request_id, ProductImage.status.in_(again))
                .values(
                    status=ImageStatus.PENDING,
                    attempts=0,
                    error_code=None,
                    error_detail=None,
                    http_status=None,
                )
            )
            return True

    def delete_request(self, request_id: str) -> bool:
        """Remove a request that is done, with everything that belongs to it. False when it is not done."""
        with self._write() as session:
            gone = session.execute(
                delete(ProcessingRequest).where(
                    ProcessingRequest.id == request_id, ProcessingRequest.status.not_in(UNFINISHED)
                )
            )
            return bool(gone.rowcount)  # type: ignore[attr-defined]

    def finish(self, request: ProcessingRequest, delivery: WebhookDelivery | None) -> None:
        """Write the final state and the webhook's delivery row in one transaction: never the one without the other.

        Of `request` (detached) status, outcome, message and completed_at are written.
        """
        with self._write() as session:
            session.execute(
                update(ProcessingRequest)
                .where(ProcessingRequest.id == request.id)
                .values(
                    status=request.status,
                    outcome=request.outcome,
                    message=request.message,
                    processing=0,
                    completed_at=request.completed_at,
                    updated_at=request.completed_at,
                )
            )
            if delivery is not None:
                session.add(delivery)

    # ---- products -------------------------------------------------------------------------------------------------

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
                session.connection().execute(_LINK_SAME_URLS, {"product_ids": ids})

    def products(self, request_id: str, after_row: int = 0, limit: int = 100) -> Sequence[Product]:
        """The products after a row, in order."""
        page = (
            select(Product)
            .where(Product.request_id == request_id, Product.row > after_row)
            .order_by(Product.row)
            .limit(limit)
        )
        with self._read() as session:
            return session.scalars(page).all()

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

    # ---- images ---------------------------------------------------------------------------------------------------

    def images_of(self, product_ids: Sequence[int], limit: int | None = None) -> Sequence[ProductImage]:
        """The images of some products, in the order of rows and positions; plain rows, which are read twice as fast."""
        images = (
            select(ProductImage.__table__)
            .where(ProductImage.product_id.in_(product_ids))
            .order_by(ProductImage.row, ProductImage.position)
            .limit(limit)
        )
        with self._read() as session:
            return cast(Sequence[ProductImage], session.execute(images).all())

    def results_of(self, product_ids: Sequence[int]) -> list[ImageResult]:
        """What is recorded of the images of some products, in no particular order."""
        return self._results(select(*_RESULT).where(ProductImage.product_id.in_(product_ids)))

    def completed_images(self, request_id: str, after_id: int, limit: int) -> list[ImageResult]:
        """What is recorded of the images that have a file, by id."""
        completed = (
            select(*_RESULT)
            .where(
                ProductImage.request_id == request_id,
                ProductImage.status == ImageStatus.COMPLETED,
                ProductImage.id > after_id,
            )
            .order_by(ProductImage.id)
            .limit(limit)
        )
        return self._results(completed)

    def _results(self, results: Select[Any]) -> list[ImageResult]:
        with self._read() as session:
            return [ImageResult(*row) for row in session.execute(results)]

    def pending_images(
        self, request_id: str, after_id: int, limit: int, *, host: str | None = None, without: Sequence[str] = ()
    ) -> list[ImageTask]:
        """Images to be worked, by id: those of one `host`, or of all hosts but some. URLs met before are left out."""
        place = {"request_id": request_id, "after_id": after_id, "limit": limit}
        with self._read() as session:
            if host is not None:
                tasks = session.execute(_PENDING_OF_HOST, place | {"host": host})
            else:
                tasks = session.execute(_PENDING_WITHOUT, place | {"without": without})
            return [ImageTask(*task) for task in tasks]

    def record_images(self, request_id: str, started: Sequence[ImageTask], records: Sequence[ImageRecord]) -> None:
        """Write a batch: what was begun, what is final, and the counters, in one transaction.

        `started` are all images in hand now. An image that shares its URL with others fills all of their slots.
        """
        with self._write() as session:
            self._mark_started(session, started)
            self._mark_final(session, records)
            self._count(session, request_id, started, records)

    def _mark_started(self, session: Session, images: Sequence[ImageTask]) -> None:
        shared = [image for image in images if image.slots > 1]
        for column, some in ((ProductImage.id, images), (ProductImage.same_as_id, shared)):
            if some:
                session.connection().execute(
                    update(ProductImage.__table__)  # type: ignore[arg-type]
                    .where(column.in_([image.id for image in some]), ProductImage.status == ImageStatus.PENDING)
                    .values(status=ImageStatus.PROCESSING)
                )

    def _mark_final(self, session: Session, records: Sequence[ImageRecord]) -> None:
        shared = [record for record in records if record.image.slots > 1]
        for column, some in ((ProductImage.id, records), (ProductImage.same_as_id, shared)):
            if some:
                session.connection().execute(_finalise(column), [_record_values(record) for record in some])

    def _count(
        self, session: Session, request_id: str, started: Sequence[ImageTask], records: Sequence[ImageRecord]
    ) -> None:
        def slots(status: ImageStatus) -> int:
            return sum(record.image.slots for record in records if record.status is status)

        session.connection().execute(
            _COUNT,
            {
                "request_id": request_id,
                "started": sum(image.slots for image in started),
                "more_worked": sum(record.image.slots for record in records),
                "more_succeeded": slots(ImageStatus.COMPLETED),
                "more_failed": slots(ImageStatus.FAILED),
                "more_cancelled": slots(ImageStatus.CANCELLED),
                "more_in": sum((record.bytes_in or 0) * record.image.slots for record in records),
                "more_out": sum((record.bytes_out or 0) * record.image.slots for record in records),
                "now": now(),
            },
        )

    def put_back(self, request_id: str, images: Sequence[ImageResult]) -> None:
        """Make finished images pending again (their files are gone) and take them out of the counters."""
        row = ProcessingRequest
        with self._write() as session:
            session.execute(
                update(ProductImage.__table__)  # type: ignore[arg-type]
                .where(ProductImage.id == bindparam("image_id"))
                .values(status=ImageStatus.PENDING, output_url=None),
                [{"image_id": image.id} for image in images],
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


def _pending(condition: ColumnElement[bool]) -> Select[Any]:
    """The next images to be worked that meet a condition, with the number of those that share their URL."""
    same = ProductImage.__table__.alias("same")
    copies = select(func.count()).where(same.c.same_as_id == ProductImage.id).scalar_subquery()
    return (
        select(
            ProductImage.id,
            ProductImage.row,
            ProductImage.position,
            ProductImage.input_url,
            ProductImage.host,
            (copies + 1).label("slots"),
        )
        .where(
            ProductImage.request_id == bindparam("request_id"),
            ProductImage.status == ImageStatus.PENDING,
            ProductImage.same_as_id.is_(None),
            ProductImage.id > bindparam("after_id"),
            condition,
        )
        .order_by(ProductImage.id)
        .limit(bindparam("limit"))
    )


def _link_same_urls() -> Update:
    """Let the images of some products point to the first image of their request that has the same URL."""
    image, same = ProductImage.__table__, ProductImage.__table__.alias("same")
    of_the_url = (same.c.request_id == image.c.request_id, same.c.url_key == image.c.url_key)
    first = select(func.min(same.c.id)).where(*of_the_url).scalar_subquery()
    some = image.c.product_id.in_(bindparam("product_ids", expanding=True))
    return update(image).where(some, image.c.id > first).values(same_as_id=first)  # type: ignore[arg-type]


def _count() -> Update:
    """The counters of a request go on: what was worked, by how it came out, and what is in hand."""
    row = ProcessingRequest.__table__.c
    worked = row.succeeded + row.failed + row.cancelled + bindparam("more_worked")
    # Within a run it never falls, not even when files were lost and are worked again.
    progress = 100.0 * (worked - row.run_base) / func.nullif(row.total - row.run_base, 0)
    return (
        update(ProcessingRequest.__table__)  # type: ignore[arg-type]
        .where(row.id == bindparam("request_id"))
        .values(
            processing=bindparam("started"),
            succeeded=row.succeeded + bindparam("more_succeeded"),
            failed=row.failed + bindparam("more_failed"),
            cancelled=row.cancelled + bindparam("more_cancelled"),
            progress=case((progress > row.progress, progress), else_=row.progress),
            bytes_in=row.bytes_in + bindparam("more_in"),
            bytes_out=row.bytes_out + bindparam("more_out"),
            updated_at=bindparam("now"),
        )
    )


# Made once: to build one of these anew takes longer than the database needs for it.
_REQUEST = select(ProcessingRequest).where(ProcessingRequest.id == bindparam("id"))
_PENDING_OF_HOST = _pending(ProductImage.host == bindparam("host"))
_PENDING_WITHOUT = _pending(ProductImage.host.not_in(bindparam("without", expanding=True)))
_LINK_SAME_URLS = _link_same_urls()
_COUNT = _count()
_RESULT = tuple(getattr(ProductImage, name) for name in ImageResult.__dataclass_fields__)
_FINAL_COLUMNS = (
    "status", "attempts", "output_url", "kept_original", "note", "bytes_in", "bytes_out", "width", "height",
    "error_code", "error_detail", "http_status",
)  # fmt: skip


def _finalise(column: Any) -> Any:
    """An UPDATE for executemany: one image (or those that share its URL) becomes final, once."""
    unfinished = or_(ProductImage.status == ImageStatus.PENDING, ProductImage.status == ImageStatus.PROCESSING)
    return (
        update(ProductImage.__table__)  # type: ignore[arg-type]
        .where(column == bindparam("image_id"), unfinished)
        .values({name: bindparam(f"new_{name}") for name in _FINAL_COLUMNS})
    )


def _record_values(record: ImageRecord) -> dict[str, Any]:
    return {"image_id": record.image.id} | {f"new_{name}": getattr(record, name) for name in _FINAL_COLUMNS}
