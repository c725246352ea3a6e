"""What the API takes and gives beside the status body. These classes check the calls and are the OpenAPI document."""

from typing import Annotated, Any, Literal

from flask_openapi.models.file import FileStorage
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from image_processor.jobs import ImageBody, ProductBody, StatusBody, WebhookBody
from image_processor.store import DeliveryState, ImageStatus, JobStatus


class Problem(BaseModel):
    """What went wrong (RFC 9457). `error` repeats `detail`, for simple clients. Some types carry more members."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Address that names the kind of problem.")
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status, again.")
    detail: str = Field(description="What is wrong here and what to do.")
    error: str = Field(description="The same as `detail`.")


# ---- what comes in -------------------------------------------------------------------------------------------------


def _none_if_blank(value: Any) -> Any:
    """An empty form field is one that nobody filled in."""
    return None if isinstance(value, str) and not value.strip() else value


Blank = BeforeValidator(_none_if_blank)


class RequestPath(BaseModel):
    """Which request."""

    request_id: str


class ImagePath(RequestPath):
    """Which image of which request."""

    image_id: int = Field(ge=0, le=2**63 - 1)


class DeliveryPath(RequestPath):
    """Which webhook delivery of which request."""

    delivery_id: str


class UploadHeaders(BaseModel):
    """An upload that is repeated with the same key gives the same request."""

    idempotency_key: str | SkipJsonSchema[None] = Field(
        None, alias="Idempotency-Key", description="1 to 255 characters that stand for this upload."
    )


class RequestsQuery(BaseModel):
    """Which requests."""

    limit: int = Field(20, ge=1, le=100)
    cursor: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="From `next_cursor` of the page before."
    )
    status: JobStatus | SkipJsonSchema[None] = None


class ImagesQuery(BaseModel):
    """Which images."""

    limit: int = Field(100, ge=1, le=500)
    cursor: int = Field(0, ge=0, le=2**63 - 1, description="From `next_cursor` of the page before.")
    status: ImageStatus | SkipJsonSchema[None] = None
    kept: bool | SkipJsonSchema[None] = Field(None, description="Only images whose original was kept (or was not).")
    q: Annotated[Annotated[str, Field(max_length=200)] | SkipJsonSchema[None], Blank] = Field(
        None, description="Words to find in serial number, product name or URL."
    )


class UploadQuery(BaseModel):
    """How the images are worked and who is told. May stand in the query or in the form; the form wins."""

    webhook_url: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="Called when output.csv is written."
    )
    webhook_secret: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="Signs this request's webhooks instead of the server's secret: `whsec_` and base64."
    )
    quality: Annotated[Annotated[int, Field(ge=1, le=95)] | SkipJsonSchema[None], Blank] = Field(
        None, description="Encoder quality; 50 unless the server says otherwise."
    )
    max_dimension: Annotated[Annotated[int, Field(ge=0, le=65_500)] | SkipJsonSchema[None], Blank] = Field(
        None, description="Longest side in pixels; larger images are reduced; 0 never resizes."
    )
    format: Annotated[Literal["keep", "jpeg", "webp", "avif", "png"] | SkipJsonSchema[None], Blank] = Field(
        None, description="Format of the results; `keep` (the default) keeps each image's own."
    )
    on_invalid: Annotated[Literal["reject", "skip"] | SkipJsonSchema[None], Blank] = Field(
        None, description="`reject` (the default) refuses a catalogue with bad rows; `skip` works the good ones."
    )
    dry_run: Annotated[bool | SkipJsonSchema[None], Blank] = Field(
        None, description="Only check the catalogue: nothing is stored, every problem is told."
    )


class UploadForm(UploadQuery):
    """The catalogue and the options."""

    file: FileStorage | SkipJsonSchema[None] = Field(None, description="The catalogue, as CSV.")


# ---- what goes out -------------------------------------------------------------------------------------------------


class Health(BaseModel):
    """The process answers."""

    ok: bool


class Readiness(BaseModel):
    """Whether the server can do its work; `reason` says why not."""

    ready: bool = Field(description="All is well.")
    store: bool = Field(description="Folders and database can be written.")
    worker: bool = Field(description="Some process of the installation works the requests.")
    reason: str | None = Field(description="Why not, in a sentence; null when all is well.")


class RequestSummary(StatusBody):
    """A request without its products."""

    products: list[ProductBody] = Field(default=[], exclude=True)
    products_truncated: bool = Field(default=True, exclude=True)
    webhook: WebhookBody | None = Field(default=None, exclude=True)


class RequestsPage(BaseModel):
    """One page of requests, newest first."""

    requests: list[RequestSummary]
    next_cursor: str | None = Field(description="Asks for the next page; null on the last.")


class ListedImage(ImageBody):
    """An image with the product it belongs to."""

    row: int = Field(description="Number of the row in the catalogue, from 1, the header not counted.")
    serial_number: str
    product_name: str


class ImagesPage(BaseModel):
    """One page of images, in the order of the catalogue."""

    images: list[ListedImage]
    next_cursor: int | None = Field(description="Asks for the next page; null on the last.")


class SizeBucket(BaseModel):
    """How many images were this large."""

    label: str = Field(description="The class in words.")
    below: int | None = Field(description="Upper bound in bytes; null for the last class.")
    before: int = Field(description="Images whose source was this large.")
    after: int = Field(description="Images whose result is this large.")


class Sizes(BaseModel):
    """How the sizes of the compressed images are distributed, before and after."""

    buckets: list[SizeBucket] = Field(description="Classes of size, small ones first.")


class Attempt(BaseModel):
    """One try to deliver."""

    attempted_at: str = Field(description="When it was sent.")
    duration_ms: int = Field(description="Milliseconds until it was answered or given up.")
    status_code: int | None = Field(description="What the receiver answered; null when nothing did.")
    answer: str | None = Field(description="The first bytes of the answer.")
    error: str | None = Field(description="What went wrong on the way, in a sentence.")


class DeliveryBody(BaseModel):
    """One webhook delivery; `id` is its `webhook-id`."""

    id: str
    url: str
    state: DeliveryState
    attempts: int = Field(description="How often it was sent.")
    last_status_code: int | None = Field(description="What the receiver answered last; null when nothing did.")
    due_at: str | None = Field(description="When it is sent next; null when it is not.")
    created_at: str
    body: dict[str, Any] = Field(description="What is sent.")
    log: list[Attempt] = Field(description="Every attempt, oldest first.")


class Deliveries(BaseModel):
    """The webhook deliveries of a request, oldest first."""

    deliveries: list[DeliveryBody]


class Callback(BaseModel):
    """A callback that came in with a good signature."""

    id: str = Field(description="Its `webhook-id`.")
    received_at: str = Field(description="When it came in.")
    sent_at: str = Field(description="Its `webhook-timestamp`.")
    body: dict[str, Any] = Field(description="What was sent.")


class Callbacks(BaseModel):
    """The newest callbacks, newest first."""

    callbacks: list[Callback]


class Preview(BaseModel):
    """What a dry run understood."""

    valid: bool = Field(description="The catalogue can be uploaded as it is.")
    row_count: int = Field(description="Products in the catalogue.")
    image_count: int = Field(description="Image URLs in the catalogue.")
    hosts: dict[str, int] = Field(description="Image URLs by host.")
    preview: list[dict[str, Any]] = Field(description="The first rows, as they were understood.")
    warnings: list[str] = Field(description="What was repaired, in sentences.")
    error_count: int = Field(description="All problems, listed or not.")
    errors: list[dict[str, Any]] = Field(description="The first problems: line, column, value, reason, hint.")
