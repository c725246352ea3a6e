"""What the page of the API shows, made from the OpenAPI document: subjects, operations, fields, commands, errors.

Knows neither the web framework nor the look of the page: the document goes in, small values come out.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from image_processor.errors import CSVProblem, ImageError, RequestError
from image_processor.web.schema_fields import Field, Schema, Schemas, name_of

T = TypeVar("T", bound=Exception)

# What belongs together for somebody who reads: a title, a sentence, the operations. Others follow under their tags.
_SUBJECTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Upload and watch", "A catalogue goes in; its request is watched until it is done.",
     ("upload", "status", "list_requests")),
    ("Results", "What came of a request: the catalogue with its new URLs, what failed, the images.",
     ("output_csv", "errors_csv", "images_zip", "list_images", "sizes", "image_source", "processed_image",
      "sample_csv")),
    ("Change a request", "End it, work again what failed, remove it.", ("cancel", "retry", "delete_request")),
    ("Webhooks", "A request with a `webhook_url` ends with a signed `POST` there, when its output.csv is written "
     "(Standard Webhooks). It is repeated until it is answered with 2xx. The inbox receives such calls, to try them.",
     ("list_deliveries", "redeliver", "receive_callback", "list_callbacks")),
)  # fmt: skip
_PLACES = {"path": "In the path", "query": "In the query", "header": "Headers"}
_PROBLEM = "Problem"
_FAILED = "400"
_LINE = 72


@dataclass(frozen=True, slots=True)
class Record:
    """A body that is described once for all operations that have it; `name` is its anchor."""

    name: str
    title: str
    description: str
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent or answered in one media type: its fields, or the shared record that has them."""

    media_type: str
    description: str
    record: Record | None
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """One status of an operation."""

    status: str
    description: str
    headers: tuple[Field, ...]
    bodies: tuple[Body, ...]

    @property
    def failed(self) -> bool:
        """Whether the call was not served."""
        return self.status >= _FAILED


@dataclass(frozen=True, slots=True)
class Example:
    """A body as it really was; `of` says whose: `Body`, or `Answer` with its status."""

    of: str
    media_type: str
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `name` is its anchor; `command` is curl; `repeated` may stand in the query as in the form."""

    name: str
    title: str
    method: str
    path: str
    summary: str
    description: str
    open: bool
    parameters: tuple[tuple[str, tuple[Field, ...]], ...]
    repeated: tuple[str, ...]
    bodies: tuple[Body, ...]
    answers: tuple[Answer, ...]
    examples: tuple[Example, ...]
    command: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Operations that belong together."""

    name: str
    title: str
    description: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """The whole page. `key` is what curl shows of it, empty where none is needed; `headers` stand in every answer."""

    version: str
    key: str
    headers: tuple[Field, ...]
    subjects: tuple[Subject, ...]
    records: tuple[Record, ...]
    problem: Record
    problems: tuple[type[RequestError], ...]
    csv_problem: tuple[str, ...]
    image_errors: tuple[type[ImageError], ...]


def read(document: dict[str, Any], base_url: str) -> Reference:
    """The reference of an OpenAPI document; its commands call the server at `base_url`."""
    return _Reader(document, base_url).reference()


class _Reader:
    def __init__(self, document: dict[str, Any], base_url: str) -> None:
        self._document = document
        self._base_url = base_url
        self._schemas = Schemas(document["components"]["schemas"])
        self._key = '-H "Authorization: Bearer $API_KEY"' if {} not in document["security"] else ""
        self._calls = [
            (path, method, call) for path, item in document["paths"].items() for method, call in item.items()
        ]
        self._common = _common_headers([call for _, _, call in self._calls])
        shared = _shared_names([call for _, _, call in self._calls])
        self._records = {name: self._record(name) for name in (*shared, _PROBLEM)}

    def reference(self) -> Reference:
        records = dict(self._records)
        return Reference(
            version=self._document["info"]["version"],
            key=self._key,
            headers=tuple(self._header(name) for name in self._common),
            problem=records.pop(_PROBLEM),
            records=tuple(records.values()),
            subjects=tuple(self._subjects()),
            problems=tuple(sorted(_family(RequestError), key=lambda kind: (kind.status, kind.type))),
            csv_problem=tuple(member.name for member in fields(CSVProblem)),
            image_errors=tuple(_family(ImageError)),
        )

    def _subjects(self) -> Iterator[Subject]:
        left = {call["operationId"]: (path, method, call) for path, method, call in self._calls}
        for title, description, names in _SUBJECTS:
            yield self._subject(title, description, [left.pop(name) for name in names if name in left])
        for tag in self._document.get("tags", ()):
            calls = [left.pop(name) for name in list(left) if tag["name"] in left[name][2].get("tags", ())]
            if calls:
                yield self._subject(tag["name"].capitalize(), tag.get("description", ""), calls)
        if left:
            yield self._subject("Other calls", "", list(left.values()))

    def _subject(self, title: str, description: str, calls: list[tuple[str, str, Any]]) -> Subject:
        anchor = "about-" + title.lower().replace(" ", "-")
        return Subject(anchor, title, description, tuple(self._operation(*call) for call in calls))

    def _operation(self, path: str, method: str, call: dict[str, Any]) -> Operation:
        bodies = self._bodies(call.get("requestBody", {}))
        in_form = {field.name for body in bodies for field in body.fields}
        parameters = [(one["in"], self._parameter(one)) for one in call.get("parameters", ())]
        places = [
            (words, tuple(one for at, one in parameters if at == place and one.name not in in_form))
            for place, words in _PLACES.items()
        ]
        return Operation(
            name=call["operationId"],
            title=_title(call["operationId"]),
            method=method.upper(),
            path=path,
            summary=call["summary"],
            description=call.get("description", ""),
            open=call.get("security") == [],
            parameters=tuple(place for place in places if place[1]),
            repeated=tuple(one.name for _, one in parameters if one.name in in_form),
            bodies=bodies,
            answers=tuple(self._answer(status, one) for status, one in _in_order(call["responses"])),
            examples=tuple(_examples(call)),
            command=self._command(path, method, call),
        )

    def _parameter(self, parameter: dict[str, Any]) -> Field:
        schema = {**parameter["schema"], "description": parameter.get("description", "")}
        return self._schemas.field(parameter["name"], schema, parameter.get("required", False))

    def _answer(self, status: str, answer: dict[str, Any]) -> Answer:
        names = [name for name in answer.get("headers", {}) if name not in self._common]
        headers = tuple(self._header(name) for name in names)
        return Answer(status, answer["description"], headers, self._bodies(answer))

    def _header(self, name: str) -> Field:
        header = self._document["components"]["headers"][name]
        return self._schemas.field(name, {**header["schema"], "description": header["description"]}, False)

    # ---- bodies ----------------------------------------------------------------------------------------------------

    def _bodies(self, owner: dict[str, Any]) -> tuple[Body, ...]:
        return tuple(self._body(kind, media.get("schema", {})) for kind, media in owner.get("content", {}).items())

    def _body(self, media_type: str, schema: Schema) -> Body:
        record = self._records.get(name_of(schema))
        fields = () if record else sorted(self._schemas.fields(schema), key=lambda one: one.type != "file")
        return Body(media_type, self._schemas.told(schema), record, tuple(fields))

    def _record(self, name: str) -> Record:
        title = re.sub(r"(?<!^)(?=[A-Z])", " ", name).capitalize()
        schema = self._schemas.named[name]
        return Record(
            f"record-{title.lower().replace(' ', '-')}", title, self._schemas.told(schema), self._schemas.fields(schema)
        )

    # ---- commands --------------------------------------------------------------------------------------------------

    def _command(self, path: str, method: str, call: dict[str, Any]) -> str:
        """The operation as curl: what the caller must put in stands as a shell variable."""
        body = call.get("requestBody", {}).get("content", {})
        options = [] if method == "get" or body else [f"-X {method.upper()}"]
        options += [self._key] if self._key and call.get("security") != [] else []
        options += [
            f'-H "{one["name"]}: {_variable(one["name"])}"'
            for one in call.get("parameters", ())
            if one["in"] == "header" and one.get("required")
        ]
        options += _sent(body) + (["-O"] if _is_file(call["responses"]) else [])
        address = self._base_url + re.sub(r"{(\w+)}", lambda found: _variable(found[1]), path)
        line = " ".join(["curl", *options, address])
        return line if len(line) <= _LINE else "curl " + " \\\n  ".join([*options, address])


def _variable(name: str) -> str:
    return "$" + name.upper().replace("-", "_")


def _sent(content: dict[str, Any]) -> list[str]:
    if "multipart/form-data" in content:
        return ["-F file=@catalogue.csv"]
    return [f"-H 'Content-Type: {kind}' -d @body.json" for kind in content]


def _is_file(responses: dict[str, Any]) -> bool:
    """Whether the answer is something to be kept: neither JSON nor lines to be read."""
    kinds = [kind for status, one in responses.items() if status == "200" for kind in one.get("content", {})]
    return bool(kinds) and not {"application/json", "text/plain"} & set(kinds)


def _title(name: str) -> str:
    """`list_images` → `List images`, `output_csv` → `output.csv`."""
    file = re.sub(r"_(csv|zip)$", r".\1", name)
    return file if file != name else name.replace("_", " ").capitalize()


def _in_order(responses: dict[str, Any]) -> list[tuple[str, Any]]:
    """What is answered when all is well, as the document has it; then what may go wrong, by status."""
    return sorted(responses.items(), key=lambda one: one[0] if one[0] >= _FAILED else "")


def _common_headers(calls: list[dict[str, Any]]) -> list[str]:
    answers = [answer.get("headers", {}) for call in calls for answer in call["responses"].values()]
    return [name for name in answers[0] if all(name in headers for headers in answers)] if answers else []


def _shared_names(calls: list[dict[str, Any]]) -> list[str]:
    """Schemas that are the answer of more than one operation, the most frequent first."""
    found: Counter[str] = Counter()
    for call in calls:
        media = [one for answer in call["responses"].values() for one in answer.get("content", {}).values()]
        found.update({name_of(one.get("schema", {})) for one in media} - {"", _PROBLEM})
    return [name for name, times in found.most_common() if times > 1]


def _examples(call: dict[str, Any]) -> Iterator[Example]:
    owners = [("Body", call.get("requestBody", {}))]
    owners += [(f"Answer {status}", answer) for status, answer in _in_order(call["responses"])]
    for of, owner in owners:
        for kind, media in owner.get("content", {}).items():
            if "example" in media:
                body = media["example"]
                text = body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)
                yield Example(of, kind, text.rstrip())


def _family(root: type[T]) -> Iterator[type[T]]:
    """What descends from a class, in the order of its file."""
    for child in root.__subclasses__():
        yield child
        yield from _family(child)
