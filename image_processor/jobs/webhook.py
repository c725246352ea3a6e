"""Webhooks by the Standard Webhooks specification: one signed attempt to deliver, and verifying a received one."""

import base64
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from image_processor.download import GuardedClient, retry_after
from image_processor.errors import BadSignature, BlockedAddress, ImageError, InvalidURL
from image_processor.store import WebhookAttempt, WebhookDelivery, now

ATTEMPT_SECONDS = 15.0
MAX_BODY_SHOWN = 500
MAX_RETRY_AFTER = 3600.0
SECRET_PREFIX = "whsec_"
SECRET_FORM = f"{SECRET_PREFIX} followed by the base64 of 24 to 64 random bytes"
INBOX_PATH = "/webhooks/inbox"
GONE = 410  # the receiver wants no more of these


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """One attempt, as it is recorded; its `status_code` is None when there was no response, then `error` says why.

    `permanent` means that another attempt is useless. `retry_after` is the number of seconds the receiver asked for.
    """

    attempt: WebhookAttempt
    permanent: bool = False
    retry_after: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the response was a 2xx."""
        return self.attempt.status_code is not None and 200 <= self.attempt.status_code < 300


def valid_secret(secret: str) -> bool:
    """Whether a text is a secret by the Standard Webhooks specification (`whsec_`, base64 of 24 to 64 bytes)."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        return False
    return secret.startswith(SECRET_PREFIX) and 24 <= len(key) <= 64


def new_secret() -> str:
    """A fresh random secret."""
    return SECRET_PREFIX + base64.b64encode(os.urandom(32)).decode()


def signatures(secrets: Sequence[str], message_id: str, at: datetime, body: str) -> str:
    """The `webhook-signature` header: one `v1,…` per secret, so that receivers can change over to a new one."""
    return " ".join(Webhook(secret).sign(message_id, at.astimezone(UTC), body) for secret in secrets)


def attempt(
    client: GuardedClient, delivery: WebhookDelivery, secrets: Sequence[str], own_base_url: str, x_request_id: str
) -> AttemptResult:
    """Send a webhook once, signed with each of `secrets`. Never raises for what the receiver does.

    `x_request_id` is sent along, so that the logs of both sides can be joined.
    """
    at, begun = now(), time.monotonic()
    headers = {
        "content-type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signatures(secrets, delivery.id, at, delivery.body),
        "x-request-id": x_request_id,
    }
    row = WebhookAttempt(delivery_id=delivery.id, attempted_at=at)
    try:
        response = client.post(
            delivery.url,
            body=delivery.body.encode(),
            headers=headers,
            timeout=ATTEMPT_SECONDS,
            own_base_url=own_base_url,
        )
    except ImageError as error:
        row.error = error.detail
        return AttemptResult(row, permanent=isinstance(error, BlockedAddress | InvalidURL))
    finally:
        row.duration_ms = round((time.monotonic() - begun) * 1000)
    row.status_code, row.answer = response.status, response.body[:MAX_BODY_SHOWN].decode("utf-8", "replace")
    wait = retry_after(response.headers, MAX_RETRY_AFTER) or 0.0
    return AttemptResult(row, permanent=response.status == GONE, retry_after=wait)


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> dict[str, Any]:
    """The content of a received callback that is signed with one of `secrets` and has a recent timestamp.

    Raises BadSignature, with a sentence, for everything else (also for a body that is no JSON object).
    """
    reason = "No secret is configured."
    for secret in secrets:
        try:
            Webhook(secret).verify(body, dict(headers), json_parse=False)
        except WebhookVerificationError as error:
            reason = f"{error}."
        except ValueError:  # a malformed header: no base64, no comma, no UTF-8
            reason = "The webhook headers or the body are malformed."
        else:
            return _json_object(body)
    raise BadSignature(
        f"{reason} Send webhook-id, webhook-timestamp (within 5 minutes of now) and webhook-signature as the Standard "
        "Webhooks specification describes, signed with this server's webhook secret."
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise BadSignature("The body is signed, but it is not a JSON object.")
    return content
