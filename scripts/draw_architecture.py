"""Draws docs/architecture.svg and docs/architecture.drawio from the code: `draw_architecture.py [--check]`.

A box is `app` or a package, with the first sentence of its docstring; the rows are the layers of pyproject.toml. An
arrow is an import that no two others imply. With `--check` nothing is written, and the exit code is 1 when a file is
out of date.
"""

import ast
import re
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "image_processor"
BOX, HEIGHT, GAP, CHANNEL, LINE = 190, 88, 16, 40, 17
WIDTH = 4 * (BOX + GAP) + GAP


@dataclass(frozen=True)
class Box:
    """A part of the program and where it is drawn."""

    name: str
    lines: tuple[str, ...]
    imports: frozenset[str]
    x: float
    y: float


# ---- from the code -------------------------------------------------------------------------------------------------


def layers() -> list[list[str]]:
    """The names of each layer, from the top, as import-linter holds them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (found,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [layer.split(" | ") for layer in found]


def files(name: str) -> list[Path]:
    """The files of a package, or of `app`."""
    return [ROOT / "app.py"] if name == "app" else sorted((PACKAGE / name).glob("*.py"))


def imports(name: str) -> frozenset[str]:
    """What a package imports from `image_processor`, itself left out."""
    nodes = [node for file in files(name) for node in ast.walk(ast.parse(file.read_text()))]
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return frozenset(module.split(".")[1] for module in modules if module.startswith("image_processor.")) - {name}


def role(name: str) -> tuple[str, ...]:
    """The first sentence of a package's docstring, in lines that fit into its box."""
    if name == "app":
        return ("Settings and wiring.",)
    docstring = ast.get_docstring(ast.parse((PACKAGE / name / "__init__.py").read_text())) or ""
    return tuple(textwrap.wrap(re.split(r"(?<=\.)\s", docstring)[0], 25))


def boxes() -> list[Box]:
    """`app` and every package, row by row."""
    rows = [["app"], *([name for name in layer if (PACKAGE / name).is_dir()] for layer in layers())]
    return [
        Box(name, role(name), imports(name), (WIDTH - len(row) * (BOX + GAP) + GAP) / 2 + place * (BOX + GAP), y)
        for y, row in zip(range(GAP, 1_000, HEIGHT + CHANNEL), filter(None, rows), strict=False)
        for place, name in enumerate(row)
    ]


def arrows(all_boxes: list[Box]) -> list[tuple[Box, Box]]:
    """The imports between boxes that are not implied by others."""
    by_name = {one.name: one for one in all_boxes}
    found = {(one, by_name[name]) for one in all_boxes for name in one.imports if name in by_name}
    implied = {(one, last) for one, middle in found for also_middle, last in found if middle is also_middle}
    return sorted(found - implied, key=lambda ends: [(end.y, end.x) for end in ends])


def below() -> str:
    """The sentence on the modules of the lowest layers."""
    names = [name for layer in layers() for name in layer if (PACKAGE / f"{name}.py").exists()]
    return f"Below, imported from everywhere: {', '.join(names)}."


# ---- the two files -------------------------------------------------------------------------------------------------

STYLE = """
svg { --ground: #ffffff; --box: #f3f5f8; --line: #8a95a5; --ink: #16202c; --soft: #55606e; --arrow: #3f6fb5; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #10151c; --box: #232d39; --line: #5b6878; --ink: #eef2f6; --soft: #a9b5c2; --arrow: #7fb0f5; }
}
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--soft); }
.ground { fill: var(--ground); }
.box { fill: var(--box); stroke: var(--line); }
.name { font-weight: 600; font-size: 16px; fill: var(--ink); }
.arrow { stroke: var(--arrow); stroke-width: 1.6; marker-end: url(#tip); }
.tip { fill: var(--arrow); }
"""
TITLE = "The packages of SKUlight. Imports go downwards only"


def svg(all_boxes: list[Box]) -> str:
    """The SVG file, readable on light and dark pages."""
    height = all_boxes[-1].y + HEIGHT + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{TITLE}</title>",
        f"<style>{STYLE}</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0 0 8 4 0 8z"/></marker>',
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        *(svg_arrow(*ends) for ends in arrows(all_boxes)),
        *(svg_box(one) for one in all_boxes),
        f'<text x="{GAP}" y="{height - 14}">{below()}</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def svg_arrow(source: Box, target: Box) -> str:
    """From the lower side of a box, a little towards the other, to the upper side of the other."""
    x, to_x = source.x + BOX / 2, target.x + BOX / 2
    x += max(-BOX / 3, min(BOX / 3, (to_x - x) / 4))
    return f'<line class="arrow" x1="{x:g}" y1="{source.y + HEIGHT}" x2="{to_x:g}" y2="{target.y - 2}"/>'


def svg_box(one: Box) -> str:
    """A box with its name and its lines."""
    text = "".join(
        f'<text x="{one.x + 12:g}" y="{one.y + 44 + at * LINE}">{escape(line)}</text>'
        for at, line in enumerate(one.lines)
    )
    return (
        f'<g><rect class="box" x="{one.x:g}" y="{one.y}" width="{BOX}" height="{HEIGHT}" rx="6"/>'
        f'<text class="name" x="{one.x + 12:g}" y="{one.y + 24}">{one.name}</text>{text}</g>'
    )


def drawio(all_boxes: list[Box]) -> str:
    """The same as an mxGraph model for draw.io."""
    cells = ['<mxCell id="0"/>', '<mxCell id="1" parent="0"/>']
    cells += [drawio_box(one) for one in all_boxes]
    cells += [
        f'<mxCell id="{source.name}-{target.name}" edge="1" parent="1" source="{source.name}" target="{target.name}" '
        'style="endArrow=block;strokeColor=#3F6FB5"><mxGeometry relative="1" as="geometry"/></mxCell>'
        for source, target in arrows(all_boxes)
    ]
    model = "\n".join(f"        {cell}" for cell in cells)
    return (
        '<mxfile host="app.diagrams.net">\n  <diagram id="architecture" name="SKUlight">\n'
        f'    <mxGraphModel grid="0" page="0">\n      <root>\n{model}\n      </root>\n    </mxGraphModel>\n'
        "  </diagram>\n</mxfile>\n"
    )


def drawio_box(one: Box) -> str:
    """A box as a cell; its first line is its name."""
    text = quoteattr("\n".join((one.name, *one.lines)), {"\n": "&#10;"})
    return (
        f'<mxCell id="{one.name}" value={text} vertex="1" parent="1" '
        'style="rounded=1;arcSize=6;whiteSpace=wrap;align=left;spacingLeft=8;fillColor=#F3F5F8;strokeColor=#8A95A5">'
        f'<mxGeometry x="{one.x:g}" y="{one.y}" width="{BOX}" height="{HEIGHT}" as="geometry"/></mxCell>'
    )


def main() -> None:
    """Write the files, or check them."""
    found = boxes()
    drawn = {"architecture.svg": svg(found), "architecture.drawio": drawio(found)}
    for name, text in drawn.items():
        file = ROOT / "docs" / name
        if sys.argv[1:] != ["--check"]:
            file.write_text(text)
        elif file.read_text() != text:
            sys.exit(f"docs/{name} is out of date. Run: .venv/bin/python scripts/draw_architecture.py")


if __name__ == "__main__":
    main()
