"""Accepts an upload: the file is validated and stored, its job is committed, then the worker gets the id."""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import PureWindowsPath
from typing import Any

from image_processor.catalogue import CSVLimits, ProductCSV, read_products, sample_csv
from image_processor.errors import (
    IdempotencyMisuse,
    InvalidCSV,
    InvalidOption,
    InvalidWebhookURL,
    StoreUnavailable,
    Unavailable,
    shorten,
)
from image_processor.jobs.webhook import SECRET_FORM, valid_secret
from image_processor.logs import http_request_id
from image_processor.store import Health, Job, Jobs, JobStatus, Storage
from image_processor.urls import check_url

MAX_KEY_LENGTH = 255
RETRY_SECONDS = 10

# The images under static/samples/.
SAMPLE_PRODUCTS = (
    ("Stoneware mug", ("mug-front.jpg", "mug-upright.jpg")),
    ("Table lamp", ("lamp.jpg", "lamp-shade.avif")),
    ("Shoe box", ("shoe-box.jpg", "shoe-box-end.webp")),
    ("Canvas tote", ("tote.jpg", "tote-cut-out.png")),
    ("Striped vase", ("vase.jpg", "vase-turning.gif")),
)


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """The options of one upload, as columns of its job."""

    quality: int
    max_dimension: int
    format: str = "keep"
    on_invalid: str = "reject"
    webhook_url: str | None = None
    webhook_secret: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Uploads:
    """Accepts catalogues, for the API, the pages and the command line. `submit` announces a job to the worker."""

    jobs: Jobs
    storage: Storage
    csv_limits: CSVLimits
    defaults: UploadOptions
    health: Health
    submit: Callable[[str], None]

    def options(self, **chosen: Any) -> UploadOptions:
        """The options of an upload: the server's defaults, with those that were chosen."""
        return replace(self.defaults, **chosen)

    def sample(self, base_url: str) -> bytes:
        """A catalogue of images that this server hosts."""
        return sample_csv(base_url, SAMPLE_PRODUCTS)

    def read(self, data: bytes, filename: str) -> ProductCSV:
        """Read and validate an upload without accepting it. Raises InvalidCSV when it is no catalogue at all."""
        return read_products(data, self.csv_limits, filename=filename)

    def accept(self, data: bytes, filename: str, options: UploadOptions, base_url: str) -> Job:
        """Accept a catalogue and return its job, which is committed and will be processed, whatever happens.

        `base_url` is the base of all output URLs. An upload with the Idempotency-Key of an earlier one returns the job
        of that one. Raises InvalidCSV with every problem, InvalidWebhookURL, InvalidOption, IdempotencyMisuse, or
        Unavailable while nothing can be written; then nothing is stored.
        """
        _check_webhook(options)
        digest = _digest(data, options)
        if first := self._accepted_before(options.idempotency_key, digest):
            return first
        if self.health.reason:
            raise Unavailable(f"No upload can be accepted now. {self.health.reason}", retry_after=RETRY_SECONDS)
        catalogue = self.read(data, filename)
        _check_rows(catalogue, options)
        job = _new_job(catalogue, filename, options, base_url)
        job.body_digest = digest
        accepted = self._store(job, data)
        self.submit(accepted.id)
        return accepted

    def _accepted_before(self, key: str | None, digest: str) -> Job | None:
        if key is None:
            return None
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise InvalidOption(f"The Idempotency-Key has {len(key)} characters; send 1 to {MAX_KEY_LENGTH}.")
        first = self.jobs.find_by_key(key)
        if first is not None and first.body_digest != digest:
            raise IdempotencyMisuse(
                f"The Idempotency-Key {key!r} was used for another upload (job {first.id}); send a new key."
            )
        return first

    def _store(self, job: Job, data: bytes) -> Job:
        """Store the file, then the job. Returns another job if that was added first with the same key."""
        try:
            self.storage.keep_upload(job.id, data)
            accepted = self.jobs.add(job)
        except (OSError, StoreUnavailable) as error:
            self.storage.drop_upload(job.id)
            self.health.pause(error)
            raise Unavailable(
                f"The upload could not be stored. {self.health.reason}", retry_after=RETRY_SECONDS
            ) from error
        if accepted.id != job.id:
            self.storage.drop_upload(job.id)
            return self._accepted_before(job.idempotency_key, job.body_digest or "") or accepted
        return accepted


def clean_name(filename: str) -> str:
    """A file's name without folders and control characters: at most 180 characters and an extension of 20."""
    words = "".join(char for char in filename if char.isprintable() or char.isspace()).split()
    path = PureWindowsPath(" ".join(words))  # separates by / and by \\
    return path.stem[:180] + path.suffix[:20]


def _check_webhook(options: UploadOptions) -> None:
    if options.webhook_url is not None and (reason := check_url(options.webhook_url)):
        raise InvalidWebhookURL(f"The webhook URL {shorten(options.webhook_url, 200)!r} cannot be called: {reason}")
    if options.webhook_secret is not None and not valid_secret(options.webhook_secret):
        raise InvalidOption(f"The webhook_secret is not valid: send {SECRET_FORM}.")


def _check_rows(catalogue: ProductCSV, options: UploadOptions) -> None:
    if options.on_invalid == "reject":
        catalogue.raise_if_invalid()
    elif not catalogue.valid_row_count:
        raise InvalidCSV("No row of the catalogue can be processed.", catalogue.problems)


def _new_job(catalogue: ProductCSV, filename: str, options: UploadOptions, base_url: str) -> Job:
    return Job(
        id=str(uuid.uuid4()),
        status=JobStatus.PENDING,
        message="Accepted; the images are processed next.",
        filename=clean_name(filename),
        charset=catalogue.dialect.encoding.charset,
        warnings=catalogue.warnings,
        row_count=catalogue.row_count,
        invalid_rows=catalogue.row_count - catalogue.valid_row_count,
        total=catalogue.image_count,
        base_url=base_url,
        call_id=http_request_id(),
        **asdict(options),
    )


def _digest(data: bytes, options: UploadOptions) -> str:
    """Identifies an upload: the file and all of its options."""
    digest = hashlib.sha256(repr(options).encode() + b"\0")
    digest.update(data)
    return digest.hexdigest()
