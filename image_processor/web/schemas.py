"""Requests and responses of the API, besides the status body: they check requests and are the OpenAPI document."""

from typing import Annotated, Any, Literal

from flask_openapi.models.file import FileStorage
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from image_processor.jobs import ImageBody, ProductBody, StatusBody, WebhookBody, timestamp
from image_processor.store import DeliveryState, ImageStatus, JobStatus


class Problem(BaseModel):
    """An error (RFC 9457). `error` repeats `detail`, for simple clients. Some types have more members."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="URL that identifies the type of problem.")
    title: str = Field(description="The type of problem in words.")
    status: int = Field(description="The HTTP status code, repeated.")
    detail: str = Field(description="What is wrong and what to do.")
    error: str = Field(description="The same as `detail`.")


# ---- requests ------------------------------------------------------------------------------------------------------


def _none_if_blank(value: Any) -> Any:
    """An empty form field is an option left out."""
    return None if isinstance(value, str) and not value.strip() else value


Blank = BeforeValidator(_none_if_blank)


def _without_blanks(values: Any) -> Any:
    values = [values] if isinstance(values, str) else values
    return [value for value in values or [] if str(value).strip()]


class RequestPath(BaseModel):
    """Which job."""

    request_id: str


class ImagePath(RequestPath):
    """Which image of which job."""

    image_id: int = Field(ge=0, le=2**63 - 1)


class DeliveryPath(RequestPath):
    """Which webhook delivery of which job."""

    delivery_id: str


class FilePath(BaseModel):
    """Which file."""

    filename: str


class UploadHeaders(BaseModel):
    """An upload that is repeated with the same key returns the same job."""

    idempotency_key: str | SkipJsonSchema[None] = Field(
        None, alias="Idempotency-Key", description="1 to 255 characters that identify this upload."
    )


class RequestsQuery(BaseModel):
    """Which jobs."""

    limit: int = Field(20, ge=1, le=100)
    cursor: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="`next_cursor` of the previous page."
    )
    status: JobStatus | SkipJsonSchema[None] = None


class ImagesQuery(BaseModel):
    """Which images."""

    limit: int = Field(100, ge=1, le=500)
    cursor: int = Field(0, ge=0, le=2**63 - 1, description="`next_cursor` of the previous page.")
    status: ImageStatus | SkipJsonSchema[None] = None
    kept: bool | SkipJsonSchema[None] = Field(
        None, description="`true`: only images kept as they were; `false`: only the others."
    )
    q: Annotated[Annotated[str, Field(max_length=200)] | SkipJsonSchema[None], Blank] = Field(
        None, description="Text to find in serial number, product name or URL."
    )


class UploadQuery(BaseModel):
    """Options of an upload. Each may be in the query or in the form; the form takes precedence."""

    webhook_url: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="Receives a signed POST when output.csv is written."
    )
    webhook_secret: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="Signs this job's webhooks instead of the server's secret: `whsec_` and base64."
    )
    quality: Annotated[Annotated[int, Field(ge=1, le=95)] | SkipJsonSchema[None], Blank] = Field(
        None, description="Encoder quality; the default is a setting of the server, 50 unless changed."
    )
    max_dimension: Annotated[Annotated[int, Field(ge=0, le=65_500)] | SkipJsonSchema[None], Blank] = Field(
        None, description="Longest side in pixels; larger images are scaled down; 0 never resizes."
    )
    format: Annotated[Literal["keep", "jpeg", "webp", "avif", "png"] | SkipJsonSchema[None], Blank] = Field(
        None, description="Format of the results; `keep` (the default) keeps the format of each image."
    )
    on_invalid: Annotated[Literal["reject", "skip"] | SkipJsonSchema[None], Blank] = Field(
        None,
        description="`reject` (the default) refuses a catalogue with invalid rows; `skip` leaves them out.",
    )
    images_column: Annotated[list[Annotated[str, Field(max_length=1_000)]], BeforeValidator(_without_blanks)] = Field(
        [],
        description="A column of images, by its header or its 1-based number; repeatable. The default is recognised.",
    )
    name_column: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="The column of product names, by its header or number; the default is recognised."
    )
    id_column: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="The column of ids, by its header or number; the default is recognised."
    )
    sheet: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="The sheet of a workbook; the default is the first whose header is recognised."
    )
    image_base_url: Annotated[str | SkipJsonSchema[None], Blank] = Field(
        None, description="The URL that relative paths of images are below, such as `https://shop.example/media/`."
    )
    output: Annotated[Literal["add", "replace"] | SkipJsonSchema[None], Blank] = Field(
        None,
        description="`replace` puts new URLs in the place of the old ones and changes nothing else; `add` adds a "
        "column. The default is `add` below the header `S. No., Product Name, Input Image Urls`, else `replace`.",
    )
    failed: Annotated[Literal["keep", "empty"] | SkipJsonSchema[None], Blank] = Field(
        None,
        description="For an image that failed: `keep` its old URL (the default of `replace`), or leave it `empty` (the "
        "default of `add`).",
    )
    dry_run: Annotated[bool | SkipJsonSchema[None], Blank] = Field(
        None, description="Only check the catalogue: nothing is stored, all problems are reported."
    )


class UploadForm(UploadQuery):
    """The catalogue and its options. Options may be in the query instead; the form takes precedence."""

    file: FileStorage | SkipJsonSchema[None] = Field(None, description="The catalogue: CSV, Excel or a list of URLs.")


# ---- responses -----------------------------------------------------------------------------------------------------


# Responses that are made from the rows of the database.
FROM_RECORD = ConfigDict(from_attributes=True)
Timestamp = Annotated[str, BeforeValidator(timestamp)]


class Health(BaseModel):
    """The process responds."""

    ok: bool


class Readiness(BaseModel):
    """Whether the server can process jobs; `reason` says why not."""

    ready: bool = Field(description="Jobs are processed.")
    store: bool = Field(description="Folders and database are writable.")
    worker: bool = Field(description="A process of the installation processes jobs.")
    reason: str | None = Field(description="Why the server is not ready; null when it is.")


class RequestSummary(StatusBody):
    """A job without its products."""

    products: list[ProductBody] = Field(default=[], exclude=True)
    products_truncated: bool = Field(default=True, exclude=True)
    webhook: WebhookBody | None = Field(default=None, exclude=True)


class RequestsPage(BaseModel):
    """One page of jobs, newest first."""

    requests: list[RequestSummary]
    next_cursor: str | None = Field(description="`cursor` of the next page; null on the last page.")


class ListedImage(ImageBody):
    """An image with its product."""

    row: int = Field(description="Number of the row in the catalogue, from 1, without the header.")
    serial_number: str
    product_name: str


class ImagesPage(BaseModel):
    """One page of images, in the order of the catalogue."""

    images: list[ListedImage]
    next_cursor: int | None = Field(description="`cursor` of the next page; null on the last page.")


class SizeBucket(BaseModel):
    """Number of images of one size class."""

    label: str = Field(description="The size class in words.")
    below: int | None = Field(description="Upper bound in bytes; null for the last class.")
    before: int = Field(description="Originals of this size.")
    after: int = Field(description="Results of this size.")


class Sizes(BaseModel):
    """The distribution of the sizes of compressed images, before and after."""

    buckets: list[SizeBucket] = Field(description="Size classes, smallest first.")


class Attempt(BaseModel):
    """One attempt to deliver a webhook."""

    model_config = FROM_RECORD

    attempted_at: Timestamp = Field(description="When it was sent.")
    duration_ms: int = Field(description="Milliseconds until the response or the error.")
    status_code: int | None = Field(description="HTTP status of the response; null without one.")
    answer: str | None = Field(description="The first bytes of the response body.")
    error: str | None = Field(description="Why there was no response, in a sentence.")


class DeliveryBody(BaseModel):
    """One webhook delivery; `id` is its `webhook-id`."""

    id: str
    url: str
    state: DeliveryState
    attempts: int = Field(description="Number of attempts.")
    last_status_code: int | None = Field(description="HTTP status of the last response; null without one.")
    due_at: str | None = Field(description="When the next attempt is due; null when there is none.")
    created_at: str
    body: dict[str, Any] = Field(description="The payload.")
    log: list[Attempt] = Field(description="Every attempt, oldest first.")


class Deliveries(BaseModel):
    """The webhook deliveries of a job, oldest first."""

    deliveries: list[DeliveryBody]


class Callback(BaseModel):
    """A received webhook, with a valid signature."""

    model_config = FROM_RECORD

    id: str = Field(description="Its `webhook-id`.")
    received_at: Timestamp = Field(description="When it was received.")
    sent_at: Timestamp = Field(description="Its `webhook-timestamp`.")
    body: dict[str, Any] = Field(description="The payload.")


class Callbacks(BaseModel):
    """The last received webhooks, newest first."""

    callbacks: list[Callback]


class LayoutColumn(BaseModel):
    """A column of the table."""

    number: int = Field(description="Its number, from 1.")
    name: str = Field(description="Its header.")
    role: Literal["id", "name", "images"] | None = Field(description="What it is used as.")
    how: Literal["given", "spelling", "values"] | None = Field(description="How its role is known.")
    example: str = Field(description="Its first value.")


class Layout(BaseModel):
    """How the table was understood."""

    profile: str = Field(description="The platform, or `assignment`, `general`, `given`, `list`.")
    sheet: str | None = Field(description="The sheet of a workbook.")
    header_line: int = Field(description="The line (or row) of the header, from 1; 0 for a list without one.")
    output: Literal["add", "replace"] = Field(description="Where the new URLs are put.")
    failed: Literal["keep", "empty"] = Field(description="What is put where an image failed.")
    columns: list[LayoutColumn]


class Preview(BaseModel):
    """The result of a dry run."""

    valid: bool = Field(description="Whether the catalogue can be uploaded without changes.")
    row_count: int = Field(default=0, description="Products in the catalogue.")
    image_count: int = Field(default=0, description="Image URLs in the catalogue.")
    hosts: dict[str, int] = Field(default={}, description="Image URLs by host.")
    layout: Layout | None = Field(default=None, description="How the table was understood; null if it cannot be read.")
    suggested_images_column: str | None = Field(
        default=None, description="The column whose values look like images, when none was recognised."
    )
    preview: list[dict[str, Any]] = Field(default=[], description="The first rows, as they were read.")
    warnings: list[str] = Field(default=[], description="What was repaired, one sentence each.")
    error_count: int = Field(description="Number of problems, listed or not.")
    errors: list[dict[str, Any]] = Field(description="The first problems: line, column, value, detail, hint.")
