"""Received callbacks: verified, stored once, listed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from image_processor.jobs import webhook
from image_processor.store import Outbox, ReceivedCallback, now


class Inbox:
    """Stores callbacks that are signed with one of `secrets`."""

    def __init__(self, outbox: Outbox, secrets: tuple[str, ...]) -> None:
        self._outbox = outbox
        self._secrets = secrets

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Store a callback; False when one with its id is stored already. Raises BadSignature."""
        content = webhook.verify(headers, body, self._secrets)
        by_name = {name.lower(): value for name, value in headers.items()}
        sent_at = datetime.fromtimestamp(float(by_name["webhook-timestamp"]), UTC)
        callback = ReceivedCallback(id=by_name["webhook-id"][:255], received_at=now(), sent_at=sent_at, body=content)
        return self._outbox.store_callback(callback)

    def callbacks(self) -> Sequence[ReceivedCallback]:
        """The newest received callbacks, newest first."""
        return self._outbox.received_callbacks()
