"""The reference of the API, made from documents that no page has to be asked for."""

from typing import Any

import pytest

from image_processor.web.api_reference import Operation, read
from image_processor.web.schema_fields import Schemas

TREE: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}, "description": "Its\n parts."},
    },
}


def document(**call: Any) -> dict[str, Any]:
    """A document with one call, `GET /things/{id}`."""
    one = {"operationId": "one_thing", "summary": "One thing.", "responses": {}} | call
    return {
        "info": {"version": "1"},
        "components": {"schemas": {"Problem": {"type": "object"}}, "headers": {}},
        "security": [{"apiKey": []}],
        "tags": [{"name": "things", "description": "What there is."}],
        "paths": {"/things/{id}": {"get": one}},
    }


def only_operation(**call: Any) -> Operation:
    return next(one for subject in read(document(**call), "http://here").subjects for one in subject.operations)


def test_a_schema_that_holds_itself_is_told_once() -> None:
    (name, parts) = Schemas({"Tree": TREE}).fields({"$ref": "#/components/schemas/Tree"})

    assert (name.name, name.required, parts.required) == ("name", True, False)
    assert (parts.type, parts.description, parts.fields) == ("array of objects", "Its parts.", ())


@pytest.mark.parametrize(
    ("schema", "words", "limits"),
    [
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null", ""),
        ({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "array of strings or nulls", ""),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integers", ""),
        ({"type": "object", "additionalProperties": True}, "object", ""),
        ({"type": "string", "format": "binary"}, "file", ""),
        ({"type": "string", "maxLength": 200}, "string", "up to 200 characters"),
        ({"type": "integer", "minimum": 1.0, "maximum": 95}, "integer", "1 to 95"),
        ({"type": "integer", "minimum": 0.0, "maximum": 2**63 - 1}, "integer", "at least 0"),
        ({"type": "integer", "maximum": 9}, "integer", "at most 9"),
        ({}, "any value", ""),
    ],
)  # fmt: skip
def test_types_and_limits_are_told_in_words(schema: dict[str, Any], words: str, limits: str) -> None:
    field = Schemas({}).field("x", schema, False)

    assert (field.type, field.limits) == (words, limits)


def test_a_call_that_no_subject_names_stands_under_its_tag_or_at_the_end() -> None:
    titles = [
        [subject.title for subject in read(document(**call), "http://here").subjects if subject.operations]
        for call in ({"tags": ["things"]}, {})
    ]

    assert titles == [["Things"], ["Other calls"]]


def test_the_command_shows_the_key_only_where_it_is_needed() -> None:
    assert only_operation().command == 'curl -H "Authorization: Bearer $API_KEY" http://here/things/$ID'
    assert only_operation(security=[]).command == "curl http://here/things/$ID"


def test_a_body_and_a_required_header_stand_in_the_command() -> None:
    command = only_operation(
        security=[],
        requestBody={"content": {"application/json": {"schema": {"type": "object"}}}},
        parameters=[{"name": "webhook-id", "in": "header", "required": True, "schema": {"type": "string"}}],
        responses={"200": {"description": "An image.", "content": {"image/*": {}}}},
    ).command

    assert command == (
        "curl -H \"webhook-id: $WEBHOOK_ID\" \\\n  -H 'Content-Type: application/json' -d @body.json \\\n  -O \\\n"
        "  http://here/things/$ID"
    )


def test_what_may_go_wrong_stands_after_what_is_answered_when_all_is_well() -> None:
    responses = {status: {"description": "…"} for status in ("503", "400", "202", "200")}

    assert [answer.status for answer in only_operation(responses=responses).answers] == ["202", "200", "400", "503"]
