"""Received callbacks: verified, stored once, listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from image_processor.jobs import webhook
from image_processor.store import Outbox, ReceivedCallback, now


@dataclass(frozen=True, slots=True)
class Inbox:
    """Stores callbacks that are signed with one of `secrets`."""

    outbox: Outbox
    secrets: tuple[str, ...]

    def receive(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Store a callback; False when one with its id is stored already. Raises BadSignature."""
        content = webhook.verify(headers, body, self.secrets)
        by_name = {name.lower(): value for name, value in headers.items()}
        sent_at = datetime.fromtimestamp(float(by_name["webhook-timestamp"]), UTC)
        callback = ReceivedCallback(id=by_name["webhook-id"][:255], received_at=now(), sent_at=sent_at, body=content)
        return self.outbox.store_callback(callback)

    def callbacks(self) -> Sequence[ReceivedCallback]:
        """The newest received callbacks, newest first."""
        return self.outbox.received_callbacks()
