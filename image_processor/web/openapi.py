"""What the OpenAPI document has besides the classes: the key, headers, raw bodies, and examples.

The examples in `api_examples.json` are real responses: `tests/api_examples.py` writes them,
`tests/web/test_openapi.py` compares.
"""

import json
from pathlib import Path
from typing import Any

from image_processor.web.api.blueprint import TAGS

EXAMPLES = Path(__file__).with_name("api_examples.json")

# Open without the key: hosted images have unguessable names, received webhooks are signed, a health check has no key.
OPEN_OPERATIONS = ("health", "processed_image", "receive_callback")

_TEXT: dict[str, Any] = {"type": "string"}
_HEADERS: dict[str, dict[str, Any]] = {
    "X-Request-ID": {"description": "The id of this HTTP request, as in the log: the client's own, if it sent one."},
    "Location": {"description": "URL of the status of the job."},
    "Retry-After": {"description": "Seconds to wait before the next request."},
    "ETag": {"description": "Send it as `If-None-Match` to get 304 when nothing changed."},
    "Link": {"description": 'The next page, as `<…>; rel="next"`. Absent on the last page.'},
    "Content-Range": {"description": "The range of bytes and the total."},
    "WWW-Authenticate": {"description": "How to authenticate."},
}
# By operation and status; every response has X-Request-ID.
_RESPONSE_HEADERS: dict[tuple[str, str], tuple[str, ...]] = {
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
    """The whole document, from the one generated from the classes. `locked`: whether this server requires a key."""
    examples = json.loads(EXAMPLES.read_text())
    document["components"]["securitySchemes"] = {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "`Authorization: Bearer <key>`, if the server has a key (`IMAGE_PROCESSOR_API_KEY`).",
        }
    }
    document["components"]["headers"] = {name: {**header, "schema": _TEXT} for name, header in _HEADERS.items()}
    document["tags"] = [tag.model_dump(exclude_none=True) for tag in TAGS]
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
    for status, response in operation["responses"].items():
        headers = ("X-Request-ID", *_RESPONSE_HEADERS.get((name, status), ()))
        if status == "401" and name not in OPEN_OPERATIONS:
            headers = (*headers, "WWW-Authenticate")
        if status == "429":
            headers = (*headers, "Retry-After")
        response["headers"] = {header: {"$ref": f"#/components/headers/{header}"} for header in headers}
    for status, example in examples.items():
        content = operation["requestBody" if status == "request" else "responses"]
        content = content["content"] if status == "request" else content[status]["content"]
        content[example["media_type"]]["example"] = example["body"]


def _add_raw_bodies(operation: dict[str, Any]) -> None:
    operation["requestBody"]["content"]["text/csv"] = {"schema": {**_TEXT, "description": "The catalogue."}}
    response = operation["responses"]["200"]
    response["description"] = "The result of a dry run; all problems as CSV with `Accept: text/csv`."
    response["content"]["text/csv"] = {"schema": _TEXT}


def _add_callback(operation: dict[str, Any]) -> None:
    """The signature is of the raw bytes, so no class describes the body."""
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    operation["parameters"] = [
        {"name": name, "in": "header", "required": True, "schema": _TEXT, "description": description}
        for name, description in (
            ("webhook-id", "Id of the message; a repeated message is stored once."),
            ("webhook-timestamp", "Unix time in seconds, at most 5 minutes from now."),
            (
                "webhook-signature",
                "`v1,` and the base64 of the HMAC-SHA256, as in Standard Webhooks.",
            ),
        )
    ]
