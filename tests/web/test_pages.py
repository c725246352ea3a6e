"""The pages as the server makes them: without a browser, without a script."""

import html
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sample_images import cut_out, encoded, photo
from servers import SkulightServer
from werkzeug.exceptions import ServiceUnavailable

from app import create_app
from image_processor.errors import NotFound
from image_processor.imaging.compressor import Compressor
from image_processor.imaging.pool import ImagePool
from image_processor.jobs.thumbnails import MAX_BYTES, Thumbnails
from image_processor.store.files import Storage
from image_processor.web.filters import short_address, size, with_code

REQUEST = "11111111-2222-4333-8444-555555555555"
HEADER = "S. No.,Product Name,Input Image Urls\n"
PAGE = {"Accept": "text/html"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    """The application on an empty installation; nothing is finished."""
    made = create_app(instance_path=tmp_path / "instance", processed_images_path=tmp_path / "processed_images")
    yield made
    with made.app_context():
        from image_processor.store.models import db

        db.engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def token(client: FlaskClient, path: str = "/") -> str:
    """The CSRF token of a page's form."""
    found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', client.get(path, headers=PAGE).text)
    assert found is not None
    return found[1]


def upload(client: FlaskClient, csv: str, **fields: str | list[str]) -> tuple[int, str, str]:
    """Send the form as a browser without scripts does: the status, the Location, the page."""
    data = {"csrf_token": token(client), "file": (io.BytesIO(csv.encode()), "shop.csv"), **fields}
    answer = client.post("/", data=data, headers=PAGE)
    return answer.status_code, answer.headers.get("Location", ""), answer.text


# ---- upload and request ----


def test_the_form_leads_to_the_page_of_the_request(client: FlaskClient) -> None:
    status, location, _ = upload(client, HEADER + "1.,Mug,http://shop.example/mug.jpg\n")
    assert status == 303
    page = client.get(location, headers=PAGE).text
    assert "shop.csv" in page
    assert '<noscript><meta http-equiv="refresh"' in page
    assert "shop.csv" in client.get("/requests").text


def test_a_bad_file_is_refused_with_every_problem_in_a_table(client: FlaskClient) -> None:
    csv = HEADER + "1.,,http://shop.example/a.jpg\n2.,Lamp,nonsense\n3.,Vase,http://shop.example/c.jpg\n"
    status, _, page = upload(client, csv)
    assert status == 400
    assert "2 of 3 rows need fixing." in page
    assert page.count('data-label="Line"') == 2
    assert "nonsense" in page


def test_the_good_rows_run_when_the_others_may_be_skipped(client: FlaskClient) -> None:
    csv = HEADER + "1.,,http://shop.example/a.jpg\n2.,Vase,http://shop.example/c.jpg\n"
    assert upload(client, csv, skip="y")[0] == 303


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("quality", "99", "between 1 and 95"),
        ("max_dimension", "-1", "between 0 and 65500"),
        ("webhook_url", "ftp://shop.example/", "cannot be called"),
    ],
)
def test_an_option_that_makes_no_sense_is_said_on_the_form(
    client: FlaskClient, field: str, value: str, said: str
) -> None:
    status, _, page = upload(client, HEADER + "1.,Mug,http://shop.example/mug.jpg\n", **{field: value})
    assert status == 400
    assert said in page
    assert '<details id="options" class="mb-3" open>' in page


def test_texts_of_a_catalogue_are_shown_never_run(client: FlaskClient) -> None:
    csv = HEADER + '1.,<script>alert(1)</script>,http://shop.example/"onload="x.jpg\n'
    _, location, refused = upload(client, csv)
    page = refused + (client.get(location, headers=PAGE).text if location else "")
    page += client.get("/requests?status=<script>alert(1)</script>&cursor=", headers=PAGE).text
    assert "<script>alert" not in page
    assert '"onload="' not in page


def test_pages_carry_no_inline_script_and_no_inline_style(client: FlaskClient) -> None:
    _, location, _ = upload(client, HEADER + "1.,Mug,http://shop.example/mug.jpg\n")
    for path in (
        "/",
        "/requests",
        "/inbox",
        location,
        f"{location}/delete",
        f"{location}/webhooks",
        "/nowhere",
        "/docs/",
    ):
        page = client.get(path, headers=PAGE).text
        assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page), path


# ---- any catalogue ----

UNKNOWN = "Kategorie,Foto 1a,Foto 1b\n" + "".join(
    f"Mug {n},https://shop.example/{n}.jpg,https://shop.example/{n}b.jpg\n" for n in range(3)
)


def post(client: FlaskClient, **fields: object) -> tuple[int, str]:
    """Send the form without a file: the status, and the page or the Location."""
    answer = client.post("/", data={"csrf_token": token(client), **fields}, headers=PAGE)
    return answer.status_code, answer.headers.get("Location") or html.unescape(answer.text)


def uses(page: str) -> dict[str, str]:
    """What the table of a refusal suggests each column for."""
    lists = re.findall(r'aria-label="Use ([^"]*) as">(.*?)</select>', page, re.DOTALL)
    return {name: "".join(re.findall(r'value="([^"]*)" selected', options)) for name, options in lists}


def options_of(client: FlaskClient, location: str) -> dict[str, object]:
    """The options of a job that an upload led to."""
    body = client.get(f"/api/v1/requests/{location.rpartition('/')[2]}").get_json()
    return {name: value for name, value in body["options"].items() if value not in (None, [])}


def test_a_refusal_for_its_columns_offers_them_and_a_choice_is_accepted(client: FlaskClient) -> None:
    status, _, page = upload(client, UNKNOWN)
    assert status == 400
    assert uses(page) == {"Kategorie": "", "Foto 1a": "images:Foto 1a", "Foto 1b": ""}

    chosen = ["name:Kategorie", "images:Foto 1a", "images:Foto 1b"]
    status, location, _ = upload(client, UNKNOWN, use=chosen)
    assert status == 303
    options = options_of(client, location)
    assert options["images_column"] == ["Foto 1a", "Foto 1b"]
    assert (options["name_column"], options["output"], options["failed"]) == ("Kategorie", "replace", "keep")


def test_a_choice_is_kept_when_another_field_is_refused(client: FlaskClient) -> None:
    for fields in ({"quality": "99"}, {"webhook_url": "ftp://shop.example/"}):
        status, _, page = upload(client, UNKNOWN, use=["images:Foto 1b"], **fields)
        assert status == 400
        assert uses(page) == {"Kategorie": "", "Foto 1a": "", "Foto 1b": "images:Foto 1b"}


@pytest.mark.parametrize("role", ["name", "id"])
def test_two_columns_of_one_role_are_refused_by_their_names(client: FlaskClient, role: str) -> None:
    status, _, page = upload(client, UNKNOWN, use=["images:Foto 1a", f"{role}:Kategorie", f"{role}:Foto 1b"])
    assert status == 400
    assert f"More than one column is used as the {role}: “Kategorie”, “Foto 1b”. Choose one." in page
    assert "images:Foto 1a" in uses(page).values()


def test_columns_without_a_name_of_their_own_are_chosen_by_number(client: FlaskClient) -> None:
    table = UNKNOWN.replace("Foto 1b", "Foto 1a").replace("Kategorie", "")
    offered = re.findall('value="images:([^"]*)"', upload(client, table)[2])
    assert offered == ["1", "2", "3"]
    _, location, _ = upload(client, table, use=["images:3"])
    assert options_of(client, location)["images_column"] == ["3"]


def test_relative_paths_open_the_field_of_their_base_url(client: FlaskClient) -> None:
    status, _, page = upload(client, "sku,name,image\n1,Mug,/m/mug.jpg\n")
    assert status == 400
    assert "enter the base URL of relative paths below" in page
    assert '<details id="options" class="mb-3" open>' in page
    assert uses(page)["image"] == "images:image"
    status, location, _ = upload(
        client,
        "sku,name,image\n1,Mug,/m/mug.jpg\n",
        image_base_url="https://shop.example/",
        output="add",
        failed="keep",
    )
    assert status == 303
    options = options_of(client, location)
    assert options["image_base_url"] == "https://shop.example/"
    assert (options["output"], options["failed"]) == ("add", "keep")


@pytest.mark.parametrize(
    "csv",
    [HEADER + "1.,Mug,/m/mug.jpg\n", "https://shop.example/a.jpg\nhttps://\n", "\x89PNG\r\n\x1a\n\0\0"],
    ids=["the simple header", "a list", "no table"],
)
def test_no_columns_are_offered_where_no_other_choice_helps(client: FlaskClient, csv: str) -> None:
    status, _, page = upload(client, csv)
    assert status == 400
    assert uses(page) == {}


def test_pasted_urls_are_a_catalogue(client: FlaskClient) -> None:
    status, location = post(client, urls="https://shop.example/a.jpg\r\n\r\nhttps://shop.example/b.jpg\r\n")
    assert status == 303
    assert "urls.txt" in client.get(location, headers=PAGE).text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Choose the file of your catalogue, or paste image URLs."),
        ({"urls": " \r\n"}, "Choose the file of your catalogue, or paste image URLs."),
        ({"urls": "https://shop.example/a.jpg\r\n\r\nnonsense"}, "Line 3, “nonsense”, is not a URL."),
    ],
)
def test_what_is_missing_or_no_url_is_said_at_its_field(client: FlaskClient, fields: dict[str, str], said: str) -> None:
    status, page = post(client, **fields)
    assert status == 400
    assert said in page
    assert '<details id="options" class="mb-3" >' in page


def test_a_file_and_pasted_urls_are_not_both_taken(client: FlaskClient) -> None:
    status, _, page = upload(client, UNKNOWN, urls="https://shop.example/a.jpg")
    assert status == 400
    assert "Choose a file or paste URLs, not both." in page
    assert "https://shop.example/a.jpg</textarea>" in page


@pytest.mark.parametrize(
    ("failed", "said"),
    [("keep", "keep their old URLs in the file"), ("empty", "The places of images without a result are empty")],
)
def test_the_result_says_what_is_in_the_file_for_a_failed_image(
    server: Callable[..., SkulightServer], failed: str, said: str
) -> None:
    running = server(MAX_ATTEMPTS="1")
    running.start()
    table = f"SKU,Image\nM1,{running.url}/static/samples/lamp.jpg\nM2,{running.url}/static/samples/gone.jpg\n"
    request_id = running.upload(table.encode(), failed=failed)["request_id"]
    running.wait_until_done(request_id)

    page = requests.get(f"{running.url}/requests/{request_id}", headers=PAGE, timeout=120).text
    output = requests.get(f"{running.url}/api/v1/requests/{request_id}/output.csv", timeout=120).text

    assert said in page
    assert (f"M2,{running.url}/static/samples/gone.jpg\n" in output) == (failed == "keep")


# ---- actions ----


@pytest.mark.parametrize(("page", "path"), [("", ["Jobs"]), ("/webhooks", ["Jobs", "shop.csv"])])
def test_the_breadcrumb_has_a_slash_between_two_links_only(client: FlaskClient, page: str, path: list[str]) -> None:
    _, location, _ = upload(client, HEADER + "1.,Mug,http://shop.example/mug.jpg\n")

    [crumbs] = re.findall(r'class="crumbs".*?</nav>', client.get(location + page, headers=PAGE).text, re.DOTALL)

    assert " ".join(re.findall(r">([^<>\s]+)<", crumbs)) == " / ".join(path)


def test_a_button_of_a_page_that_is_too_old_asks_to_be_pressed_again(client: FlaskClient) -> None:
    _, location, _ = upload(client, HEADER + "1.,Mug,http://shop.example/mug.jpg\n")
    answer = client.post(f"{location}/cancel", data={"csrf_token": "old"}, headers=PAGE)
    assert answer.status_code == 303
    page = client.get(location, headers=PAGE).text
    assert "Press the button again" in page
    assert "Pending" in page


def test_what_cannot_be_done_any_more_is_told_on_the_page(client: FlaskClient) -> None:
    _, location, _ = upload(client, HEADER + "1.,Mug,http://shop.example/mug.jpg\n")
    answer = client.post(f"{location}/delete", data={"csrf_token": token(client)}, headers=PAGE)
    assert answer.status_code == 303
    assert "is still running; cancel it first" in client.get(answer.headers["Location"], headers=PAGE).text


@pytest.mark.parametrize("action", ["cancel", "retry", "delete", "webhooks/msg_1/redeliver"])
def test_an_action_on_a_request_that_does_not_exist_is_a_designed_404(client: FlaskClient, action: str) -> None:
    answer = client.post(f"/requests/{REQUEST}/{action}", data={"csrf_token": token(client)}, headers=PAGE)
    assert answer.status_code == 404
    assert "Page not found" in answer.text


# ---- states ----


def test_maintenance_is_a_page_that_looks_again(app: Flask) -> None:
    def closed() -> None:
        raise ServiceUnavailable("The disk is full.")

    app.add_url_rule("/closed", "closed", closed)
    answer = app.test_client().get("/closed", headers=PAGE)
    assert answer.status_code == 503
    assert "Temporarily unavailable" in answer.text
    assert "The disk is full." in answer.text
    assert 'data-reload="10"' in answer.text


def test_empty_lists_say_so(client: FlaskClient) -> None:
    assert "No jobs yet" in client.get("/").text
    assert "No job is failed" in client.get("/requests?status=Failed").text
    assert "No messages yet" in client.get("/inbox").text


def test_the_history_pages_forwards_and_back(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_processor.web.pages.PAGE", 2)  # a number, so that five uploads are enough
    for number in range(5):
        upload(client, HEADER + f"{number},Mug,http://shop.example/{number}.jpg\n")

    def link(page: str, rel: str) -> str:
        found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
        return found[1].replace("&amp;", "&") if found else ""

    first = client.get("/requests").text
    second = client.get(link(first, "next")).text
    third = client.get(link(second, "next")).text
    pages = [re.findall(r'href="/requests/([\w-]{36})"', page) for page in (first, second, third)]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert len({request_id for page in pages for request_id in page}) == 5
    assert not link(third, "next")
    for page in (pages[1], pages[0]):
        third = client.get(link(third, "prev")).text
        assert re.findall(r'href="/requests/([\w-]{36})"', third) == page
    assert not link(third, "prev")


@pytest.mark.parametrize("query", ["cursor=nonsense", "cursor=%00", "cursor=-"])
def test_a_cursor_of_somebody_elses_making_is_a_page_with_a_reason(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/requests?{query}", headers=PAGE)
    assert answer.status_code == 400
    assert "The cursor is not one of this server" in answer.text


# ---- the reference of the API ----

VOID = {"meta", "link", "img", "input", "br", "rect"}


class Structure(HTMLParser):
    """The ids and inner links of a page, its text, and the tags that are not closed where they should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: set[str] = set()
        self.text = ""
        self.wrong: list[str] = []
        self._above: list[str] = []
        self.feed(page)
        self.wrong += self._above

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.ids.update([named["id"]] if "id" in named else [])
        self.links.update(re.findall("^#(.+)", named.get("href") or ""))
        self._above += [tag] if tag not in VOID else []

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self._above.pop() != tag:
            self.wrong.append(f"{tag} at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_operation_of_the_document_is_on_the_page_of_the_api(client: FlaskClient) -> None:
    page = client.get("/docs/").text
    document = client.get("/docs/openapi.json").get_json()

    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert f'id="{operation["operationId"]}"' in page
            call = rf'class="method {method}">{method.upper()}</span> <code>{re.escape(path)}</code>'
            assert re.search(call, page), (method, path)


def test_every_parameter_status_header_and_example_is_on_the_page_of_the_api(client: FlaskClient) -> None:
    page = client.get("/docs/").text
    document = client.get("/docs/openapi.json").get_json()

    calls = [call for item in document["paths"].values() for call in item.values()]
    for call in calls:
        begin = page.index(f'id="{call["operationId"]}"')
        part = page[begin : page.index("</section>", begin)]
        for parameter in call.get("parameters", ()):
            assert f">{parameter['name']}</code>" in part, call["operationId"]
        for status, answer in call["responses"].items():
            assert f'class="status">{status}</strong>' in part, call["operationId"]
            assert all(f">{name}</code>" in part for name in answer["headers"] if name != "X-Request-ID")
        owners = [call.get("requestBody", {}), *call["responses"].values()]
        examples = sum("example" in media for one in owners for media in one.get("content", {}).values())
        assert part.count('tabindex="0"') == examples, call["operationId"]


def test_the_page_of_the_api_is_whole_and_shows_nothing_of_the_machinery(client: FlaskClient) -> None:
    source = client.get("/docs/").text
    page = Structure(source)

    assert page.wrong == []
    assert [name for name, times in page.ids.items() if times > 1] == []
    assert page.links - set(page.ids) == set()
    assert not re.search(r"(?<!If-)\bNone\b|\bTrue\b|\{'|\{\{|<class|Undefined", page.text)
    assert "`" not in re.sub("<pre.*?</pre>", "", source, flags=re.S)


def test_the_page_of_the_api_calls_the_server_by_its_public_name_and_with_its_key(tmp_path: Path) -> None:
    private = create_app(
        instance_path=tmp_path / "i",
        processed_images_path=tmp_path / "p",
        public_base_url="https://img.example.com",
        api_key="a key of many letters",
    )

    page = html.unescape(
        private.test_client().get("/docs/", headers={"Authorization": "Bearer a key of many letters"}).text
    )

    assert "a key of many letters" not in page and "localhost" not in page
    assert '-H "Authorization: Bearer $API_KEY" \\\n  -F file=@catalogue.csv \\\n  https://img.example.com/api' in page
    assert "curl https://img.example.com/healthz" in page  # open without the key


# ---- skipped rows ----


@pytest.mark.parametrize(
    ("good", "bad", "heading", "listed", "rest"),
    [
        (1, 1, "1 row was skipped", 1, ""),
        (1, 30, "30 rows were skipped", 20, "10 more skipped rows"),
        (120, 2, "2 rows were skipped", 0, "2 skipped rows"),
    ],
    ids=["all are shown", "more than are shown", "all far below"],
)
def test_every_skipped_row_is_counted_on_the_page_and_is_in_errors_csv(
    server: Callable[..., SkulightServer], good: int, bad: int, heading: str, listed: int, rest: str
) -> None:
    running = server(MAX_ATTEMPTS="1")
    running.start()
    rows = [
        f"{n}.,{'Mug' if n <= good else ''},{running.url}/static/samples/lamp.jpg\n" for n in range(1, good + bad + 1)
    ]
    request_id = running.upload((HEADER + "".join(rows)).encode(), on_invalid="skip")["request_id"]
    running.wait_until_done(request_id)

    page = requests.get(f"{running.url}/requests/{request_id}", headers=PAGE, timeout=120).text
    errors = requests.get(f"{running.url}/api/v1/requests/{request_id}/errors.csv", timeout=120).text

    note = page[page.index("failures-title") : page.index("How the sizes changed")]
    assert heading in note
    assert len(re.findall(r"<li[^>]*>Row \d+", note)) == listed
    assert (f"{rest}, each with its reason" in note) if rest else ("each with its reason" not in note)
    assert len(errors.splitlines()) == 1 + bad


# ---- thumbnails ----


@pytest.fixture
def thumbnails(tmp_path: Path) -> Iterator[Thumbnails]:
    storage = Storage(tmp_path / "images", tmp_path / "uploads")
    (storage.images / REQUEST).mkdir()
    pool = ImagePool(1, seconds=60, memory_bytes=2_000_000_000)
    yield Thumbnails(storage, Compressor(), pool)
    pool.stop()


def noise(side: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (side, side, 4), np.uint8), "RGBA")


def animation() -> bytes:
    frames = [noise(150).convert("P") for _ in range(12)]
    file = io.BytesIO()
    frames[0].rotate(90)
    frames[0].save(
        file, "GIF", save_all=True, append_images=[frame.rotate(7 * n) for n, frame in enumerate(frames)], loop=0
    )
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("1-1.jpg", encoded(photo(1600, 1200), "JPEG")),
        ("1-1.png", encoded(cut_out(), "PNG")),
        ("1-1.webp", encoded(noise(800), "WEBP", quality=90)),
        ("1-1.gif", animation()),
    ],
    ids=["photograph", "cut-out", "noise", "animation"],
)
def test_a_thumbnail_is_small_made_once_and_beside_its_image(
    thumbnails: Thumbnails, tmp_path: Path, name: str, image: bytes
) -> None:
    (tmp_path / "images" / REQUEST / name).write_bytes(image)
    made = thumbnails.path(REQUEST, name)
    assert made.stat().st_size <= MAX_BYTES
    with Image.open(made) as thumbnail:
        assert max(thumbnail.size) <= 160
        if name.endswith(".png"):
            assert thumbnail.mode == "RGBA"
    before = made.stat().st_mtime_ns
    assert thumbnails.path(REQUEST, name) == made
    assert made.stat().st_mtime_ns == before
    assert [file.name for file in made.parent.iterdir()] == [made.name]


def test_an_image_that_was_processed_again_gets_a_new_thumbnail(thumbnails: Thumbnails, tmp_path: Path) -> None:
    image = tmp_path / "images" / REQUEST / "1-1.jpg"
    image.write_bytes(encoded(photo(seed=1), "JPEG"))
    old = thumbnails.path(REQUEST, "1-1.jpg")
    before = old.read_bytes()
    os.utime(old, (1, 1))
    image.write_bytes(encoded(photo(seed=2), "JPEG"))
    assert thumbnails.path(REQUEST, "1-1.jpg").read_bytes() != before


@pytest.mark.parametrize(
    ("request_id", "name"),
    [
        (REQUEST, "../1-1.jpg"),
        (REQUEST, "1-1.jpg\n"),
        (REQUEST, "output.csv"),
        (REQUEST, "1-1.svg"),
        (REQUEST, "/etc/passwd"),
        (REQUEST, "9-9.jpg"),
        (REQUEST, "١-1.jpg"),
        (REQUEST.upper() + "a", "1-1.jpg"),
        ("..", "1-1.jpg"),
        ("../uploads", "1-1.jpg"),
        ("aaaaaaaa-2222-4333-8444-555555555555", "1-1.jpg"),
    ],
)
def test_whatever_is_not_the_file_of_a_result_has_no_thumbnail(
    thumbnails: Thumbnails, tmp_path: Path, request_id: str, name: str
) -> None:
    for folder in (tmp_path, tmp_path / "images", tmp_path / "uploads"):
        (folder / "1-1.jpg").write_bytes(encoded(photo(), "JPEG"))
    with pytest.raises(NotFound):
        thumbnails.path(request_id, name)
    assert not list(tmp_path.rglob("thumbnails"))


def test_what_is_no_image_has_no_thumbnail_and_leaves_nothing(thumbnails: Thumbnails, tmp_path: Path) -> None:
    (tmp_path / "images" / REQUEST / "1-1.jpg").write_bytes(b"not an image")
    with pytest.raises(NotFound):
        thumbnails.path(REQUEST, "1-1.jpg")
    assert not list((tmp_path / "images" / REQUEST / "thumbnails").iterdir())


def test_thumbnails_are_served_to_be_kept(client: FlaskClient, tmp_path: Path) -> None:
    folder = tmp_path / "processed_images" / REQUEST
    folder.mkdir()
    (folder / "1-1.jpg").write_bytes(encoded(photo(), "JPEG"))
    answer = client.get(f"/thumbnails/{REQUEST}/1-1.jpg?v=1")
    assert answer.content_type == "image/webp"
    assert "max-age=31536000" in answer.headers["Cache-Control"]
    answer.close()
    for path in ("..%2F1-1.jpg", "%2e%2e/1-1.jpg", "1-2.jpg"):
        assert client.get(f"/thumbnails/{REQUEST}/{path}").status_code == 404


# ---- wording ----


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (99_400, "99.4 kB"), (99_600, "100 kB"), (468_000, "468 kB"),
     (999_600, "1.0 MB"), (1_200_000, "1.2 MB"), (3_400_000_000, "3.4 GB")],
)  # fmt: skip
def test_sizes_have_two_or_three_digits(number: int, words: str) -> None:
    assert size(number) == words


@pytest.mark.parametrize(
    ("address", "short"),
    [
        ("https://shop.example/a.jpg", "shop.example/a.jpg"),
        ("https://shop.example/media/2026/a.jpg", "shop.example/…/a.jpg"),
        ("https://shop.example/a.jpg?w=1", "shop.example/a.jpg?w=1"),
        ("http://[bad", "http://[bad"),
    ],
)
def test_addresses_are_shortened_to_host_and_file(address: str, short: str) -> None:
    assert short_address(address) == short


def test_code_between_backticks_is_marked_and_everything_is_escaped() -> None:
    assert with_code("As `<a>; rel=b`, <i>") == "As <code>&lt;a&gt;; rel=b</code>, &lt;i&gt;"
