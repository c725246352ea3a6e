"""Accepting an upload: a file becomes validated rows, a kept file and a committed request; then it is submitted."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from image_processor.errors import InvalidCSV, InvalidOption, InvalidWebhookURL
from image_processor.models import ProcessingRequest, RequestStatus
from image_processor.product_csv import CSVLimits, ProductCSV, read_products, sample_csv
from image_processor.repository import Repository
from image_processor.storage import Storage
from image_processor.urls import check_url
from image_processor.webhook import SECRET_FORM, valid_secret

# The pictures under static/samples/, drawn by bench/make_samples.py.
SAMPLE_PRODUCTS: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """How the images of one upload are worked, and who is told when they are."""

    quality: int
    max_dimension: int
    format: str = "keep"
    on_invalid: str = "reject"
    webhook_url: str | None = None
    webhook_secret: str | None = None


class Uploads:
    """The way in, shared by the API, the pages and the command line."""

    def __init__(
        self,
        repository: Repository,
        storage: Storage,
        csv_limits: CSVLimits,
        defaults: UploadOptions,
        submit: Callable[[str], None],
    ) -> None:
        self._repository = repository
        self._defaults = defaults
        self._storage = storage
        self._csv_limits = csv_limits
        self._submit = submit

    def options(self, **chosen: Any) -> UploadOptions:
        """The options of an upload: the server's defaults, and what the caller chose instead."""
        return replace(self._defaults, **chosen)

    def sample(self, base_url: str) -> bytes:
        """A catalogue of pictures that this server hosts itself."""
        return sample_csv(base_url, SAMPLE_PRODUCTS)

    def read(self, data: bytes, filename: str) -> ProductCSV:
        """Read and validate an upload without accepting it. Raises InvalidCSV when it is no catalogue at all."""
        return read_products(data, self._csv_limits, filename=filename)

    def accept_upload(self, data: bytes, filename: str, options: UploadOptions, base_url: str) -> ProcessingRequest:
        """Accept a catalogue: when this returns, the request is committed and will be worked to its end.

        `base_url` becomes the base of all output URLs. Raises InvalidCSV with every problem, InvalidWebhookURL or
        InvalidOption; then nothing is stored.
        """
        _check_webhook(options)
        catalogue = self.read(data, filename)
        _check_rows(catalogue, options)
        request = _new_request(catalogue, filename, options, base_url)
        self._storage.keep_upload(request.id, data)
        try:
            self._repository.create_request(request)
        except BaseException:
            self._storage.drop_upload(request.id)
            raise
        self._submit(request.id)
        return request


def _check_webhook(options: UploadOptions) -> None:
    if options.webhook_url is not None and (reason := check_url(options.webhook_url)):
        raise InvalidWebhookURL(f"The webhook URL {options.webhook_url[:200]!r} cannot be called: {reason}")
    if options.webhook_secret is not None and not valid_secret(options.webhook_secret):
        raise InvalidOption(f"The webhook_secret is not valid: send {SECRET_FORM}.")


def _check_rows(catalogue: ProductCSV, options: UploadOptions) -> None:
    if options.on_invalid == "reject":
        catalogue.raise_if_invalid()
    elif not catalogue.valid_row_count:
        raise InvalidCSV("No row of the catalogue can be worked.", catalogue.problems)


def _new_request(catalogue: ProductCSV, filename: str, options: UploadOptions, base_url: str) -> ProcessingRequest:
    return ProcessingRequest(
        id=str(uuid.uuid4()),
        status=RequestStatus.PENDING,
        message="Accepted; the images are worked next.",
        filename=filename,
        charset=catalogue.dialect.charset,
        warnings=catalogue.warnings,
        row_count=catalogue.row_count,
        invalid_rows=catalogue.row_count - catalogue.valid_row_count,
        total=catalogue.image_count,
        quality=options.quality,
        max_dimension=options.max_dimension,
        format=options.format,
        on_invalid=options.on_invalid,
        base_url=base_url,
        webhook_url=options.webhook_url,
        webhook_secret=options.webhook_secret,
    )
