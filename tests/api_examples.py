"""Real answers of every operation, for the examples of the OpenAPI document.

`python tests/api_examples.py` writes them to image_processor/web/api_examples.json; test_openapi.py compares.
"""

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent.parent)]

from flask import Flask
from flask.testing import FlaskClient
from servers import ROOT, Page, image_host, webhook_receiver
from werkzeug.test import TestResponse

from app import create_app
from image_processor.jobs.webhook import signatures
from image_processor.web.openapi import EXAMPLES

BASE = "http://127.0.0.1:8000"
KEY = "a-key-of-the-tests"
BEARER = {"Authorization": f"Bearer {KEY}"}
HEAD = "S. No.,Product Name,Input Image Urls\n"
BAD = f"{HEAD}1.,Stoneware mug,https://shop.example/mug-front.jpg\n2.,,ftp://shop.example/lamp.jpg\n"
NO_ID = "00000000-0000-4000-8000-000000000000"
# What differs from run to run and from machine to machine.
_VOLATILE = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<request>"),
    (re.compile(r"msg_[0-9a-f]{32}"), "<delivery>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "<time>"),
    (re.compile(r"\d+% smaller"), "<part> smaller"),
)
_MEASURED = {"bytes_in", "bytes_out", "input", "output", "saved_percent", "images_per_second", "duration_ms", "id"}


@dataclass
class FinishedJob:
    """A finished job, one of its images failed; and an application on the same folders, with a key."""

    application: Flask
    request_id: str
    shown: dict[str, str]
    """Addresses of this run, and what the examples say instead."""

    @property
    def client(self) -> FlaskClient:
        """A caller with the key."""
        client = self.application.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = BEARER["Authorization"]
        return client

    @property
    def path(self) -> str:
        """The path of the request."""
        return f"/api/v1/requests/{self.request_id}"


@contextlib.contextmanager
def finished_request(folder: Path) -> Iterator[FinishedJob]:
    """Let the command line work a small catalogue, whose webhook is delivered."""
    with image_host() as host, webhook_receiver() as receiver:
        for name in ("mug-front.jpg", "mug-upright.jpg", "lamp.jpg"):
            host.pages[f"/{name}"] = Page((ROOT / "static" / "samples" / name).read_bytes())
        rows = (
            f'1.,Stoneware mug,"{host.url("/mug-front.jpg")}, {host.url("/mug-upright.jpg")}"\n'
            f'2.,Table lamp,"{host.url("/lamp.jpg")}, {host.url("/lamp-shade.jpg")}"\n'
        )
        catalogue = folder / "catalogue.csv"
        catalogue.write_text(HEAD + rows)
        settings = {
            "instance_path": str(folder / "instance"),
            "processed_images_path": str(folder / "processed_images"),
            "public_base_url": BASE,
            "allowed_private_addresses": "127.0.0.0/8",
        }
        environment = os.environ | {f"IMAGE_PROCESSOR_{name.upper()}": value for name, value in settings.items()}
        command = [sys.executable, "-m", "flask", "--app", "app", "process", str(catalogue), "-o", os.devnull]
        done = subprocess.run(
            [*command, "--webhook-url", receiver.url],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        application = create_app(**settings, api_key=KEY)
        request_id = application.extensions["services"].queries.jobs(1)[0][0].request_id
        shown = {host.url(""): "https://shop.example", receiver.url: "https://erp.example/hook"}
        yield FinishedJob(application, request_id, shown)


def capture(finished: FinishedJob) -> dict[str, Any]:
    """An answer of every operation (and what was sent, where it matters), by operation and status."""
    client, path = finished.client, finished.path
    examples: dict[str, Any] = {}

    def keep(operation: str, answer: TestResponse, status: int, body: object = None) -> TestResponse:
        assert answer.status_code == status, (operation, answer.text)
        body = answer.get_json() if answer.is_json else body if body is not None else answer.text
        examples.setdefault(operation, {})[str(status)] = {"media_type": answer.mimetype, "body": body}
        answer.close()
        return answer

    def upload(data: str, **options: str) -> TestResponse:
        return client.post("/api/v1/requests", data={"file": (io.BytesIO(data.encode()), "catalogue.csv"), **options})

    keep("upload", upload(BAD), 400)
    keep("upload", upload(BAD, dry_run="true"), 200)
    for operation, suffix in (
        ("status", ""), ("list_images", "/images"), ("sizes", "/sizes"), ("errors_csv", "/errors.csv"),
        ("list_deliveries", "/webhook-deliveries"), ("output_csv", "/output.csv"),
        ("replacements_csv", "/replacements.csv"),
    ):  # fmt: skip
        keep(operation, client.get(path + suffix), 200)
        keep(operation, client.get(f"/api/v1/requests/{NO_ID}{suffix}"), 404)
    keep("status", finished.application.test_client().get(path), 401)
    images = client.get(f"{path}/images?status=Failed").get_json()["images"]
    keep("image_source", client.get(f"{path}/images/{images[0]['id']}/source"), 502)
    keep("list_requests", client.get("/api/v1/requests"), 200)
    keep("list_requests", client.get("/api/v1/requests?limit=0"), 400)
    keep("cancel", client.post(f"{path}/cancel"), 409)
    delivery = client.get(f"{path}/webhook-deliveries").get_json()["deliveries"][0]
    keep("redeliver", client.post(f"{path}/webhook-deliveries/{delivery['id']}/redeliver"), 202)
    _send_callback(finished, client, delivery)
    keep("list_callbacks", client.get("/webhooks/inbox"), 200)
    keep("receive_callback", client.post("/webhooks/inbox", json={}), 401)
    keep("retry", client.post(f"{path}/retry"), 202)
    keep("retry", client.post(f"{path}/retry"), 409)
    keep("delete_request", client.delete(path), 409)
    keep("errors_csv", client.get(f"{path}/errors.csv"), 409)
    keep("cancel", client.post(f"{path}/cancel"), 202)
    examples["receive_callback"]["request"] = {"media_type": "application/json", "body": delivery["body"]}
    keep("health", client.get("/healthz"), 200)
    keep("sample_csv", client.get("/sample.csv"), 200)
    keep("sample_shopify", client.get("/samples/shopify.csv"), 200)
    keep("sample_woocommerce", client.get("/samples/woocommerce.csv"), 200)
    again = upload(HEAD + "1.,Stoneware mug,https://shop.example/mug-front.jpg\n")
    keep("upload", again, 202)
    keep("output_csv", client.get(f"{again.headers['Location']}/output.csv"), 409)
    examples["upload"]["request"] = {
        "media_type": "text/csv",
        "body": HEAD + '1.,Stoneware mug,"https://shop.example/front.jpg, https://shop.example/back.jpg"\n',
    }
    return json.loads(_public(json.dumps(examples), finished))


def _send_callback(finished: FinishedJob, client: FlaskClient, delivery: dict[str, Any]) -> None:
    """What a receiver of this very webhook gets; here the inbox."""
    body, at = json.dumps(delivery["body"]), datetime.now(UTC)
    settings = finished.application.extensions["services"].settings
    secret = (settings.instance_path / "webhook_secret").read_text()
    answer = client.post(
        "/webhooks/inbox",
        data=body,
        content_type="application/json",
        headers={
            "webhook-id": delivery["id"],
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": signatures([secret], delivery["id"], at, body),
        },
    )
    assert answer.status_code == 204, answer.text


def _public(text: str, finished: FinishedJob) -> str:
    for here, shown in finished.shown.items():
        text = text.replace(here, shown)
    return text


def masked(value: Any, name: str = "") -> Any:
    """The value without what differs from run to run."""
    if isinstance(value, dict):
        return {key: masked(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, str):
        for pattern, word in _VOLATILE:
            value = pattern.sub(word, value)
    return "<number>" if name in _MEASURED and isinstance(value, (int, float)) else value


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as there, finished_request(Path(there)) as one:
        EXAMPLES.write_text(json.dumps(capture(one), indent=1, ensure_ascii=False) + "\n")
