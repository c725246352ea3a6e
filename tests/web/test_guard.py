"""Who may come in: with a key, over the limit, from a page, in the log."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from image_processor.errors import TooManyRequests
from image_processor.web.guard import RateLimit

KEY = "a key of more than sixteen characters"
CSV = b"S. No.,Product Name,Input Image Urls\n1.,SKU1,https://a.example/1.jpg\n"


@pytest.fixture
def locked(tmp_path: Path) -> Flask:
    return create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", api_key=KEY)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def token(client: FlaskClient, path: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get(path).get_data(as_text=True))
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "path",
    [
        "/sample.csv",
        "/samples/shopify.csv",
        "/docs/",
        "/docs/openapi.json",
        "/status/x",
        "/api/v1/requests/x/output.csv",
        "/processed_images/x/output.csv",
        "/webhooks/inbox",
        "/requests",
        "/",
    ],
)
def test_without_the_key_nothing_is_shown(locked: Flask, path: str) -> None:
    client = locked.test_client()

    assert client.get(path, headers={"Accept": "application/json"}).status_code == 401
    assert client.get(path, headers=bearer("wrong") | {"Accept": "application/json"}).status_code == 401
    assert client.get(path, headers=bearer(KEY)).status_code in (200, 404)


@pytest.mark.parametrize("path", ["/healthz", "/sign-in", "/static/mark.svg"])
def test_what_must_be_open_is_open(locked: Flask, path: str) -> None:
    with locked.test_client().get(path) as answer:
        assert answer.status_code == 200


def test_a_watchman_may_call_by_address_and_others_only_by_name(tmp_path: Path) -> None:
    app = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", trusted_hosts="shop.example")
    client = app.test_client()

    codes = {path: client.get(path, headers={"Host": "10.1.2.3:8000"}).status_code for path in ("/healthz", "/readyz")}

    assert codes == {"/healthz": 200, "/readyz": 400}
    assert client.post("/healthz", headers={"Host": "10.1.2.3:8000"}).status_code == 405


@pytest.mark.parametrize(
    ("base", "trusted", "served"),
    [
        ("https://img.example.com", "", ["img.example.com", "IMG.example.com:80", "localhost", "127.0.0.1", "[::1]"]),
        ("https://img.example.com:8443", "", ["img.example.com:8443", "img.example.com", "localhost"]),
        ("https://bücher.example", "", ["xn--bcher-kva.example"]),
        ("https://img.example.com", "lan.example", ["img.example.com", "lan.example", "localhost"]),
        (None, "lan.example", ["lan.example", "localhost"]),
    ],
)
def test_the_host_is_checked_whatever_the_base_of_the_links_is(
    tmp_path: Path, base: str | None, trusted: str, served: list[str]
) -> None:
    app = create_app(
        instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", public_base_url=base, trusted_hosts=trusted
    )

    def status(host: str) -> int:
        return app.test_client().get("/readyz", headers={"Host": host}).status_code

    assert {host: status(host) for host in served} == dict.fromkeys(served, 503)  # served: nothing works here
    for host in ("rebound.example", "localhost:81", "img.example.com.evil.example", "evil.example@localhost", ""):
        assert status(host) == 400, host


@pytest.mark.parametrize("path", ["/processed_images/x/1-1.jpg", "/static/nothing"])
def test_open_folders_answer_for_themselves(locked: Flask, path: str) -> None:
    assert locked.test_client().get(path).status_code == 404


def test_the_hosted_image_needs_no_key_and_the_catalogue_beside_it_does(locked: Flask) -> None:
    request_id = "5ba9aab8-b23c-4152-9290-1da736f716cf"
    folder = locked.extensions["services"].storage.images / request_id
    folder.mkdir()
    (folder / "1-1.jpg").write_bytes(b"picture")
    (folder / "output.csv").write_bytes(b"prices")

    def get(name: str, **headers: str) -> int:
        address = f"/processed_images/{request_id}/{name}"
        return locked.test_client().get(address, headers=headers, buffered=True).status_code

    assert get("1-1.jpg") == 200
    assert [get(name) for name in ("output.csv", "%6futput.csv", "./output.csv", "output.csv/")] == [401, 401, 404, 404]
    assert get("output.csv", **bearer(KEY)) == 404, "no such request"


def test_a_program_with_the_key_uploads_from_anywhere(locked: Flask) -> None:
    answer = locked.test_client().post(
        "/upload", data={"file": (io.BytesIO(CSV), "a.csv")}, headers=bearer(KEY) | {"Origin": "https://shop.example"}
    )

    assert answer.status_code == 202


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic " + KEY, "Bearer " + KEY[:-1], "Bearer ümlaut"])
def test_a_wrong_key_is_told_how_to_show_a_right_one(locked: Flask, header: str) -> None:
    answer = locked.test_client().post("/upload", headers={"Authorization": header})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.get_json()["type"] == "/problems/unauthorized"


def test_a_browser_is_led_to_the_sign_in_page_and_on_to_where_it_wanted(locked: Flask) -> None:
    client = locked.test_client()
    sent = client.get("/requests", headers={"Accept": "text/html"})
    assert (sent.status_code, sent.headers["Location"]) == (303, "/sign-in?next=/requests")

    wrong = client.post(sent.headers["Location"], data={"csrf_token": token(client, "/sign-in"), "key": "wrong"})
    assert wrong.status_code == 403
    assert "not the key" in wrong.get_data(as_text=True)
    right = client.post(sent.headers["Location"], data={"csrf_token": token(client, "/sign-in"), "key": KEY})

    assert (right.status_code, right.headers["Location"]) == (303, "/requests")
    assert client.get("/requests").status_code == 200


def test_the_sign_in_page_leads_nowhere_else(locked: Flask) -> None:
    for next_page in (
        "https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/%09/evil.example",
        "/%0a/evil.example", "/%0d%0aSet-Cookie:x=1", "%09//evil.example", "/%00", "/%20/evil.example", "",
    ):  # fmt: skip
        client = locked.test_client()
        answer = client.post(f"/sign-in?next={next_page}", data={"csrf_token": token(client, "/sign-in"), "key": KEY})
        assert answer.headers["Location"] == "/"


def test_signing_in_is_not_for_guessing(locked: Flask) -> None:
    client = locked.test_client()
    csrf = token(client, "/sign-in")

    codes = [client.post("/sign-in", data={"csrf_token": csrf, "key": f"guess {n}"}).status_code for n in range(12)]

    assert codes == [403] * 10 + [429] * 2
    page = client.post("/sign-in", data={"csrf_token": csrf, "key": "guess"}).get_data(as_text=True)
    assert "There were 10 wrong keys within a minute" in page


def test_wrong_keys_by_authorization_are_not_for_guessing_either(locked: Flask) -> None:
    def status(address: str, key: str) -> int:
        return (
            locked.test_client()
            .get("/requests", headers=bearer(key), environ_base={"REMOTE_ADDR": address})
            .status_code
        )

    assert [status("192.0.2.1", f"guess {n}") for n in range(12)] == [401] * 10 + [429] * 2
    assert status("192.0.2.1", KEY) == 429, "or guessing went on"
    assert [status("192.0.2.2", KEY) for _ in range(30)] == [200] * 30


def test_one_wrong_key_among_right_ones_stops_nobody(locked: Flask) -> None:
    client = locked.test_client()

    for _ in range(30):
        assert client.get("/requests", headers=bearer("an old key")).status_code == 401
        assert client.get("/requests", headers=bearer(KEY)).status_code == 200


def test_a_call_without_a_key_is_no_guess(locked: Flask) -> None:
    client = locked.test_client()

    assert {client.get("/requests", headers={"Accept": "application/json"}).status_code for _ in range(30)} == {401}
    assert client.get("/requests", headers=bearer(KEY)).status_code == 200


def test_the_forms_take_nothing_without_their_token(locked: Flask, tmp_path: Path) -> None:
    assert locked.test_client().post("/sign-in", data={"key": KEY}).status_code != 303
    unlocked = create_app(instance_path=tmp_path / "u", processed_images_path=tmp_path / "v").test_client()

    answer = unlocked.post("/", data={"file": (io.BytesIO(CSV), "a.csv"), "format": "keep"})

    assert answer.status_code == 400
    assert "expired" in answer.get_data(as_text=True) or "CSRF" in answer.get_data(as_text=True)
    assert list((tmp_path / "u" / "uploads").iterdir()) == []


def test_a_signed_in_browser_is_still_guarded_against_other_sites(locked: Flask) -> None:
    client = locked.test_client()
    client.post("/sign-in", data={"csrf_token": token(client, "/sign-in"), "key": KEY})

    answer = client.post("/upload", data={"file": (io.BytesIO(CSV), "a.csv")}, headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403


def test_uploads_are_limited_per_client_and_minute(tmp_path: Path) -> None:
    client = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", rate_limit=2).test_client()

    def upload(address: str) -> tuple[int, str | None]:
        answer = client.post(
            "/upload", data={"file": (io.BytesIO(CSV), "a.csv")}, environ_base={"REMOTE_ADDR": address}
        )
        return answer.status_code, answer.headers.get("Retry-After")

    assert [upload("192.0.2.1")[0] for _ in range(2)] == [202, 202]
    code, wait = upload("192.0.2.1")
    assert code == 429
    assert wait is not None and 1 <= int(wait) <= 60
    assert upload("192.0.2.2")[0] == 202


def test_dry_runs_count_as_uploads_do(tmp_path: Path) -> None:
    client = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", rate_limit=2).test_client()

    codes = [
        client.post("/upload?dry_run=true", data={"file": (io.BytesIO(CSV), "a.csv")}).status_code for _ in range(3)
    ]

    assert codes == [200, 200, 429]


def test_the_limit_forgets_after_a_minute_and_does_not_grow() -> None:
    now = 0.0
    limit = RateLimit(1, "uploads", clock=lambda: now)
    limit.enter("a")
    with pytest.raises(TooManyRequests):
        limit.enter("a")
    now = 60.0
    limit.enter("a")

    for number in range(RateLimit.MOST_CLIENTS * 2):
        limit.enter(str(number))
    limit.enter("a")  # forgotten meanwhile: the memory of the limit is bounded


@pytest.mark.parametrize(("proxies", "seen"), [(0, ["192.0.2.9"]), (1, ["198.51.100.1", "198.51.100.2"])])
def test_forwarded_addresses_are_believed_only_by_setting(tmp_path: Path, proxies: int, seen: list[str]) -> None:
    make: Callable[..., Flask] = create_app
    client = make(
        instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", rate_limit=1, proxies=proxies
    ).test_client()
    codes = [
        client.post(
            "/upload",
            data={"file": (io.BytesIO(CSV), "a.csv")},
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
            environ_base={"REMOTE_ADDR": "192.0.2.9"},
        ).status_code
        for number in (1, 2)
    ]

    assert codes == [202, 202 if len(seen) == 2 else 429]
