"""Draws the architecture: docs/architecture.svg and docs/architecture.drawio, both from the description below.

`draw_architecture.py` writes the two files; `draw_architecture.py --check` says whether they are up to date. Longer
than most files, because half of it is the description: every module with its place and its role, every flow of data.
"""

import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

DOCS = Path(__file__).parent.parent / "docs"

# ---- the description -----------------------------------------------------------------------------------------------

# From the top floor to the ground, as in pyproject.toml: a band's title, and its rows of at most six places. Names that
# begin with `~` stand outside of SKUlight's code; None is an empty place.
BANDS: tuple[tuple[str, tuple[tuple[str | None, ...], ...]], ...] = (
    ("wiring", (("~browser", "~program", "~terminal", None, None, "app"),)),
    ("the ways in", (("pages", "api", "cli", None, None, None),)),
    ("their doors\nand forms", (("forms", "api_reference", "attended_run", "door", "api_models", "api_document"),)),
    ("entry to the work", (("thumbnails", "answers", "uploads", "control", "worker", None),)),
    ("the stories", ((None, None, "pipeline", "image_job", None, "deliveries"),)),
    ("what is next,\nwhat is told", (("status", "health", "metrics", "image_window", None, None),)),
    ("the record", (("listings", None, "repository", None, None, "outbox"),)),
    ("tables and\nsessions", ((None, "models", "database", "~SQLite", None, None),)),
    ("the outside world", (("~folders", "storage", None, "downloader", "~image hosts", "webhook"),)),
    ("tools", (("product_csv", "compressor", "image_pool", "politeness", "http_client", "~receivers"),)),
    (
        "parts of\nthe tools",
        (
            ("product_rows", "encoders", "fair_queue", "short_queue", "connections", "csv_records"),
            ("csv_dialect", "decoder", "palette", "dialler", "name_lookup", "deadlines"),
            ("surplus_cells", "colours", "gif_blocks", "plugins", "content_coding", "bounded_response"),
            ("csv_encoding", "damage", "bitmaps", "signatures", "retry_after", None),
        ),
    ),
    (
        "words and\nnumbers",
        (
            ("urls", "addresses", "config", "log_lines", "wording", "schema_fields"),
            ("errors", "call_ids", None, None, None, None),
        ),
    ),
)

ROLES = {
    "~browser": "a person", "~program": "an integrator's", "~terminal": "an operator",
    "app": "settings, wiring, start",
    "pages": "form, progress, result", "api": "REST, problem+json", "cli": "flask commands",
    "door": "host, key, origin, rate", "api_models": "what the API takes, gives", "forms": "fields of the pages",
    "api_document": "OpenAPI beyond the classes", "api_reference": "OpenAPI for people",
    "attended_run": "a run that is watched",
    "thumbnails": "small pictures of results", "answers": "everything that is read", "uploads": "a file is accepted",
    "control": "cancel, retry, delete", "worker": "threads, lock, restart",
    "pipeline": "one job, start to end", "image_job": "all images of a job",
    "deliveries": "the story of the webhooks",
    "status": "the status body", "health": "disk and database well?", "metrics": "counters for monitoring",
    "image_window": "which image is next",
    "listings": "long lists, sums", "repository": "requests, products, images", "outbox": "deliveries, inbox",
    "models": "tables and states", "database": "sessions, transactions", "~SQLite": "instance/skulight.db",
    "~folders": "uploads, processed_images", "storage": "bytes on disk, their URLs", "downloader": "URL to bytes",
    "webhook": "sign, attempt, verify",
    "product_csv": "the CSV, read and written", "compressor": "original to smaller file",
    "image_pool": "child processes, limits",
    "politeness": "places at each host", "~image hosts": "anywhere", "http_client": "the guarded way out",
    "~receivers": "webhooks go there",
    "product_rows": "one row and its problems", "encoders": "pixels to a file", "dialler": "to a checked address",
    "connections": "dialled, kept", "fair_queue": "processes shared by jobs",
    "short_queue": "HTTP threads that wait",
    "csv_records": "the strict first pass", "csv_dialect": "delimiter, header", "decoder": "bytes to upright pixels",
    "palette": "colours of a soft PNG", "name_lookup": "host to addresses",
    "deadlines": "cuts what takes too long", "surplus_cells": "unquoted lists folded", "colours": "any mode to sRGB",
    "gif_blocks": "GIF taken apart", "plugins": "Pillow made ready", "content_coding": "gzip undone, bounded",
    "bounded_response": "hostile answers, bounded", "csv_encoding": "bytes to text", "damage": "damaged, made to open",
    "bitmaps": "rare bitmaps made plain", "signatures": "what kind of file", "retry_after": "the header, tolerantly",
    "urls": "grammar, share links", "addresses": "public or private", "config": "every setting",
    "log_lines": "one line an event", "wording": "sizes, times for people",
    "schema_fields": "JSON Schema in words", "errors": "the error family",
    "call_ids": "which call a line is of",
}  # fmt: skip

# The parts that the assignment names, by colour.
PARTS: dict[str, tuple[str, frozenset[str]]] = {
    "API Endpoints": (
        "#3b82f6",
        frozenset({"api", "api_models", "api_document", "api_reference", "pages", "door", "forms"}),
    ),
    "Asynchronous Workers": ("#a855f7", frozenset({"worker", "pipeline", "image_window", "image_pool", "fair_queue"})),
    "Image Processing Service": (
        "#f59e0b",
        frozenset({"image_job", "downloader", "http_client", "politeness", "compressor", "storage"}),
    ),
    "Database Interaction": ("#10b981", frozenset({"repository", "outbox", "listings", "database", "models"})),
    "Webhook Handling": ("#ef4444", frozenset({"deliveries", "webhook"})),
}

# Numbered in the order of one upload's life: what flows from where to where.
FLOWS: tuple[tuple[str, str, str], ...] = (
    ("~browser", "pages", "a catalogue, by form"),
    ("~program", "api", "a catalogue, by REST; later its questions"),
    ("~terminal", "cli", "a catalogue, by command"),
    ("api", "uploads", "file and options (pages and cli likewise)"),
    ("product_csv", "uploads", "rows, or every problem"),
    ("uploads", "storage", "the uploaded file, kept"),
    ("uploads", "repository", "the committed request; only then the 202"),
    ("uploads", "worker", "a nudge"),
    ("repository", "worker", "requests that are not done"),
    ("worker", "pipeline", "one job, in a thread of its own"),
    ("pipeline", "repository", "products and images; the final state"),
    ("pipeline", "image_job", "the images that are not final"),
    ("image_window", "image_job", "the next image"),
    ("image_job", "downloader", "a URL, in a download thread"),
    ("downloader", "http_client", "the direct link"),
    ("http_client", "~image hosts", "GET, to a checked address"),
    ("image_job", "image_pool", "the original, by its path"),
    ("image_pool", "compressor", "the same, in a child process"),
    ("compressor", "storage", "the smaller file"),
    ("image_job", "repository", "outcomes, in batches"),
    ("pipeline", "storage", "output.csv"),
    ("outbox", "deliveries", "webhooks that are due"),
    ("deliveries", "webhook", "one attempt"),
    ("webhook", "http_client", "the signed message"),
    ("http_client", "~receivers", "POST"),
    ("repository", "answers", "the status"),
    ("answers", "api", "status, lists, files"),
    ("repository", "database", "short transactions (outbox, listings too)"),
    ("database", "~SQLite", "the only memory"),
    ("storage", "~folders", "whole files or none"),
)

# ---- the layout ----------------------------------------------------------------------------------------------------

BOX, HEIGHT, GUTTER, CHANNEL, LEFT, TOP = 196, 46, 44, 40, 120, 84
COLUMNS = 6
WIDTH = LEFT + COLUMNS * (BOX + GUTTER) + GUTTER // 2
TIGHT = 14  # between the rows of one band, where nothing flows
LEGEND_LINE = 19
Point = tuple[float, float]


@dataclass(frozen=True)
class Place:
    """Where a box stands: its row and column, and its left upper corner in pixels."""

    row: int
    column: int
    x: float
    y: float


@dataclass(frozen=True)
class Line:
    """A flow with its bends, in pixels."""

    number: int
    source: str
    target: str
    points: tuple[Point, ...]


class Layout:
    """Boxes in rows and columns; flows in the gutters between columns and the channels between rows."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self.bands: list[tuple[str, float, float]] = []
        self._row_y: list[float] = []
        y: float = TOP
        for title, rows in BANDS:
            begin = y
            for number, row in enumerate(rows):
                self._put_row(row, y)
                y += HEIGHT + (CHANNEL if number == len(rows) - 1 else TIGHT)
            self.bands.append((title, begin - 7, y - CHANNEL + 7))
        self.bottom = y - CHANNEL + 24
        self._tracks = {
            source + target: _track(self.places[source], self.places[target]) for source, target, _ in FLOWS
        }
        self._sizes = Counter(key for track in self._tracks.values() for key in track)
        self._taken: Counter[tuple[str, object]] = Counter()
        self.lines = [self._line(number, *flow[:2]) for number, flow in enumerate(FLOWS, start=1)]

    def _put_row(self, row: tuple[str | None, ...], y: float) -> None:
        self._row_y.append(y)
        for column, name in enumerate(row):
            if name is not None:
                x = LEFT + column * (BOX + GUTTER) + GUTTER / 2
                self.places[name] = Place(len(self._row_y) - 1, column, x, y)

    def _line(self, number: int, source: str, target: str) -> Line:
        values = [self._coordinate(key) for key in self._tracks[source + target]]
        start, end = self.places[source], self.places[target]
        if len(values) == 1:  # side by side
            right = start.column < end.column
            points = [(start.x + BOX if right else start.x, values[0]), (end.x if right else end.x + BOX, values[0])]
        elif len(values) == 3:
            points = [(values[0], self._edge(start, end)), (values[0], values[1]), (values[2], values[1])]
            points.append((values[2], self._edge(end, start)))
        else:
            points = [(values[0], self._edge(start, end)), (values[0], values[1]), (values[2], values[1])]
            points += [(values[2], values[3]), (values[4], values[3]), (values[4], self._edge(end, start))]
        return Line(number, source, target, tuple(points))

    @staticmethod
    def _edge(place: Place, other: Place) -> float:
        return place.y if other.row < place.row else place.y + HEIGHT

    def _coordinate(self, key: tuple[str, object]) -> float:
        """Of all flows that share a gutter, a channel or a side of a box, each gets a lane of its own."""
        self._taken[key] += 1
        share = self._taken[key] / (self._sizes[key] + 1)
        kind, which = key
        if kind == "channel":
            return self._row_y[int(str(which))] + HEIGHT + 8 + share * (CHANNEL - 16)
        if kind == "gutter":
            return LEFT + int(str(which)) * (BOX + GUTTER) - GUTTER / 2 + 6 + share * (GUTTER - 12)
        place = next(one for one in self.places.values() if (one.row, one.column) == which)
        return place.y + share * HEIGHT if kind == "beside" else place.x + 12 + share * (BOX - 24)


def _track(start: Place, end: Place) -> list[tuple[str, object]]:
    """What a flow passes: a side of its box, a channel, perhaps a gutter and another channel, a side of the other."""
    here, there = (start.row, start.column), (end.row, end.column)
    if start.row == end.row and abs(start.column - end.column) == 1:
        return [("beside", min(here, there))]
    down = end.row > start.row
    out, into = ("bottom", "top") if down else ("top", "bottom")
    if start.row == end.row:
        return [("bottom", here), ("channel", start.row), ("bottom", there)]
    first = start.row if down else start.row - 1
    last = end.row - 1 if down else end.row
    if first == last:
        return [(out, here), ("channel", first), (into, there)]
    gutter = end.column if start.column < end.column else end.column + 1
    return [(out, here), ("channel", first), ("gutter", gutter), ("channel", last), (into, there)]


# ---- the SVG -------------------------------------------------------------------------------------------------------

STYLE = """
svg { --ground: #ffffff; --band: #f3f5f8; --box: #ffffff; --line: #8a95a5; --ink: #16202c; --soft: #55606e;
      --flow: #3f6fb5; }
@media (prefers-color-scheme: dark) {
  svg { --ground: #10151c; --band: #19212b; --box: #232d39; --line: #5b6878; --ink: #eef2f6; --soft: #a9b5c2;
        --flow: #7fb0f5; }
}
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: var(--ink); }
.ground { fill: var(--ground); }
.band { fill: var(--band); }
.box { fill: var(--box); stroke: var(--line); }
.outside { fill: none; stroke: var(--line); stroke-dasharray: 5 4; }
.name { font-weight: 600; font-size: 15px; }
.role, .title, .legend { font-size: 12.5px; fill: var(--soft); }
.heading { font-weight: 600; font-size: 21px; }
.flow { fill: none; stroke: var(--flow); stroke-width: 1.4; }
.head { fill: var(--flow); }
.stop { fill: var(--ground); stroke: var(--flow); }
.number { font-size: 10.5px; text-anchor: middle; fill: var(--ink); }
"""


def svg(layout: Layout) -> str:
    """The picture, readable on light and dark pages."""
    rows = -(-len(FLOWS) // 3)
    height = layout.bottom + 34 + rows * LEGEND_LINE + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">',
        "<title>The modules of SKUlight, floor by floor, and how the data of one upload flows through them</title>",
        f"<style>{STYLE}</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0 8 4 0 8z"/></marker>',
        f'<rect class="ground" width="{WIDTH}" height="{height:.0f}"/>',
        '<text class="heading" x="16" y="33">SKUlight: its modules by floor, and the way of one upload</text>',
        *_key(),
        *(_band(*band) for band in layout.bands),
        *(_flow(line) for line in layout.lines),
        *(_box(name, place) for name, place in layout.places.items()),
        *(_stop(line) for line in layout.lines),
        *(_legend(number, flow, layout.bottom + 24, rows) for number, flow in enumerate(FLOWS)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _key() -> list[str]:
    places = zip(PARTS.items(), (16, 140, 310, 500, 672), strict=True)
    return [
        f'<rect x="{x}" y="49" width="11" height="11" fill="{colour}"/>'
        f'<text class="legend" x="{x + 17}" y="59">{part}</text>'
        for (part, (colour, _)), x in places
    ] + ['<text class="legend" x="822" y="59">Imports go downwards only. Dashed: outside of the code.</text>']


def _band(title: str, top: float, bottom: float) -> str:
    lines = title.split("\n")
    y = (top + bottom) / 2 + 4 - 8 * (len(lines) - 1)
    words = "".join(f'<tspan x="18" dy="{16 if at else 0}">{line}</tspan>' for at, line in enumerate(lines))
    return (
        f'<rect class="band" x="8" y="{top}" width="{WIDTH - 16}" height="{bottom - top}" rx="6"/>'
        f'<text class="title" y="{y}">{words}</text>'
    )


def _box(name: str, place: Place) -> str:
    kind = "outside" if name.startswith("~") else "box"
    colour = _colour(name)
    stripe = f'<rect x="{place.x}" y="{place.y}" width="5" height="{HEIGHT}" fill="{colour}"/>' if colour else ""
    return (
        f'<g><rect class="{kind}" x="{place.x}" y="{place.y}" width="{BOX}" height="{HEIGHT}"/>{stripe}'
        f'<text class="name" x="{place.x + 13}" y="{place.y + 20}">{escape(name.removeprefix("~"))}</text>'
        f'<text class="role" x="{place.x + 13}" y="{place.y + 37}">{escape(ROLES[name])}</text></g>'
    )


def _colour(name: str) -> str | None:
    return next((colour for colour, members in PARTS.values() if name in members), None)


def _flow(line: Line) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.points)
    return f'<polyline class="flow" points="{path}" marker-end="url(#tip)"/>'


def _stop(line: Line) -> str:
    (x, y), (to_x, to_y) = line.points[0], line.points[1]
    x, y = (x + (11 if to_x > x else -11), y) if y == to_y else (x, y + (9 if to_y > y else -9))
    if len(line.points) == 2:
        x = (line.points[0][0] + line.points[1][0]) / 2
    return (
        f'<circle class="stop" cx="{x:.1f}" cy="{y:.1f}" r="8.5"/>'
        f'<text class="number" x="{x:.1f}" y="{y + 3.8:.1f}">{line.number}</text>'
    )


def _legend(at: int, flow: tuple[str, str, str], top: float, rows: int) -> str:
    x, y = 18 + at // rows * (WIDTH // 3), top + 14 + at % rows * LEGEND_LINE
    return f'<text class="legend" x="{x}" y="{y:.0f}">{_told(at + 1, flow)}</text>'


def _told(number: int, flow: tuple[str, str, str]) -> str:
    source, target, what = flow
    return escape(f"{number}  {source.removeprefix('~')} → {target.removeprefix('~')}: {what}")


# ---- the draw.io file ----------------------------------------------------------------------------------------------


def drawio(layout: Layout) -> str:
    """The same as an mxGraph model: boxes, flows and bends are where they are in the SVG."""
    cells = ['<mxCell id="0"/>', '<mxCell id="1" parent="0"/>']
    for number, (title, top, bottom) in enumerate(layout.bands):
        style = "rounded=1;arcSize=3;fillColor=#F3F5F8;strokeColor=none;align=left;spacingLeft=10;fontColor=#55606E"
        cells.append(_cell(f"band:{number}", title, style, 8, top, WIDTH - 16, bottom - top))
    for name, place in layout.places.items():
        cells.append(_cell(_id(name), _label(name), _style(name), place.x, place.y, BOX, HEIGHT))
    cells += [_edge_cell(line, layout.places) for line in layout.lines]
    text = "\n".join(_told(number, flow) for number, flow in enumerate(FLOWS, start=1))
    cells.append(_cell("legend", text, "text;align=left;verticalAlign=top", 16, layout.bottom, WIDTH - 32, 600))
    for at, (part, (colour, _)) in enumerate(PARTS.items()):
        style = f"fillColor={colour};strokeColor=none;fontColor=#FFFFFF"
        cells.append(_cell(f"part:{at}", part, style, 16 + at * 190, 36, 180, 24))
    model = "\n".join(f"        {cell}" for cell in cells)
    return (
        '<mxfile host="app.diagrams.net">\n  <diagram id="architecture" name="SKUlight">\n'
        f'    <mxGraphModel grid="0" page="0" pageWidth="{WIDTH}" pageHeight="{layout.bottom:.0f}">\n      <root>\n'
        f"{model}\n      </root>\n    </mxGraphModel>\n  </diagram>\n</mxfile>\n"
    )


def _id(name: str) -> str:
    return f"outside:{name[1:]}" if name.startswith("~") else f"module:{name}"


def _label(name: str) -> str:
    return f"{name.removeprefix('~')}\n{ROLES[name]}"


def _style(name: str) -> str:
    colour = _colour(name)
    outline = "dashed=1;fillColor=none" if name.startswith("~") else "fillColor=#FFFFFF"
    return f"{outline};strokeColor={colour or '#8A95A5'};strokeWidth={2 if colour else 1};align=left;spacingLeft=8"


def _cell(identity: str, value: str, style: str, *box: float) -> str:
    x, y, width, height = (f"{number:g}" for number in box)
    return (
        f'<mxCell id={quoteattr(identity)} value={_attribute(value)} style="{style};html=0;whiteSpace=wrap" vertex="1" '
        f'parent="1"><mxGeometry x="{x}" y="{y}" width="{width}" height="{height}" as="geometry"/></mxCell>'
    )


def _edge_cell(line: Line, places: dict[str, Place]) -> str:
    bends = "".join(f'<mxPoint x="{x:.1f}" y="{y:.1f}"/>' for x, y in line.points[1:-1])
    ends = _end("exit", places[line.source], line.points[0]) + _end("entry", places[line.target], line.points[-1])
    return (
        f'<mxCell id="flow:{line.number}" value="{line.number}" '
        f'style="edgeStyle=none;html=0;strokeColor=#3F6FB5;endArrow=block;endFill=1;{ends}" '
        f'edge="1" parent="1" source={quoteattr(_id(line.source))} target={quoteattr(_id(line.target))}>'
        f'<mxGeometry relative="1" as="geometry"><Array as="points">{bends}</Array></mxGeometry></mxCell>'
    )


def _end(kind: str, place: Place, point: Point) -> str:
    """Where on the side of its box a flow begins or ends, as a share of the box."""
    x, y = (point[0] - place.x) / BOX, (point[1] - place.y) / HEIGHT
    return f"{kind}X={x:.3f};{kind}Y={y:.3f};{kind}Dx=0;{kind}Dy=0;"


def _attribute(value: str) -> str:
    return quoteattr(value, {"\n": "&#10;"})


# ---- the two files -------------------------------------------------------------------------------------------------


def modules() -> dict[int, list[str]]:
    """The modules of each band, by its number from the top."""
    found: dict[int, list[str]] = defaultdict(list)
    for number, (_, rows) in enumerate(BANDS):
        found[number] = [name for row in rows for name in row if name is not None and not name.startswith("~")]
    return found


def main() -> int:
    """Write the files, or check them (then 1 when one is out of date)."""
    layout = Layout()
    drawn = {"architecture.svg": svg(layout), "architecture.drawio": drawio(layout)}
    if sys.argv[1:] == ["--check"]:
        stale = [name for name, text in drawn.items() if (DOCS / name).read_text() != text]
        if stale:
            print(f"Out of date: {', '.join(stale)}; run bench/draw_architecture.py.")
        return 1 if stale else 0
    for name, text in drawn.items():
        (DOCS / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
