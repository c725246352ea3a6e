"""Writes the measured tables into docs/performance.md, between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`.

    .venv/bin/python bench/report.py

A test holds the document to bench/results.json.
"""

import re
import sys
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import results
from tables import tables

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENT: Final = ROOT / "docs" / "performance.md"
GRAPHS: Final = ROOT / "docs" / "performance"
_PLACE: Final = r"<!-- bench:{0} -->\n(.*?)<!-- /bench:{0} -->"


def updated(document: str, sections: dict[str, Any]) -> str:
    """The document with the tables of some sections in their places."""
    for name, kept in sections.items():
        place = re.search(_PLACE.format(name), document, re.S)
        if place is not None:
            document = document[: place.start(1)] + _section(name, kept) + document[place.end(1) :]
    return document


def write() -> None:
    """Bring the document up to date."""
    DOCUMENT.write_text(updated(DOCUMENT.read_text(), results.load()))


def _section(name: str, kept: dict[str, Any]) -> str:
    made = [table.as_markdown() for _, table in tables(name, kept["figures"])]
    return "\n" + "\n\n".join([*made, _circumstances(kept["measured"])]) + "\n\n"


def _circumstances(measured: dict[str, Any]) -> str:
    quick = " With few images and one round: no measurement." if measured["quick"] else ""
    return (
        f"<sub>{measured['date']}, commit {measured['commit']}; {measured['cpus']} CPUs ({measured['cpu']}), "
        f"{measured['system']}, Python {measured['python']}, Pillow {measured['pillow']}; image host "
        f"without latency: {measured['origin']}.{quick}</sub>"
    )


if __name__ == "__main__":
    write()
