"""The graphs of docs/performance.md, from the figures in bench/results.json.

    .venv-bench/bin/python scripts/draw_graphs.py RESULTS FOLDER

The same figures give the same files, byte for byte. `bench/run.py` runs it; it needs the bench's own environment.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

# A ground of its own, so that the graphs are readable on light and dark pages; hues that the colour-blind distinguish.
GROUND, INK, SOFT, LINES = "#ffffff", "#1f2328", "#59636e", "#d9dee3"
BLUE, ORANGE, GREEN = "#0b62b8", "#c2540a", "#1a7f4b"
STYLE = {
    "svg.hashsalt": "skulight",
    "svg.fonttype": "none",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": LINES,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINES,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "figure.facecolor": GROUND,
    "axes.facecolor": GROUND,
    "savefig.facecolor": GROUND,
}


def by_number(runs: dict[str, Any]) -> Figure:
    """CPU time per image, and peak memory, by the number of images."""
    figure, (cost, memory) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    for size, colour in (("64", BLUE), ("800", ORANGE)):
        some = [run for run in runs.values() if run["size"] == size]
        images, label = [run["images"] for run in some], f"{size}² JPEG"
        cost.plot(images, [run["cpu_ms"] for run in some], "o-", color=colour, label=label)
        memory.plot(images, [run["peak_bytes"] / 1e6 for run in some], "o-", color=colour, label=label)
    _finish(cost, "CPU milliseconds for an image", "images in one catalogue")
    _finish(memory, "Peak memory, MB", "images in one catalogue")
    for axes in (cost, memory):
        axes.set_xscale("log")
        _from_zero(axes)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    return figure


def by_size(sizes: dict[str, Any]) -> Figure:
    """Milliseconds per image by its pixels: SKUlight, and the codec bound as a dashed line."""
    figure, axes = pyplot.subplots(figsize=(9, 4.4))
    pixels = [_pixels(size) for size in sizes]
    for format, colour in (("jpeg", BLUE), ("webp", GREEN), ("png", ORANGE)):
        for side, line in (("product", "o-"), ("bound", "--")):
            milliseconds = [1000 / formats[format][side][0]["images_per_second"] for formats in sizes.values()]
            label = f"{format.upper()}, {'SKUlight' if side == 'product' else 'codec bound'}"
            axes.plot(pixels, milliseconds, line, color=colour, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(pixels, [size.replace("x", " × ") if "x" in size else f"{size}²" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    _finish(axes, "Milliseconds for an image, all CPUs together", "pixels", loc="upper left", bbox_to_anchor=(1.02, 1))
    return figure


def by_distance(distances: dict[str, Any]) -> Figure:
    """Images per second by the latency of the image host."""
    figure, axes = pyplot.subplots(figsize=(9, 3.6))
    milliseconds = [int(distance) for distance in distances]
    for name, colour, label in (
        ("default", ORANGE, "default settings"),
        ("far_host", BLUE, "set for a far image host"),
    ):
        rates = [runs[name]["images_per_second"] for runs in distances.values()]
        axes.plot(milliseconds, rates, "o-", color=colour, label=label)
    axes.set_xticks(milliseconds)
    _from_zero(axes)
    _finish(axes, "800² JPEGs per second", "latency of the image host, milliseconds")
    return figure


def _from_zero(axes: Axes) -> None:
    axes.set_ylim(0, 1.1 * axes.dataLim.ymax)


def _finish(axes: Axes, title: str, below: str, **legend: Any) -> None:
    axes.set_title(title)
    axes.set_xlabel(below)
    axes.legend(**legend)


def _pixels(size: str) -> int:
    width, _, height = size.partition("x")
    return int(width) * int(height or width)


GRAPHS = {
    "scale": ("by-number.svg", by_number),
    "matrix": ("by-size.svg", by_size),
    "latency": ("by-distance.svg", by_distance),
}


def main(results: Path, folder: Path) -> int:
    """Draw what there are figures for."""
    pyplot.rcParams.update(STYLE)
    folder.mkdir(parents=True, exist_ok=True)
    for section, kept in json.loads(results.read_text()).items():
        if section in GRAPHS:
            name, draw = GRAPHS[section]
            figure = draw(kept["figures"])
            figure.tight_layout(pad=1.5)
            figure.savefig(folder / name, metadata={"Date": None, "Creator": None})
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
