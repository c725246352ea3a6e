"""Signing, sending once, verifying; and many deliveries due at once."""

import contextlib
import itertools
import json
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping
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
from image_processor.store.health import Health
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


@dataclass
class Sending:
    """Deliveries of one job, by the objects that the application makes of them."""

    job_id: str
    folder: Path
    database: Database
    outbox: Outbox
    client: GuardedClient
    deliveries: Deliveries

    def add(self, *urls: str) -> None:
        with self.database.write() as session:
            session.add_all(new_delivery(self.job_id, url, "{}") for url in urls)

    def attempts(self) -> int:
        return sum(delivery.attempts for delivery, _ in self.outbox.deliveries(self.job_id))


@pytest.fixture
def sending(tmp_path: Path) -> Iterator[Sending]:
    application = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p")
    catalogue = b"S. No.,Product Name,Input Image Urls\n1.,SKU1,https://a.example/1.jpg\n"
    accepted = application.test_client().post("/upload", data=catalogue, content_type="text/csv").get_json()
    folder = tmp_path / "written"
    folder.mkdir()
    with application.app_context(), sender(Database(db.engine), accepted["request_id"], folder) as sending:
        yield sending


@contextlib.contextmanager
def sender(database: Database, job_id: str, folder: Path) -> Iterator[Sending]:
    outbox, client = Outbox(database), GuardedClient(user_agent="test", allowed=AllowedAddresses.parse("127.0.0.0/8"))
    metrics, health = Metrics(lambda: (0, 0)), Health((folder,), database.check)
    schedule = 0.0, 3_600.0
    deliveries = Deliveries(Jobs(database), outbox, client, (new_secret(),), schedule, metrics, health)
    with contextlib.closing(client):
        yield Sending(job_id, folder, database, outbox, client, deliveries)
        deliveries.stop()


def test_many_deliveries_to_a_receiver_that_hangs_do_not_delay_those_to_others(
    sending: Sending, receiver: Receiver
) -> None:
    def arrived() -> bool:
        sending.deliveries.send_due()
        return bool(receiver.messages)

    with hanging() as (listener, address):
        sending.add(*(f"{address}/{number}" for number in range(1_100)))
        sending.add(receiver.url)

        wait_for(arrived)

        assert taken(listener) < SENDERS, "one host has not all senders"


def test_two_processes_send_each_delivery_once(sending: Sending, receiver: Receiver) -> None:
    sending.add(*[receiver.url] * 30)
    with sender(Database(sending.database._engine), sending.job_id, sending.folder) as other:
        barrier = threading.Barrier(2)

        def send(deliveries: Deliveries) -> None:
            barrier.wait(120)
            wait_for(lambda: deliveries.send_due() or not sending.outbox.due(1))  # type: ignore[func-returns-value]

        threads = [threading.Thread(target=send, args=(one.deliveries,)) for one in (sending, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: sending.attempts() == len(receiver.messages) >= 30)

    assert sorted(headers["webhook-id"] for headers, _ in receiver.messages) == sorted(
        delivery.id for delivery, _ in sending.outbox.deliveries(sending.job_id)
    )


def test_a_response_with_a_nul_is_recorded_without_it(sending: Sending) -> None:
    with hanging() as (listener, url):
        sending.add(url)
        sending.deliveries.send_due()
        wait_for(lambda: select.select([listener], [], [], 0)[0])
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\na\0b")
            wait_for(sending.attempts)

    [(_, [attempt])] = sending.outbox.deliveries(sending.job_id)
    assert (attempt.status_code, attempt.answer) == (500, "ab")


def test_nothing_is_sent_while_no_attempt_can_be_recorded(sending: Sending, receiver: Receiver) -> None:
    sending.add(receiver.url)
    sending.folder.rmdir()
    wait_for(lambda: not is_sending())  # threads of other tests

    sending.deliveries.send_due()
    assert not is_sending()
    sending.folder.mkdir()

    def recorded() -> bool:
        sending.deliveries.send_due()
        return sending.attempts() > 0

    wait_for(recorded)
    assert len(receiver.messages) == sending.attempts() == 1


def test_a_delivery_that_the_end_of_the_server_cuts_is_still_due(sending: Sending) -> None:
    with hanging() as (listener, address):
        sending.add(address)
        sending.deliveries.send_due()
        wait_for(lambda: select.select([listener], [], [], 0)[0])

        sending.deliveries.stop()
        wait_for(lambda: sending.client.cut() or not is_sending())

    assert sending.attempts() == 0
    assert len(sending.outbox.due(1)) == 1


@pytest.mark.parametrize("status", ["204 No Content", "410 Gone", "500 Internal Server Error"])
def test_a_redelivery_that_is_requested_during_an_attempt_is_due_when_that_ends(sending: Sending, status: str) -> None:
    with hanging() as (listener, url):
        sending.add(url)
        sending.deliveries.send_due()
        wait_for(lambda: select.select([listener], [], [], 0)[0])
        connection, _ = listener.accept()

        [(delivery, _)] = sending.outbox.deliveries(sending.job_id)
        assert sending.outbox.redeliver(sending.job_id, delivery.id)
        with connection:
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
            wait_for(sending.attempts)

    [(delivery, attempts)] = sending.outbox.deliveries(sending.job_id)
    assert [one.status_code for one in attempts] == [delivery.last_status_code] == [int(status[:3])]
    assert [one.id for one in sending.outbox.due(1)] == [delivery.id]
    assert (delivery.state, delivery.step) == ("pending", 0)


def is_sending() -> bool:
    """Whether there is a thread that sends, or has sent and may do so again."""
    return any(thread.name.startswith("sender") for thread in threading.enumerate())


@contextlib.contextmanager
def hanging() -> Iterator[tuple[socket.socket, str]]:
    """A receiver that accepts connections and never responds: its listener and its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        listener.setblocking(False)
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


def taken(listener: socket.socket) -> int:
    """How many connections have come to a listener."""
    for number in itertools.count():
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return number
    raise AssertionError
