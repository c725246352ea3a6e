"""The pages in a real browser: Debian's Chromium, SKUlight under gunicorn, an image host on loopback."""

import contextlib
import csv
import fcntl
import io
import itertools
import json
import re
import sqlite3
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import openpyxl
import pytest
import requests
from sample_images import cut_out, encoded, photo
from servers import ImageHost, Page, Receiver, SkulightServer, image_host, wait_for

from app import create_app
from image_processor.store.models import ImageStatus, Job, JobStatus, Product, ProductImage, db
from image_processor.store.products import url_key

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser tests")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

CHROMIUM = Path("/usr/bin/chromium")
# What keeps Chromium from asking the internet for anything on its own.
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
LOOKS = {"light": (1200, 850, "light"), "dark": (1200, 850, "dark"), "360 px": (360, 740, "light")}
PHONE = {"width": 360, "height": 740}
PHOTOS = [encoded(photo(400, 300, seed), "JPEG", quality=90) for seed in range(4)]
BAD = (
    b"S. No.,Product Name,Input Image Urls\n"
    b"1.,Mug,http://127.0.0.1:2/a.jpg\n2.,,http://127.0.0.1:2/b.jpg\n3.,Lamp,nonsense\n"
)

BOUND = 120_000  # milliseconds
playwright_api.expect.set_options(timeout=BOUND)

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser: {CHROMIUM} is missing (apt-get install chromium)"),
]


# ---- the browser and what it talks to ----


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield running
        running.close()


@dataclass
class Shop:
    """A running SKUlight and an image host, shared by the tests of this file."""

    server: SkulightServer
    host: ImageHost
    done: str = ""

    def page(self, request_id: str, rest: str = "") -> str:
        return f"{self.server.url}/requests/{request_id}{rest}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """With one request that is done: five of six images succeeded."""
    server = SkulightServer(
        tmp_path_factory.mktemp("shop"),
        ALLOWED_PRIVATE_ADDRESSES="127.0.0.0/8",
        MAX_ATTEMPTS="1",
        WEBHOOK_SCHEDULE="0",
    )
    with image_host() as host:
        for number, image in enumerate(PHOTOS):
            host.pages[f"/{number}.jpg"] = Page(image)
        host.pages["/cut.png"] = Page(encoded(cut_out(), "PNG"), "image/png")
        server.start()
        try:
            shop = Shop(server, host)
            urls = [host.url(f"/{number}.jpg") for number in range(4)]
            rows = [("Oak stool", urls[:2]), ("Mug", urls[2:]), ("Vase", [host.url("/cut.png"), host.url("/gone.jpg")])]
            accepted = server.upload(catalogue(rows), webhook_url=f"{server.url}/webhooks/inbox")
            shop.done = accepted["request_id"]
            server.wait_until_done(shop.done)
            yield shop
        finally:
            server.stop()


@dataclass
class Visit:
    """A browser page, and what must not happen on it."""

    page: object
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    asked: list[object] = field(default_factory=list)


@pytest.fixture
def visit(browser: object, shop: Shop) -> Iterator[Callable[..., Visit]]:
    """Opens browser pages. At the end: no console error, no error of a script, no request off the machine."""
    visits: list[Visit] = []
    contexts = []

    def open_page(**options: object) -> Visit:
        context = browser.new_context(
            **{"viewport": {"width": 1200, "height": 850}, "reduced_motion": "reduce"} | options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(BOUND)
        one = Visit(page)
        page.on("console", lambda said: one.complaints.append(said.text) if said.type in ("error", "warning") else None)
        # From the start: while a test waits for its first chooser, Chromium may be told too late and open a real one.
        page.on("filechooser", lambda chooser: None)
        page.on("pageerror", lambda error: one.complaints.append(str(error)))

        def note(request: object) -> None:
            one.asked.append(request)
            if urlsplit(request.url).scheme not in ("data", "blob") and urlsplit(request.url).hostname != "127.0.0.1":
                one.strangers.append(request.url)

        page.on("request", note)
        visits.append(one)
        return one

    yield open_page
    for context in contexts:
        context.close()
    assert [one.complaints for one in visits] == [[] for _ in visits]
    assert [one.strangers for one in visits] == [[] for _ in visits]


def catalogue(rows: list[tuple[str, list[str]]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["S. No.", "Product Name", "Input Image Urls"])
    writer.writerows([f"{number}.", name, ", ".join(urls)] for number, (name, urls) in enumerate(rows, start=1))
    return file.getvalue().encode()


def as_file(content: bytes, name: str = "shop.csv") -> dict[str, object]:
    return {"name": name, "mimeType": "text/csv", "buffer": content}


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """What the images of a slow catalogue wait for."""
    event = threading.Event()
    yield event
    event.set()


def slow_catalogue(shop: Shop, folder: str, number: int, *, free: int, after: threading.Event) -> bytes:
    """A catalogue whose images, but for the first `free`, come after an event."""
    for place in range(number):
        shop.host.pages[f"/{folder}/{place}.jpg"] = Page(PHOTOS[place % 4], after=after if place >= free else None)
    return catalogue([(f"Product {n}", [shop.host.url(f"/{folder}/{n}.jpg")]) for n in range(number)])


def stop_clock(page: object) -> None:
    """Let the time of a page stand still, but for what a test runs."""
    page.clock.install(time=datetime(2026, 1, 1))
    page.clock.pause_at(datetime(2026, 1, 2))


def request_id_of(page: object) -> str:
    return str(urlsplit(page.url).path.split("/")[-1])


# ---- upload ----


def test_a_file_chosen_by_button_is_checked_then_processed_and_its_results_are_taken_home(
    shop: Shop, visit: Callable[..., Visit]
) -> None:
    page = visit().page
    rows = [("Oak stool", [shop.host.url("/0.jpg"), shop.host.url("/1.jpg")]), ("Mug", [shop.host.url("/2.jpg")])]
    page.goto(shop.server.url)
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Choose a file", exact=True).click()
    chooser.value.set_files([as_file(catalogue(rows))])
    page.get_by_text("Ready: 2 products, 3 images on 1 host.").wait_for()
    assert page.locator("#findings tbody tr").count() == 2
    page.get_by_text("Options", exact=True).click()
    page.locator("#quality").fill("70")
    assert "70" in page.locator("#quality-label").inner_text()
    page.get_by_role("button", name="Compress 3 images").click()
    page.get_by_text("3 of 3 images compressed").wait_for()
    assert "quality 70" in page.locator(".meta").inner_text()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download shop.csv").click()
    output = list(csv.reader(Path(download.value.path()).read_text().splitlines()))
    assert [row[1] for row in output] == ["Product Name", "Oak stool", "Mug"]
    assert output[0][3] == "Output Image Urls"
    with page.expect_download() as download:
        page.get_by_role("link", name="All images as ZIP").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        assert [name.split("-")[-1] for name in archive.namelist()] == ["stool.jpg", "stool.jpg", "Mug.jpg"]


def test_a_file_that_is_dropped_is_checked(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    text = catalogue([("Mug", [shop.host.url("/2.jpg")])]).decode()
    dropped = page.evaluate_handle(
        "text => { const drop = new DataTransfer(); drop.items.add(new File([text], 'dropped.csv')); return drop; }",
        text,
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    page.get_by_text("Ready: 1 product, 1 image on 1 host.").wait_for()
    assert page.locator("#name").inner_text() == "dropped.csv"


def test_a_sample_is_checked_at_a_click_and_can_be_downloaded(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the sample CSV").click()
    assert download.value.suggested_filename == "sample.csv"
    page.get_by_role("button", name="CSV", exact=True).click()
    page.get_by_text("Ready: 5 products").wait_for()
    assert page.locator("#name").inner_text() == "sample.csv"


@pytest.mark.parametrize(
    ("sample", "understood"),
    [
        ("Shopify", "Shopify export · images in Image Src, Variant Image · the same file comes back"),
        ("WooCommerce", "WooCommerce export · images in Images · the same file comes back"),
        ("Excel", "· the same file comes back with the URLs replaced"),
    ],
)
def test_the_samples_of_shops_are_understood(
    shop: Shop, visit: Callable[..., Visit], sample: str, understood: str
) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.get_by_role("button", name=sample, exact=True).click()
    page.get_by_text("Ready:").wait_for()
    assert understood in page.locator(".layout").inner_text()


def test_a_bad_file_shows_every_problem_and_its_good_rows_can_go(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(BAD)])
    page.get_by_text("2 problems found. The valid rows have 1 image.").wait_for()
    lines = page.locator("#findings tbody tr").all_inner_texts()
    assert len(lines) == 2
    assert "3" in lines[0] and "Product name is empty." in lines[0]
    assert "nonsense" in lines[1]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the list of problems").click()
    assert download.value.suggested_filename == "shop-problems.csv"
    assert len(list(csv.reader(Path(download.value.path()).read_text("utf-8-sig").splitlines()))) == 3
    page.get_by_role("button", name="Upload the valid rows (1 image)").click()
    page.get_by_text("rows were skipped").wait_for()
    assert page.get_by_text("Row 2").count() and page.get_by_text("Row 3, Lamp").count()


def test_a_file_that_is_no_catalogue_cannot_be_sent(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(b"\x89PNG\r\n\x1a\n\0\0", "mug.png")])
    page.get_by_text("“mug.png” is an image, not a CSV file or a workbook.").wait_for()
    assert not page.locator("#send").is_visible()


def test_a_refused_option_is_said_beside_the_button_and_the_file_stays(shop: Shop, visit: Callable[..., Visit]) -> None:
    one = visit()
    page = one.page
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(catalogue([("Mug", [shop.host.url("/2.jpg")])]))])
    page.get_by_text("Options", exact=True).click()
    page.locator("#webhook_url").fill("ftp://shop.example/hook")
    page.get_by_role("button", name="Compress 1 image").click()
    page.locator("#refused").get_by_text("cannot be called").wait_for()
    assert page.get_by_role("button", name="Compress 1 image").is_enabled()
    assert [text for text in one.complaints if "400" not in text] == []
    one.complaints.clear()  # Chromium writes every 400 to the console


# ---- how the columns are used ----


def unknown(shop: Shop, first: str = "Foto 1a", second: str = "Lager") -> bytes:
    """A table whose images no header names."""
    urls = [shop.host.url(f"/{number}.jpg") for number in range(2)]
    return f"SKU;Kategorie;{first};{second}\nM1;Mug;{urls[0]};30\nM2;Cup;{urls[1]};40\n".encode()


def tab_to(page: object, wanted: str) -> None:
    """Press Tab until an element has the focus; at most as often as there are things to focus."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement === {wanted}"):
            return
    raise AssertionError(f"{wanted} is not reached by Tab")


def by_id(name: str) -> str:
    return f"document.getElementById('{name}')"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_unknown_file_is_mapped_with_the_keyboard_on_a_phone(
    shop: Shop, visit: Callable[..., Visit], scheme: str
) -> None:
    page = visit(viewport=PHONE, color_scheme=scheme).page
    page.goto(shop.server.url)
    tab_to(page, by_id("file"))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([as_file(unknown(shop))])
    page.get_by_text("It is not clear which column holds the images").wait_for()
    assert not page.locator("#send").is_visible()

    tab_to(page, "document.querySelector('#columns-said button')")
    assert page.evaluate("document.activeElement.textContent") == "Use “Foto 1a” for the images"
    page.keyboard.press("Enter")
    page.get_by_text("Ready: 2 rows, 2 images on 1 host.").wait_for()
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.ariaLabel") == "Use Kategorie as"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.locator("#findings td", has_text="Mug").wait_for()
    assert page.evaluate("document.activeElement.ariaLabel") == "Use Kategorie as"
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    tab_to(page, by_id("send"))
    page.keyboard.press("Enter")
    page.get_by_text("2 of 2 images compressed").wait_for()
    page.get_by_role("rowheader", name="M1 Mug").wait_for()


def test_a_choice_of_columns_is_remembered_for_the_same_header_until_it_is_forgotten(
    shop: Shop, visit: Callable[..., Visit]
) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(unknown(shop))])
    page.get_by_role("button", name="Use “Foto 1a” for the images").click()
    page.get_by_text("Ready:").wait_for()
    page.reload()
    page.set_input_files("#file", [as_file(unknown(shop))])
    page.get_by_text("Ready: 2 rows, 2 images").wait_for()
    page.get_by_text("Table, columns as you chose · images in Foto 1a").wait_for()
    assert not page.locator("#columns").evaluate("folded => folded.open")

    page.set_input_files("#file", [as_file(unknown(shop, first="Foto 2b"))])
    page.get_by_role("button", name="Use “Foto 2b” for the images").wait_for()
    page.set_input_files("#file", [as_file(unknown(shop))])
    page.get_by_text("Ready:").wait_for()
    page.get_by_text("How the columns are used").click()
    page.get_by_role("button", name="Forget it").click()
    page.get_by_text("It is not clear which column holds the images").wait_for()
    page.reload()
    page.set_input_files("#file", [as_file(unknown(shop))])
    page.get_by_text("It is not clear which column holds the images").wait_for()


def test_columns_are_chosen_where_nothing_can_be_stored(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } })"
    )
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(unknown(shop))])
    page.get_by_label("Use Foto 1a as").select_option("Images")
    page.get_by_text("Ready: 2 rows, 2 images").wait_for()


def test_of_two_columns_with_one_name_the_chosen_one_is_used(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(unknown(shop, "Lager", "Lager"))])
    page.get_by_label("Use Lager as").first.select_option("Images")
    page.get_by_text("Ready: 2 rows, 2 images").wait_for()
    page.get_by_label("Use Lager as").first.select_option("Leave")
    page.get_by_text("No column is used for the images.").wait_for()
    assert not page.locator("#send").is_visible()
    page.get_by_label("Use Lager as").last.select_option("Images")
    page.get_by_text("No row has an image URL.").wait_for()


def test_relative_paths_ask_for_their_base_url(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(b"sku,name,image\n1,Mug,/0.jpg\n2,Cup,/1.jpg\n")])
    page.get_by_role("button", name="Enter the base URL").click()
    page.keyboard.type(shop.host.url("/"))
    page.keyboard.press("Tab")
    page.get_by_text("Ready: 2 rows, 2 images").wait_for()
    page.get_by_role("button", name="Compress 2 images").click()
    page.get_by_text("2 of 2 images compressed").wait_for()


def test_a_result_with_an_added_column_is_chosen_in_the_options(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(f"SKU,Image\nM1,{shop.host.url('/0.jpg')}\n".encode())])
    page.get_by_text("the same file comes back with the URLs replaced").wait_for()
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("New URLs").select_option("Add a column")
    page.get_by_text("the same file comes back with a column of new URLs").wait_for()
    page.get_by_role("button", name="Compress 1 image").click()
    page.get_by_text("1 of 1 image compressed").wait_for()
    output = requests.get(page.get_by_role("link", name="Download shop.csv").evaluate("link => link.href"), timeout=120)
    assert output.text.splitlines()[0] == "SKU,Image,Output Image Urls"


# ---- workbooks and lists ----


def workbook(shop: Shop) -> bytes:
    """Two sheets of products; the second has images that failed."""
    book = openpyxl.Workbook()
    for sheet, paths in ((book.active, ("/0.jpg", "/1.jpg")), (book.create_sheet("Sale"), ("/2.jpg", "/gone.jpg"))):
        sheet.append(["SKU", "Name", "Image"])
        for number, path in enumerate(paths, start=1):
            sheet.append([f"M{number}", f"Mug {number}", shop.host.url(path)])
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_a_workbook_goes_in_and_the_same_workbook_comes_back(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(workbook(shop), "shop.xlsx")])
    page.get_by_text(
        "Table · sheet Sheet · images in Image · the same file comes back with the URLs replaced"
    ).wait_for()
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Sheet of the workbook").fill("Sail")
    page.keyboard.press("Tab")
    page.get_by_text("The workbook has no sheet “Sail”.").wait_for()
    page.get_by_label("Sheet of the workbook").fill("Sale")
    page.keyboard.press("Tab")
    page.get_by_text("Table · sheet Sale").wait_for()
    page.get_by_role("button", name="Compress 2 images").click()
    page.get_by_text("1 of 2 images compressed, 1 failed").wait_for()
    page.get_by_text("Images without a result keep their old URLs in the file.").wait_for()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download shop.xlsx").click()
    book = openpyxl.load_workbook(io.BytesIO(Path(download.value.path()).read_bytes()))
    new, old = (row[2].value for row in book["Sale"].iter_rows(min_row=2))
    assert new.startswith(f"{shop.server.url}/processed_images/") and old == shop.host.url("/gone.jpg")
    assert book["Sheet"]["C2"].value == shop.host.url("/0.jpg")
    with page.expect_download() as download:
        page.get_by_role("link", name="As CSV").click()
    assert new in Path(download.value.path()).read_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Old and new URLs").click()
    assert new in Path(download.value.path()).read_text()
    assert accessible(page, "result of a workbook") == []


def test_a_pasted_list_is_checked_and_comes_back(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.get_by_text("Or paste image URLs").click()
    page.get_by_label("Image URLs, one per line").fill(f"{shop.host.url('/0.jpg')}\n1.jpg")
    page.get_by_role("button", name="Use these URLs").click()
    page.get_by_text("Line 2, “1.jpg”, is not a URL.").wait_for()
    assert page.evaluate("document.activeElement.id") == "urls"
    page.get_by_label("Image URLs, one per line").fill(f"{shop.host.url('/0.jpg')}\n{shop.host.url('/1.jpg')}")
    page.get_by_role("button", name="Use these URLs").click()
    page.get_by_text("Ready: 2 rows, 2 images on 1 host.").wait_for()
    page.get_by_role("button", name="Compress 2 images").click()
    page.get_by_text("2 of 2 images compressed").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download urls.csv").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert [line.startswith(f"{shop.server.url}/processed_images/") for line in lines] == [True, True]


# ---- while it runs ----


def test_progress_is_told_in_words_numbers_images_title_and_icon(
    shop: Shop, visit: Callable[..., Visit], go_on: threading.Event
) -> None:
    one = visit()
    page = one.page
    accepted = shop.server.upload(slow_catalogue(shop, "watched", 6, free=4, after=go_on))
    page.goto(shop.page(accepted["request_id"]))
    page.locator("#fresh li").nth(3).wait_for()
    page.wait_for_function("document.getElementById('done').textContent === '4 of 6'")
    assert page.title().startswith("66% – catalogue.csv")
    assert page.locator("#percent").inner_text() == "66%"
    assert page.locator("progress").evaluate("bar => Math.round(bar.value)") == 67
    assert page.locator("link[rel=icon]").get_attribute("href").startswith("data:image/svg+xml")
    for image in page.locator("#fresh img").all():
        assert len(requests.get(shop.server.url + image.get_attribute("src"), timeout=120).content) <= 10_000
    go_on.set()
    page.get_by_text("6 of 6 images compressed").wait_for()
    assert page.evaluate("document.activeElement.id") == "verdict"
    polls = [request for request in one.asked if f"/api/v1/requests/{accepted['request_id']}" in request.url]
    assert "if-none-match" in polls[-1].headers


@pytest.fixture
def watched(shop: Shop, visit: Callable[..., Visit], go_on: threading.Event) -> Callable[..., tuple[object, list[str]]]:
    """Opens the page of a running request under a clock of the test; the list holds what its polls were answered."""

    def watch(script: str) -> tuple[object, list[str]]:
        page = visit().page
        accepted = shop.server.upload(slow_catalogue(shop, "clock", 1, free=0, after=go_on))
        body, said = shop.server.status(accepted["request_id"]), []

        def answer(route: object) -> None:
            said.append(f"Paused. The disk has been full for {len(said)} polls.")
            route.fulfill(content_type="application/json", body=json.dumps(body | {"message": said[-1]}))

        stop_clock(page)
        page.add_init_script(script)
        page.route("**/api/v1/requests/*", answer)
        with page.expect_response("**/api/v1/requests/*"):
            page.goto(shop.page(accepted["request_id"]))
        return page, said

    return watch


def test_a_pause_is_shown_in_words_and_spoken_at_most_every_five_seconds(
    watched: Callable[..., tuple[object, list[str]]],
) -> None:
    page, said = watched(
        "window.spoken = []; addEventListener('DOMContentLoaded', () => new MutationObserver("
        "() => spoken.push(Date.now())).observe(document.getElementById('spoken'), { childList: true }))"
    )
    for _ in range(12):
        page.get_by_text(said[-1], exact=True).wait_for()
        with page.expect_response("**/api/v1/requests/*"):
            page.clock.run_for(1_000)
    times = page.evaluate("spoken")
    assert len(times) >= 2
    assert all(later - earlier >= 5_000 for earlier, later in itertools.pairwise(times))


def test_a_hidden_tab_asks_less_often(watched: Callable[..., tuple[object, list[str]]]) -> None:
    page, said = watched("Object.defineProperty(document, 'hidden', { get: () => true })")
    page.get_by_text(said[0], exact=True).wait_for()
    page.clock.run_for(9_000)
    assert len(said) == 1
    with page.expect_response("**/api/v1/requests/*"):
        page.clock.run_for(2_000)
    assert len(said) == 2


def test_a_running_request_can_be_cancelled(shop: Shop, visit: Callable[..., Visit], go_on: threading.Event) -> None:
    page = visit().page
    accepted = shop.server.upload(slow_catalogue(shop, "cancelled", 42, free=2, after=go_on))
    page.goto(shop.page(accepted["request_id"]))
    page.locator("#fresh li").nth(1).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.locator(".state", has_text="Cancelled").wait_for()
    assert re.search(r"of 42 images compressed, \d+ cancelled", page.locator("#verdict").inner_text())
    page.get_by_role("button", name="Process the rest").wait_for()


# ---- the result ----


def test_what_failed_is_named_and_can_be_retried(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    accepted = shop.server.upload(catalogue([("Lamp", [shop.host.url("/0.jpg"), shop.host.url("/late.jpg")])]))
    shop.server.wait_until_done(accepted["request_id"])
    page.goto(shop.page(accepted["request_id"]))
    failures = page.locator("section.note.bad").inner_text()
    assert "1 image failed" in failures and "1. Lamp" in failures and "404" in failures
    shop.host.pages["/late.jpg"] = Page(PHOTOS[1])
    page.get_by_role("button", name="Retry failed").click()
    page.get_by_text("2 of 2 images compressed").wait_for()
    assert not page.locator("section.note.bad").count()


def test_images_are_filtered_and_searched(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    shown = playwright_api.expect(page.locator("tr:has(.thumb)"))
    page.goto(shop.page(shop.done))
    shown.to_have_count(6)
    page.get_by_role("link", name="Failed 1").click()
    shown.to_have_count(1)
    page.get_by_role("link", name="All 6").click()
    shown.to_have_count(6)
    page.get_by_label("Search products").fill("stool")
    page.keyboard.press("Enter")
    shown.to_have_count(2)
    page.get_by_role("rowheader", name="1. Oak stool").wait_for()
    page.get_by_label("Search products").fill("nothing of the kind")
    page.keyboard.press("Enter")
    page.get_by_text("No image has “nothing of the kind”").wait_for()


def test_before_and_after_are_compared_by_keyboard_and_by_finger(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit(has_touch=True).page
    page.goto(shop.page(shop.done))
    button = page.get_by_role("button", name="Compare").first
    button.focus()
    page.keyboard.press("Enter")
    page.locator(".view[data-state=both]").wait_for()
    split = "document.getElementById('view').style.getPropertyValue('--split')"
    page.keyboard.press("ArrowRight")
    assert page.evaluate(split) == "51"
    box = page.locator("#view").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.25, box["y"] + 50)
    assert abs(float(page.evaluate(split)) - 25) < 1
    widths = page.evaluate("['result', 'source'].map(one => document.getElementById(`compare-${one}`).naturalWidth)")
    assert widths == [400, 400]
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == "Compare"


def test_a_source_that_is_gone_is_said(shop: Shop, visit: Callable[..., Visit]) -> None:
    one = visit()
    page = one.page
    shop.host.pages["/short.jpg"] = Page(PHOTOS[3])
    accepted = shop.server.upload(catalogue([("Lamp", [shop.host.url("/short.jpg")])]))
    shop.server.wait_until_done(accepted["request_id"])
    del shop.host.pages["/short.jpg"]
    page.goto(shop.page(accepted["request_id"]))
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("The source of this image can no longer be fetched.").wait_for()
    assert page.locator("#compare-result").evaluate("image => image.complete && image.naturalWidth") == 400
    assert [text for text in one.complaints if "502" not in text] == []
    one.complaints.clear()  # Chromium writes every 502 to the console


def test_a_request_is_deleted_after_a_confirmation(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    accepted = shop.server.upload(catalogue([("Mug", [shop.host.url("/2.jpg")])]), filename="to-delete.csv")
    shop.server.wait_until_done(accepted["request_id"])
    page.goto(shop.page(accepted["request_id"]))
    page.get_by_role("link", name="Delete …").click()
    page.get_by_role("link", name="Cancel").click()
    page.get_by_role("link", name="Delete …").click()
    page.get_by_role("button", name="Delete permanently").click()
    page.get_by_text("to-delete.csv and its images were deleted.").wait_for()
    assert requests.get(shop.page(accepted["request_id"]), timeout=120).status_code == 404
    assert not (shop.server.images / accepted["request_id"]).exists()


def test_a_lost_webhook_is_redelivered_and_every_attempt_is_shown(
    shop: Shop, receiver: Receiver, visit: Callable[..., Visit]
) -> None:
    page = visit().page
    receiver.answers = [500]
    accepted = shop.server.upload(catalogue([("Mug", [shop.host.url("/2.jpg")])]), webhook_url=receiver.url)
    wait_for(lambda: shop.server.status(accepted["request_id"])["webhook"]["state"] == "failed")
    page.goto(shop.page(accepted["request_id"]))
    page.get_by_role("link", name="Webhook log").click()
    page.locator("tbody tr").first.wait_for()
    assert page.locator("tbody tr").count() == 1
    page.get_by_text("Payload").click()
    assert '"type": "request.completed"' in page.locator("pre").inner_text()
    page.get_by_role("button", name="Redeliver").click()
    page.locator(".state", has_text="Delivered").wait_for()
    assert [text.split()[0] for text in page.locator("tbody .state").all_inner_texts()] == ["204", "500"]
    ids = [headers["webhook-id"] for headers, _ in receiver.messages]
    assert len(ids) == 2 and len(set(ids)) == 1


def test_the_inbox_shows_what_came_in(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(f"{shop.server.url}/inbox")
    page.locator("p", has_text="5 of 6 images compressed, 1 failed").wait_for()
    page.get_by_role("link", name="View the job").last.click()
    assert request_id_of(page) == shop.done


# ---- for everybody ----


def test_everything_works_without_javascript(shop: Shop, visit: Callable[..., Visit], go_on: threading.Event) -> None:
    page = visit(java_script_enabled=False).page
    page.goto(shop.server.url)
    page.set_input_files(
        "#file",
        [as_file(slow_catalogue(shop, "plain", 2, free=1, after=go_on) + b"3.,Lamp,http://127.0.0.1:2/x.jpg\n")],
    )
    page.get_by_role("button", name="Upload and compress").click()
    page.locator("progress").wait_for(state="attached")
    go_on.set()
    page.get_by_text("2 of 3 images compressed, 1 failed").wait_for()  # the page refreshed by itself
    page.get_by_role("button", name="Retry failed").click()
    page.get_by_text("2 of 3 images compressed, 1 failed").wait_for()
    page.get_by_role("link", name="Delete …").click()
    page.get_by_role("button", name="Delete permanently").click()
    page.get_by_text("its images were deleted").wait_for()


def test_without_javascript_a_refusal_offers_the_columns_and_the_second_try_succeeds(
    shop: Shop, visit: Callable[..., Visit]
) -> None:
    one = visit(java_script_enabled=False, viewport=PHONE)
    page = one.page
    page.goto(shop.server.url)
    page.set_input_files("#file", [as_file(unknown(shop))])
    page.get_by_role("button", name="Upload and compress").click()
    page.get_by_role("heading", name="It is not clear which column holds the images").wait_for()
    assert page.get_by_label("Use Foto 1a as").evaluate("list => list.value") == "images:Foto 1a"
    page.get_by_label("Use Kategorie as").select_option("Name")
    page.set_input_files("#file", [as_file(unknown(shop))])
    page.get_by_role("button", name="Upload and compress").click()
    page.get_by_text("2 of 2 images compressed").wait_for()
    page.get_by_role("rowheader", name="M1 Mug").wait_for()
    assert [text for text in one.complaints if "400" not in text] == []
    one.complaints.clear()  # Chromium writes every 400 to the console


def test_without_javascript_urls_are_pasted(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit(java_script_enabled=False).page
    page.goto(shop.server.url)
    page.get_by_text("Or paste image URLs").click()
    page.get_by_label("Image URLs, one per line").fill(f"{shop.host.url('/0.jpg')}\n{shop.host.url('/1.jpg')}\n")
    page.get_by_role("button", name="Upload and compress").click()
    page.get_by_text("2 of 2 images compressed").wait_for()


def test_the_keyboard_alone_is_enough(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'main'")
    page.keyboard.press("Tab")
    page.wait_for_function("document.activeElement.id === 'file'")
    assert page.locator("#choose").evaluate("label => getComputedStyle(label).outlineStyle") == "solid"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files([as_file(catalogue([("Mug", [shop.host.url("/2.jpg")])]))])
    page.get_by_text("Ready:").wait_for()
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "send":
            break
    assert page.evaluate("document.activeElement.id") == "send"
    page.keyboard.press("Enter")
    page.get_by_text("1 of 1 image compressed").wait_for()


def accessible(page: object, state: str) -> list[str]:
    """What axe finds on a page in every look, and whether it has to be scrolled sideways."""
    axe, found = axe_api.Axe(), []
    for look, (width, height, scheme) in LOOKS.items():
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        for violation in axe.run(page, options=RULES).response["violations"]:
            found.append(f"{state}, {look}: {violation['id']} {violation['nodes'][0]['html'][:200]}")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{state}, {look}: scrolls sideways")
    page.set_viewport_size({"width": 1200, "height": 850})
    return found


def test_axe_finds_nothing_on_the_upload_page_in_any_state(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit().page
    page.goto(shop.server.url)
    page.get_by_text("Options", exact=True).click()
    found = accessible(page, "upload")
    page.set_input_files("#file", [as_file(catalogue([("Mug, large", [shop.host.url("/2.jpg")])]))])
    page.get_by_text("Ready:").wait_for()
    found += accessible(page, "checked")
    page.set_input_files("#file", [as_file(BAD)])
    page.get_by_text("2 problems found").wait_for()
    found += accessible(page, "problems")
    page.set_input_files("#file", [as_file(unknown(shop))])
    page.get_by_role("button", name="Use “Foto 1a” for the images").wait_for()
    page.get_by_text("Or paste image URLs").click()
    found += accessible(page, "unknown columns, a list to paste")
    page.get_by_role("button", name="Use “Foto 1a” for the images").click()
    page.get_by_text("Ready:").wait_for()
    found += accessible(page, "columns chosen")
    page.set_input_files("#file", [as_file(b"sku,name,image\n1,Mug,/0.jpg\n2,Cup,/1.jpg\n")])
    page.get_by_role("button", name="Enter the base URL").wait_for()
    found += accessible(page, "relative paths")
    page.set_input_files("#file", [as_file(workbook(shop), "shop.xlsx")])
    page.get_by_text("sheet Sheet").wait_for()
    page.get_by_text("How the columns are used").click()
    found += accessible(page, "workbook")
    assert found == []


@pytest.mark.parametrize("of_columns", [False, True], ids=["rows", "columns"])
def test_axe_finds_nothing_on_the_refusal_without_a_script(
    shop: Shop, visit: Callable[..., Visit], of_columns: bool
) -> None:
    refused = visit(java_script_enabled=False)
    plain = refused.page
    plain.goto(shop.server.url)
    plain.set_input_files("#file", [as_file(unknown(shop) if of_columns else BAD)])
    plain.get_by_role("button", name="Upload and compress").click()
    plain.get_by_text("It is not clear which column" if of_columns else "2 of 3 rows need fixing.").wait_for()
    refusal = plain.content()
    page = visit().page
    page.route("**/refused", lambda route: route.fulfill(content_type="text/html", body=refusal))
    page.goto(f"{shop.server.url}/refused")
    assert accessible(page, "refused") == []
    assert [text for text in refused.complaints if "400" not in text] == []
    refused.complaints.clear()  # Chromium writes every 400 to the console


@pytest.mark.parametrize(
    "address", ["", "?show=failed", "?show=kept", "?q=nothing+of+the+kind", "/delete", "/webhooks"]
)
def test_axe_finds_nothing_on_the_pages_of_a_request(shop: Shop, visit: Callable[..., Visit], address: str) -> None:
    page = visit().page
    page.goto(shop.page(shop.done, address))
    for summary in page.locator("details:not([open]) > summary").all():
        summary.click()
    assert accessible(page, address or "result") == []


def test_axe_finds_nothing_while_a_request_runs_nor_in_the_comparison(
    shop: Shop, visit: Callable[..., Visit], go_on: threading.Event
) -> None:
    page = visit().page
    page.goto(shop.page(shop.done))
    page.get_by_role("button", name="Compare").first.click()
    page.locator(".view[data-state=both]").wait_for()
    found = accessible(page, "comparison")
    accepted = shop.server.upload(slow_catalogue(shop, "looked-at", 3, free=2, after=go_on))
    page.goto(shop.page(accepted["request_id"]))
    page.locator("#fresh li").nth(1).wait_for()
    found += accessible(page, "running")
    assert found == []


def test_axe_finds_nothing_on_the_other_pages(shop: Shop, visit: Callable[..., Visit]) -> None:
    one = visit()
    page = one.page
    found = []
    for address in ("/requests", "/requests?status=Failed", "/inbox", "/nowhere"):
        page.goto(shop.server.url + address)
        found += accessible(page, address)
    assert found == []
    assert [text for text in one.complaints if "404" not in text] == []
    one.complaints.clear()  # Chromium writes every 404 to the console


def test_axe_finds_nothing_on_the_page_of_the_api_with_everything_unfolded(
    shop: Shop, visit: Callable[..., Visit]
) -> None:
    page = visit().page
    page.goto(f"{shop.server.url}/docs/")
    page.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true; })")
    assert accessible(page, "API") == []


def test_axe_finds_nothing_on_the_pages_of_requests_of_which_nothing_came(
    server: Callable[..., SkulightServer], visit: Callable[..., Visit]
) -> None:
    running, page = server(MAX_ATTEMPTS="1"), visit().page
    running.instance.mkdir()
    with (running.instance / "worker.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)  # this process works: the server only serves
        running.start()
        lost = running.upload(catalogue([("Mug", ["https://shop.example/mug.jpg"])]))["request_id"]
        for kept in (running.instance / "uploads").iterdir():
            kept.unlink()
    refused = running.upload(catalogue([("Mug", ["http://127.0.0.1:2/mug.jpg"])]))["request_id"]
    found = []
    for request_id, status in ((lost, "Failed"), (refused, "Completed")):
        assert running.wait_until_done(request_id)["status"] == status
        page.goto(f"{running.url}/requests/{request_id}")
        page.locator(".headline .state", has_text="Failed").wait_for()
        found += accessible(page, f"nothing came, {status}")
    assert found == []


def test_axe_finds_nothing_on_the_pages_that_say_what_went_wrong(
    server: Callable[..., SkulightServer], visit: Callable[..., Visit]
) -> None:
    running = server()
    running.start()
    one = visit()
    page, found = one.page, []
    request_id = running.upload(catalogue([("Mug", ["http://127.0.0.1:2/mug.jpg"])]))["request_id"]
    running.wait_until_done(request_id)

    def look(status: int, heading: str) -> None:
        page.get_by_role("heading", name=heading).wait_for()
        page.get_by_text(f"Error {status}").wait_for()
        found.extend(accessible(page, str(status)))

    page.goto(f"{running.url}/requests/{request_id}/cancel")
    look(405, "Method not allowed")
    page.goto(running.url)
    page.locator("#webhook_url").evaluate(
        "field => { field.type = 'text'; field.value = 'x'.repeat(150000); field.form.submit(); }"
    )
    look(413, "The file is too large")
    with contextlib.closing(sqlite3.connect(running.instance / "skulight.db")) as database:
        database.execute("UPDATE requests SET warnings = 'no JSON'")
        database.commit()
    page.goto(f"{running.url}/requests/{request_id}")
    look(500, "Something went wrong")
    with contextlib.closing(sqlite3.connect(running.instance / "skulight.db")) as database:
        database.execute("ALTER TABLE requests RENAME TO elsewhere")
        database.commit()
    page.goto(f"{running.url}/requests/{request_id}")
    look(503, "Temporarily unavailable")
    assert found == []
    assert [text for text in one.complaints if "Failed to load resource" not in text] == []
    one.complaints.clear()  # Chromium writes every 4xx and 5xx to the console


# ---- the page of the API ----


def test_the_quick_start_on_the_page_of_the_api_works_as_it_stands(
    shop: Shop, visit: Callable[..., Visit], tmp_path: Path
) -> None:
    page = visit(java_script_enabled=False).page
    page.goto(f"{shop.server.url}/docs/")
    upload, wait, take = page.locator(".steps pre").all_inner_texts()

    def in_shell(commands: str) -> str:
        return subprocess.run(
            ["bash", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
        ).stdout

    request_id = json.loads(in_shell(upload))["request_id"]
    in_shell(f"{wait.replace('the-request_id-of-the-response', request_id)}\n{take}")

    assert (tmp_path / "output.csv").read_text().startswith("S. No.,Product Name,Input Image Urls,Output Image Urls\n")


def test_a_command_on_the_page_of_the_api_is_copied_at_a_click(shop: Shop, visit: Callable[..., Visit]) -> None:
    page = visit(permissions=["clipboard-read", "clipboard-write"]).page
    page.goto(f"{shop.server.url}/docs/#cancel")
    stop_clock(page)  # so that it says so until it was seen
    page.locator("#cancel").get_by_role("button", name="Copy").click()
    page.locator("#cancel").get_by_role("button", name="Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"curl -X POST {shop.server.url}/api/v1/requests/$REQUEST_ID/cancel"


def test_the_sign_in_page_lets_in_with_the_key_and_is_accessible(
    server: Callable[..., SkulightServer], visit: Callable[..., Visit]
) -> None:
    private = server(API_KEY="a key of many letters")
    private.start()
    one = visit()
    page = one.page
    page.goto(f"{private.url}/requests")
    assert accessible(page, "sign-in") == []
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("This is not the key of this server.").wait_for()
    assert accessible(page, "wrong key") == []
    page.get_by_label("API key").fill("a key of many letters")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Jobs").wait_for()
    assert [text for text in one.complaints if "403" not in text] == []
    one.complaints.clear()  # Chromium writes every 403 to the console


# ---- large ----


LARGE = "11111111-2222-4333-8444-555555555555"


def large_result(server: SkulightServer, products: int, images: int) -> None:
    """Record the request LARGE as done, without working it: products × images, a few of them on the disk."""
    app = create_app(instance_path=server.instance, processed_images_path=server.images)
    with app.app_context():
        session = db.session
        session.add(large_request(server.url, products, products * images))
        session.flush()
        session.execute(db.insert(Product), [large_product(row) for row in range(1, products + 1)])
        places = itertools.product(range(1, products + 1), range(1, images + 1))
        session.execute(db.insert(ProductImage), [large_image(server.url, *place) for place in places])
        session.commit()
        session.remove()
        db.engine.dispose()
    folder = server.images / LARGE
    folder.mkdir(parents=True)
    for row, position in itertools.product((*range(1, 21), products - 1), range(1, images + 1)):
        (folder / f"{row}-{position}.jpg").write_bytes(PHOTOS[row % 4])


def large_request(url: str, products: int, total: int) -> Job:
    now = datetime.now(UTC)
    return Job(
        id=LARGE,
        status=JobStatus.COMPLETED,
        outcome="succeeded",
        message=f"{total} of {total} images compressed; 60% smaller.",
        filename="large.csv",
        row_count=products,
        total=total,
        succeeded=total,
        progress=100.0,
        bytes_in=total * 140_000,
        bytes_out=total * 56_000,
        quality=50,
        max_dimension=2048,
        format="keep",
        on_invalid="reject",
        base_url=url,
        created_at=now,
        completed_at=now,
        updated_at=now,
    )


def large_product(row: int) -> dict[str, object]:
    return {
        "id": row,
        "request_id": LARGE,
        "row": row,
        "serial_number": f"{row}.",
        "product_name": f"Product {row}",
        "input_image_urls": [],
        "output_image_urls": [],
        "status": "Completed",
    }


def large_image(url: str, row: int, position: int) -> dict[str, object]:
    return {
        "request_id": LARGE,
        "product_id": row,
        "row": row,
        "position": position,
        "input_url": f"https://img.example/{row}/{position}.jpg",
        "host": "img.example",
        "url_key": url_key(f"{row}/{position}"),
        "status": ImageStatus.COMPLETED,
        "output_url": f"{url}/processed_images/{LARGE}/{row}-{position}.jpg",
        "bytes_in": 140_000,
        "bytes_out": 56_000,
        "width": 800,
        "height": 800,
    }


def test_a_result_of_20_000_images_is_shown_and_searched_page_by_page(
    server: Callable[..., SkulightServer], visit: Callable[..., Visit]
) -> None:
    running = server()
    large_result(running, 4_000, 5)
    running.start()
    page = visit().page
    page.goto(running.url)  # the style sheets and scripts are kept from here, as for any visitor
    page.goto(f"{running.url}/requests/{LARGE}")
    assert page.locator("tr:has(.thumb)").count() == 50
    page.get_by_role("link", name="Next →").click()
    page.get_by_role("rowheader", name="11. Product 11").wait_for()
    page.get_by_role("link", name="← Previous").click()
    page.get_by_role("rowheader", name="1. Product 1", exact=True).wait_for()
    page.get_by_label("Search products").fill("Product 3999")
    page.keyboard.press("Enter")
    page.get_by_role("rowheader", name="3999. Product 3999").wait_for()
