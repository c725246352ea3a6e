"""Accepts an upload: the file is validated and stored, its job is committed, then the worker gets the id."""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import PureWindowsPath
from typing import Any

from image_processor.catalogue import Catalogue, CSVLimits, TableOptions, read_catalogue
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
from image_processor.urls import check_url, is_public

MAX_KEY_LENGTH = 255
RETRY_SECONDS = 10

_OF_TABLE = {field.name for field in fields(TableOptions)}


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """The options of one upload. `table` says what its columns mean and how its result is written."""

    quality: int
    max_dimension: int
    format: str = "keep"
    on_invalid: str = "reject"
    webhook_url: str | None = None
    webhook_secret: str | None = None
    idempotency_key: str | None = None
    table: TableOptions = field(default_factory=TableOptions)


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
        of_table = {name: chosen.pop(name) for name in _OF_TABLE & chosen.keys()}
        if "images_column" in of_table:
            of_table["images_column"] = tuple(of_table["images_column"])
        return replace(self.defaults, **chosen, table=TableOptions(**of_table))

    def read(self, data: bytes, filename: str, options: UploadOptions) -> Catalogue:
        """Read and validate an upload without accepting it. Raises InvalidCSV when it is no catalogue at all."""
        base_url = options.table.image_base_url
        if base_url is not None and (reason := check_url(base_url)):
            raise InvalidOption(f"The image_base_url {shorten(base_url, 200)!r} cannot be used: {reason}")
        return read_catalogue(data, self.csv_limits, options.table, filename=filename)

    def warnings(self, catalogue: Catalogue, options: UploadOptions, base_url: str) -> list[str]:
        """What was repaired or left out, and what will be wrong when the result is imported."""
        warnings = list(catalogue.warnings)
        if options.format == "avif" and not catalogue.takes_avif:
            warnings.append("The platform of this catalogue does not take AVIF; choose another format of the results.")
        if catalogue.understood.profile != "assignment" and not is_public(base_url):
            warnings.append(
                f"The new URLs begin with {base_url}, which a shop cannot fetch from. Set "
                "IMAGE_PROCESSOR_PUBLIC_BASE_URL to the public URL of this server before the result is imported."
            )
        return warnings

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
        catalogue = self.read(data, filename, options)
        _check_rows(catalogue, options)
        job = _new_job(catalogue, filename, options, base_url)
        job.warnings = self.warnings(catalogue, options, base_url)
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


def _check_rows(catalogue: Catalogue, options: UploadOptions) -> None:
    if options.on_invalid == "reject" or catalogue.is_refused:
        catalogue.raise_if_invalid()
    elif not catalogue.valid_row_count:
        raise InvalidCSV("No row of the catalogue can be processed.", catalogue.problems)


def _new_job(catalogue: Catalogue, filename: str, options: UploadOptions, base_url: str) -> Job:
    return Job(
        id=str(uuid.uuid4()),
        status=JobStatus.PENDING,
        message="Accepted; the images are processed next.",
        filename=clean_name(filename),
        charset=catalogue.charset,
        workbook=_workbook_extension(filename) if catalogue.is_editable else None,
        table_options=_resolved(catalogue, options.table),
        row_count=catalogue.row_count,
        invalid_rows=catalogue.row_count - catalogue.valid_row_count,
        total=catalogue.image_count,
        base_url=base_url,
        call_id=http_request_id(),
        **{name: value for name, value in asdict(options).items() if name != "table"},
    )


def _workbook_extension(filename: str) -> str:
    extension = PureWindowsPath(filename).suffix.lower()
    return extension if extension == ".xlsm" else ".xlsx"


def _resolved(catalogue: Catalogue, options: TableOptions) -> dict[str, Any]:
    """The options by which the catalogue is read again as it was understood now, whatever is recognised then."""
    understood = catalogue.understood
    resolved = replace(options, sheet=understood.sheet, output=understood.output, failed=understood.failed)
    if understood.profile not in ("assignment", "list"):
        names = [column.name for column in understood.columns]
        numbers = [
            str(column.number) for column in understood.columns if not column.name or names.count(column.name) > 1
        ]
        if set(numbers) & set(names):  # a number would be taken for the name of another column
            return {**asdict(resolved), "images_column": list(resolved.images_column)}
        given = {
            role: tuple(
                column.name if column.name and names.count(column.name) == 1 else str(column.number)
                for column in understood.columns
                if column.role == role
            )
            for role in ("images", "name", "id")
        }
        name, id_ = (next(iter(given[role]), None) for role in ("name", "id"))
        resolved = replace(resolved, images_column=given["images"], name_column=name, id_column=id_)
    return {**asdict(resolved), "images_column": list(resolved.images_column)}


def _digest(data: bytes, options: UploadOptions) -> str:
    """Identifies an upload: the file and all of its options."""
    digest = hashlib.sha256(repr(options).encode() + b"\0")
    digest.update(data)
    return digest.hexdigest()
