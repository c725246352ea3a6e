"""The API document is valid, complete and true; and whatever a caller sends, the API answers as the document says."""

import json
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from api_examples import BEARER, FinishedJob, capture, finished_request, masked
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.engine import events, from_schema
from werkzeug.serving import WSGIRequestHandler, make_server

from image_processor.web.openapi import EXAMPLES, OPEN_OPERATIONS

MEDIA_TYPES_OF_JSON = ("application/json", "application/problem+json")
# The aliases of the contract, which the document leaves out.
ALIASES = {
    "/upload",
    "/upload/",
    "/upload_csv",
    "/status/<request_id>",
    "/request_status/<request_id>",
    "/processed_images/<request_id>/output.csv",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FinishedJob]:
    with finished_request(tmp_path_factory.mktemp("openapi")) as one:
        yield one


@pytest.fixture(scope="module")
def document(finished: FinishedJob) -> Any:
    return finished.client.get("/docs/openapi.json").get_json()


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


# ---- the document --------------------------------------------------------------------------------------------------


def test_the_document_is_valid_openapi_3_1(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    validate(document)


def test_every_operation_of_the_api_is_described(document: Any, finished: FinishedJob) -> None:
    described = {(method, path) for method, path, _ in operations(document)}

    served = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in finished.application.url_map.iter_rules()
        if rule.endpoint.startswith("api.") and rule.rule not in ALIASES
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == served
    for method, path, operation in operations(document):
        assert operation["summary"].endswith("."), (method, path)
        assert "<" not in operation.get("description", ""), (method, path)
        assert all("description" in answer for answer in operation["responses"].values())


def test_the_upload_takes_a_form_or_the_catalogue_itself(document: Any) -> None:
    upload = document["paths"]["/api/v1/requests"]["post"]

    assert set(upload["requestBody"]["content"]) == {"multipart/form-data", "text/csv"}
    quality = document["components"]["schemas"]["UploadForm"]["properties"]["quality"]
    assert (quality["type"], quality["minimum"], quality["maximum"]) == ("integer", 1, 95)


def test_the_document_says_which_calls_need_the_key_and_it_is_so(document: Any, finished: FinishedJob) -> None:
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    assert document["security"] == [{"apiKey": []}]
    stranger = finished.application.test_client()
    for method, path, operation in operations(document):
        answer = stranger.open(re.sub(r"{\w*id}", "1", path).replace("{filename}", "x.jpg"), method=method)
        if operation["operationId"] in OPEN_OPERATIONS:
            assert operation["security"] == []
            assert answer.status_code != 401 or "webhook-signature" in answer.get_json()["detail"], path
        else:
            assert "security" not in operation
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer"), path


def test_every_operation_that_answers_in_json_or_csv_has_an_example(document: Any) -> None:
    for method, path, operation in operations(document):
        answers = {status: answer.get("content", {}) for status, answer in operation["responses"].items()}
        good = [content for status, content in answers.items() if status.startswith("2") and content]
        if operation["operationId"] not in (
            "images_zip",
            "output_xlsx",
            "sample_workbook",
            "image_source",
            "processed_image",
            "metrics",
            "readiness",
        ):
            examples = [media for content in good for media in content.values() if "example" in media]
            assert examples or not good, (method, path)


def test_the_examples_fit_their_schemas(document: Any) -> None:
    checked = 0
    for method, path, operation in operations(document):
        for status, answer in operation["responses"].items():
            for media_type, media in answer.get("content", {}).items():
                if "example" in media and media_type in MEDIA_TYPES_OF_JSON:
                    schema = {**media["schema"], "components": document["components"]}
                    errors = [error.message for error in OAS31Validator(schema).iter_errors(media["example"])]
                    assert not errors, (method, path, status, errors)
                    checked += 1
    assert checked > 20


# ---- what callers may send -----------------------------------------------------------------------------------------

# Every check of schemathesis runs on every operation, but for these.
EXCLUSIONS = {
    (
        "POST /api/v1/requests",
        "positive_data_acceptance",
    ): "no schema describes a catalogue or a web address",
    ("GET /api/v1/requests", "positive_data_acceptance"): "a cursor is what a page before gave, not any text",
    ("GET /api/v1/requests/{request_id}/images/{image_id}/source", "not_a_server_error"): "502 is the source's failure",
    ("GET /readyz", "not_a_server_error"): "503 is right: no process works here, once that of the fixture is forgotten",
}


@pytest.fixture
def server(finished: FinishedJob) -> Iterator[str]:
    """The application behind a real socket."""

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: object) -> None:
            """Thousands of calls are no news here."""

    running = make_server("127.0.0.1", 0, finished.application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.port}"
    running.shutdown()
    running.server_close()
    thread.join(120)


def test_whatever_is_sent_is_answered_as_described(server: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    schema = schemathesis.openapi.from_url(f"{server}/docs/openapi.json", headers=BEARER)
    schema.config.update(headers=BEARER)
    schema.config.generation.update(
        modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE], max_examples=15, deterministic=True
    )
    checks: set[str] = set()
    failures: set[tuple[str | None, str, str]] = set()
    for event in from_schema(schema).execute():
        assert not isinstance(event, (events.NonFatalError, events.FatalError)), getattr(event, "value", event)
        if isinstance(event, events.ScenarioFinished):
            for check in (one for some in event.recorder.checks.values() for one in some):
                checks.add(check.name)
                if check.failure_info is not None:
                    failure = check.failure_info.failure
                    if (failure.operation, check.name) not in EXCLUSIONS:
                        failures.add((failure.operation, check.name, check.failure_info.code_sample))

    assert not failures
    assert {"not_a_server_error", "response_schema_conformance", "ignored_auth", "unsupported_method"} <= checks


def test_the_examples_are_real_answers(tmp_path: Path) -> None:
    """When this fails because an answer changed on purpose: `python tests/api_examples.py` writes the new ones."""
    shown = json.loads(EXAMPLES.read_text())

    with finished_request(tmp_path) as another:
        assert masked(shown) == masked(capture(another))
