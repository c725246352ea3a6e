"""From a URL to the bytes of an image, and when to try again."""

import datetime
from collections.abc import Iterator
from email.utils import format_datetime
from io import BytesIO

import pytest
from hostile_origin import HostileOrigin, raw, redirect, response

from image_processor.download.addresses import AllowedAddresses
from image_processor.download.client import GuardedClient
from image_processor.download.downloader import Downloader, retry_delay
from image_processor.errors import FetchTimeout, HTTPStatusError, ImageError, Truncated


@pytest.fixture
def origin() -> Iterator[HostileOrigin]:
    with HostileOrigin() as running:
        yield running


@pytest.fixture
def downloader(origin: HostileOrigin) -> Iterator[Downloader]:
    client = new_client(AllowedAddresses.parse(origin.address))
    yield Downloader(client)
    client.close()


def new_client(allowed: AllowedAddresses) -> GuardedClient:
    return GuardedClient(user_agent="test", allowed=allowed, connect_timeout=120.0, total_timeout=120.0)


def refused(downloader: Downloader, url: str) -> ImageError:
    with pytest.raises(ImageError) as raised:
        downloader.download(url, BytesIO())
    return raised.value


def test_the_bytes_of_a_200_are_the_image(origin: HostileOrigin, downloader: Downloader) -> None:
    origin.routes |= {"/moved": redirect("/a.jpg"), "/a.jpg": response(b"picture")}
    file = BytesIO()
    assert downloader.download(origin.url("/moved"), file) == len(b"picture")
    assert file.getvalue() == b"picture"


def test_samples_of_this_server_can_be_downloaded(origin: HostileOrigin) -> None:
    origin.routes["/static/samples/a.jpg"] = response(b"sample")
    client = new_client(AllowedAddresses())
    base = origin.url("")
    assert Downloader(client).download(base + "/static/samples/a.jpg", BytesIO(), own_base_url=base) == len(b"sample")
    client.close()


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 0\r\n\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
)
def test_an_empty_file_is_truncated(framing: bytes, origin: HostileOrigin, downloader: Downloader) -> None:
    origin.routes["/a.jpg"] = raw(b"HTTP/1.1 200 OK\r\n" + framing)
    error = refused(downloader, origin.url("/a.jpg"))
    assert isinstance(error, Truncated) and error.retryable and "empty" in error.detail


@pytest.mark.parametrize(
    ("status", "detail", "retryable"),
    [
        ("404 Nope", "The server answered 404 Not Found.", False),
        ("410 x", "The server answered 410 Gone.", False),
        ("400 x", "The server answered 400 Bad Request.", False),
        ("201 Created", "The server answered 201 Created.", False),
        ("204 x", "The server answered 204 No Content.", False),
        ("206 x", "The server answered 206 Partial Content.", False),
        ("302 Found", "The server answered 302 Found.", False),
        ("408 x", "The server answered 408 Request Timeout.", True),
        ("425 x", "The server answered 425 Too Early.", True),
        ("500 <b>/etc/passwd</b>", "The server answered 500 Internal Server Error.", True),
        ("503 x", "The server answered 503 Service Unavailable.", True),
        ("599 x", "The server answered 599.", True),
        ("600 x", "The server answered 600.", False),
        ("999 x", "The server answered 999.", False),
    ],
)
def test_any_other_response_is_an_error_in_plain_words(
    status: str, detail: str, retryable: bool, origin: HostileOrigin, downloader: Downloader
) -> None:
    origin.routes["/a.jpg"] = response(b"" if status.startswith("204") else b"page", status)
    error = refused(downloader, origin.url("/a.jpg"))
    assert isinstance(error, HTTPStatusError)
    assert (error.detail, error.retryable, error.http_status) == (detail, retryable, int(status[:3]))
    assert len(origin.hits) == 1


@pytest.mark.parametrize("status", ["401 x", "403 x", "429 x"])
def test_the_commonest_errors_come_with_advice(status: str, origin: HostileOrigin, downloader: Downloader) -> None:
    origin.routes["/a.jpg"] = response(b"", status)
    assert refused(downloader, origin.url("/a.jpg")).detail.count(".") == 2


def in_seconds(seconds: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return format_datetime(moment, usegmt=True)


@pytest.mark.parametrize(
    ("header", "lowest", "highest"),
    [
        ("7", 7, 7),
        (" 7 ", 7, 7),
        ("1.5", 1.5, 1.5),
        ("0", 0, 0),
        ("3600", 60, 60),
        ("9" * 300, 60, 60),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0, 0),
    ],
)
def test_what_the_server_asks_for_is_understood_within_bounds(
    header: str, lowest: float, highest: float, origin: HostileOrigin, downloader: Downloader
) -> None:
    origin.routes["/a.jpg"] = response(b"", "429 x", Retry_After=header)
    asked = refused(downloader, origin.url("/a.jpg")).retry_after
    assert asked is not None and lowest <= asked <= highest


@pytest.mark.parametrize(("ahead", "lowest", "highest"), [(50, 5, 50), (-20, 0, 0), (86_400, 60, 60)])
def test_a_date_in_retry_after_is_counted_from_now(
    ahead: float, lowest: float, highest: float, origin: HostileOrigin, downloader: Downloader
) -> None:
    origin.routes["/a.jpg"] = response(b"", "429 x", Retry_After=in_seconds(ahead))
    asked = refused(downloader, origin.url("/a.jpg")).retry_after
    assert asked is not None and lowest <= asked <= highest


@pytest.mark.parametrize(
    "header",
    ["", "soon", "-5", "nan", "inf", "1e9", "٣", "9" * 5_000, "Wed, 99 Oct 99999 07:28:00 GMT",
     "Fri, 31 Feb 2026 25:61:00 GMT"],
)  # fmt: skip
def test_nonsense_in_retry_after_is_ignored(header: str, origin: HostileOrigin, downloader: Downloader) -> None:
    origin.routes["/a.jpg"] = response(b"", "503 x", Retry_After=header)
    error = refused(downloader, origin.url("/a.jpg"))
    assert error.retry_after is None and error.http_status == 503


def test_a_permanent_error_carries_no_retry_after(origin: HostileOrigin, downloader: Downloader) -> None:
    origin.routes["/a.jpg"] = response(b"", "404 x", Retry_After="5")
    assert refused(downloader, origin.url("/a.jpg")).retry_after is None


@pytest.mark.parametrize(("attempt", "longest"), [(1, 1.0), (2, 2.0), (3, 4.0), (50, 30.0), (10_000, 30.0)])
def test_the_backoff_doubles_and_is_jittered_over_its_whole_width(attempt: int, longest: float) -> None:
    delays = [retry_delay(FetchTimeout(), attempt) for _ in range(400)]
    assert 0.0 <= min(delays) < 0.1 * longest
    assert 0.9 * longest < max(delays) <= longest


@pytest.mark.parametrize(("asked", "lowest", "highest"), [(5.0, 5.0, 6.0), (60.0, 60.0, 60.0), (9_999.0, 60.0, 60.0)])
def test_retry_after_is_honoured_up_to_a_minute(asked: float, lowest: float, highest: float) -> None:
    error = HTTPStatusError(http_status=429, retry_after=asked, permanent=False)
    assert all(lowest <= retry_delay(error, 1) <= highest for _ in range(100))
