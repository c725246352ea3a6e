"""Every query and every commit. Nothing else speaks SQL, and nothing that is not committed here has happened.

Writes begin `IMMEDIATE` under one process-wide lock: with deferred transactions 92 % of the writers of 32 threads met
"database is locked" at once, with the lock none did and the slowest write took 49 ms instead of 432. Reads are plain.
Counters change by SQL, in the transaction of what they count.
"""

import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, event, func, insert, or_, select, text, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from image_processor.models import (
    DeliveryState,
    ImageStatus,
    ProcessingRequest,
    Product,
    ProductImage,
    ProductStatus,
    ReceivedCallback,
    RequestStatus,
    WebhookAttempt,
    WebhookDelivery,
)

UNFINISHED = (RequestStatus.PENDING, RequestStatus.PROCESSING)


def now() -> datetime:
    """The present, aware and in UTC."""
    return datetime.now(UTC)


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
    """One image to be worked, in plain values. `slots` counts the images of the request that share the URL."""

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


def prepare_engine(engine: Engine) -> None:
    """Make SQLite behave: WAL, foreign keys, patience, and transactions that begin when we say so."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        cursor = connection.cursor()
        for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


class Repository:
    """The record of everything: requests, products, images, deliveries, callbacks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._write_engine = engine.execution_options(writes=True)
        self._write_lock = threading.Lock()

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        with self._write_lock, Session(self._write_engine, expire_on_commit=False) as session, session.begin():
            yield session

    # ---- requests -------------------------------------------------------------------------------------------------

    def create_request(self, request: ProcessingRequest) -> None:
        """Commit an accepted upload. When this returns, the request exists whatever happens to the process."""
        request.created_at = request.updated_at = now()
        with self._write() as session:
            session.add(request)

    def get_request(self, request_id: str) -> ProcessingRequest | None:
        """One request, detached, or None."""
        with self._read() as session:
            return session.get(ProcessingRequest, request_id)

    def recent_requests(self, limit: int = 20) -> Sequence[ProcessingRequest]:
        """The newest requests, newest first."""
        newest = select(ProcessingRequest).order_by(ProcessingRequest.created_at.desc()).limit(limit)
        with self._read() as session:
            return session.scalars(newest).all()

    def unfinished_requests(self) -> Sequence[str]:
        """Ids of all requests that are not done, oldest first."""
        ids = (
            select(ProcessingRequest.id)
            .where(ProcessingRequest.status.in_(UNFINISHED))
            .order_by(ProcessingRequest.created_at)
        )
        with self._read() as session:
            return session.scalars(ids).all()

    def claim(self, request_id: str) -> ProcessingRequest | None:
        """Take an unfinished request up: it is `Processing` from here on. None when there is nothing to take up."""
        with self._write() as session:
            claimed = session.execute(
                update(ProcessingRequest)
                .where(ProcessingRequest.id == request_id, ProcessingRequest.status.in_(UNFINISHED))
                .values(
                    status=RequestStatus.PROCESSING,
                    message="Working on the images.",
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
        """Insert one chunk of rows with their images, whole or not at all."""
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

    def link_same_urls(self, request_id: str) -> None:
        """Let every image whose URL stood earlier in the request point to that earlier one: it is fetched once."""
        first = (
            select(ProductImage.url_key, func.min(ProductImage.id).label("id"))
            .where(ProductImage.request_id == request_id)
            .group_by(ProductImage.url_key)
            .having(func.count() > 1)
            .subquery()
        )
        with self._write() as session:
            session.execute(
                update(ProductImage)
                .where(
                    ProductImage.request_id == request_id,
                    ProductImage.url_key == first.c.url_key,
                    ProductImage.id != first.c.id,
                )
                .values(same_as_id=first.c.id)
            )

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
        """The images of some products, in the order of rows and positions."""
        images = (
            select(ProductImage)
            .where(ProductImage.product_id.in_(product_ids))
            .order_by(ProductImage.row, ProductImage.position)
            .limit(limit)
        )
        with self._read() as session:
            return session.scalars(images).all()

    def results_of(self, product_ids: Sequence[int]) -> list[ImageResult]:
        """What is recorded of the images of some products, in no particular order."""
        columns = (getattr(ProductImage, name) for name in ImageResult.__dataclass_fields__)
        with self._read() as session:
            found = session.execute(select(*columns).where(ProductImage.product_id.in_(product_ids)))
            return [ImageResult(*row) for row in found]

    def pending_images(
        self, request_id: str, after_id: int, limit: int, *, host: str | None = None, without: Sequence[str] = ()
    ) -> list[ImageTask]:
        """Images to be worked, by id: those of one `host`, or of all hosts but some. URLs met before are left out."""
        same = ProductImage.__table__.alias("same")
        copies = select(func.count()).where(same.c.same_as_id == ProductImage.id).scalar_subquery()
        tasks = (
            select(
                ProductImage.id,
                ProductImage.row,
                ProductImage.position,
                ProductImage.input_url,
                ProductImage.host,
                (copies + 1).label("slots"),
            )
            .where(
                ProductImage.request_id == request_id,
                ProductImage.status == ImageStatus.PENDING,
                ProductImage.same_as_id.is_(None),
                ProductImage.id > after_id,
            )
            .order_by(ProductImage.id)
            .limit(limit)
        )
        if host is not None:
            tasks = tasks.where(ProductImage.host == host)
        elif without:
            tasks = tasks.where(ProductImage.host.not_in(without))
        with self._read() as session:
            return [ImageTask(*task) for task in session.execute(tasks)]

    def record_images(self, request_id: str, started: Sequence[ImageTask], records: Sequence[ImageRecord]) -> None:
        """Write a batch: what was begun, what is final, and the counters, in one transaction.

        `started` are all images in hand now. An image that shares its URL with others fills all of their slots.
        """
        with self._write() as session:
            self._mark_started(session, [image.id for image in started])
            self._mark_final(session, records)
            self._count(session, request_id, started, records)

    def _mark_started(self, session: Session, ids: Sequence[int]) -> None:
        if not ids:
            return
        for column in (ProductImage.id, ProductImage.same_as_id):
            session.execute(
                update(ProductImage)
                .where(column.in_(ids), ProductImage.status == ImageStatus.PENDING)
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

        row = ProcessingRequest
        worked = sum(record.image.slots for record in records)
        session.execute(
            update(row)
            .where(row.id == request_id)
            .values(
                processing=sum(image.slots for image in started),
                succeeded=row.succeeded + slots(ImageStatus.COMPLETED),
                failed=row.failed + slots(ImageStatus.FAILED),
                cancelled=row.cancelled + slots(ImageStatus.CANCELLED),
                progress=100.0 * (row.succeeded + row.failed + row.cancelled + worked) / row.total,
                bytes_in=row.bytes_in + sum((record.bytes_in or 0) * record.image.slots for record in records),
                bytes_out=row.bytes_out + sum((record.bytes_out or 0) * record.image.slots for record in records),
                updated_at=now(),
            )
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

    # ---- webhooks -------------------------------------------------------------------------------------------------

    def due_deliveries(self, limit: int = 20) -> Sequence[WebhookDelivery]:
        """Deliveries whose time has come, the longest waiting first."""
        due = (
            select(WebhookDelivery)
            .where(WebhookDelivery.state == DeliveryState.PENDING, WebhookDelivery.due_at <= now())
            .order_by(WebhookDelivery.due_at)
            .limit(limit)
        )
        with self._read() as session:
            return session.scalars(due).all()

    def record_attempt(
        self, delivery_id: str, attempt: WebhookAttempt, state: DeliveryState, wait: float | None
    ) -> None:
        """Log one attempt and say what follows: delivered, failed for good, or due again after `wait` seconds."""
        with self._write() as session:
            session.add(attempt)
            session.execute(
                update(WebhookDelivery)
                .where(WebhookDelivery.id == delivery_id)
                .values(
                    state=state,
                    attempts=WebhookDelivery.attempts + 1,
                    last_status_code=attempt.status_code,
                    due_at=None if wait is None else now() + timedelta(seconds=wait),
                )
            )

    def deliveries(self, request_id: str) -> Sequence[WebhookDelivery]:
        """All deliveries of a request, oldest first."""
        mine = (
            select(WebhookDelivery).where(WebhookDelivery.request_id == request_id).order_by(WebhookDelivery.created_at)
        )
        with self._read() as session:
            return session.scalars(mine).all()

    def attempts(self, delivery_id: str) -> Sequence[WebhookAttempt]:
        """All attempts of a delivery, oldest first."""
        mine = select(WebhookAttempt).where(WebhookAttempt.delivery_id == delivery_id).order_by(WebhookAttempt.id)
        with self._read() as session:
            return session.scalars(mine).all()

    def store_callback(self, callback: ReceivedCallback) -> bool:
        """Keep a received callback; False when its id is known already (the sender repeats itself)."""
        with self._write() as session:
            if session.get(ReceivedCallback, callback.id) is not None:
                return False
            session.add(callback)
            return True

    def received_callbacks(self, limit: int = 100) -> Sequence[ReceivedCallback]:
        """The newest received callbacks, newest first."""
        newest = select(ReceivedCallback).order_by(ReceivedCallback.received_at.desc()).limit(limit)
        with self._read() as session:
            return session.scalars(newest).all()

    def ping(self) -> None:
        """Ask the database for a sign of life."""
        with self._read() as session:
            session.execute(text("SELECT 1"))


def new_delivery(request_id: str, url: str, body: str) -> WebhookDelivery:
    """A webhook that is due at once. Its id stays the same over all attempts."""
    return WebhookDelivery(
        id=f"msg_{uuid.uuid4().hex}",
        request_id=request_id,
        url=url,
        body=body,
        state=DeliveryState.PENDING,
        due_at=now(),
        created_at=now(),
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
