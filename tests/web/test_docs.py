"""The API page: types, limits and commands, made from documents of a few lines."""

from typing import Any

import pytest

from image_processor.web.docs import Reference, limits, title_of

SCHEMAS: dict[str, Any] = {
    "Tree": {
        "type": "object",
        "properties": {"parts": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}},
    },
    "Colour": {"type": "string", "enum": ["red", "blue"]},
    "UploadForm": {"type": "object"},
    "Problem": {"type": "object"},
}
TREE = {"$ref": "#/components/schemas/Tree"}
COLOUR = {"$ref": "#/components/schemas/Colour"}


def reference(**operation: Any) -> Reference:
    """The reference of a document with one operation, `GET /things/{id}`."""
    one = {"operationId": "one_thing", "tags": ["things"], "responses": {}} | operation
    document = {
        "components": {"schemas": SCHEMAS},
        "security": [{"apiKey": []}],
        "paths": {"/things/{id}": {"get": one}},
    }
    return Reference(document, "http://here")


def command(**operation: Any) -> str:
    """The curl command of the one operation."""
    api = reference(**operation)
    return api.command(api.operations("things")[0])


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "array of strings or nulls"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integers"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({"type": "string", "format": "binary"}, "file"),
        (COLOUR, "string"),
        ({"items": COLOUR}, "array of strings"),
        ({"items": TREE}, 'array of <a href="#schema-Tree">Tree</a>'),
        ({"anyOf": [TREE, {"type": "null"}]}, '<a href="#schema-Tree">Tree</a> or null'),
        ({}, "any value"),
    ],
)  # fmt: skip
def test_types_are_words_and_objects_are_links(schema: dict[str, Any], words: str) -> None:
    assert str(reference().type(schema)) == words


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string", "maxLength": 200}, "up to 200 characters"),
        ({"type": "integer", "minimum": 1.0, "maximum": 95}, "1 to 95"),
        ({"type": "integer", "minimum": 0.0, "maximum": 2**63 - 1}, "at least 0"),
        ({"type": "integer", "maximum": 9}, "at most 9"),
        ({"type": "integer"}, ""),
    ],
)
def test_limits_are_words(schema: dict[str, Any], words: str) -> None:
    assert limits(schema) == words


def test_an_object_that_contains_itself_is_listed_once_and_no_form_is() -> None:
    assert list(reference().objects()) == ["Tree"]


def test_the_choices_of_an_optional_value_are_found() -> None:
    assert reference().core({"anyOf": [COLOUR, {"type": "null"}]})["enum"] == ["red", "blue"]


def test_titles_are_words_or_file_names() -> None:
    assert [title_of(name) for name in ("list_images", "output_csv", "images_zip")] == [
        "List images", "output.csv", "images.zip",
    ]  # fmt: skip


def test_the_command_has_the_key_only_where_it_is_required() -> None:
    assert command() == 'curl -H "Authorization: Bearer $API_KEY" http://here/things/$ID'
    assert command(security=[]) == "curl http://here/things/$ID"


def test_the_command_has_the_body_the_required_headers_and_saves_a_file() -> None:
    found = command(
        security=[],
        requestBody={"content": {"application/json": {"schema": {"type": "object"}}}},
        parameters=[{"name": "webhook-id", "in": "header", "required": True, "schema": {"type": "string"}}],
        responses={"200": {"description": "An image.", "content": {"image/*": {}}}},
    )

    assert found == (
        "curl -H \"webhook-id: $WEBHOOK_ID\" \\\n  -H 'Content-Type: application/json' -d @body.json \\\n  -O \\\n"
        "  http://here/things/$ID"
    )
