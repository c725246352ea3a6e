"""What can be asked: a request's status and result, the callbacks that came in. Nothing here changes a request."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from image_processor import webhook
from image_processor.errors import NotFound, NotReady
from image_processor.models import ProcessingRequest, ReceivedCallback
from image_processor.repository import Repository, now
from image_processor.status import MOST_IMAGES, MOST_PRODUCTS, StatusBody, status_body
from image_processor.storage import Storage


class Answers:
    """The reading side, shared by the API, the pages and the command line."""

    def __init__(self, repository: Repository, storage: Storage) -> None:
        self._repository = repository
        self._storage = storage

    def request(self, request_id: str) -> ProcessingRequest:
        """The request with this id. Raises NotFound."""
        request = self._repository.get_request(request_id) if _is_id(request_id) else None
        if request is None:
            raise NotFound(f"There is no request {request_id[:100]!r}; check the id, or whether it was deleted.")
        return request

    def status(self, request_id: str) -> StatusBody:
        """Everything about a request, with its first products. Raises NotFound."""
        request = self.request(request_id)
        products = self._repository.products(request.id, limit=MOST_PRODUCTS)
        images = self._repository.images_of([product.id for product in products], limit=MOST_IMAGES)
        return status_body(request, products, images, self._repository.deliveries(request.id))

    def recent(self) -> Sequence[ProcessingRequest]:
        """The newest requests, newest first."""
        return self._repository.recent_requests()

    def output_csv(self, request_id: str) -> tuple[Path, ProcessingRequest]:
        """Where the output.csv of a request lies. Raises NotFound, or NotReady while it is not written."""
        request = self.request(request_id)
        path = self._storage.output_path(request.id)
        if not path.exists():
            raise NotReady(
                f"The output.csv of request {request.id} is not written yet ({request.progress:.0f} % done); ask again "
                "when its status says done."
            )
        return path, request


class Inbox:
    """Received callbacks: verified, kept once, shown."""

    def __init__(self, repository: Repository, secrets: tuple[str, ...]) -> None:
        self._repository = repository
        self._secrets = secrets

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Keep a callback; False when it was known already. Raises BadSignature, and then nothing changes."""
        content = webhook.verify(headers, body, self._secrets)
        by_name = {name.lower(): value for name, value in headers.items()}
        sent_at = datetime.fromtimestamp(float(by_name["webhook-timestamp"]), UTC)
        callback = ReceivedCallback(id=by_name["webhook-id"][:255], received_at=now(), sent_at=sent_at, body=content)
        return self._repository.store_callback(callback)

    def callbacks(self) -> Sequence[ReceivedCallback]:
        """The newest received callbacks, newest first."""
        return self._repository.received_callbacks()


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
