"""The fields of a JSON Schema as a person reads them: name, type in words, limits, choices, default, members."""

import json
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

# Whole numbers from here on are bounds of the machine, not of the subject (JSON's are exact up to 2^53).
_ENDLESS = 2**53


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, a header or a member of a body; `fields` are its own members, as far as the schema names them."""

    name: str
    type: str
    description: str
    required: bool
    limits: str
    choices: tuple[str, ...]
    default: str
    fields: tuple["Field", ...] = ()


def name_of(schema: Schema) -> str:
    """The name of the schema that is referred to; empty for one that stands where it is used."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


class Schemas:
    """The schemas of one document; `named` are those that others refer to, by `#/components/schemas/<name>`."""

    def __init__(self, named: dict[str, Schema]) -> None:
        self.named = named

    def fields(self, schema: Schema, above: frozenset[str] = frozenset()) -> tuple[Field, ...]:
        """The members of an object, or of the objects in a list; none where a schema comes back to one `above` it."""
        name, inner = self._core(schema)
        if name in above:
            return ()
        above, required = above | {name} - {""}, inner.get("required", ())
        members = inner.get("properties", {}).items()
        return tuple(self.field(member, one, member in required, above) for member, one in members)

    def field(self, name: str, schema: Schema, required: bool, above: frozenset[str] = frozenset()) -> Field:
        """One field. `above` are the names of the schemas it stands in."""
        inner = self._core(schema)[1]
        return Field(
            name=name,
            type=self._type(schema),
            description=self.told(schema),
            required=required,
            limits=_limits(inner),
            choices=tuple(map(str, inner.get("enum", ()))),
            default=json.dumps(schema["default"]) if "default" in schema else "",
            fields=self.fields(schema, above),
        )

    def told(self, schema: Schema) -> str:
        """The description of a schema, or of what it refers to, on one line."""
        return " ".join(str(schema.get("description") or self._core(schema)[1].get("description", "")).split())

    def _core(self, schema: Schema, name: str = "") -> tuple[str, Schema]:
        """What a reference, a list or an "or null" is about: its name, where it has one, and its schema."""
        if "$ref" in schema:
            return self._core(self.named[name_of(schema)], name_of(schema))
        if "anyOf" in schema:
            return self._core(next(one for one in schema["anyOf"] if one.get("type") != "null"), name)
        return self._core(schema["items"], name) if "items" in schema else (name, schema)

    def _type(self, schema: Schema, many: str = "") -> str:
        """The type in words: `integer or null`, `array of objects`, `file`. `many` is the ending of the plural."""
        if "anyOf" in schema:
            return " or ".join(self._type(one, many) for one in schema["anyOf"])
        if "$ref" in schema:
            return self._type(self.named[name_of(schema)], many)
        if "items" in schema:
            return f"array{many} of {self._type(schema['items'], 's')}"
        if isinstance(values := schema.get("additionalProperties"), dict):
            return f"object{many} of {self._type(values, 's')}"
        return ("file" if schema.get("format") == "binary" else str(schema.get("type", "any value"))) + many


def _limits(schema: Schema) -> str:
    low, high, longest = schema.get("minimum"), schema.get("maximum"), schema.get("maxLength")
    if longest is not None:
        return f"up to {longest} characters"
    if high is not None and high < _ENDLESS:
        return f"{low:g} to {high}" if low is not None else f"at most {high}"
    return f"at least {low:g}" if low is not None else ""
