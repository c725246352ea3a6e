"""Signing, sending once, verifying; and many deliveries due at once."""

import contextlib
import itertools
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from servers import Receiver, wait_for
from standardwebhooks import Webhook

from app import create_app
from image_processor.download.addresses import AllowedAddresses
from image_processor.download.client import GuardedClient
from image_processor.errors import BadSignature
from image_processor.jobs.deliveries import SENDERS, Deliveries
from image_processor.jobs.metrics import Metrics
from image_processor.jobs.webhook import attempt, new_secret, signatures, valid_secret, verify
from image_processor.store.database import Database
from image_processor.store.jobs import Jobs
from image_processor.store.models import db
from image_processor.store.webhooks import Outbox, new_delivery


@dataclass
class Response:
    status: int = 204
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class FakeClient:
    """A client that keeps what is posted and returns a response."""

    def __init__(self, response: Response) -> None:
        self.response = response
        self.headers: Mapping[str, str] = {}
        self.body = b""

    def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str],
        timeout: float = 15,
        own_base_url: str | None = None,
    ) -> Response:
        self.headers, self.body = headers, body
        return self.response


def signed(secret: str, body: str, at: datetime | None = None) -> dict[str, str]:
    at = at or datetime.now(UTC)
    return {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": signatures([secret], "msg_1", at, body),
    }


def test_an_attempt_is_signed_so_that_the_standard_library_verifies_it() -> None:
    old, new = new_secret(), new_secret()
    client = FakeClient(Response())
    delivery = new_delivery("job", "https://a.example/", '{"é": 1}')

    result = attempt(client, delivery, [old, new], "", "r-1")  # type: ignore[arg-type]

    assert result.delivered
    for secret in (old, new):
        assert Webhook(secret).verify(client.body, dict(client.headers)) == {"é": 1}


def test_a_time_that_is_not_utc_is_signed_right() -> None:
    secret = new_secret()
    at = datetime.now(timezone(timedelta(hours=5, minutes=30)))

    assert Webhook(secret).verify("{}", signed(secret, "{}", at)) == {}


def test_the_first_bytes_of_the_response_are_kept() -> None:
    client = FakeClient(Response(500, b"x" * 9_000, {"Retry-After": "7"}))

    result = attempt(client, new_delivery("job", "https://a.example/", "{}"), [new_secret()], "", "r-1")  # type: ignore[arg-type]

    assert (result.attempt.status_code, result.attempt.answer, result.retry_after) == (500, "x" * 500, 7.0)
    assert not result.delivered


def test_a_good_callback_is_taken() -> None:
    secret = new_secret()

    assert verify(signed(secret, '{"a": 1}'), b'{"a": 1}', [new_secret(), secret]) == {"a": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"Webhook-Signature": "v1,AAAA"},
        {"Webhook-Signature": "no comma"},
        {"Webhook-Signature": "v1,not base64!"},
        {"Webhook-Signature": "v1,ünïcode"},
        {"Webhook-Signature": ""},
        {"Webhook-Id": ""},
        {"Webhook-Id": "msg_2"},
        {"Webhook-Timestamp": str(int(time.time()) - 600)},
        {"Webhook-Timestamp": str(int(time.time()) + 600)},
        {"Webhook-Timestamp": "nan"},
        {"Webhook-Timestamp": "1e400"},
        {"Webhook-Timestamp": "soon"},
    ],
)
def test_a_callback_that_is_not_right_is_refused(change: dict[str, str]) -> None:
    secret = new_secret()

    with pytest.raises(BadSignature):
        verify(signed(secret, "{}") | change, b"{}", [secret])


@pytest.mark.parametrize("body", ["[]", "1", "no json", json.dumps("x"), "[" * 100_000])
def test_a_signed_body_that_is_no_object_is_refused(body: str) -> None:
    secret = new_secret()

    with pytest.raises(BadSignature, match="not a JSON object"):
        verify(signed(secret, body), body.encode(), [secret])


def test_a_body_that_is_no_text_is_refused() -> None:
    secret = new_secret()

    with pytest.raises(BadSignature):
        verify(signed(secret, ""), b"\xff\xfe", [secret])


@pytest.mark.parametrize(
    ("secret", "good"),
    [
        pytest.param(new_secret(), True, id="a new one"),
        ("whsec_", False),
        ("whsec_MTIz", False),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", False),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", True),
        ("whsec_ not base64 at all but long enough", False),
    ],
)
def test_secrets_are_checked(secret: str, good: bool) -> None:
    assert valid_secret(secret) is good


def test_many_deliveries_to_a_receiver_that_hangs_do_not_delay_those_to_others(
    tmp_path: Path, receiver: Receiver
) -> None:
    application = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p")
    catalogue = b"S. No.,Product Name,Input Image Urls\n1.,SKU1,https://a.example/1.jpg\n"
    accepted = application.test_client().post("/upload", data=catalogue, content_type="text/csv").get_json()
    request_id = accepted["request_id"]
    with application.app_context():
        database = Database(db.engine)
    outbox = Outbox(database)
    client = GuardedClient(user_agent="test", allowed=AllowedAddresses.parse("127.0.0.0/8"))
    metrics = Metrics(lambda: (0, 0))
    deliveries = Deliveries(Jobs(database), outbox, client, (new_secret(),), (0.0, 3_600.0), metrics)

    def arrived() -> bool:
        deliveries.send_due()
        return bool(receiver.messages)

    with contextlib.closing(client):
        with socket.create_server(("127.0.0.1", 0), backlog=100) as hanging:  # accepts connections and never responds
            address = f"http://127.0.0.1:{hanging.getsockname()[1]}"
            with database.write() as session:
                session.add_all(new_delivery(request_id, f"{address}/{number}", "{}") for number in range(1_100))
            with database.write() as session:
                session.add(new_delivery(request_id, receiver.url, "{}"))

            wait_for(arrived)

            hanging.setblocking(False)
            begun = taken(hanging)
            assert begun < SENDERS, "one host has not all senders"
        deliveries.stop()
        wait_for(lambda: sum(one.attempts for one, _ in outbox.deliveries(request_id)) > begun)


def taken(listener: socket.socket) -> int:
    """How many connections have come to a listener."""
    for number in itertools.count():
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return number
    raise AssertionError
