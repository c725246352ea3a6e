"""The documents match the code."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
import requests
from flask import Flask
from servers import SkulightServer
from sqlalchemy import Column
from sqlalchemy.dialects import sqlite

import app as wiring
from image_processor import errors, imaging, jobs
from image_processor.config import PREFIX, Settings
from image_processor.store import models

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
DESIGN = (ROOT / "docs" / "LLD.md").read_text()
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
PACKAGE = ROOT / "image_processor"
PACKAGES = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
LAYERS: list[str] = next(
    contract["layers"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    if contract["type"] == "layers"
)


def section(title: str, text: str = DESIGN) -> str:
    """The text below a heading, up to the next heading of its level."""
    level, _, name = title.partition(" ")
    found = re.search(rf"^{level} {re.escape(name)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.M | re.S)
    assert found is not None, f"there is no heading {title!r}"
    return found[1]


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table with this head."""
    table = re.search(rf"^\| {re.escape(head)} \|\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.M)
    assert table is not None, f"there is no table {head!r}"
    return [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in table[1].splitlines()]


def first_words(text: str, head: str) -> list[str]:
    """The names in the first column of a table, without their backticks."""
    return [row[0].strip("`") for row in rows(text, head)]


@pytest.fixture
def built(tmp_path: Path) -> Flask:
    """The application, not served."""
    return wiring.create_app(instance_path=tmp_path / "instance", processed_images_path=tmp_path / "processed_images")


# ---- settings ------------------------------------------------------------------------------------------------------


def shown(default: object) -> str:
    """A default as the documents write it."""
    return "" if default in (None, "") else str(int(default) if isinstance(default, bool) else default)


def rows_of_settings(document: str) -> dict[str, str]:
    """The rows of a table of settings: name (without the prefix) to default and meaning."""
    return dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| (.*) \|$", document, re.M))


def test_every_setting_is_documented_with_its_default_and_sentence() -> None:
    documented = rows_of_settings((ROOT / "docs" / "settings.md").read_text())

    assert set(documented) == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        default, _, meaning = documented[name.upper()].partition(" | ")
        assert (default.strip(" `"), meaning) == (shown(field.default), field.description), name


def test_the_settings_in_the_readme_are_rows_of_the_full_list() -> None:
    few = rows_of_settings(section("## Settings", README))

    assert len(few) >= 6
    assert few.items() <= rows_of_settings((ROOT / "docs" / "settings.md").read_text()).items()


def test_every_setting_that_any_document_names_exists() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}

    for document in DOCUMENTS:
        assert set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", document.read_text())) <= known, document.name


def test_the_limits_in_the_design_have_the_defaults_of_the_settings() -> None:
    stated = {
        name.strip("`"): default
        for name, default, _ in rows(section("## Limits"), "setting | default | what happens beyond it")
    }

    assert stated == {name: shown(Settings.model_fields[name.lower()].default) for name in stated}
    assert {name for name in map(str.upper, Settings.model_fields) if name.startswith("MAX_")} <= {
        *stated,
        "MAX_DIMENSION",
    }


# ---- packages and the image --------------------------------------------------------------------------------------


def test_every_package_has_its_role_in_the_design_and_the_reverse() -> None:
    named = first_words(section("## Components"), "package | role")

    assert sorted(named) == sorted(["app", *(name for layer in LAYERS for name in layer.split(" | "))])


def test_the_design_names_the_parts_of_the_assignment() -> None:
    parts = [part for part, _ in rows(section("## Components"), "part | where")]

    assert parts == [
        "Image Processing Service", "Webhook Handling", "Database Interaction", "API Endpoints", "Asynchronous Workers",
    ]  # fmt: skip


def test_the_drawings_are_those_of_the_code() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/draw_architecture.py", "--check"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_both_drawings_show_every_package_and_draw_io_joins_them() -> None:
    cells = list(ElementTree.parse(ROOT / "docs" / "architecture.drawio").iter("mxCell"))
    boxes = {cell.get("id") for cell in cells if cell.get("vertex")}
    texts = ElementTree.parse(ROOT / "docs" / "architecture.svg").iter("{http://www.w3.org/2000/svg}text")
    ends = [(cell.get("source"), cell.get("target")) for cell in cells if cell.get("edge")]

    assert boxes == {"app", *PACKAGES} == {text.text for text in texts if text.get("class") == "name"}
    assert ends and all({source, target} <= boxes for source, target in ends)


# ---- the database --------------------------------------------------------------------------------------------------


def as_written(column: "Column[Any]") -> str:
    """The type of a column as the design writes it."""
    written = column.type.compile(sqlite.dialect())
    written += ", key" if column.primary_key else ""
    written += "".join(f" → {key.target_fullname}" for key in column.foreign_keys)
    return written + (", may be null" if column.nullable else "")


def test_every_table_and_column_is_in_the_design_with_its_type_and_the_reverse() -> None:
    schema = section("## Database schema")
    stated = {
        name: {row[0].strip("`"): row[1] for row in rows(section(f"### `{name}`"), "column | type | meaning")}
        for name in re.findall(r"^### `(\w+)`$", schema, re.M)
    }

    assert stated == {
        name: {column.name: as_written(column) for column in table.columns}
        for name, table in models.Base.metadata.tables.items()
    }


def test_every_index_is_in_the_design_and_the_reverse() -> None:
    for name, table in models.Base.metadata.tables.items():
        line = re.search(r"^Indexes: (.*)\.$", section(f"### `{name}`"), re.M)
        stated = set(re.findall(r"\(([^)]+)\)", line[1])) if line else set()
        assert stated == {", ".join(column.name for column in index.columns) for index in table.indexes}, name


STATES: dict[str, type[StrEnum]] = {
    "job": models.JobStatus, "product": models.ProductStatus, "image": models.ImageStatus,
    "outcome": models.Outcome, "delivery": models.DeliveryState,
}  # fmt: skip


def test_every_state_is_in_the_design_and_the_reverse() -> None:
    stated = [(of, state.strip("`")) for of, state, _ in rows(section("## States"), "of a | state | meaning")]

    assert stated == [(of, state.value) for of, states in STATES.items() for state in states]


@pytest.mark.parametrize("of", ["job", "image"])
def test_the_state_diagrams_have_every_state_and_no_other(of: str) -> None:
    diagram = re.search(rf'state "{of}" as \w+ {{\n(.*?)^    }}', section("## States"), re.M | re.S)

    assert diagram is not None
    drawn = set(re.findall(r"(\w+) -->", diagram[1])) | set(re.findall(r"--> (\w+)", diagram[1]))
    assert drawn == {state.value for state in STATES[of]}


# ---- errors --------------------------------------------------------------------------------------------------------


def family(root: type[Exception]) -> Iterator[type[Exception]]:
    """A class and all its subclasses."""
    yield root
    for child in root.__subclasses__():
        yield from family(child)


def test_every_image_error_is_in_the_design_and_says_whether_it_is_retried() -> None:
    stated = {
        row[0].strip("`"): (row[1].strip("`"), row[2])
        for row in rows(section("## Failures"), "code | class | again | when")
    }
    kinds = list(errors.ImageError.__subclasses__())

    assert {code: name for code, (name, _) in stated.items()} == {kind.code: kind.__name__ for kind in kinds}
    for kind in kinds:
        assert stated[kind.code][1].startswith("no" if kind.permanent else "yes"), kind.code


def test_every_problem_type_is_in_the_design_with_its_status_and_the_reverse() -> None:
    stated = {
        tuple(cell.strip("`") for cell in row[:3])
        for row in rows(section("## Failures"), "type | class | status | when")
    }

    assert stated == {(kind.type, kind.__name__, str(kind.status)) for kind in family(errors.RequestError)}  # type: ignore[attr-defined]


def test_every_other_error_is_in_the_design_and_the_reverse() -> None:
    stated = {row[1].strip("`") for row in rows(section("## Failures"), "what | class | what follows")} - {"–"}
    others = {kind.__name__ for kind in family(errors.SkulightError)}
    others -= {kind.__name__ for kind in (*family(errors.RequestError), *family(errors.ImageError))}

    assert stated == others | {"ImageError"}


def codes_of_csv_problems() -> Iterator[str]:
    """The codes in the modules of the CSV, as literals: in calls, in tuples that become CSVProblems, in assignments."""
    for file in (PACKAGE / "catalogue").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "whole_file":
                yield from literals(node.args[0])
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "CSVProblem":
                yield from literals(node.args[4])
            elif isinstance(node, ast.Tuple) and len(node.elts) == 5 and not any(literals(node.elts[1])):
                yield from literals(node.elts[2])
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                for target, value in zip(node.targets[0].elts, getattr(node.value, "elts", ()), strict=False):
                    if isinstance(target, ast.Name) and target.id == "code":
                        yield from literals(value)


def literals(node: ast.expr) -> Iterator[str]:
    """The text of a literal; nothing for a name."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


def test_every_code_of_a_csv_problem_is_in_the_design_and_the_reverse() -> None:
    assert set(first_words(section("## Failures"), "code | what is wrong")) == set(codes_of_csv_problems())


# ---- ways in -------------------------------------------------------------------------------------------------------


def test_every_route_is_in_the_design_and_the_reverse(built: Flask) -> None:
    stated = first_words(section("## API"), "method and path | what it does")

    assert len(stated) == len(set(stated))
    assert set(stated) == {
        f"{method} {re.sub('<[a-z]+:', '<', rule.rule)}"
        for rule in built.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_every_command_is_in_the_design_and_the_reverse(built: Flask) -> None:
    def names(group: dict[str, click.Command], before: str = "") -> Iterator[str]:
        for name, command in group.items():
            if isinstance(command, click.Group):
                yield from names(command.commands, f"{before}{name} ")
            elif inspect.getmodule(command.callback).__name__.startswith("image_processor"):  # type: ignore[union-attr]
                yield before + name

    stated = first_words(section("## Command line"), "command | what it does")

    assert sorted(stated) == sorted(names(built.cli.commands))


def test_every_function_of_the_workers_exists() -> None:
    stated = first_words(section("## Asynchronous workers"), "function | runs in | takes | guarantees | when it fails")

    for name in stated:
        owner, method = name.split(".")
        assert hasattr((vars(jobs) | vars(imaging))[owner], method), name


# ---- links and lists -----------------------------------------------------------------------------------------------


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text()

    for page in (ROOT / "docs" / "adr").glob("0*.md"):
        assert f"({page.name})" in index, page.name


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", text):
        path, _, place = (target[0] or target[1]).partition("#")
        if "://" in path:
            continue
        found = document.parent / path if path else document
        assert found.exists(), target
        if place:
            assert place in {anchor(title) for title in re.findall(r"^#+ (.*)$", found.read_text(), re.M)}, target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    files = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    defined = re.findall(r"^def (test_\w+)", "\n".join(files.values()), re.M)

    assert set(re.findall(r"test_\w+\.py", document.read_text())) <= set(files)
    for name, rest in re.findall(r"(?:::|`…?|…)(test_\w+)(?!\w*\.py)(…?)`", document.read_text()):
        assert any(one.startswith(name) if rest else one == name for one in defined), name


def test_every_file_that_contributing_names_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    places = (ROOT, PACKAGE)

    for name in re.findall(r"`([\w/]+\.(?:py|md|json|toml|html))`", text):
        assert any((place / name).exists() for place in places), name


# ---- the examples of the README ------------------------------------------------------------------------------------


def blocks(language: str, text: str = README) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def part_of(response: Any, shown: Any) -> Any:
    """The fields of a response that a document shows, all the way down."""
    return {name: part_of(response[name], shown[name]) for name in shown} if isinstance(shown, dict) else response


def done_in(folder: Path, command: list[str], **environment: str) -> str:
    """Run a command in a folder; give what it printed."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_commands_of_the_first_screen_are_those_of_the_makefile() -> None:
    plans = {
        target: subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for target in re.findall(r"(?m)(?:^|`)make (\w+)", README)
    }

    assert set(plans) >= {"run", "test", "demo", "check"}
    assert "gunicorn" in plans["run"]
    assert "pytest" in plans["test"]
    assert README.index("make test") < 1_000, "the two commands belong on the first screen"


def test_make_refuses_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3.8"
    shim = "import sys; sys.version_info = (3, 8); sys.version = '3.8.20'; exec(sys.argv[2])"
    old.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{shim}" "$@"\n')
    old.chmod(0o755)

    refused = subprocess.run(
        ["make", "-f", ROOT / "Makefile", ".venv/bin/python", f"PYTHON={old}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert refused.returncode != 0
    assert f"SKUlight needs Python 3.11 or newer, and {old} is 3.8.20." in refused.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_demonstration_shows_the_whole_job() -> None:
    printed = done_in(ROOT, [sys.executable, "scripts/demo.py"])

    assert "10 of 10 images compressed" in printed


def test_the_examples_of_the_readme_work(server: Callable[..., SkulightServer], tmp_path: Path) -> None:
    running = server()
    running.start()
    examples = tmp_path / "examples"
    examples.mkdir()
    shown = json.loads(blocks("json")[0])

    def here(text: str) -> str:
        return text.replace("http://127.0.0.1:8000", running.url)

    curls = [block for block in blocks("sh") if "curl" in block]
    response = json.loads(done_in(examples, ["bash", "-ec", here(curls[0]).replace("curl ", "curl -sS ")]))
    request_id = response["request_id"]
    running.wait_until_done(request_id)
    for block in curls[1:]:
        command = here(block).replace("<request_id>", request_id).replace("curl ", "curl -fsS ")
        done_in(examples, ["bash", "-ec", command])
    (program,) = blocks("python")
    printed = done_in(examples, [sys.executable, "-c", here(program)])

    def now(text: str) -> str:
        return here(text).replace(shown["request_id"], request_id)

    assert f"SKUlight is ready: {running.url}\n" in running.log()
    assert len(curls) >= 2
    assert part_of(response, shown) == json.loads(now(json.dumps(shown)))
    result = (examples / "output.csv").read_text().splitlines()
    assert result[:2] == now(blocks("csv")[1]).splitlines()
    assert "10 of 10 images compressed" in printed and "Output Image Urls" in printed


def test_the_catalogue_in_the_readme_is_accepted(built: Flask) -> None:
    response = built.test_client().post("/upload?dry_run=true", data=blocks("csv")[0], content_type="text/csv")

    assert (response.json or {})["valid"], response.text


def test_the_command_line_example_of_the_readme_works(tmp_path: Path) -> None:
    (command,) = (line for block in blocks("sh") for line in block.splitlines() if "app process" in line)
    (tmp_path / "catalogue.csv").write_bytes((ROOT / "tests" / "data" / "refused.csv").read_bytes())
    words = command.replace(".venv/bin/flask", f"{sys.executable} -m flask").replace(
        "--app app", f"--app {ROOT / 'app.py'}"
    )

    done = subprocess.run(
        words.split(), cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        env=os.environ | {f"{PREFIX}{name}_PATH": str(tmp_path / name) for name in ("INSTANCE", "PROCESSED_IMAGES")},
    )  # fmt: skip

    assert done.returncode == 1, done.stdout + done.stderr  # every image of this catalogue is refused
    assert (tmp_path / "output.csv").read_text().startswith("S. No.,Product Name,Input Image Urls,Output Image Urls\n")


def test_the_addresses_that_the_documents_name_are_served(built: Flask) -> None:
    client = built.test_client()

    for path in ("/", "/docs/", "/docs/openapi.json", "/sample.csv", "/healthz", "/metrics"):
        assert client.get(path).status_code == requests.codes.ok, path
