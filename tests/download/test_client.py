"""The guarded client against a hostile origin: what the origin saw, what the client raised, how much memory it took."""

import contextlib
import gzip
import ipaddress
import os
import socket
import ssl
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import trustme
from fetching import BufferedClient
from hostile_origin import (
    LOOPBACK,
    FakeResolver,
    HostileOrigin,
    Visit,
    dripping,
    endless,
    full_backlog,
    raw,
    redirect,
    reset,
    response,
    silent,
)

from image_processor.download import connector
from image_processor.download.addresses import AllowedAddresses
from image_processor.download.name_lookup import MAX_RUNNING, NameLookup
from image_processor.errors import (
    BlockedAddress,
    DNSFailure,
    FetchConnectionError,
    FetchTimeout,
    ImageError,
    InvalidURL,
    TLSError,
    TooLarge,
    TooManyRedirects,
    Truncated,
    UnsupportedFormat,
)

OK = b"HTTP/1.1 200 OK\r\n"
LIMIT = 100_000
# Seconds that nothing takes on any machine: what takes longer hangs.
PATIENCE = 120.0
# A timeout that fires in a test. A loaded machine connects and sends a request long before it.
SHORT = 2.0
NewClient = Callable[..., BufferedClient]


@pytest.fixture
def new_client() -> Iterator[NewClient]:
    """Makes clients that know the origin through an allowed address; all are closed at the end."""
    with contextlib.ExitStack() as stack:

        def new(origin: HostileOrigin | None = None, *, allowed: str | None = None, **options: Any) -> BufferedClient:
            text = allowed if allowed is not None else (origin.address if origin else "")
            options = {"connect_timeout": PATIENCE, "total_timeout": PATIENCE, "max_bytes": LIMIT} | options
            client = BufferedClient(user_agent="test/1 (+mailto:me)", allowed=AllowedAddresses.parse(text), **options)
            stack.callback(client.close)
            return client

        yield new


@contextlib.contextmanager
def soon(at_least: float = 0.0) -> Iterator[None]:
    """What is inside takes at least so many seconds, and far less than anything that would end by itself."""
    started = time.monotonic()
    yield
    assert at_least <= time.monotonic() - started < 60


@pytest.fixture
def origin() -> Iterator[HostileOrigin]:
    with HostileOrigin() as running:
        yield running


@pytest.fixture
def secret() -> Iterator[HostileOrigin]:
    """A server that nothing may reach."""
    with HostileOrigin({"/": response(b"secret")}) as running:
        yield running
        assert running.connections == 0


def failure(client: BufferedClient, url: str, **options: Any) -> ImageError:
    with pytest.raises(ImageError) as raised:
        client.get(url, **options)
    detail = raised.value.detail
    assert (detail[0].isupper() or detail[0] == "“") and detail.endswith(".")
    assert "127.0.0" not in detail and "0x" not in detail and "Error" not in detail and "<" not in detail
    return raised.value


# Fetching what a normal shop hosts


def test_an_image_arrives_with_its_status_and_headers(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = response(b"picture", Content_Type="image/jpeg")
    got = new_client(origin).get(origin.url("/a.jpg#part"))
    assert (got.status, got.body, origin.paths()) == (200, b"picture", ["/a.jpg"])
    assert got.headers["content-TYPE"] == "image/jpeg"


def test_the_request_is_plain_and_names_its_sender(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = response()
    new_client(origin).get(origin.url("/a.jpg"))
    (hit,) = origin.hits
    assert set(hit.headers) == {"host", "user-agent", "accept", "accept-encoding"}
    assert hit.headers["user-agent"] == "test/1 (+mailto:me)"
    assert hit.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("path", "on_the_wire"),
    [
        ("//double//slash.jpg", "//double//slash.jpg"),
        ("/a%2Fb%7Ec.jpg?x=%2f&y=[1]", None),
        ("/w_300,h_200/a.jpg?crop=1,2,3", "/w_300,h_200/a.jpg?crop=1,2,3"),
        ("/über weg.jpg", "/%C3%BCber%20weg.jpg"),
        ("", "/"),
        ("?q=1", "/?q=1"),
        ("/a/../b.jpg", "/b.jpg"),
        ("/a/%2e%2E/b.jpg", "/b.jpg"),
    ],
)
def test_the_path_goes_out_as_it_was_written(
    path: str, on_the_wire: str | None, origin: HostileOrigin, new_client: NewClient
) -> None:
    new_client(origin).get(origin.url(path))
    assert origin.paths() == [on_the_wire or path]


def test_connections_are_kept_between_fetches(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = response()
    origin.routes["/empty"] = response(b"", "404 Not Found")
    client = new_client(origin)
    for path in ("/a.jpg", "/empty", "/a.jpg", "/a.jpg"):
        client.get(origin.url(path))
    assert [hit.connection for hit in origin.hits] == [1, 1, 1, 1]


def test_a_kept_connection_that_the_server_closed_in_that_moment_is_replaced(
    origin: HostileOrigin, new_client: NewClient
) -> None:
    closing = threading.Event()

    def close_on_second(visit: Visit) -> bool:
        if visit.hit.connection == 1 and closing.is_set():
            return False  # read the request, sent nothing
        closing.set()
        visit.send(OK + b"Content-Length: 2\r\n\r\nhi")
        return True

    origin.routes["/a.jpg"] = close_on_second
    client = new_client(origin)
    assert [client.get(origin.url("/a.jpg")).body for _ in range(2)] == [b"hi", b"hi"]
    assert [hit.connection for hit in origin.hits] == [1, 1, 2]


def test_a_request_on_a_fresh_connection_that_is_closed_is_not_sent_again(
    origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/a.jpg"] = raw(b"")
    error = failure(new_client(origin), origin.url("/a.jpg"))
    assert isinstance(error, FetchConnectionError) and error.retryable
    assert len(origin.hits) == 1


def test_what_a_server_sends_unrequested_is_not_taken_for_the_next_response(
    origin: HostileOrigin, new_client: NewClient
) -> None:
    sent_more = threading.Event()

    def sends_more(visit: Visit) -> bool:
        visit.send(OK + b"Content-Length: 2\r\n\r\nhi")
        if visit.hit.connection == 1:
            visit.ended.wait(0.1)
            visit.send(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            sent_more.set()
        return True

    origin.routes["/a.jpg"] = sends_more
    client = new_client(origin)
    assert client.get(origin.url("/a.jpg")).body == b"hi"
    assert sent_more.wait(PATIENCE)
    assert client.get(origin.url("/a.jpg")).status == 200
    assert [hit.connection for hit in origin.hits] == [1, 2]


SMUGGLED = OK + b"Content-Length: 7\r\n\r\nforged!"


@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 7\r\n\r\npicture",
        b"Transfer-Encoding: chunked\r\n\r\n7\r\npicture\r\n0\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
    ],
    ids=["length", "chunks", "empty"],
)
@pytest.mark.parametrize("extra", [b"!", SMUGGLED], ids=["a byte", "a response"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_connection_is_not_used_again_when_bytes_follow_the_response(
    framed: bytes, extra: bytes, secure: bool, authority: trustme.CA, ca_bundle: str, new_client: NewClient
) -> None:
    def sends_too_much(visit: Visit) -> bool:
        visit.send(OK + framed + extra)
        return True

    tls = server_context(authority, LOOPBACK) if secure else None
    with HostileOrigin({"/a.jpg": sends_too_much}, tls=tls) as origin:
        client = new_client(origin, ca_bundle=ca_bundle)
        bodies = [client.get(origin.url("/a.jpg")).body for _ in range(2)]
        assert b"forged!" not in bodies and len(set(bodies)) == 1
        assert [hit.connection for hit in origin.hits] == [1, 2]


@pytest.mark.parametrize(
    "head",
    [
        b"content-LENGTH:7\r\nX-Other: a:b\r\n",
        b"Content-Length:\t 7 \t\r\n",
        b"Content-Length: 7\n",
        b": nameless\r\n and folded\r\nContent-Length: 7\r\n",
        b" folded before any\r\nContent-Length: 7\r\n",
        b"X-Folded: one\r\n\ttwo\r\nContent-Length: 7\r\n",
        b"X-Latin: \xe9\xff\r\nContent-Length: 7\r\n",
        b"Content-Length: 7\r\nContent-Length: 7\r\n",
    ],
)
def test_untidy_headers_are_read_as_they_are_meant(head: bytes, origin: HostileOrigin, new_client: NewClient) -> None:
    def stays_open(visit: Visit) -> bool:
        visit.send(OK + head + b"\r\npicture")
        return True

    origin.routes["/a.jpg"] = stays_open
    client = new_client(origin)
    assert [client.get(origin.url("/a.jpg")).body for _ in range(2)] == [b"picture"] * 2
    assert [hit.connection for hit in origin.hits] == [1, 1]


@pytest.mark.parametrize("line", [b"no header at all", b"Content-Length : 99"])
def test_a_line_that_is_no_header_hides_those_after_it_so_the_body_ends_with_the_connection(
    line: bytes, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/a.jpg"] = raw(OK + line + b"\r\nContent-Length: 3\r\n\r\npicture")
    assert new_client(origin).get(origin.url("/a.jpg")).body == b"picture"


def test_a_folded_header_and_a_repeated_one_are_one_value_each(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = raw(OK + b"X-Fold: one\r\n  two\r\nVia: a\r\nVIA: b\r\nContent-Length: 0\r\n\r\n")
    headers = new_client(origin).get(origin.url("/a.jpg")).headers
    assert (headers["X-Fold"], headers["Via"]) == ("one two", "a, b")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (OK + b"Content-Length: 7\r\n\r\npicture", True),
        (OK + b"Content-Length: 7\r\nConnection: close\r\n\r\npicture", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\npicture", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 7\r\n\r\npicture", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n7\r\npicture\r\n0\r\n\r\n", True),
        (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npicture\r\n0\r\n\r\n", False),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", True),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\npicture", False),
    ],
)
def test_a_connection_is_kept_when_its_response_was_read_to_the_end(
    sent: bytes, kept: bool, origin: HostileOrigin, new_client: NewClient
) -> None:
    def stays_open(visit: Visit) -> bool:
        visit.send(sent)
        return True

    origin.routes["/a.jpg"] = stays_open
    client = new_client(origin)
    for _ in range(2):
        client.get(origin.url("/a.jpg"))
    assert [hit.connection for hit in origin.hits] == [1, 1 if kept else 2]


@pytest.mark.parametrize("length", ["abc", "", "-1"])
def test_an_invalid_length_is_ignored_where_the_body_is_not_read(
    length: str, origin: HostileOrigin, new_client: NewClient
) -> None:
    head = f"Content-Length: {length}\r\n\r\n".encode()
    origin.routes |= {
        "/gone.jpg": raw(b"HTTP/1.1 404 Not Found\r\n" + head),
        "/moved.jpg": raw(b"HTTP/1.1 302 Found\r\nLocation: /a.jpg\r\n" + head),
        "/a.jpg": response(),
        "/hook": raw(OK + head + b"thanks"),
    }
    client = new_client(origin)
    assert client.get(origin.url("/gone.jpg")).status == 404
    assert client.get(origin.url("/moved.jpg")).body == b"picture"
    assert client.post(origin.url("/hook"), body=b"{}", headers={}).status == 200


def test_two_different_lengths_are_an_error_whatever_the_status(origin: HostileOrigin, new_client: NewClient) -> None:
    head = b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"  # RFC 9112, section 6.3: an unrecoverable error
    origin.routes |= {
        "/gone.jpg": raw(b"HTTP/1.1 404 Not Found\r\n" + head),
        "/moved.jpg": raw(b"HTTP/1.1 302 Found\r\nLocation: /a.jpg\r\n" + head),
    }
    for path in origin.routes:
        assert isinstance(failure(new_client(origin), origin.url(path)), Truncated)
    assert "/a.jpg" not in origin.paths()


def test_a_connection_that_another_request_uses_is_not_cut_by_the_deadline_before(
    origin: HostileOrigin, new_client: NewClient
) -> None:
    asked, failed, release = threading.Event(), threading.Event(), threading.Event()

    def stuck() -> list[tuple[str, int]]:
        asked.set()
        release.wait(PATIENCE)
        return []

    def after_the_failure(visit: Visit) -> bool:
        visit.send(OK + b"Content-Length: 4\r\n\r\n")
        failed.wait(PATIENCE)
        visit.send(b"late")
        return True

    resolver = FakeResolver({"shop.example": [(LOOPBACK, origin.port)], "stuck.example": stuck})
    origin.routes |= {"/a": redirect("http://stuck.example/"), "/b": after_the_failure}
    client = new_client(resolver=resolver, allowed=origin.address, total_timeout=SHORT)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(failure, client, "http://shop.example/a")
        first.add_done_callback(lambda _: failed.set())
        assert asked.wait(PATIENCE)
        assert client.post("http://shop.example/b", body=b"", headers={}, timeout=PATIENCE).body == b"late"
        assert first.result(PATIENCE).retryable
    release.set()
    assert [hit.connection for hit in origin.hits] == [1, 1]


def test_the_connection_of_a_post_is_kept(origin: HostileOrigin, new_client: NewClient) -> None:
    def stays_open(visit: Visit) -> bool:
        visit.send(OK + b"Content-Length: 6\r\n\r\nthanks")
        return True

    origin.routes["/hook"] = stays_open
    client = new_client(origin)
    for _ in range(3):
        assert client.post(origin.url("/hook"), body=b"{}", headers={}).body == b"thanks"
    assert [hit.connection for hit in origin.hits] == [1, 1, 1]


def test_a_header_that_would_bring_another_along_does_not_go_out(origin: HostileOrigin, new_client: NewClient) -> None:
    for value in ("a\r\nX-Other: b", "a\nb"):
        with pytest.raises(ValueError, match="Invalid header value"):
            new_client(origin).post(origin.url("/"), body=b"", headers={"X-One": value})
    assert not origin.hits


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"]
)
def test_interim_responses_are_skipped(interim: bytes, origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = raw(interim * 3 + OK + b"Content-Length: 2\r\n\r\nhi")
    assert new_client(origin).get(origin.url("/a.jpg")).body == b"hi"


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"picture", mtime=0)),
        ("GZIP", gzip.compress(b"pic", mtime=0) + gzip.compress(b"ture", mtime=0)),
        ("x-gzip", gzip.compress(b"picture", mtime=0) + b"\0\0padding"),
        ("deflate", zlib.compress(b"picture")),
        ("deflate", zlib.compress(b"picture", wbits=-15)),
        ("identity", b"picture"),
    ],
)
def test_a_packed_body_is_unpacked_though_it_was_not_asked_for(
    encoding: str, packed: bytes, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/a.jpg"] = response(packed, Content_Encoding=encoding)
    assert new_client(origin).get(origin.url("/a.jpg")).body == b"picture"


@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 7\r\n\r\npicture",
        b"Content-Length: 7, 7\r\n\r\npicture",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\npic\r\n4;ext=1\r\nture\r\n0\r\n\r\n",
        b"Transfer-Encoding: Chunked\r\n\r\n0007\r\npicture\r\n0\r\nTrailer: x\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n7\r\npicture\r\n0\r\n\r\n",
        b"\r\npicture",
    ],
)
def test_every_lawful_framing_gives_the_whole_body(framed: bytes, origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = raw(OK + framed)
    assert new_client(origin).get(origin.url("/a.jpg")).body == b"picture"


# Addresses


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:7f00:1]",
     "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1:0:0:8000:fffe]", "１２７.０.０.１",
     "127。0。0。1", "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "100.100.100.200", "224.0.0.1"],
)  # fmt: skip
def test_no_spelling_of_a_private_address_is_reached(host: str, secret: HostileOrigin, new_client: NewClient) -> None:
    error = failure(new_client(), secret.url("/", host))
    assert isinstance(error, BlockedAddress) and not error.retryable


def test_localhost_is_refused_by_what_it_resolves_to(secret: HostileOrigin, new_client: NewClient) -> None:
    assert isinstance(failure(new_client(), secret.url("/", "localhost")), BlockedAddress)


@pytest.mark.parametrize(
    "records",
    [
        [(LOOPBACK, 0)],
        [("93.184.215.14", 80), (LOOPBACK, 0)],
        [("2606:4700::1111", 80), ("fe80::1%eth0", 80, 0, 2)],
        [("93.184.215.14", 80)] * 50 + [("10.0.0.1", 80)],
    ],
)
def test_one_private_record_spoils_the_name(
    records: list[tuple[Any, ...]], secret: HostileOrigin, new_client: NewClient
) -> None:
    records = [(ip, port or secret.port, *rest) for ip, port, *rest in records]
    client = new_client(resolver=FakeResolver({"shop.example": records}))
    assert isinstance(failure(client, "http://shop.example/a.jpg"), BlockedAddress)


def test_a_name_that_rebinds_is_dialled_where_it_was_checked(
    origin: HostileOrigin, secret: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/a.jpg"] = raw(OK + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi")
    records = iter([[(LOOPBACK, origin.port)]] + [[(LOOPBACK, secret.port)]] * 9)
    resolver = FakeResolver({"rebind.example": lambda: next(records)})
    client = new_client(origin, resolver=resolver)
    for _ in range(3):
        assert client.get("http://rebind.example/a.jpg").body == b"hi"
    assert len(origin.hits) == 3


def test_an_allowed_address_is_open_for_its_port_only(
    origin: HostileOrigin, secret: HostileOrigin, new_client: NewClient
) -> None:
    client = new_client(origin)
    assert client.get(origin.url("/")).status == 404
    assert isinstance(failure(client, secret.url("/")), BlockedAddress)


def test_this_machine_is_recognised_by_any_of_its_addresses() -> None:
    assert connector.is_this_machine(ipaddress.ip_address(LOOPBACK))
    assert not connector.is_this_machine(ipaddress.ip_address("93.184.215.14"))
    own = {
        ipaddress.ip_address(entry[4][0]) for entry in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    }
    assert all(map(connector.is_this_machine, own))


@pytest.mark.parametrize(
    "url",
    ["ftp://shop.example/a", "file:///etc/passwd", "http://user:pw@shop.example/", "http://shop.example\\@x/",
     "http://shop.example/\r\nX: y", "gopher://127.0.0.1/", "http:///a", "http://[::1/", "http://shop.example:99999/",
     "http://shop.example/" + "a" * 2_048, ""],
)  # fmt: skip
def test_what_is_no_fetchable_url_never_gets_to_a_name_server(url: str, new_client: NewClient) -> None:
    resolver = FakeResolver({})
    assert isinstance(failure(new_client(resolver=resolver), url), InvalidURL)
    assert resolver.asked == []


def test_the_environment_is_ignored(
    origin: HostileOrigin, secret: HostileOrigin, new_client: NewClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, secret.url("/"))
    (tmp_path / "netrc").write_text(f"machine {LOOPBACK} login me password secret\n")
    monkeypatch.setenv("NETRC", os.fspath(tmp_path / "netrc"))
    origin.routes["/a.jpg"] = response(Set_Cookie="session=1; Path=/")
    client = new_client(origin)
    for _ in range(2):
        client.get(origin.url("/a.jpg"))
    assert len(origin.hits) == 2
    assert not any({"cookie", "authorization", "proxy-authorization"} & set(hit.headers) for hit in origin.hits)


# This server's own samples and inbox


def test_the_samples_of_this_server_are_open_by_themselves(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/static/samples/a.jpg"] = origin.routes["/static/samples/deep/b-1_2.jpg"] = response()
    client = new_client()
    base = origin.url("")
    assert client.get(base + "/static/samples/a.jpg", own_base_url=base).body == b"picture"
    assert client.get(base + "/static/samples/deep/b-1_2.jpg?v=1", own_base_url=base + "/").body == b"picture"


@pytest.mark.parametrize(
    "path",
    ["/", "/static/", "/static/samples", "/static/samples/", "/static/samples/../secret",
     "/static/samples/%2e%2e/secret",
     "/static/samples/%2E./secret", "/static/samples/..%2fsecret", "/static/samples/a/../../secret",
     "/static/samples/.hidden", "/static/samples//secret", "/static/samplesx/a.jpg", "/STATIC/samples/a.jpg",
     "//static/samples/a.jpg", "/static/samples/a%00.jpg", "/static/samples/a;b", "/processed_images/a.jpg",
     "/static/samples/../../static/a.jpg", "/webhooks/inbox", "/%73tatic/samples/a.jpg"],
)  # fmt: skip
def test_nothing_else_of_this_server_is_open(path: str, secret: HostileOrigin, new_client: NewClient) -> None:
    base = secret.url("")
    assert isinstance(failure(new_client(), base + path, own_base_url=base), BlockedAddress)


def test_another_port_or_scheme_is_not_this_server(secret: HostileOrigin, new_client: NewClient) -> None:
    client = new_client()
    own = {"own_base_url": "http://127.0.0.1:1"}
    assert isinstance(failure(client, secret.url("/static/samples/a.jpg"), **own), BlockedAddress)
    https = {"own_base_url": f"https://127.0.0.1:{secret.port}"}
    assert isinstance(failure(client, secret.url("/static/samples/a.jpg"), **https), BlockedAddress)


@pytest.mark.parametrize("called", ["localhost", "127.0.0.1", "[::1]"])
def test_a_sample_fetched_under_one_loopback_name_may_be_uploaded_under_another(
    called: str, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/static/samples/a.jpg"] = response()
    client = new_client()
    own = f"http://{called}:{origin.port}"
    assert client.get(origin.url("/static/samples/a.jpg"), own_base_url=own).body == b"picture"


def test_other_names_and_addresses_are_not_this_server(secret: HostileOrigin, new_client: NewClient) -> None:
    client = new_client()
    for called in ("127.0.0.2", "0.0.0.0", "a.localhost", "[::ffff:127.0.0.1]"):
        url = f"http://{called}:{secret.port}/static/samples/a.jpg"
        failure(client, url, own_base_url=secret.url(""))
    own = f"http://shop.example:{secret.port}"
    assert isinstance(failure(client, secret.url("/static/samples/a.jpg"), own_base_url=own), BlockedAddress)


def test_a_redirect_does_not_open_the_samples(
    origin: HostileOrigin, secret: HostileOrigin, new_client: NewClient
) -> None:
    base = secret.url("")
    origin.routes["/a.jpg"] = redirect(base + "/static/samples/a.jpg")
    assert isinstance(failure(new_client(origin), origin.url("/a.jpg"), own_base_url=base), BlockedAddress)


def test_a_sample_that_redirects_opens_nothing_more(
    origin: HostileOrigin, secret: HostileOrigin, new_client: NewClient
) -> None:
    base = origin.url("")
    origin.routes["/static/samples/a.jpg"] = redirect(secret.url("/"))
    origin.routes["/static/samples/b.jpg"] = redirect("/static/samples/c.jpg")
    client = new_client()
    assert isinstance(failure(client, base + "/static/samples/a.jpg", own_base_url=base), BlockedAddress)
    assert isinstance(failure(client, base + "/static/samples/b.jpg", own_base_url=base), BlockedAddress)
    assert origin.paths() == ["/static/samples/a.jpg", "/static/samples/b.jpg"]


def test_the_connection_to_a_sample_is_never_used_for_anything_else(
    origin: HostileOrigin, new_client: NewClient
) -> None:
    base = origin.url("")
    origin.routes["/static/samples/a.jpg"] = origin.routes["/secret"] = response()
    client = new_client()
    client.get(base + "/static/samples/a.jpg", own_base_url=base)
    assert isinstance(failure(client, base + "/secret", own_base_url=base), BlockedAddress)
    assert isinstance(failure(client, base + "/static/samples/a.jpg"), BlockedAddress)
    assert origin.paths() == ["/static/samples/a.jpg"]


# Redirects


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_redirects_are_followed(status: str, origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes |= {"/a/b": redirect("../c.jpg?x=1", status), "/c.jpg": response()}
    got = new_client(origin).get(origin.url("/a/b"))
    assert (got.body, origin.paths()) == (b"picture", ["/a/b", "/c.jpg?x=1"])
    assert {hit.connection for hit in origin.hits} == {1}


@pytest.mark.parametrize("target", ["/x/../c.jpg", "/x/%2e%2e/c.jpg", "%2E%2e/./c.jpg", "/.%2e/../c.jpg"])
def test_the_dots_in_the_target_of_a_redirect_are_resolved_as_browsers_do(
    target: str, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes |= {"/a/b": redirect(target), "/c.jpg": response()}
    assert new_client(origin).get(origin.url("/a/b")).status == 200
    assert origin.paths() == ["/a/b", "/c.jpg"]


@pytest.mark.parametrize(("hops", "fetched"), [(5, True), (6, False)])
def test_five_redirects_are_followed_and_a_sixth_is_not(
    hops: int, fetched: bool, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes |= {f"/{n}": redirect(f"/{n - 1}") for n in range(1, hops + 1)}
    origin.routes["/0"] = response()
    client = new_client(origin)
    if fetched:
        assert client.get(origin.url(f"/{hops}")).body == b"picture"
    else:
        assert isinstance(failure(client, origin.url(f"/{hops}")), TooManyRedirects)
    assert len(origin.hits) == 6


def test_every_hop_is_checked_like_a_first_url(
    origin: HostileOrigin, secret: HostileOrigin, new_client: NewClient
) -> None:
    names = {"inner.example": [(LOOPBACK, secret.port)], "shop.example": [(LOOPBACK, origin.port)]}
    client = new_client(origin, resolver=FakeResolver(names))
    for target in (secret.url("/"), f"//{secret.address}/", "http://inner.example/", "http://[::1]/", "http://0/"):
        origin.routes["/a.jpg"] = redirect(target)
        assert isinstance(failure(client, "http://shop.example/a.jpg"), BlockedAddress)
    for target in ("file:///etc/passwd", "ftp://shop.example/", "http://u:p@shop.example/", "javascript:a()",
                   "data:image/png;base64,AAAA", "http://[", "http://a.example:99999/", "/" + "a" * 3_000,
                   f"http://{LOOPBACK}:25/", "https://shop.example:6667/"):  # fmt: skip
        origin.routes["/a.jpg"] = redirect(target)
        assert isinstance(failure(client, "http://shop.example/a.jpg"), InvalidURL)


def test_the_body_of_a_redirect_is_not_read(origin: HostileOrigin, new_client: NewClient) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /b.jpg\r\nContent-Length: 500000000\r\n\r\n"
    origin.routes |= {"/a.jpg": endless(head, b"x" * 65_536), "/b.jpg": response()}
    assert new_client(origin).get(origin.url("/a.jpg")).body == b"picture"
    assert origin.wait_for_abort()


def test_a_redirect_without_a_target_is_not_followed(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes |= {"/a": response(b"", "302 Found"), "/b": response(b"", "304 Not Modified", Location="/c")}
    client = new_client(origin)
    assert [client.get(origin.url(path)).status for path in ("/a", "/b")] == [302, 304]


def test_a_redirect_to_bare_utf8_is_understood(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes |= {"/a": redirect("/über.jpg"), "/%C3%BCber.jpg": response()}
    assert new_client(origin).get(origin.url("/a")).body == b"picture"


def test_one_deadline_covers_all_hops(origin: HostileOrigin, new_client: NewClient) -> None:
    def slow(visit: Visit) -> bool:
        visit.ended.wait(SHORT / 2)
        visit.send(b"HTTP/1.1 302 Found\r\nLocation: /a\r\nContent-Length: 0\r\n\r\n")
        return True

    origin.routes["/a"] = slow
    with soon(at_least=SHORT):  # the fifth redirect would come later
        assert isinstance(failure(new_client(origin, total_timeout=SHORT), origin.url("/a")), FetchTimeout)


# Bounds


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    "behaviour",
    [
        silent,
        dripping(b"", b"HTTP/1.1 200 OK\r\n" * 300),
        dripping(OK, b"X-Slow: " + b"y" * 5_000),
        dripping(OK + b"Content-Length: 5000\r\n\r\n", b"x" * 5_000),
        dripping(OK + b"\r\n", b"x" * 5_000),
        dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1_000),
        dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"e" * 5_000),
        dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"T: t\r\n" * 1_000),
        dripping(b"", CONTINUE * 1_000, pause=0.01),
        dripping(b"HTTP/1.1 302 Found\r\n", b"Location: /" + b"a" * 5_000),
    ],
    ids="silent status headers length close chunks extension trailer continue redirect".split(),
)
def test_nothing_outlasts_the_deadline(behaviour: Any, origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = behaviour
    with soon(at_least=SHORT):
        error = failure(new_client(origin, total_timeout=SHORT), origin.url("/a.jpg"))
    assert isinstance(error, FetchTimeout) and error.retryable
    assert behaviour is silent or origin.wait_for_abort()


def test_the_deadline_cuts_a_kept_connection_too(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes |= {"/fast": response(), "/slow": dripping(OK + b"Content-Length: 5000\r\n\r\n", b"x" * 5_000)}
    client = new_client(origin, total_timeout=SHORT)
    client.post(origin.url("/fast"), body=b"", headers={}, timeout=PATIENCE)
    with soon():
        assert isinstance(failure(client, origin.url("/slow")), FetchTimeout)
    assert [hit.connection for hit in origin.hits] == [1, 1]


def test_the_deadline_cuts_a_kept_connection_that_a_redirect_led_to(
    origin: HostileOrigin, new_client: NewClient
) -> None:
    with HostileOrigin() as other, ThreadPoolExecutor(1) as pool:
        other.routes |= {"/fast": response(), "/silent": silent}
        origin.routes["/a"] = redirect(other.url("/silent"))
        client = new_client(allowed=f"{origin.address},{other.address}", total_timeout=SHORT)
        client.post(other.url("/fast"), body=b"", headers={}, timeout=PATIENCE)
        failed = pool.submit(failure, client, origin.url("/a"))
        assert isinstance(failed.result(PATIENCE), FetchTimeout)
        assert [hit.connection for hit in other.hits] == [1, 1]


def test_a_timeout_distinguishes_a_slow_server_from_a_dead_one(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes |= {"/slow": dripping(OK + b"\r\n", b"x" * 5_000), "/dead": silent}
    client = new_client(origin, total_timeout=SHORT)
    assert [failure(client, origin.url(path)).responded for path in ("/slow", "/dead")] == [True, False]


@pytest.mark.parametrize(
    "flood",
    [
        endless(b"", CONTINUE * 100),
        endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" * 100),
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"Trailer: x\r\n" * 100),
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * 1000 + b"\r\nx\r\n"),
    ],
    ids="100 103 trailer extensions".split(),
)
def test_a_flood_of_what_is_no_body_is_cut_early(flood: Any, origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = flood
    assert isinstance(failure(new_client(origin), origin.url("/a.jpg")), TooLarge)
    assert origin.wait_for_abort()


@pytest.mark.parametrize(
    "head", [OK, OK + b"X-Long: ", OK + b"X: y\r\n" * 150, b"HTTP/1.1 "], ids=["many", "long", "lines", "status"]
)
def test_headers_without_end_are_cut(head: bytes, origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = endless(
        head, b"x" * 1000 if not head.endswith(b"\r\n") else b"Y: " + b"z" * 997 + b"\r\n"
    )
    error = failure(new_client(origin), origin.url("/a.jpg"))
    assert isinstance(error, TooLarge)
    assert origin.wait_for_abort()


@pytest.mark.parametrize("at", ["connect", "lookup"])
def test_a_dead_machine_costs_the_connect_timeout(at: str, new_client: NewClient) -> None:
    release = threading.Event()
    with full_backlog() as port, soon(at_least=SHORT):
        names: dict[str, object] = {
            "connect.example": [(LOOPBACK, port)],
            "lookup.example": lambda: release.wait(PATIENCE) and [],
        }
        client = new_client(allowed=LOOPBACK, resolver=FakeResolver(names), connect_timeout=SHORT)
        error = failure(client, f"http://{at}.example/")
    release.set()
    assert isinstance(error, FetchTimeout if at == "connect" else DNSFailure)
    assert error.retryable and not error.responded


def test_a_dead_first_address_leaves_time_for_the_second(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/"] = response()
    with full_backlog() as port:
        names: dict[str, object] = {"shop.example": [(LOOPBACK, port), (LOOPBACK, origin.port)]}
        for seconds in (SHORT, 8 * SHORT, 64 * SHORT):  # more where the machine is slow
            client = new_client(allowed=LOOPBACK, resolver=FakeResolver(names), connect_timeout=seconds)
            with contextlib.suppress(FetchTimeout):
                assert client.get("http://shop.example/").body == b"picture"
                return
    pytest.fail("the dead address took all of the time")


def test_kept_addresses_are_in_the_order_in_which_they_were_kept_last() -> None:
    lookup = NameLookup(FakeResolver({}))
    first, second = ((ipaddress.ip_address(LOOPBACK), port) for port in (1, 2))

    lookup.keep("shop.example", 80, (first, second))
    lookup.keep("shop.example", 80, (second, first))

    assert lookup.find("shop.example", 80, PATIENCE, lambda: None) == (second, first)


def test_a_lookup_that_finds_no_thread_does_not_spoil_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    lookup = NameLookup(FakeResolver({"shop.example": [(LOOPBACK, 80)]}))

    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, pytest.raises(DNSFailure) as failed:
        patch.setattr(threading.Thread, "start", no_thread)
        lookup.find("shop.example", 80, PATIENCE, lambda: None)

    assert failed.value.retryable
    assert lookup.find("shop.example", 80, PATIENCE, lambda: None) == ((ipaddress.ip_address(LOOPBACK), 80),)


def test_a_refused_connection_is_retryable(new_client: NewClient) -> None:
    with socket.socket() as closed:
        closed.bind((LOOPBACK, 0))  # bound, but not listening
        error = failure(new_client(allowed=LOOPBACK), f"http://{LOOPBACK}:{closed.getsockname()[1]}/")
    assert isinstance(error, FetchConnectionError) and error.retryable


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_body_up_to_the_limit_is_fetched(
    framing: str, size: int, origin: HostileOrigin, new_client: NewClient
) -> None:
    body = b"x" * size
    heads = {
        "length": b"Content-Length: %d\r\n\r\n%b" % (size, body),
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (size, body),
        "close": b"\r\n" + body,
    }
    origin.routes["/a.jpg"] = raw(OK + heads[framing])
    assert new_client(origin).get(origin.url("/a.jpg")).body == body


BOMB = gzip.compress(b"\0" * 20_000_000, mtime=0)


@pytest.mark.parametrize(
    "behaviour",
    [
        response(b"x" * (LIMIT + 1)),
        endless(OK + b"Content-Length: 99999999999999\r\n\r\n", b"x" * 65_536),
        endless(OK + b"\r\n", b"x" * 65_536),
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
        endless(OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFF\r\n", b"x" * 65_536),
        response(BOMB, Content_Encoding="gzip"),
        response(zlib.compress(b"\0" * 20_000_000), Content_Encoding="deflate"),
    ],
    ids="declared huge-length close chunks huge-chunk gzip deflate".split(),
)
def test_a_byte_beyond_the_limit_is_too_large_and_memory_stays_flat(
    behaviour: Any, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/a.jpg"] = behaviour
    client = new_client(origin)
    tracemalloc.start()
    try:
        error = failure(client, origin.url("/a.jpg"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(error, TooLarge) and not error.retryable
    assert peak < 3_000_000


def test_an_error_keeps_nothing_of_the_download_alive(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = raw(OK + b"Content-Length: 90000\r\n\r\n" + b"x" * 80_000)
    client = new_client(origin)
    failure(client, origin.url("/a.jpg"))
    tracemalloc.start()
    try:
        errors = [failure(client, origin.url("/a.jpg")) for _ in range(20)]
        kept = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert all(isinstance(error, Truncated) for error in errors)
    assert kept < 800_000


def test_many_exchanges_that_time_out_leave_no_descriptor(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = silent
    client = new_client(origin, total_timeout=SHORT)
    failure(client, origin.url("/a.jpg"))
    before = len(os.listdir("/proc/self/fd"))
    with ThreadPoolExecutor(16) as pool:
        errors = list(pool.map(lambda _: failure(client, origin.url("/a.jpg")), range(16)))
    assert all(isinstance(error, FetchTimeout) for error in errors)
    # What is left open is the origin's side, which ends with the origin.
    assert len(os.listdir("/proc/self/fd")) - before <= 16


# Truth


@pytest.mark.parametrize(
    "behaviour",
    [
        raw(OK + b"Content-Length: 100\r\n\r\nshort"),
        raw(OK + b"Content-Length: 100\r\n\r\n"),
        raw(OK + b"Content-Length: 7_0\r\n\r\npicture"),
        raw(OK + b"Content-Length: 7\r\nContent-Length: 8\r\n\r\npicture"),
        raw(OK + b"Content-Length: 7, 8\r\n\r\npicture"),
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\n7\r\npic"),
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\n7\r\npicture\r\n"),
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\npicture\r\n0\r\n\r\n"),
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\n-7\r\npicture\r\n0\r\n\r\n"),
        raw(OK + b"Transfer-Encoding: chunked\r\n\r\n"),
        raw(OK + b"Content-Type: image/jp"),
        raw(OK),
        raw(b"HTTP/1.1 20"),
        reset(OK + b"Content-Length: 100\r\n\r\nshort"),
        response(b"not packed at all", Content_Encoding="gzip"),
    ],
)
def test_half_a_response_is_truncated_and_retryable(
    behaviour: Any, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/a.jpg"] = behaviour
    error = failure(new_client(origin), origin.url("/a.jpg"))
    assert isinstance(error, Truncated) and error.retryable


@pytest.mark.parametrize(
    ("framed", "body"),
    [
        # No length that can be read is none: the body ends with the connection, as in browsers.
        (b"Content-Length: -5\r\n\r\npicture", b"picture"),
        (b"Content-Length: +7\r\n\r\npicture", b"picture"),
        (b"Content-Length: seven\r\n\r\npicture", b"picture"),
        # Chunks: their sizes are known and bounded all the same.
        (b"Transfer-Encoding: chunked\r\n\r\n7\r\npicture!!0\r\n\r\n", b"picture"),
        (b"Transfer-Encoding: chunked\r\n\r\n0x7\r\npicture\r\n0\r\n\r\n", b"picture"),
        # What comes of these is no image, or half of one, which the decoder finds out.
        (b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\npic\r\n0\r\n\r\n", b"3\r\npic\r\n0\r\n\r\n"),
        (b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"picture", mtime=0)[:-8], b"picture"),
        (b"Content-Encoding: gzip\r\n\r\n", b""),
    ],
)
def test_unlawful_framing_that_http_client_accepts_does_no_harm(
    framed: bytes, body: bytes, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/a.jpg"] = raw(OK + framed)
    assert new_client(origin).get(origin.url("/a.jpg")).body == body


def test_a_chunk_size_of_minus_one_does_not_read_without_end(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/a.jpg"] = endless(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65_536)
    assert isinstance(failure(new_client(origin), origin.url("/a.jpg")), Truncated)
    assert origin.wait_for_abort()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip, deflate", "gzip, identity"])
def test_an_unknown_content_encoding_is_refused(encoding: str, origin: HostileOrigin, new_client: NewClient) -> None:
    # Empty members, packed: 3 KB that are gigabytes between the two layers, and nothing at the end.
    origin.routes["/a.jpg"] = response(gzip.compress(gzip.compress(b"") * 100_000, mtime=0), Content_Encoding=encoding)
    assert isinstance(failure(new_client(origin), origin.url("/a.jpg")), UnsupportedFormat)


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-OpenSSH_9.2\r\n", b"<html>hello\n", b"HTTP/1.1 abc OK\r\n\r\n", b"\0" * 99 + b"\n"]
)
def test_a_server_of_another_protocol_is_a_connection_error(
    data: bytes, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/a.jpg"] = raw(data)
    assert isinstance(failure(new_client(origin), origin.url("/a.jpg")), FetchConnectionError)


def test_only_the_body_of_a_200_is_read(origin: HostileOrigin, new_client: NewClient) -> None:
    for status in ("206 Partial Content", "404 Not Found", "500 Oops"):
        head = f"HTTP/1.1 {status}\r\nContent-Length: 500000000\r\n\r\n".encode()
        origin.routes["/a.jpg"] = endless(head, b"x" * 65_536)
        got = new_client(origin).get(origin.url("/a.jpg"))
        assert (got.status, got.body) == (int(status[:3]), b"")


# Names


@pytest.mark.parametrize(
    ("found", "retryable"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), True),
        (socket.gaierror(socket.EAI_SYSTEM, "System error"), True),
        (socket.gaierror(socket.EAI_NONAME, "Not known"), False),
        (socket.gaierror(socket.EAI_FAIL, "Non-recoverable"), False),
        (OSError("out of descriptors"), True),
        (UnicodeError("label too long"), False),
        ([], False),
    ],
)
def test_a_lookup_is_retryable_when_the_name_server_fails_but_not_when_the_name_does_not_exist(
    found: object, retryable: bool, new_client: NewClient
) -> None:
    error = failure(new_client(resolver=FakeResolver({"shop.example": found})), "http://shop.example/")
    assert isinstance(error, DNSFailure) and error.retryable is retryable


def test_one_lookup_serves_all_threads_that_ask_meanwhile(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/"] = response()
    never = threading.Event()  # the name server takes its second: time enough for eight threads to ask
    resolver = FakeResolver({"shop.example": lambda: never.wait(1) or [(LOOPBACK, origin.port)]})
    client = new_client(origin, resolver=resolver)
    with ThreadPoolExecutor(8) as pool:
        fetches = [pool.submit(client.get, "http://shop.example/") for _ in range(8)]
        assert [fetch.result().body for fetch in fetches] == [b"picture"] * 8
    assert resolver.asked == ["shop.example"]


def test_a_stuck_name_server_is_asked_by_one_thread_per_name(new_client: NewClient) -> None:
    release = threading.Event()
    resolver = FakeResolver({"stuck.example": lambda: release.wait(PATIENCE) and []})
    client = new_client(resolver=resolver, connect_timeout=SHORT)
    with soon():  # those who join an overdue lookup do not wait again
        for _ in range(40):
            assert isinstance(failure(client, "http://stuck.example/"), DNSFailure)
    assert resolver.asked == ["stuck.example"]
    release.set()


def test_stuck_lookups_are_capped() -> None:
    release = threading.Event()
    asked: list[str] = []

    def stuck(host: str, port: int) -> list[tuple[str, int]]:
        asked.append(host)
        release.wait(PATIENCE)
        return []

    lookup = NameLookup(stuck)
    for number in range(MAX_RUNNING + 5):
        with pytest.raises(DNSFailure):
            lookup.find(f"{number}.example", 80, 0.01, lambda: None)
    with soon():
        while len(asked) < MAX_RUNNING:
            time.sleep(0.01)
    release.set()
    assert asked == [f"{number}.example" for number in range(MAX_RUNNING)]


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_bundle(authority: trustme.CA) -> Iterator[str]:
    with authority.cert_pem.tempfile() as path:
        yield path


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def test_https_checks_the_name_and_keeps_the_connection(
    authority: trustme.CA, ca_bundle: str, new_client: NewClient
) -> None:
    with HostileOrigin({"/": response()}, tls=server_context(authority, "shop.example")) as origin:
        names: dict[str, object] = {name: [(LOOPBACK, origin.port)] for name in ("shop.example", "other.example")}
        client = new_client(origin, resolver=FakeResolver(names), ca_bundle=ca_bundle)
        for _ in range(3):
            assert client.get("https://shop.example/").body == b"picture"
        assert [hit.connection for hit in origin.hits] == [1, 1, 1]
        assert origin.hits[0].headers["host"] == "shop.example"
        error = failure(client, "https://other.example/")
    assert isinstance(error, TLSError) and not error.retryable and "another name" in error.detail


def test_a_certificate_of_an_unknown_authority_is_refused(new_client: NewClient) -> None:
    with HostileOrigin({"/": response()}, tls=server_context(trustme.CA(), LOOPBACK)) as origin:
        error = failure(new_client(origin), origin.url("/"))
        assert origin.hits == []
    assert isinstance(error, TLSError)


def test_a_certificate_that_names_the_host_in_its_common_name_only_is_refused(
    authority: trustme.CA, ca_bundle: str, new_client: NewClient
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(common_name="shop.example").configure_cert(context)
    with HostileOrigin({"/": response()}, tls=context) as origin:
        resolver = FakeResolver({"shop.example": [(LOOPBACK, origin.port)]})
        error = failure(new_client(origin, resolver=resolver, ca_bundle=ca_bundle), "https://shop.example/")
        assert origin.hits == []
    assert isinstance(error, TLSError) and "another name" in error.detail


@pytest.mark.parametrize(("head", "whole"), [(b"", False), (b"", True), (b"Content-Length: 7\r\n", False)])
def test_a_secure_connection_that_is_cut_under_a_body_without_a_length_is_truncated(
    head: bytes, whole: bool, authority: trustme.CA, ca_bundle: str, new_client: NewClient
) -> None:
    def behave(visit: Visit) -> None:
        visit.send(OK + head + b"\r\npicture")
        if whole:
            assert isinstance(visit.connection, ssl.SSLSocket)
            visit.connection.unwrap()  # announces the end; closing alone does not

    with HostileOrigin({"/a.jpg": behave}, tls=server_context(authority, LOOPBACK)) as origin:
        client = new_client(origin, ca_bundle=ca_bundle)
        if whole or head:
            assert client.get(origin.url("/a.jpg")).body == b"picture"
        else:
            error = failure(client, origin.url("/a.jpg"))
            assert isinstance(error, Truncated) and error.retryable


def test_a_kept_secure_connection_that_the_server_closed_in_that_moment_is_replaced(
    authority: trustme.CA, ca_bundle: str, new_client: NewClient
) -> None:
    def close_on_second(visit: Visit) -> bool:
        if visit.hit.connection == 1 and len(origin.hits) > 1:
            return False  # read the request, sent nothing
        visit.send(OK + b"Content-Length: 2\r\n\r\nhi")
        return True

    with HostileOrigin({"/a.jpg": close_on_second}, tls=server_context(authority, LOOPBACK)) as origin:
        client = new_client(origin, ca_bundle=ca_bundle)
        assert [client.get(origin.url("/a.jpg")).body for _ in range(2)] == [b"hi", b"hi"]
        assert [hit.connection for hit in origin.hits] == [1, 1, 2]


def test_https_to_a_server_that_speaks_http_is_a_tls_error(origin: HostileOrigin, new_client: NewClient) -> None:
    error = failure(new_client(origin), f"https://{origin.address}/")
    assert isinstance(error, TLSError) and not error.retryable


def test_a_redirect_from_https_to_http_is_followed_for_images(
    authority: trustme.CA, ca_bundle: str, origin: HostileOrigin, new_client: NewClient
) -> None:
    origin.routes["/b"] = response()
    with HostileOrigin({"/a": redirect(origin.url("/b"))}, tls=server_context(authority, LOOPBACK)) as secure:
        client = new_client(allowed=f"{origin.address},{secure.address}", ca_bundle=ca_bundle)
        assert client.get(secure.url("/a")).body == b"picture"


def test_the_deadline_cuts_through_tls(authority: trustme.CA, ca_bundle: str, new_client: NewClient) -> None:
    routes = {"/a": dripping(OK + b"Content-Length: 5000\r\n\r\n", b"x" * 5_000)}
    with HostileOrigin(routes, tls=server_context(authority, LOOPBACK)) as origin:
        with soon(at_least=SHORT):
            error = failure(new_client(origin, ca_bundle=ca_bundle, total_timeout=SHORT), origin.url("/a"))
        assert isinstance(error, FetchTimeout)


def test_a_handshake_that_hangs_costs_the_connect_timeout(new_client: NewClient) -> None:
    with socket.create_server((LOOPBACK, 0)) as mute, soon(at_least=SHORT):
        client = new_client(allowed=LOOPBACK, connect_timeout=SHORT)
        error = failure(client, f"https://{LOOPBACK}:{mute.getsockname()[1]}/")
    assert isinstance(error, FetchTimeout)


# Posting


def test_a_post_sends_its_body_and_headers(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/hook"] = response(b"thanks", "202 Accepted")
    headers = {"content-type": "application/json", "webhook-id": "msg_1"}
    got = new_client(origin).post(origin.url("/hook"), body=b'{"a": 1}', headers=headers)
    assert (got.status, got.body) == (202, b"thanks")
    (hit,) = origin.hits
    assert (hit.method, hit.body, hit.headers["webhook-id"]) == ("POST", b'{"a": 1}', "msg_1")
    assert hit.headers["content-length"] == "8" and hit.headers["user-agent"].startswith("test/1")


def test_a_post_follows_no_redirect(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes |= {"/hook": redirect("/other", "307 Temporary Redirect"), "/other": response()}
    assert new_client(origin).post(origin.url("/hook"), body=b"", headers={}).status == 307
    assert origin.paths() == ["/hook"]


@pytest.mark.parametrize("head", [b"\r\n", b"Content-Length: 500000000\r\n\r\n"])
def test_the_response_to_a_post_is_cut_at_4_kb(head: bytes, origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes["/hook"] = endless(OK + head, b"x" * 65_536)
    assert len(new_client(origin).post(origin.url("/hook"), body=b"{}", headers={}).body) == 4_096
    assert origin.wait_for_abort()


def test_a_post_is_bounded_in_time(origin: HostileOrigin, new_client: NewClient) -> None:
    origin.routes |= {"/silent": silent, "/drip": dripping(OK + b"Content-Length: 5000\r\n\r\n", b"x" * 5_000)}
    client = new_client(origin)
    with soon():
        with pytest.raises(FetchTimeout):
            client.post(origin.url("/silent"), body=b"{}", headers={}, timeout=SHORT)
        # The status has arrived and counts; it does not matter that the rest drips.
        assert client.post(origin.url("/drip"), body=b"{}", headers={}, timeout=SHORT).status == 200


def test_a_post_reaches_no_private_address_but_its_own_inbox(origin: HostileOrigin, new_client: NewClient) -> None:
    base = origin.url("")
    origin.routes["/webhooks/inbox"] = response(b"", "204 No Content")
    client = new_client()
    for own in (base, base.replace("127.0.0.1", "localhost")):
        assert client.post(base + "/webhooks/inbox", body=b"{}", headers={}, own_base_url=own).status == 204
    for path in ("/upload", "/webhooks/inbox/", "/webhooks/inbox?x=1", "/webhooks/%69nbox", "/webhooks/inbox/../x"):
        with pytest.raises(BlockedAddress):
            client.post(base + path, body=b"{}", headers={}, own_base_url=base)
    with pytest.raises(BlockedAddress):
        client.post(base + "/webhooks/inbox", body=b"{}", headers={})
    assert len(origin.hits) == 2


# Stopping


@pytest.mark.parametrize("where", ["silent", "dripping", "lookup", "connect", "handshake"])
def test_an_abandoned_exchange_is_cut(where: str, origin: HostileOrigin, new_client: NewClient) -> None:
    release, abandoned = threading.Event(), threading.Event()
    origin.routes |= {"/silent": silent, "/dripping": dripping(OK + b"\r\n", b"x" * 5_000)}
    with full_backlog() as port, socket.create_server((LOOPBACK, 0)) as mute, ThreadPoolExecutor(1) as pool:
        names: dict[str, object] = {
            "stuck.example": lambda: release.wait(PATIENCE) and [],
            "dead.example": [(LOOPBACK, port)],
        }
        client = new_client(allowed=LOOPBACK, resolver=FakeResolver(names))
        urls = {
            "lookup": "http://stuck.example/",
            "connect": "http://dead.example/",
            "handshake": f"https://{LOOPBACK}:{mute.getsockname()[1]}/",
        }
        url = urls.get(where, origin.url(f"/{where}"))
        fetch = pool.submit(failure, client, url, is_abandoned=abandoned.is_set)
        assert where not in ("silent", "dripping") or origin.wait_for_hits(1)
        abandoned.set()
        with soon():
            error = fetch.result(PATIENCE)
        release.set()
    assert isinstance(error, FetchTimeout) and error.retryable


@pytest.mark.parametrize("where", ["silent", "dripping", "lookup", "connect"])
def test_a_cut_ends_what_is_under_way_at_once_and_nothing_more(
    where: str, origin: HostileOrigin, new_client: NewClient
) -> None:
    release, asked = threading.Event(), threading.Event()

    def stuck() -> list[Any]:
        asked.set()
        release.wait(PATIENCE)
        return []

    origin.routes |= {"/silent": silent, "/dripping": dripping(OK + b"\r\n", b"x" * 5_000), "/a.jpg": response()}
    with full_backlog() as port, ThreadPoolExecutor(1) as pool:
        names: dict[str, object] = {"stuck.example": stuck, "dead.example": [(LOOPBACK, port)]}
        resolver = FakeResolver(names)
        client = new_client(allowed=LOOPBACK, resolver=resolver)
        urls = {"lookup": "http://stuck.example/", "connect": "http://dead.example/"}
        fetch = pool.submit(failure, client, urls.get(where, origin.url(f"/{where}")))
        if where == "lookup":
            assert asked.wait(PATIENCE)
            failure(client, "http://nowhere.example/")  # its lookup cannot begin before the other one waits
        elif where == "connect":
            while "dead.example" not in resolver.asked:
                assert not fetch.done()
                time.sleep(0.01)
        else:
            assert origin.wait_for_hits(1)
        with soon():
            while not fetch.done():  # the connection may be a moment from being made when the first cut comes
                client.cut()
                time.sleep(0.01)
        error = fetch.result()
        release.set()
    assert isinstance(error, FetchConnectionError) and error.retryable
    assert client.get(origin.url("/a.jpg")).body == b"picture"
