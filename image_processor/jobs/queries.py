"""What can be asked: requests, their status, images and results, received callbacks. Nothing here changes one."""

import base64
import binascii
import re
import tempfile
import uuid
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from image_processor.catalogue import CSVLimits, read_products, write_errors
from image_processor.download import Downloader
from image_processor.errors import ImageError, InvalidOption, NotFound, NotReady, SourceGone, shorten
from image_processor.imaging import ImagePool, media_type
from image_processor.jobs import webhook
from image_processor.jobs.short_queue import ShortQueue
from image_processor.jobs.status import MOST_IMAGES, MOST_PRODUCTS, StatusBody, etag, product_bodies, status_body
from image_processor.store import (
    Health,
    ImageFilter,
    Job,
    Listings,
    Outbox,
    Product,
    ProductImage,
    ReceivedCallback,
    Repository,
    SizeClass,
    Storage,
    WebhookAttempt,
    now,
)
from image_processor.store import WebhookDelivery as Delivery

MOST_SIZES_KEPT = 256


class Queries:
    """The reading side, shared by the API, the pages and the command line."""

    def __init__(
        self,
        repository: Repository,
        listings: Listings,
        outbox: Outbox,
        storage: Storage,
        health: Health,
        csv_limits: CSVLimits,
    ) -> None:
        self._repository = repository
        self._listings = listings
        self._outbox = outbox
        self._storage = storage
        self._health = health
        self._csv_limits = csv_limits
        # Counting 100,000 images takes a fifth of a second: once for each state of a request.
        self._sizes = lru_cache(MOST_SIZES_KEPT)(lambda request_id, _as_of: listings.sizes(request_id))

    def job(self, request_id: str) -> Job:
        """The request with this id. Raises NotFound."""
        request = self._repository.get_request(request_id) if _is_id(request_id) else None
        if request is None:
            raise NotFound(f"There is no request {shorten(request_id)!r}; check the id, or whether it was deleted.")
        return request

    def status(self, request_id: str) -> StatusBody:
        """Everything about a request, with its first products. Raises NotFound."""
        request = self.job(request_id)
        return self._status(request, self._deliveries(request), self._health.reason)

    def status_unless_known(self, request_id: str, known: Container[str]) -> tuple[str, StatusBody | None]:
        """The ETag of the status, and the status, unless its ETag is among those that are known. Raises NotFound."""
        request = self.job(request_id)
        deliveries, paused = self._deliveries(request), self._health.reason
        tag = etag(request, deliveries, paused)
        return tag, None if tag in known else self._status(request, deliveries, paused)

    def _deliveries(self, request: Job) -> Sequence[Delivery]:
        return self._outbox.deliveries(request.id) if request.webhook_url else ()

    def _status(self, request: Job, deliveries: Sequence[Delivery], paused: str | None) -> StatusBody:
        products = self._repository.products(request.id, limit=MOST_PRODUCTS)
        images = self._repository.images_of([product.id for product in products], limit=MOST_IMAGES)
        return status_body(request, product_bodies(products, images), deliveries, paused)

    def jobs(
        self, limit: int, cursor: str | None = None, status: str | None = None
    ) -> tuple[list[StatusBody], str | None]:
        """One page of requests, newest first, without their products, and the cursor of the next page.

        Raises InvalidOption for a cursor that is none of ours.
        """
        found = self._listings.requests(limit + 1, _place(cursor), status)
        page = [status_body(request, paused=self._health.reason) for request in found[:limit]]
        return page, _cursor(found[limit - 1]) if len(found) > limit else None

    def images(
        self, request_id: str, limit: int, cursor: int = 0, chosen: ImageFilter | None = None
    ) -> tuple[Sequence[tuple[ProductImage, Product]], int | None]:
        """One page of the images of a request with their products, and the cursor of the next page. Raises NotFound."""
        request = self.job(request_id)
        found = self._listings.images(request.id, limit + 1, cursor, chosen or ImageFilter())
        return found[:limit], found[limit - 1][0].id if len(found) > limit else None

    def image(self, request_id: str, image_id: int) -> ProductImage:
        """One image of a request. Raises NotFound."""
        image = self._listings.image(self.job(request_id).id, image_id)
        if image is None:
            raise NotFound(f"Request {request_id} has no image {image_id}.")
        return image

    def sizes(self, request_id: str) -> list[SizeClass]:
        """How the sizes of the images are distributed, before and after. Raises NotFound."""
        request = self.job(request_id)
        return self._sizes(request.id, request.updated_at)

    def deliveries(self, request_id: str) -> list[tuple[Delivery, list[WebhookAttempt]]]:
        """The webhook deliveries of a request with all their attempts, oldest first. Raises NotFound."""
        return self._outbox.deliveries_with_attempts(self.job(request_id).id)

    def output_csv(self, request_id: str) -> tuple[Path, Job]:
        """Where the output.csv of a request lies. Raises NotFound, or NotReady while it is not written."""
        request = self.job(request_id)
        path = self._storage.output_path(request.id)
        if not path.exists():
            raise _not_ready(request, "output.csv")
        return path, request

    def errors_csv(self, request_id: str) -> tuple[BinaryIO, Job]:
        """The rows that failed, with what failed of them and why, ready to be mended and uploaded again.

        A file at its beginning. Raises NotFound, or NotReady while the request is not done.
        """
        request = self.job(request_id)
        if not request.done:
            raise _not_ready(request, "errors.csv")
        try:
            catalogue = read_products(self._storage.upload_path(request.id), self._csv_limits)
        except FileNotFoundError as error:
            raise NotFound("The uploaded catalogue is not kept any more, so its rows cannot be given back.") from error
        file = cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=1_000_000))
        write_errors(catalogue, self._listings.failures(request.id), file)
        file.seek(0)
        return file, request

    def files(self, request_id: str) -> tuple[Iterator[tuple[Path, str]], Job]:
        """All compressed images of a request: where each lies, and a readable name for it.

        Raises NotFound, or NotReady while the request is not done.
        """
        request = self.job(request_id)
        if not request.done:
            raise _not_ready(request, "ZIP archive")
        files = (
            (self._storage.path_of(request.id, url), _readable(row, position, serial, name, url))
            for url, row, position, serial, name in self._listings.files(request.id)
        )
        return ((path, name) for path, name in files if path.exists()), request


class Originals:
    """The source of an image, fetched again through the guarded client to be shown beside the result."""

    def __init__(self, answers: Queries, storage: Storage, downloader: Downloader, pool: ImagePool) -> None:
        self._answers = answers
        self._storage = storage
        self._downloader = downloader
        self._pool = pool
        self._queue = ShortQueue(2, waiting=8, seconds=10.0)

    def fetch(
        self, request_id: str, image_id: int, is_abandoned: Callable[[], bool] = lambda: False
    ) -> tuple[BinaryIO, str]:
        """The original as a file, which the caller closes, and its media type.

        `is_abandoned` says that nobody waits for it any more. Raises NotFound, SourceGone with the reason, or
        Unavailable when too many wait.
        """
        image = self._answers.image(request_id, image_id)
        base_url = self._answers.job(request_id).base_url
        with self._queue.place(is_abandoned), ExitStack() as stack:
            file = cast(BinaryIO, stack.enter_context(self._storage.shown_original()))
            try:
                self._downloader.download(image.input_url, file, own_base_url=base_url, is_abandoned=is_abandoned)
                kind = self._pool.run("sources", is_abandoned, media_type, file.name)
            except ImageError as error:
                raise SourceGone(f"The source of this image cannot be fetched any more. {error.detail}") from error
            stack.pop_all()  # the caller has it now
            file.seek(0)
            return file, kind


class Inbox:
    """Received callbacks: verified, kept once, shown."""

    def __init__(self, outbox: Outbox, secrets: tuple[str, ...]) -> None:
        self._outbox = outbox
        self._secrets = secrets

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Keep a callback; False when it was known already. Raises BadSignature, and then nothing changes."""
        content = webhook.verify(headers, body, self._secrets)
        by_name = {name.lower(): value for name, value in headers.items()}
        sent_at = datetime.fromtimestamp(float(by_name["webhook-timestamp"]), UTC)
        callback = ReceivedCallback(id=by_name["webhook-id"][:255], received_at=now(), sent_at=sent_at, body=content)
        return self._outbox.store_callback(callback)

    def callbacks(self) -> Sequence[ReceivedCallback]:
        """The newest received callbacks, newest first."""
        return self._outbox.received_callbacks()


def _not_ready(request: Job, what: str) -> NotReady:
    return NotReady(
        f"The {what} of request {request.id} is not there yet ({request.progress:.0f}% done); ask again when its "
        "status says done."
    )


def _readable(row: int, position: int, serial: str, name: str, url: str) -> str:
    """A file name for people that sorts like the catalogue: row, position, product. Safe on every file system."""
    words = re.sub(r"[^\w.-]+", "-", f"{serial} {name}").strip("-.")[:80]
    extension = url.rpartition(".")[2]
    return f"{row:05}-{position:02}{'-' if words else ''}{words}.{extension}"


def _cursor(request: Job) -> str:
    place = f"{request.created_at.isoformat()}|{request.id}"
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _place(cursor: str | None) -> tuple[datetime, str] | None:
    if cursor is None:
        return None
    try:
        at, _, request_id = base64.urlsafe_b64decode(cursor + "==").decode().partition("|")
        return datetime.fromisoformat(at).astimezone(UTC), request_id
    except (ValueError, OverflowError, binascii.Error) as error:
        raise InvalidOption("The cursor is not one of this server's; begin without one.") from error


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
