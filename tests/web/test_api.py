"""The API through Flask's client: what is accepted, what is refused and how, what is open and what is not."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app

GOOD = b"S. No.,Product Name,Input Image Urls\n1.,SKU1,https://a.example/1.jpg\n"
BAD = b"S. No.,Product Name,Input Image Urls\n1.,SKU1,https://a.example/1.jpg\n2.,,ftp://a.example/1.jpg\n3.,SKU3,\n"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    folder = tmp_path_factory.mktemp("api")
    return create_app(instance_path=folder / "instance", processed_images_path=folder / "processed_images")


@pytest.fixture
def client(application: Flask) -> Iterator[FlaskClient]:
    with application.test_client() as one:
        yield one


def stored(application: Flask) -> list[Path]:
    return list(application.extensions["services"].storage.images.parent.rglob("uploads/*"))


def upload(client: FlaskClient, data: bytes, name: str = "catalogue.csv", **options: str) -> Any:
    return client.post("/upload", data={"file": (io.BytesIO(data), name), **options})


def test_an_upload_is_answered_with_where_to_look(client: FlaskClient) -> None:
    answer = upload(client, GOOD)

    assert answer.status_code == 202
    body = answer.get_json()
    assert answer.headers["Location"] == f"http://localhost/api/v1/requests/{body['request_id']}"
    assert answer.headers["Retry-After"] == "1"
    assert client.get(answer.headers["Location"]).get_json()["request_id"] == body["request_id"]


def test_a_raw_body_and_a_part_of_any_name_are_taken(client: FlaskClient) -> None:
    raw = client.post("/api/v1/requests?quality=40", data=GOOD, content_type="text/csv")
    part = client.post("/upload_csv", data={"csv": (io.BytesIO(GOOD), "x.csv")})

    assert raw.status_code == part.status_code == 202
    assert raw.get_json()["options"]["quality"] == 40
    assert part.get_json()["filename"] == "x.csv"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("каталог.csv", "каталог.csv"),
        ("a\r\n\x1bb.csv", "a b.csv"),
        ("..\\..\\shop/prices\u202e.csv", "prices.csv"),
        ("n" * 20_000 + ".csv", "n" * 180 + ".csv"),
        ("n." + "e" * 20_000, "n." + "e" * 19),
    ],
    ids=range(5),
)
def test_the_name_of_an_upload_is_kept_without_folders_and_control_characters_and_cut(
    client: FlaskClient, name: str, kept: str
) -> None:
    form = "--x\r\nContent-Disposition: form-data; name=file; filename*=UTF-8''%s\r\n\r\n%s\r\n--x--\r\n"
    body = form % (quote(name, safe=""), GOOD.decode())

    answer = client.post("/upload", data=body.encode(), content_type="multipart/form-data; boundary=x")

    assert answer.status_code == 202
    assert answer.get_json()["filename"] == kept


def test_options_come_with_the_form(client: FlaskClient) -> None:
    body = upload(client, GOOD, quality="30", max_dimension="0", format="webp", on_invalid="skip").get_json()

    assert body["options"] == {
        "quality": 30, "max_dimension": 0, "format": "webp", "on_invalid": "skip", "images_column": [],
        "name_column": None, "id_column": None, "sheet": None, "image_base_url": None, "output": "add",
        "failed": "empty",
    }  # fmt: skip


def test_all_problems_are_told_and_nothing_is_stored(client: FlaskClient, application: Flask) -> None:
    before = stored(application)

    answer = upload(client, BAD)

    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    body = answer.get_json()
    assert body["type"] == "/problems/invalid-csv"
    assert body["error"] == body["detail"] == "2 of 3 rows need fixing."
    assert body["error_count"] == len(body["errors"]) == 3
    assert [(item["line"], item["row"], item["column"], item["code"]) for item in body["errors"]] == [
        (3, 2, "Product Name", "empty"),
        (3, 2, "Input Image Urls", "invalid_url"),
        (4, 3, "Input Image Urls", "no_url"),
    ]
    assert stored(application) == before


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"S. No.,Product Name,Input Image Urls\n", "row"),
        (b"S. No.,Product Name\n1,a\n", "Input Image Urls"),
        (b"PK\x03\x04" + b"\0" * 100, "ZIP"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "CSV"),
        (b'{"a": 1}', "JSON"),
    ],
)
def test_what_is_no_catalogue_is_refused_with_a_reason(client: FlaskClient, data: bytes, word: str) -> None:
    answer = upload(client, data)

    assert answer.status_code == 400
    assert word.lower() in answer.get_json()["detail"].lower()


def test_an_upload_over_the_limit_is_refused(tmp_path: Path) -> None:
    small = create_app(
        instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", max_upload_bytes=10_000, max_rows=5
    )
    with small.test_client() as client:
        assert upload(client, b"x" * 500_000).status_code == 413
        answer = upload(client, b"S. No.,Product Name,Input Image Urls\n" + b"1,a,https://a.example/1.jpg\n" * 6)
        assert answer.status_code == 413
        assert "5" in answer.get_json()["detail"]


def test_a_catalogue_with_more_images_than_the_limit_is_refused_with_one_sentence(tmp_path: Path) -> None:
    small = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", max_images=3)
    rows = b'1,a,"https://a.example/1.jpg, https://a.example/1.jpg"\n'
    header = b"S. No.,Product Name,Input Image Urls\n"
    with small.test_client() as client:
        for options in ({}, {"on_invalid": "skip"}):
            refused = upload(client, header + rows * 2, **options)
            assert (refused.status_code, refused.get_json()["type"]) == (413, "/problems/too-large")
            assert refused.get_json()["detail"] == "The file has more than 3 image URLs."
        looked_at = upload(client, header + rows * 2, dry_run="true").get_json()
        assert (looked_at["valid"], looked_at["errors"][0]["code"]) == (False, "too_many_images")
        assert upload(client, header + rows).status_code == 202


def test_a_form_with_too_much_in_it_is_not_called_too_large_a_file(client: FlaskClient) -> None:
    answer = upload(client, GOOD, webhook_url="https://a.example/" + "x" * 200_000)

    assert answer.status_code == 413
    assert "fields" in answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("quality", "0", "invalid-option"),
        ("quality", "96", "invalid-option"),
        ("quality", "high", "invalid-option"),
        ("max_dimension", "-1", "invalid-option"),
        ("format", "bmp", "invalid-option"),
        ("on_invalid", "ignore", "invalid-option"),
        ("webhook_secret", "secret", "invalid-option"),
        ("webhook_url", "ftp://a.example/", "invalid-webhook-url"),
        ("webhook_url", "not a url", "invalid-webhook-url"),
        ("webhook_url", "http://a.example:25/", "invalid-webhook-url"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(client: FlaskClient, option: str, value: str, kind: str) -> None:
    answer = upload(client, GOOD, **{option: value})

    assert answer.status_code == 400
    body = answer.get_json()
    assert body["type"] == f"/problems/{kind}"
    assert option.split("_")[0] in body["detail"].lower()


def test_an_upload_without_a_file_or_with_two_says_what_to_send(client: FlaskClient) -> None:
    nothing = client.post("/upload", data={})
    two = client.post("/upload", data={"a": (io.BytesIO(GOOD), "a"), "b": (io.BytesIO(GOOD), "b")})
    json = client.post("/upload", json={"file": "x"})

    assert nothing.get_json()["type"] == two.get_json()["type"] == "/problems/missing-file"
    assert json.status_code == 415


def test_a_dry_run_tells_everything_and_stores_nothing(client: FlaskClient, application: Flask) -> None:
    before = stored(application)

    good = upload(client, GOOD, dry_run="true").get_json()
    bad = upload(client, BAD, dry_run="true").get_json()
    hopeless = upload(client, b"", dry_run="true").get_json()

    assert good["valid"] is True
    assert (good["row_count"], good["image_count"], good["hosts"]) == (1, 1, {"a.example": 1})
    assert good["preview"][0]["product_name"] == "SKU1"
    assert (bad["valid"], bad["error_count"]) == (False, 3)
    assert (hopeless["valid"], hopeless["row_count"]) == (False, 0)
    assert stored(application) == before


def test_a_dry_run_gives_every_problem_as_csv(client: FlaskClient) -> None:
    rows = b"".join(b"%d,,x\n" % number for number in range(300))
    answer = client.post(
        "/upload?dry_run=true",
        data={"file": (io.BytesIO(b"S. No.,Product Name,Input Image Urls\n" + rows), "a.csv")},
        headers={"Accept": "text/csv"},
    )

    assert answer.content_type.startswith("text/csv")
    assert len(answer.get_data(as_text=True).splitlines()) == 601


@pytest.mark.parametrize(
    "path", ["/status/x", "/request_status/x", "/api/v1/requests/x", "/api/v1/requests/x/output.csv"]
)
def test_an_unknown_request_is_not_found(client: FlaskClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.get_json()["type"] == "/problems/not-found"


def test_output_csv_is_not_ready_before_the_work_is_done(client: FlaskClient) -> None:
    request_id = upload(client, GOOD).get_json()["request_id"]

    answer = client.get(f"/api/v1/requests/{request_id}/output.csv")

    assert answer.status_code == 409
    assert answer.get_json()["type"] == "/problems/not-ready"


@pytest.mark.parametrize(
    "path",
    [
        "/processed_images/../app.py",
        "/processed_images/%2e%2e/app.py",
        "/processed_images//etc/passwd",
        "/processed_images/x/y.tmp",
        "/processed_images/.gitkeep",
        "/processed_images/x/output.csv",
        "/static/../app.py",
    ],
)
def test_no_path_leads_out_of_the_public_folder(client: FlaskClient, path: str) -> None:
    assert client.get(path, follow_redirects=True).status_code == 404


def test_only_the_names_of_this_server_are_served(client: FlaskClient) -> None:
    for host in ("evil.example", "localhost:81", "169.254.169.254", "localhost:80@evil.example", ""):
        answer = client.get("/sample.csv", headers={"Host": host})
        assert answer.status_code == 400, host
        assert answer.get_json()["type"] == "/problems/untrusted-host"
    assert client.get("/sample.csv", headers={"Host": "127.0.0.1"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
def test_another_web_site_cannot_upload(client: FlaskClient, headers: dict[str, str]) -> None:
    answer = client.post("/upload", data={"file": (io.BytesIO(GOOD), "a.csv")}, headers=headers)

    assert answer.status_code == 403
    assert answer.get_json()["type"] == "/problems/cross-site"


def test_an_unsigned_callback_changes_nothing(client: FlaskClient) -> None:
    answer = client.post("/webhooks/inbox", json={"request_id": "x"})

    assert answer.status_code == 401
    assert client.get("/webhooks/inbox").get_json() == {"callbacks": []}


class Endless(io.RawIOBase):
    """A body without an end, which counts what is read of it."""

    given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self.given += len(buffer)
        return len(buffer)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/csv"])
@pytest.mark.parametrize("path", ["/webhooks/inbox", "/sign-in"])
def test_what_needs_no_key_takes_small_bodies_only(tmp_path: Path, path: str, kind: str) -> None:
    locked = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", api_key="k" * 16)
    body = Endless()

    environ = {"wsgi.input": body, "CONTENT_LENGTH": "64001"}
    answer = locked.test_client().post(path, content_type=kind, environ_overrides=environ)

    assert answer.status_code == 413 or path == "/sign-in"
    assert body.given == 0, "refused before it is read"


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/csv"])
def test_a_callback_of_unknown_length_is_read_up_to_the_limit_only(client: FlaskClient, kind: str) -> None:
    body = Endless()

    environ = {"wsgi.input": body, "wsgi.input_terminated": True}
    answer = client.post("/webhooks/inbox", content_type=kind, environ_overrides=environ)

    assert answer.status_code in (401, 413), "what is cut off has no valid signature"
    assert body.given < 200_000


def test_errors_of_the_framework_are_problems_too(client: FlaskClient) -> None:
    unknown = client.get("/api/nothing")
    wrong = client.delete("/upload")

    assert (unknown.status_code, unknown.content_type) == (404, "application/problem+json")
    assert (wrong.status_code, wrong.get_json()["title"]) == (405, "Method Not Allowed")
    assert "POST" in wrong.headers["Allow"]


def test_the_document_lists_the_operations(client: FlaskClient) -> None:
    document = client.get("/docs/openapi.json").get_json()

    assert document["openapi"] == "3.1.0"
    assert {"/api/v1/requests", "/api/v1/requests/{request_id}", "/webhooks/inbox"} <= set(document["paths"])
    assert client.get("/docs/").status_code == 200


def test_every_answer_keeps_browsers_strict(client: FlaskClient) -> None:
    for path in ("/", "/requests", "/docs/", "/healthz", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "unsafe-inline" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
