"""The API page: one template over the OpenAPI document, with the functions that it needs."""

import re
from collections.abc import Iterator
from dataclasses import fields
from functools import lru_cache
from typing import Any, TypeVar

from flask import Blueprint, Response, current_app, g, jsonify, render_template
from markupsafe import Markup

from image_processor.errors import CSVProblem, ImageError, RequestError
from image_processor.web.guard import guard
from image_processor.web.openapi import complete

Schema = dict[str, Any]
T = TypeVar("T", bound=Exception)

# Larger bounds are those of the database, not of the subject (JSON numbers are exact up to 2^53).
_UNBOUNDED = 2**53
_LINE = 72

docs = Blueprint("docs", __name__, url_prefix="/docs")


@docs.get("/openapi.json")
def document() -> Response:
    """The OpenAPI document."""
    return jsonify(_document())


@docs.get("/")
def page() -> str:
    """The OpenAPI document as HTML."""
    return render_template(
        "docs.html",
        reference=Reference(_document(), g.base_url),
        problem_types=sorted(_descendants(RequestError), key=lambda kind: (kind.status, kind.type)),
        csv_problem=[member.name for member in fields(CSVProblem)],
        image_errors=list(_descendants(ImageError)),
    )


def _document() -> dict[str, Any]:
    return _complete_document(current_app._get_current_object(), guard().locked)  # type: ignore[attr-defined]


@lru_cache(maxsize=1)
def _complete_document(app: Any, locked: bool) -> dict[str, Any]:
    return complete(app.api_doc, locked=locked)


def _descendants(root: type[T]) -> Iterator[type[T]]:
    for child in root.__subclasses__():
        yield child
        yield from _descendants(child)


class Reference:
    """An OpenAPI document as the template reads it. Its curl commands send requests to `base_url`."""

    def __init__(self, document: dict[str, Any], base_url: str) -> None:
        self.document = document
        self.base_url = base_url
        self.key = "" if {} in document["security"] else '-H "Authorization: Bearer $API_KEY" '
        self._schemas: dict[str, Schema] = document["components"]["schemas"]

    def operations(self, tag: str) -> list[dict[str, Any]]:
        """The operations of a tag, with their method and path."""
        return [
            {"method": method, "path": path, **operation}
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
            if tag in operation["tags"]
        ]

    def objects(self) -> dict[str, Schema]:
        """The objects of responses, by name; the page shows forms and problems where they belong."""
        return {
            name: schema
            for name, schema in sorted(self._schemas.items())
            if schema["type"] == "object" and name not in ("UploadForm", "Problem")
        }

    def core(self, schema: Schema) -> Schema:
        """The schema behind a reference, a list or an "or null"."""
        if "$ref" in schema:
            return self.core(self._schemas[_name(schema)])
        if "anyOf" in schema:
            return self.core(next(one for one in schema["anyOf"] if one.get("type") != "null"))
        return self.core(schema["items"]) if "items" in schema else schema

    def type(self, schema: Schema, plural: str = "") -> str:
        """The type in words, with links to objects: `integer or null`, `array of strings`, `file`."""
        if "anyOf" in schema:
            return Markup(" or ").join(self.type(one, plural) for one in schema["anyOf"])
        if "$ref" in schema and "enum" not in self.core(schema):
            return Markup('<a href="#schema-{0}">{0}</a>').format(_name(schema))
        if "items" in schema:
            return Markup("array of ") + self.type(schema["items"], "s")
        if isinstance(values := schema.get("additionalProperties"), dict):
            return Markup("object of ") + self.type(values, "s")
        if schema.get("format") == "binary":
            return "file"
        return str(self.core(schema).get("type", "any value")) + plural

    def command(self, operation: dict[str, Any]) -> str:
        """The operation as a curl command; the user's values are shell variables."""
        body = operation.get("requestBody", {}).get("content", {})
        options = [] if operation["method"] == "get" or body else [f"-X {operation['method'].upper()}"]
        if self.key and operation.get("security") != []:
            options.append(self.key.strip())
        for one in operation.get("parameters", ()):
            if one["in"] == "header" and one["required"]:
                options.append(f'-H "{one["name"]}: {_variable(one["name"])}"')
        if body:
            is_form = "multipart/form-data" in body
            options.append("-F file=@catalogue.csv" if is_form else "-H 'Content-Type: application/json' -d @body.json")
        if _is_file(operation["responses"].get("200", {}).get("content", {})):
            options.append("-O")
        url = self.base_url + re.sub(r"{(\w+)}", lambda found: _variable(found[1]), operation["path"])
        line = " ".join(["curl", *options, url])
        return line if len(line) <= _LINE else "curl " + " \\\n  ".join([*options, url])


def title_of(operation_id: str) -> str:
    """`list_images` → `List images`, `output_csv` → `output.csv`."""
    file = re.sub(r"_(csv|xlsx|zip)$", r".\1", operation_id)
    return file if file != operation_id else operation_id.replace("_", " ").capitalize()


def limits(schema: Schema) -> str:
    """The limits of a value in words."""
    low, high, longest = schema.get("minimum"), schema.get("maximum"), schema.get("maxLength")
    if longest is not None:
        return f"up to {longest} characters"
    if high is not None and high < _UNBOUNDED:
        return f"{low:g} to {high}" if low is not None else f"at most {high}"
    return f"at least {low:g}" if low is not None else ""


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _is_file(content: dict[str, Any]) -> bool:
    return bool(content) and not {"application/json", "text/plain"} & set(content)


def _variable(name: str) -> str:
    return "$" + name.upper().replace("-", "_")


for to_words in (limits, title_of):
    docs.add_app_template_filter(to_words)
