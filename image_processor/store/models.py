"""Tables and states. A row of `requests` is a job; its products are the rows of a catalogue, their images the URLs."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# The message of a job while its images are processed; it is shown with the number of those that are done.
PROCESSING_MESSAGE = "Processing the images."


class JobStatus(StrEnum):
    """The states of a job, as the API names them."""

    PENDING = "Pending"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


UNFINISHED_JOBS = (JobStatus.PENDING, JobStatus.PROCESSING)


class ImageStatus(StrEnum):
    """The states of one image."""

    PENDING = "Pending"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


UNFINISHED_IMAGES = (ImageStatus.PENDING, ImageStatus.PROCESSING)


class ProductStatus(StrEnum):
    """The states of one row: `Partial` when some of its images failed and some did not."""

    PENDING = "Pending"
    PROCESSING = "Processing"
    COMPLETED = "Completed"
    PARTIAL = "Partial"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class Outcome(StrEnum):
    """The outcomes of a job that is done."""

    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeliveryState(StrEnum):
    """The states of one webhook delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class UTCDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite keeps no zone, so it is added when a value is read."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store any aware datetime as UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Add the zone to a stored UTC time."""
        return None if value is None else value.replace(tzinfo=UTC)


class _Clean(TypeDecorator[str]):
    """Text that others sent. NUL is removed from it, because PostgreSQL refuses a statement with one."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Remove NUL from a value that is stored or looked for."""
        return value.replace("\0", "") if value and "\0" in value else value


class CleanString(_Clean):
    """Such a text of a limited length."""

    cache_ok = True


class CleanText(_Clean):
    """Such a text of any length."""

    impl = Text
    cache_ok = True


class Base(DeclarativeBase):
    """Named constraints, without which SQLite's batch migrations cannot drop one."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        datetime: UTCDateTime,
        list[str]: JSON,
        list[str | None]: JSON,
        dict[str, Any]: JSON,
    }


# The models extend Base, which is plain SQLAlchemy; Flask-SQLAlchemy provides the engine.
db = SQLAlchemy(metadata=Base.metadata)

# SQLite numbers rows by itself only for INTEGER primary keys.
RowId = BigInteger().with_variant(Integer, "sqlite")


class Job(Base):
    """One upload and its processing: options, state, and counters of its images.

    `table_options` says how its table was understood, so that it is read the same way again. `workbook` is the
    extension of the workbook that is returned, None for other files.

    A retry starts a new run; `run_base` counts the images that were final when it began, so its progress starts at 0.
    """

    __tablename__ = "requests"
    __table_args__ = (Index(None, "status", "created_at"), Index(None, "created_at", "id"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    status: Mapped[str] = mapped_column(String(16), default=JobStatus.PENDING)
    outcome: Mapped[str | None] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text, default="")
    filename: Mapped[str] = mapped_column(CleanText, default="")
    charset: Mapped[str] = mapped_column(String(32), default="utf-8")
    warnings: Mapped[list[str]] = mapped_column(default=list)

    row_count: Mapped[int] = mapped_column(default=0)
    invalid_rows: Mapped[int] = mapped_column(default=0)
    total: Mapped[int] = mapped_column(default=0)
    processing: Mapped[int] = mapped_column(default=0)
    succeeded: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    cancelled: Mapped[int] = mapped_column(default=0)
    progress: Mapped[float] = mapped_column(Float, default=0.0)
    run: Mapped[int] = mapped_column(default=1)
    run_base: Mapped[int] = mapped_column(default=0)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    bytes_in: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_out: Mapped[int] = mapped_column(BigInteger, default=0)

    quality: Mapped[int]
    max_dimension: Mapped[int]
    format: Mapped[str] = mapped_column(String(8))
    on_invalid: Mapped[str] = mapped_column(String(8))
    table_options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    workbook: Mapped[str | None] = mapped_column(CleanString(8))
    base_url: Mapped[str] = mapped_column(Text)
    webhook_url: Mapped[str | None] = mapped_column(Text)
    webhook_secret: Mapped[str | None] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(CleanString(255), unique=True)
    body_digest: Mapped[str | None] = mapped_column(String(64))
    call_id: Mapped[str | None] = mapped_column(String(128))

    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]

    @property
    def done(self) -> bool:
        """Whether the job is in a final state."""
        return self.status not in UNFINISHED_JOBS

    @property
    def pending(self) -> int:
        """Images that are not begun yet."""
        return self.total - self.processing - self.final

    @property
    def final(self) -> int:
        """Images that are final."""
        return self.succeeded + self.failed + self.cancelled


class Product(Base):
    """One row of the catalogue, identified by its number: serials and names may repeat."""

    __tablename__ = "products"
    __table_args__ = (UniqueConstraint("request_id", "row"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey("requests.id", ondelete="CASCADE"))
    row: Mapped[int]
    serial_number: Mapped[str] = mapped_column(CleanText)
    product_name: Mapped[str] = mapped_column(CleanText)
    input_image_urls: Mapped[list[str]]
    output_image_urls: Mapped[list[str | None]] = mapped_column(default=list)
    status: Mapped[str] = mapped_column(String(16), default=ProductStatus.PENDING)
    error: Mapped[str | None] = mapped_column(CleanText)


class ProductImage(Base):
    """One URL of a row. `same_as_id` is the image of this job that has the same URL and is processed for both.

    `lost` counts how often its file was found missing.
    """

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("product_id", "position"),
        Index(None, "request_id", "status", "id"),
        Index(None, "request_id", "url_key", "id"),
        Index(None, "request_id", "id"),
        Index(None, "same_as_id"),
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey("requests.id", ondelete="CASCADE"))
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"))
    same_as_id: Mapped[int | None] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))
    row: Mapped[int]
    position: Mapped[int]
    input_url: Mapped[str] = mapped_column(CleanText)
    url_key: Mapped[int] = mapped_column(BigInteger)
    host: Mapped[str] = mapped_column(CleanText)
    output_url: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), default=ImageStatus.PENDING)
    kept_original: Mapped[bool] = mapped_column(default=False)
    note: Mapped[str | None] = mapped_column(CleanText)
    bytes_in: Mapped[int | None]
    bytes_out: Mapped[int | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    error_code: Mapped[str | None] = mapped_column(String(32))
    error_detail: Mapped[str | None] = mapped_column(CleanText)
    http_status: Mapped[int | None]
    attempts: Mapped[int] = mapped_column(default=0)
    lost: Mapped[int] = mapped_column(default=0)


class WebhookDelivery(Base):
    """One message to one receiver, added in the transaction that finishes the job. Its id is the `webhook-id`.

    `step` is the place in the schedule, which a redelivery starts again. `scheduled_at` is when `due_at` was set: if
    that is in the future, the clock was set back. Until `sending_until` one sender has it, and no other takes it.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index(None, "state", "due_at", "host"), Index(None, "request_id"))

    id: Mapped[str] = mapped_column(CleanString(36), primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey("requests.id", ondelete="CASCADE"))
    url: Mapped[str] = mapped_column(CleanText)
    host: Mapped[str] = mapped_column(CleanText)
    body: Mapped[str] = mapped_column(CleanText)
    state: Mapped[str] = mapped_column(String(16), default=DeliveryState.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    step: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None]
    scheduled_at: Mapped[datetime]
    sending_until: Mapped[datetime | None]
    last_status_code: Mapped[int | None]
    created_at: Mapped[datetime]


class WebhookAttempt(Base):
    """One attempt to deliver."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (Index(None, "delivery_id"),)

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey("webhook_deliveries.id", ondelete="CASCADE"))
    attempted_at: Mapped[datetime]
    duration_ms: Mapped[int]
    status_code: Mapped[int | None]
    answer: Mapped[str | None] = mapped_column(CleanText)
    error: Mapped[str | None] = mapped_column(CleanText)


class ReceivedCallback(Base):
    """A callback with a valid signature that `/webhooks/inbox` received; stored once per `webhook-id`."""

    __tablename__ = "received_callbacks"

    id: Mapped[str] = mapped_column(CleanString(255), primary_key=True)
    received_at: Mapped[datetime]
    sent_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]
