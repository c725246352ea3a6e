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

MAX_BODY_SHOWN = 500
MAX_RETRY_AFTER = 3600.0
SECRET_PREFIX = "whsec_"
SECRET_FORM = f"{SECRET_PREFIX} followed by the base64 of 24 to 64 random bytes"
INBOX_PATH = "/webhooks/inbox"
GONE = 410  # the receiver wants no more of these


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """The result of one attempt. `status_code` is None when there was no response; then `error` says why.

    `permanent` means that another attempt is useless. `retry_after` is the number of seconds the receiver asked for.
    """

    at: datetime
    duration_ms: int
    status_code: int | None = None
    body: str | None = None
    error: str | None = None
    permanent: bool = False
    retry_after: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the response was a 2xx."""
        return self.status_code is not None and 200 <= self.status_code < 300


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
    client: GuardedClient,
    url: str,
    message_id: str,
    body: str,
    secrets: Sequence[str],
    *,
    timeout: float,
    own_base_url: str,
    x_request_id: str,
) -> AttemptResult:
    """Send one message once. Never raises for what the receiver does.

    `x_request_id` is sent along, so that the logs of both sides can be joined.
    """
    at, begun = datetime.now(UTC), time.monotonic()
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signatures(secrets, message_id, at, body),
        "x-request-id": x_request_id,
    }
    try:
        response = client.post(url, body=body.encode(), headers=headers, timeout=timeout, own_base_url=own_base_url)
    except ImageError as error:
        permanent = isinstance(error, BlockedAddress | InvalidURL)
        return AttemptResult(at, _milliseconds(begun), error=error.detail, permanent=permanent)
    return AttemptResult(
        at,
        _milliseconds(begun),
        response.status,
        response.body[:MAX_BODY_SHOWN].decode("utf-8", "replace"),
        permanent=response.status == GONE,
        retry_after=retry_after(response.headers, MAX_RETRY_AFTER) or 0.0,
    )


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


def _milliseconds(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
