"""Takes docs/screenshots/: the main states of the pages, with the sample images.

    .venv/bin/python scripts/screenshots.py [FOLDER]

Needs playwright and Chromium. Starts a server in a temporary folder.
"""

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from servers import SkulightServer  # noqa: E402 - found by the path above

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
DESKTOP = {"width": 1100, "height": 760}
TALL = {"width": 1100, "height": 1150}
PHONE = {"width": 360, "height": 740}
MOST_BYTES = 150_000
PHOTOS = ("mug-front", "lamp", "tote", "vase")
HEADER = "S. No.,Product Name,Input Image Urls\n"
BAD_ROWS = '6.,,https://shop.example/chair.jpg\n7.,Bench,shop/bench.jpg\n8.,Stool,"ftp://shop.example/stool.jpg"\n'


def main() -> int:
    """Take all screenshots."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="skulight-screenshots-") as place, sync_playwright() as playwright:
        server = SkulightServer(Path(place), MAX_ATTEMPTS="1", LOG_LEVEL="WARNING")
        server.start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            _take_all(browser, server, folder)
        finally:
            browser.close()
            server.stop()
    return 0


def _take_all(browser: Browser, server: SkulightServer, folder: Path) -> None:
    sample = requests.get(f"{server.url}/sample.csv", timeout=10).content
    page = _page(browser, DESKTOP)
    page.goto(server.url)
    page.set_input_files("#file", [_file("catalogue.csv", sample)])
    page.get_by_text("Ready:").wait_for()
    _take(page, folder / "upload.png")
    page.set_input_files("#file", [_file("catalogue.csv", sample + BAD_ROWS.encode())])
    page.get_by_text("problems found").wait_for()
    _take(page, folder / "problems.png")
    _columns(browser, server, folder)

    running = server.upload(_many(server.url), filename="autumn.csv", format="avif")["request_id"]
    page.goto(f"{server.url}/requests/{running}")
    page.locator("#fresh li").nth(11).wait_for()
    _take(page, folder / "progress.png")
    requests.post(f"{server.url}/api/v1/requests/{running}/cancel", timeout=10)
    server.wait_until_done(running)
    requests.delete(f"{server.url}/api/v1/requests/{running}", timeout=10)

    broken = sample.rstrip() + f"\n6.,Chair,{server.url}/static/samples/chair.jpg\n".encode()
    hook = f"{server.url}/webhooks/inbox"
    done = server.upload(broken, filename="catalogue.csv", webhook_url=hook)["request_id"]
    server.wait_until_done(done)
    _result(page, server, done, folder)
    dark = _page(browser, TALL, color_scheme="dark")
    dark.goto(f"{server.url}/requests/{done}")
    _take(dark, folder / "result-dark.png")
    phone = _page(browser, PHONE)
    phone.goto(f"{server.url}/requests/{done}")
    _take(phone, folder / "result-phone.png")


def _columns(browser: Browser, server: SkulightServer, folder: Path) -> None:
    """A table whose images no header names: the question on a phone, and the answer."""
    rows = [f"M{n};{name.title()};{n}9.90;{server.url}/static/samples/{name}.jpg" for n, name in enumerate(PHOTOS, 1)]
    file = _file("autumn.csv", "\n".join(["SKU;Product;Price;Shop front", *rows, ""]).encode())
    for size, name in ((PHONE, "columns-phone.png"), (TALL, "columns.png")):
        page = _page(browser, size)
        page.goto(server.url)
        page.set_input_files("#file", [file])
        page.get_by_role("button", name="Use “Shop front” for the images").wait_for()
        if size is TALL:
            page.get_by_role("button", name="Use “Shop front” for the images").click()
            page.get_by_text("Ready:").wait_for()
        else:
            page.locator("#check").evaluate("part => part.scrollIntoView()")
        _take(page, folder / name)


def _result(page: Page, server: SkulightServer, done: str, folder: Path) -> None:
    page.goto(f"{server.url}/requests/{done}")
    page.set_viewport_size(TALL)
    _take(page, folder / "result.png")
    page.set_viewport_size(DESKTOP)
    page.locator("button[data-compare]").first.click()
    page.locator(".view[data-state=both]").wait_for()
    _take(page, folder / "compare.png")
    page.keyboard.press("Escape")
    page.goto(f"{server.url}/requests/{done}/webhooks")
    page.get_by_text("Delivered", exact=True).wait_for()
    _take(page, folder / "webhooks.png")


def _page(browser: Browser, size: Any, **options: Any) -> Page:
    return browser.new_context(viewport=size, reduced_motion="reduce", **options).new_page()


def _file(name: str, content: bytes) -> Any:
    return {"name": name, "mimeType": "text/csv", "buffer": content}


def _many(url: str) -> bytes:
    """The sample many times over, with different URLs, so that the job takes a while."""
    names = sorted(path.name for path in (ROOT / "static" / "samples").iterdir() if path.suffix == ".jpg")
    rows = [f"{n}.,Product {n},{url}/static/samples/{names[n % len(names)]}?n={n}" for n in range(1, 200)]
    return (HEADER + "\n".join(rows) + "\n").encode()


def _take(page: Page, path: Path) -> None:
    """Take the visible part, in as few colours as keep it below MOST_BYTES."""
    page.evaluate(
        "Promise.all(Array.from(document.images, image => image.complete || new Promise(done => "
        "{ image.loading = 'eager'; image.onload = image.onerror = done; })))"
    )
    screenshot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for colours in (256, 128, 64, 32):
        file = io.BytesIO()
        screenshot.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        if file.tell() <= MOST_BYTES:
            break
    path.write_bytes(file.getvalue())
    print(f"{path.name}: {file.tell():,} bytes, {colours} colours")


if __name__ == "__main__":
    sys.exit(main())
