"""The Postman collection is whole, and newman runs it green against a fresh server."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import SkulightServer

import app as wiring
from image_processor.jobs.webhook import new_secret

ROOT = Path(__file__).parents[2]
COLLECTION_PATH = ROOT / "postman_collection.json"
COLLECTION: dict[str, Any] = json.loads(COLLECTION_PATH.read_text())
NEWMAN = shutil.which("newman", path=f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{os.environ.get('PATH', '')}")
# Not in the OpenAPI document, which names every operation once.
API_ALIASES = {
    "POST /upload", "POST /upload/", "POST /upload_csv", "GET /status/{}", "GET /request_status/{}",
}  # fmt: skip


def items(folder: dict[str, Any] = COLLECTION) -> Iterator[dict[str, Any]]:
    """Every request of the collection, in order."""
    for entry in folder["item"]:
        if "item" in entry:
            yield from items(entry)
        else:
            yield entry


def calls() -> set[str]:
    """What the collection calls: method and path, variables and ids as `{}`."""
    found = set()
    for item in items():
        path = item["request"]["url"]["raw"].removeprefix("{{base_url}}").partition("?")[0]
        path = re.sub(r"\{\{\w+\}\}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "{}", path)
        found.add(f"{item['request']['method']} {path}")
    return found


def test_the_collection_is_of_version_2_1_and_its_names_are_unique() -> None:
    names = [item["name"] for item in items()]

    assert COLLECTION["info"]["schema"] == "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    assert len(set(names)) == len(names), "setNextRequest needs unique names"


def test_every_request_has_a_test_of_its_own_and_a_description() -> None:
    for item in items():
        scripts = {event["listen"]: "\n".join(event["script"]["exec"]) for event in item["event"]}
        assert "pm.test(" in scripts["test"], item["name"]
        assert item["request"]["description"], item["name"]


def test_every_variable_that_is_used_is_declared_and_the_reverse() -> None:
    declared = {variable["key"] for variable in COLLECTION["variable"]}
    text = json.dumps(COLLECTION["item"]) + json.dumps(COLLECTION["auth"])

    used = set(re.findall(r"\{\{(\w+)\}\}", text)) | set(re.findall(r"[vV]ariables\.[gs]et\('(\w+)'", text))

    assert used == declared


def test_every_file_it_sends_lies_in_the_repository() -> None:
    sources = re.findall(r'"src": "([^"]+)"', COLLECTION_PATH.read_text())

    assert sources
    assert all((ROOT / source).is_file() for source in sources)


def test_every_operation_of_the_api_and_every_alias_is_called(tmp_path: Path) -> None:
    app = wiring.create_app(instance_path=tmp_path / "instance", processed_images_path=tmp_path / "processed_images")
    operations = {
        f"{method.upper()} {re.sub(r'{[^}]+}', '{}', path)}"
        for path, methods in app.api_doc["paths"].items()  # type: ignore[attr-defined]
        for method in methods
    }

    assert operations | API_ALIASES <= calls()


@pytest.mark.skipif(
    NEWMAN is None, reason="newman is not installed: `npm ci` in the root of the repository brings it (needs Node.js)"
)
@pytest.mark.parametrize("locked", [False, True], ids=["open", "with-api-key-and-webhook-secret"])
def test_newman_runs_it_green_against_a_fresh_server(
    locked: bool, server: Callable[..., SkulightServer], tmp_path: Path
) -> None:
    secrets = {"API_KEY": "the key of this test", "WEBHOOK_SECRET": new_secret()} if locked else {}
    fresh = server(**secrets)
    fresh.start()
    report = tmp_path / "newman.json"
    variables = {"base_url": fresh.url} | {name.lower(): value for name, value in secrets.items()}

    done = subprocess.run(
        [
            str(NEWMAN), "run", COLLECTION_PATH.name, "--reporters", "cli,json", "--reporter-json-export", str(report),
            "--color", "off", *(part for pair in variables.items() for part in ("--env-var", "=".join(pair))),
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:] + fresh.log()[-2000:]
    run = json.loads(report.read_text())["run"]
    assert run["failures"] == []
    assert {execution["item"]["name"] for execution in run["executions"]} == {item["name"] for item in items()}
