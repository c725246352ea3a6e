"""What the OpenAPI document says beyond the classes: the key, headers, raw bodies, and examples that are real answers.

The examples lie in `api_examples.json`. `tests/api_examples.py` writes them from answers of the program, and
`tests/test_openapi.py` holds them to those.
"""

import json
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).with_name("api_examples.json")

# Served without the key: results have unguessable names, a callback shows its signature, a health check knows no key.
OPEN_OPERATIONS = ("health", "processed_image", "receive_callback")

_TEXT: dict[str, Any] = {"type": "string"}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {"description": "The id of this call, as in the log: the caller's own, if it sent one."},
    "Location": {"description": "Where the status of the request is."},
    "Retry-After": {"description": "Seconds after which to ask again."},
    "ETag": {"description": "Send it back as `If-None-Match`: 304 says that nothing changed."},
    "Link": {"description": 'The next page, as `<…>; rel="next"`. Absent on the last page.'},
    "Content-Range": {"description": "Which bytes these are, of how many."},
    "WWW-Authenticate": {"description": "How to show the key."},
}
# By operation and status; every answer has X-Request-ID.
_ANSWERED_WITH: dict[tuple[str, str], tuple[str, ...]] = {
    ("upload", "202"): ("Location", "Retry-After"),
    ("upload", "503"): ("Retry-After",),
    ("status", "200"): ("ETag", "Retry-After"),
    ("status", "304"): ("ETag",),
    ("list_requests", "200"): ("Link",),
    ("list_images", "200"): ("Link",),
    ("output_csv", "200"): ("ETag",),
    ("processed_image", "200"): ("ETag",),
    ("processed_image", "206"): ("ETag", "Content-Range"),
    ("processed_image", "416"): ("Content-Range",),
}


def complete(document: dict[str, Any], *, locked: bool) -> dict[str, Any]:
    """The whole document, from the one that is generated from the classes. `locked`: whether this server has a key."""
    examples = json.loads(EXAMPLES.read_text())
    document["components"]["securitySchemes"] = {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "`Authorization: Bearer <key>`, where the server has a key (`IMAGE_PROCESSOR_API_KEY`).",
        }
    }
    document["components"]["headers"] = {name: {**header, "schema": _TEXT} for name, header in _HEADERS.items()}
    document["security"] = [{"apiKey": []}] if locked else [{"apiKey": []}, {}]
    for path in document["paths"].values():
        for operation in path.values():
            _complete(operation, examples.get(operation["operationId"], {}))
    return document


def _complete(operation: dict[str, Any], examples: dict[str, Any]) -> None:
    name = operation["operationId"]
    if "description" in operation:
        operation["description"] = " ".join(operation["description"].replace("<br/>", " ").split())
    if name in OPEN_OPERATIONS:
        operation["security"] = []
    if name == "upload":
        _add_raw_bodies(operation)
    if name == "receive_callback":
        _add_callback(operation)
    for status, answer in operation["responses"].items():
        headers = ("X-Request-ID", *_ANSWERED_WITH.get((name, status), ()))
        if status == "401" and name not in OPEN_OPERATIONS:
            headers = (*headers, "WWW-Authenticate")
        if status == "429":
            headers = (*headers, "Retry-After")
        answer["headers"] = {header: {"$ref": f"#/components/headers/{header}"} for header in headers}
    for status, example in examples.items():
        content = operation["requestBody" if status == "request" else "responses"]
        content = content["content"] if status == "request" else content[status]["content"]
        content[example["media_type"]]["example"] = example["body"]


def _add_raw_bodies(operation: dict[str, Any]) -> None:
    operation["requestBody"]["content"]["text/csv"] = {"schema": {**_TEXT, "description": "The catalogue itself."}}
    operation["responses"]["200"]["description"] = "What a dry run understood; every problem as CSV, if so accepted."
    operation["responses"]["200"]["content"]["text/csv"] = {"schema": _TEXT}


def _add_callback(operation: dict[str, Any]) -> None:
    """The verified bytes are read as they came, so no class describes them."""
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    operation["parameters"] = [
        {"name": name, "in": "header", "required": True, "schema": _TEXT, "description": description}
        for name, description in (
            ("webhook-id", "The message; a repeated one is stored once."),
            ("webhook-timestamp", "Seconds since 1970, within 5 minutes of now."),
            ("webhook-signature", "`v1,` and the base64 of the HMAC-SHA256, by the Standard Webhooks specification."),
        )
    ]
