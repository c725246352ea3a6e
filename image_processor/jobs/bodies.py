"""The bodies of responses about jobs: the status, its products and their images."""

from pydantic import BaseModel, Field

from image_processor.store import ImageStatus, JobStatus, Outcome, ProductStatus


class Counts(BaseModel):
    """Images of the job by state."""

    total: int = Field(description="All images of the catalogue: the sum of the others.")
    pending: int = Field(description="Not begun yet.")
    processing: int = Field(description="Being downloaded or compressed now.")
    succeeded: int = Field(description="Compressed, or kept as they are where compression saved nothing.")
    failed: int = Field(description="Failed; each has an error.")
    cancelled: int = Field(description="Not processed, because the job was cancelled.")


class Progress(BaseModel):
    """How much of the job is done."""

    percent: float = Field(description="Final images, in percent of all.")
    images_per_second: float | None = Field(description="Since the start; null before the first image.")
    eta_seconds: int | None = Field(description="Seconds left at this pace; 0 when done.")


class Bytes(BaseModel):
    """Sizes of the originals and of the results, over the compressed images."""

    input: int = Field(description="Bytes that were downloaded.")
    output: int = Field(description="Bytes of the results.")
    saved_percent: float | None = Field(description="By how much the results are smaller; null before the first image.")


class Options(BaseModel):
    """The options of the upload."""

    quality: int = Field(description="Quality of the encoder, 1 to 95.")
    max_dimension: int = Field(description="Longest side of a result in pixels; 0 for no limit.")
    format: str = Field(description="Format of the results; `keep` keeps each image's own.")
    on_invalid: str = Field(description="What to do with invalid rows: `reject` or `skip`.")
    images_column: list[str] = Field(default=[], description="The columns of images, by name or number.")
    name_column: str | None = Field(default=None, description="The column of product names.")
    id_column: str | None = Field(default=None, description="The column of ids.")
    sheet: str | None = Field(default=None, description="The sheet of a workbook.")
    image_base_url: str | None = Field(default=None, description="What relative paths are below.")
    output: str = Field(default="add", description="Where new URLs are put: `add` a column, or `replace` the old ones.")
    failed: str = Field(default="empty", description="For a failed image: `keep` its old URL, or leave it `empty`.")


class ImageErrorBody(BaseModel):
    """Why an image has no result."""

    code: str = Field(description="The kind of failure, for programs.")
    detail: str = Field(description="What is wrong and what to do, for people.")
    http_status: int | None = Field(description="Status of the image host's response, if there was one.")
    attempts: int = Field(description="How often the download was tried.")


class ImageBody(BaseModel):
    """One image URL of a product and its result."""

    id: int = Field(description="Identifies the image in URLs of this job.")
    position: int = Field(description="Place in the row's list of URLs, from 1.")
    input_url: str = Field(description="As written in the catalogue.")
    output_url: str | None = Field(description="URL of the result; null while there is none.")
    status: ImageStatus
    kept_original: bool = Field(description="The result is the original: compressing did not make it smaller.")
    note: str | None = Field(description="A remark on the result, such as that only one frame was kept.")
    bytes_in: int | None = Field(description="Bytes of the original.")
    bytes_out: int | None = Field(description="Bytes of the result.")
    width: int | None = Field(description="Pixels of the result, upright.")
    height: int | None = Field(description="Pixels of the result, upright.")
    error: ImageErrorBody | None = Field(description="Why there is no result; null unless it failed.")


IMAGE_COLUMNS = [name for name in ImageBody.model_fields if name != "error"]


class ProductBody(BaseModel):
    """One row of the catalogue. The lists of URLs have an entry per entry of the row; null where there is no result."""

    row: int = Field(description="Number of the row in the catalogue, from 1, the header not counted.")
    serial_number: str
    product_name: str
    status: ProductStatus
    input_image_urls: list[str] = Field(description="The entries of the cell, in their order.")
    output_image_urls: list[str | None] = Field(description="The results, entry by entry; null where there is none.")
    error: str | None = Field(description="Why the row was not processed.")
    images: list[ImageBody]


class WebhookBody(BaseModel):
    """The newest webhook delivery of the job."""

    url: str
    state: str = Field(description="`waiting` before the first delivery, then `pending`, `delivered` or `failed`.")
    attempts: int = Field(description="How often it was sent.")
    last_status_code: int | None = Field(description="Status of the receiver's last response; null for none.")


class Links(BaseModel):
    """Absolute URLs of everything that belongs to the job."""

    self: str
    html: str
    images: str
    output: str = Field(description="The result in the format of the upload: output.csv or output.xlsx.")
    output_csv: str
    errors_csv: str
    replacements_csv: str
    images_zip: str
    cancel: str
    retry: str
    webhook_deliveries: str


class StatusBody(BaseModel):
    """The status of one job."""

    request_id: str
    status: JobStatus
    done: bool = Field(description="Whether the job has ended; only a retry starts it again.")
    outcome: Outcome | None = Field(description="How it ended; null until it is done.")
    message: str = Field(description="The status in a sentence, for people.")
    row_count: int = Field(description="Products in the catalogue.")
    filename: str = Field(description="Name of the uploaded file.")
    warnings: list[str] = Field(description="What was repaired or skipped in the catalogue, in sentences.")
    counts: Counts
    progress: Progress
    bytes: Bytes
    options: Options
    created_at: str = Field(description="When the upload was accepted: ISO 8601, in UTC, like all times.")
    started_at: str | None = Field(description="When processing began.")
    completed_at: str | None = Field(description="When it was done.")
    updated_at: str = Field(description="When the status changed last.")
    products: list[ProductBody] = Field(description="The first products of the catalogue, in its order.")
    products_truncated: bool = Field(description="Whether there are more products or images than are listed here.")
    webhook: WebhookBody | None = Field(description="Null when the upload named no webhook URL.")
    links: Links
