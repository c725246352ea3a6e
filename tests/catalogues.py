"""Catalogues of hosted images, for tests of the whole server."""

import csv
import io
import threading
from collections.abc import Callable

from PIL import Image
from servers import ImageHost, Page, SkulightServer

NewServer = Callable[..., SkulightServer]
ALLOW = {"ALLOWED_PRIVATE_ADDRESSES": "127.0.0.0/8"}


def noise(side: int = 64) -> bytes:
    """A JPEG of noise."""
    file = io.BytesIO()
    Image.effect_noise((side, side), 60).convert("RGB").save(file, "JPEG", quality=95)
    return file.getvalue()


def catalogue(urls: list[str], per_row: int = 4) -> bytes:
    """The CSV of so many URLs."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["S. No.", "Product Name", "Input Image Urls"])
    for start in range(0, len(urls), per_row):
        writer.writerow([f"{start}", f"SKU{start}", ", ".join(urls[start : start + per_row])])
    return file.getvalue().encode()


def hosted(
    host: ImageHost, number: int, delay: float = 0.0, *, free: int = 0, after: threading.Event | None = None
) -> list[str]:
    """The URLs of so many images on the host, all but the first `free` only `after` an event."""
    one = noise()
    for index in range(number):
        host.pages[f"/{index}.jpg"] = Page(one, delay=delay, after=after if index >= free else None)
    return [host.url(f"/{index}.jpg") for index in range(number)]


def images_done(running: SkulightServer) -> int:
    """How many images of all jobs are compressed."""
    return int(running.ask("SELECT SUM(succeeded) FROM requests")[0][0])
