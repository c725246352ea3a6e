"""What HTTP promises, on every kind of answer: methods, validators, ranges, pages, ids, and errors as problems."""

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_examples import BASE, HEAD, FinishedJob, finished_request
from flask.testing import FlaskClient
from werkzeug.http import parse_options_header

from app import create_app
from image_processor.logs import JSONLine, OneLine
from image_processor.store.models import Job, db

PROBLEM = "application/problem+json"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedJob]:
    with finished_request(tmp_path_factory.mktemp("http")) as one:
        yield one


@pytest.fixture
def client(finished: FinishedJob) -> FlaskClient:
    return finished.client


@pytest.fixture
def image(client: FlaskClient, finished: FinishedJob) -> str:
    """The path of a compressed image."""
    listed = client.get(f"{finished.path}/images?status=Completed", buffered=True).get_json()["images"]
    return str(listed[0]["output_url"]).removeprefix(BASE)


def form(text: str = HEAD + "1.,SKU1,https://a.example/1.jpg\n") -> dict[str, object]:
    return {"file": (io.BytesIO(text.encode()), "catalogue.csv")}


@contextlib.contextmanager
def named(finished: FinishedJob, filename: str) -> Iterator[None]:
    """The request as if its catalogue had been uploaded under this name, kept as it came."""
    with finished.application.app_context():
        request = db.session.get_one(Job, finished.request_id)
        before, request.filename = request.filename, filename
        db.session.commit()
        yield
        request.filename = before
        db.session.commit()


# ---- methods, validators, ranges -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "suffix",
    ["", "/images", "/sizes", "/output.csv", "/errors.csv", "/images.zip", "/webhook-deliveries"],
)
def test_head_answers_like_get_without_the_body(client: FlaskClient, finished: FinishedJob, suffix: str) -> None:
    get, head = client.get(finished.path + suffix, buffered=True), client.head(finished.path + suffix, buffered=True)

    assert (get.status_code, head.status_code, head.data) == (200, 200, b"")
    for name in ("Content-Type", "Content-Length", "Content-Disposition", "ETag"):
        assert head.headers.get(name) == get.headers.get(name), name
    assert int(get.headers["Content-Length"]) == len(get.data) > 0


@pytest.mark.parametrize(
    ("filename", "stem"),
    [
        ("catalogue.csv", "catalogue"),
        ("каталог.csv", "каталог"),
        ("カタログ.csv", "カタログ"),
        ("prices-€.csv", "prices-€"),
        ("Käse ''\"100%\" ; a=b.csv", "Käse ''\"100%\" ; a=b"),
        ("a\r\nSet-Cookie: x=1.csv", "a Set-Cookie: x=1"),
        ("a\0b\x1b[31m\u202e.csv", "ab[31m"),
        ("../../etc/passwd", "passwd"),
        ("C:\\shop\\prices.csv", "prices"),
        ("n" * 100_000 + ".csv", "n" * 180),
        ("\0", "catalogue"),
        ("", "catalogue"),
    ],
    ids=range(12),
)
@pytest.mark.parametrize("kind", ["output.csv", "errors.csv", "images.zip"])
def test_a_download_is_named_after_the_upload_whatever_characters_its_name_has(
    client: FlaskClient, finished: FinishedJob, filename: str, stem: str, kind: str
) -> None:
    with named(finished, filename):
        answer = client.get(f"{finished.path}/{kind}", buffered=True)

    assert (answer.status_code, len(answer.data) > 0) == (200, True)
    header = answer.headers["Content-Disposition"]
    assert header.isascii()
    disposition, options = parse_options_header(header)
    assert (disposition, options["filename"]) == ("attachment", f"{stem}-{kind}")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/upload", {"POST", "OPTIONS"}),
        ("/api/v1/requests", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("/api/v1/requests/x", {"GET", "HEAD", "DELETE", "OPTIONS"}),
        ("/processed_images/x.jpg", {"GET", "HEAD", "OPTIONS"}),
        ("/metrics", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_options_and_a_wrong_method_tell_the_right_ones(client: FlaskClient, path: str, methods: set[str]) -> None:
    options, wrong = client.options(path), client.patch(path)

    assert options.status_code == 200
    assert (wrong.status_code, wrong.content_type) == (405, PROBLEM)
    assert set(options.headers["Allow"].split(", ")) == set(wrong.headers["Allow"].split(", ")) == methods


def test_a_part_of_an_image_can_be_asked_for(client: FlaskClient, image: str) -> None:
    whole = client.get(image, buffered=True)
    part = client.get(image, headers={"Range": "bytes=10-19"}, buffered=True)
    end = client.get(image, headers={"Range": "bytes=-5"}, buffered=True)
    beyond = client.get(image, headers={"Range": "bytes=99999999-"}, buffered=True)

    assert (whole.status_code, whole.headers["Accept-Ranges"]) == (200, "bytes")
    assert (part.status_code, part.data) == (206, whole.data[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole.data)}"
    assert end.data == whole.data[-5:]
    assert (beyond.status_code, beyond.content_type) == (416, PROBLEM)
    assert beyond.headers["Content-Range"] == f"bytes */{len(whole.data)}"


def test_a_range_of_another_version_gives_the_whole_image(client: FlaskClient, image: str) -> None:
    etag = client.head(image, buffered=True).headers["ETag"]

    same = client.get(image, headers={"Range": "bytes=0-0", "If-Range": etag}, buffered=True)
    other = client.get(image, headers={"Range": "bytes=0-0", "If-Range": '"other"'}, buffered=True)

    assert (same.status_code, other.status_code) == (206, 200)


def test_what_has_not_changed_is_not_sent_again(client: FlaskClient, finished: FinishedJob, image: str) -> None:
    for path in (image, finished.path, f"{finished.path}/output.csv"):
        first = client.get(path, buffered=True)
        tag = first.headers["ETag"]
        for known in (tag, f"W/{tag}"):  # a proxy that compresses makes it weak
            again = client.get(path, headers={"If-None-Match": known}, buffered=True)
            assert (again.status_code, again.data) == (304, b""), path
            assert again.headers["ETag"] == tag
    assert "max-age=31536000" in client.head(image, buffered=True).headers["Cache-Control"]


def test_retry_after_comes_as_long_as_a_request_is_not_done(client: FlaskClient, finished: FinishedJob) -> None:
    accepted = client.post("/upload", data=form())

    assert accepted.headers["Retry-After"] == client.get(accepted.headers["Location"]).headers["Retry-After"] == "1"
    assert "Retry-After" not in client.get(finished.path).headers


def test_pages_are_linked_to_the_next_and_lead_to_the_end(client: FlaskClient, finished: FinishedJob) -> None:
    path, seen = f"{finished.path}/images?limit=1", []
    while path:
        answer = client.get(path, buffered=True)
        seen += [image["id"] for image in answer.get_json()["images"]]
        link = answer.headers.get("Link", "")
        assert not link or link.endswith('; rel="next"')
        path = link.partition(">")[0].removeprefix(f"<{BASE}")

    assert seen == sorted(seen)
    assert len(seen) == 4


# ---- the id of a call ----------------------------------------------------------------------------------------------


def test_an_answer_carries_the_id_of_its_call(client: FlaskClient, image: str) -> None:
    for path in ("/healthz", "/nothing", "/static/style.css", image, "/status/x"):
        answer = client.get(path, headers={"X-Request-ID": "shop 42/7"}, buffered=True)
        assert answer.headers.getlist("X-Request-ID") == ["shop 42/7"], path


@pytest.mark.parametrize("sent", ["", " ", "x" * 129, "é", "a\tb"])
def test_an_id_that_makes_no_sense_is_replaced(client: FlaskClient, sent: str) -> None:
    made = [client.get("/healthz", headers={"X-Request-ID": sent}).headers["X-Request-ID"] for _ in range(2)]

    assert made[0] != made[1]
    assert all(len(one) == 32 and one.isalnum() for one in made)


def test_the_log_lines_of_a_call_carry_its_id(client: FlaskClient) -> None:
    lines: list[tuple[str, str]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append((OneLine().format(record), JSONLine().format(record)))

    handler = Kept()
    logger = logging.getLogger("image_processor.jobs.worker")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        accepted = client.post("/upload", data=form(), headers={"X-Request-ID": "order 7"}).get_json()
        logger.info("of no call")
    finally:
        logger.removeHandler(handler)

    (line, as_json), (other, other_json) = lines
    assert f"[order%207] job {accepted['request_id']}: submitted to the worker" in line
    parsed = json.loads(as_json)
    assert (parsed["x_request_id"], parsed["request_id"]) == ("order 7", accepted["request_id"])
    assert parsed["time"].endswith("+00:00")
    assert other.endswith("image_processor.jobs.worker of no call")
    assert "x_request_id" not in json.loads(other_json)


def test_a_json_line_is_one_line_whatever_is_in_it() -> None:
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "a\n\u2028%s", ("b\r\n",), None)
    try:
        raise ValueError("c\nd")
    except ValueError as error:
        record.exc_info = (ValueError, error, error.__traceback__)

    line = JSONLine().format(record)

    assert len(line.splitlines()) == 1
    assert json.loads(line)["message"] == "a\n\u2028b\r\n"
    assert "ValueError: c\nd" in json.loads(line)["traceback"]


# ---- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quality", "[" * 90_000),
        ("quality", "1" * 6_000),
        ("quality", "true"),
        ("quality", "NaN"),
        ("max_dimension", '{"a": 1}'),
        ("dry_run", "[[["),
        ("format", "\0"),
        ("webhook_url", "http://a.example/\0"),
    ],
)
def test_a_form_field_that_makes_no_sense_is_a_problem_and_never_a_defect(
    client: FlaskClient, field: str, value: str
) -> None:
    answer = client.post("/upload", data=form() | {field: value})

    assert (answer.status_code, answer.content_type) == (400, PROBLEM)
    assert field.partition("_")[0] in answer.get_json()["detail"].lower()
    assert "None" not in answer.get_json()["detail"]


@pytest.mark.parametrize("field", ["quality", "max_dimension", "format", "dry_run", "webhook_url"])
def test_an_empty_form_field_is_one_that_nobody_filled_in(client: FlaskClient, field: str) -> None:
    assert client.post("/upload", data=form() | {field: ""}).status_code == 202
    assert client.post(f"/upload?{field}=", data=form()).status_code == 202


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"garbage", "multipart/form-data; boundary=x"),
        (b"garbage", "multipart/form-data"),
        pytest.param(
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ncut',
            "multipart/form-data; boundary=x",
            # Werkzeug leaves the half-read part to the garbage collector.
            marks=pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
        ),
        (b"", "text/csv"),
        (b"\x00\xff" * 50, "text/csv"),
        (b"{", "application/json"),
        (b"file=x", "application/x-www-form-urlencoded"),
    ],
)
def test_a_malformed_body_is_a_problem(client: FlaskClient, body: bytes, content_type: str) -> None:
    answer = client.post("/upload", data=body, content_type=content_type)

    assert answer.status_code in (400, 415)
    assert answer.content_type == PROBLEM
    assert answer.get_json()["error"] == answer.get_json()["detail"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/requests?limit=x", 400),
        ("/api/v1/requests?limit=99999999999999999999", 400),
        ("/api/v1/requests?cursor=%ff%fe", 400),
        ("/api/v1/requests?cursor=MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMHx4", 400),
        ("/api/v1/requests?status=Done", 400),
        ("{request}/images?cursor=-1", 400),
        ("{request}/images?kept=perhaps", 400),
        ("{request}/images?q=" + "x" * 201, 400),
        ("{request}/images?q=", 200),
        ("{request}/images?q=%00%25%ed%a0%80&unknown=1", 200),
        ("{request}/images?status=", 400),
        ("{request}/images?kept=", 400),
        ("{request}/images/99999999999999999999999/source", 400),
        ("{request}/images/0/source", 404),
        ("/processed_images/" + "a" * 5_000 + "/output.csv", 404),
        ("/processed_images/a%00.jpg", 404),
    ],
)
def test_a_weird_address_is_answered_as_a_problem_or_served(
    client: FlaskClient, finished: FinishedJob, path: str, status: int
) -> None:
    answer = client.get(path.replace("{request}", finished.path))

    assert answer.status_code == status
    assert status == 200 or answer.content_type == PROBLEM


def test_a_body_over_the_limit_is_told_with_the_limit(tmp_path: Path) -> None:
    small = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p", max_upload_bytes=10_000)

    answer = small.test_client().post("/upload", data=form(HEAD + "x" * 300_000))

    assert (answer.status_code, answer.content_type) == (413, PROBLEM)
    assert answer.get_json()["type"] == "/problems/too-large"
    assert "up to 10,000." in answer.get_json()["detail"]


def test_a_defect_is_a_problem_without_its_details(finished: FinishedJob, caplog: pytest.LogCaptureFixture) -> None:
    del finished.application.extensions["services"]

    answer = finished.client.get("/metrics")

    assert (answer.status_code, answer.content_type) == (500, PROBLEM)
    assert answer.get_json()["type"] == "/problems/internal-server-error"
    assert "services" not in answer.get_json()["detail"]
    assert "KeyError" in caplog.text


def test_a_database_that_is_away_is_told_as_not_available(tmp_path: Path) -> None:
    application = create_app(instance_path=tmp_path / "i", processed_images_path=tmp_path / "p")
    (tmp_path / "i" / "skulight.db").write_bytes(b"no database " * 1_000)

    answer = application.test_client().get("/api/v1/requests")

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert answer.get_json()["type"] == "/problems/unavailable"
    assert str(tmp_path) not in answer.text
