"""What the documents say is true."""

import re
import tomllib
from pathlib import Path

from image_processor.config import PREFIX, Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_setting_stands_in_the_readme_with_its_default_and_sentence() -> None:
    rows = dict(re.findall(rf"^\| `{PREFIX}(\w+)` \| (.*) \|$", README, re.M))

    assert set(rows) == {name.upper() for name in Settings.model_fields}
    for name, field in Settings.model_fields.items():
        default, _, meaning = rows[name.upper()].partition(" | ")
        expected = (
            ""
            if field.default in (None, "")
            else f"`{int(field.default) if field.annotation is bool else field.default}`"
        )
        assert (default.strip(), meaning) == (expected, field.description), name


def test_the_floors_in_the_readme_are_the_floors_that_are_held() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract for contract in contracts if contract["type"] == "layers")["layers"]

    shown = re.search(r"```text\n(.*?)```", README, re.S)

    assert shown is not None
    assert [re.sub(r"\s{2,}.*", "", line.strip()) for line in shown[1].splitlines()] == ["app", *layers]


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text()

    for page in (ROOT / "docs" / "adr").glob("0*.md"):
        assert f"({page.name})" in index, page.name
