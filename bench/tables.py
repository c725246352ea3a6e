"""The measured figures as tables: the same for the terminal and for docs/performance.md."""

import statistics
from collections.abc import Callable, Iterable
from typing import Any, Final

from bars import FAR_HOST, LATENCY
from plan import Figures
from stages import DATABASE_BAR
from table import MET, Table

MB: Final = 1e6
_FAR_HOST: Final = ", ".join(f"`{name}={value}`" for name, value in FAR_HOST.items())


def _median(runs: Iterable[Figures], name: str = "images_per_second") -> float:
    return statistics.median(run[name] for run in runs)


def _ratio(above: list[Figures], below: list[Figures], name: str = "images_per_second") -> float:
    """The median of the ratios of each round."""
    return statistics.median(one[name] / other[name] for one, other in zip(above, below, strict=True))


def bars(figures: Figures) -> Table:
    """Throughput beside the codec bound, and beside a near image host."""
    rows = [
        _beside_bound("800² JPEG, default settings", figures["default"], 0.75, 0.85),
        _beside_bound("800² JPEG, baseline encoding", figures["baseline"], 0.65, 0.75),
        _far(figures["latency"]),
        _small(figures["small"]),
    ]
    note = (
        f"Medians of {len(figures['default']['product'])} alternating runs; the far image host with {_FAR_HOST}, "
        "the near one with the defaults."
    )
    return Table(("what", "images/s", "beside", "ratio", "bar", "met"), rows, note)


def _beside_bound(title: str, runs: Figures, bar: float, aim: float) -> tuple[str, ...]:
    ratio = _ratio(runs["product"], runs["bound"])
    rate, bound = _median(runs["product"]), f"codec bound: {_median(runs['bound']):.0f}"
    return title, f"{rate:.0f}", bound, f"{ratio:.2f}", f"≥ {bar} (aim {aim})", MET[ratio >= bar]


def _far(runs: Figures) -> tuple[str, ...]:
    ratio = _ratio(runs["far"], runs["near"])
    title = f"800² JPEG, image host {1000 * LATENCY:.0f} ms away"
    rate, near = _median(runs["far"]), f"0 ms away: {_median(runs['near']):.0f}"
    return title, f"{rate:.0f}", near, f"{ratio:.2f}", "≥ 0.9", MET[ratio >= 0.9]


def _small(runs: Figures) -> tuple[str, ...]:
    rate, bound = _median(runs["product"]), f"codec bound: {_median(runs['bound']):.0f}"
    ratio = _ratio(runs["product"], runs["bound"])
    return "200² JPEG", f"{rate:.0f}", bound, f"{ratio:.2f}", "≥ 500 images/s", MET[rate >= 500]


def matrix(figures: Figures) -> Table:
    """Every size in every format."""
    rows = []
    for size, formats in figures.items():
        for format, runs in formats.items():
            mine, bound = runs["product"][0], runs["bound"][0]
            ratio = _ratio(runs["product"], runs["bound"])
            rates = (_shown(one["images_per_second"]) for one in (mine, bound))
            costs = (_shown(one["cpu_ms"]) for one in (mine, bound))
            rows.append((f"{shown_size(size)} {format.upper()}", *rates, f"{ratio:.2f}", *costs, str(runs["images"])))
    head = ("image", "images/s", "codec bound", "ratio", "CPU ms per image", "of the bound", "images")
    return Table(head, rows, "One run each.")


def scale(figures: Figures) -> Table:
    """How memory and response times grow with the number of images."""
    rows = []
    for run in figures.values():
        rows.append(
            (
                f"{run['images']:,} × {shown_size(run['size'])}",
                f"{run['images_per_second']:.0f}",
                f"{run['cpu_ms']:.2f}",
                f"{run['peak_bytes'] / MB:.0f}",
                f"{run['accepted_seconds']:.2f}",
                f"{run['status_p50']:.1f} / {run['status_p99']:.1f}",
                f"{run['page_p50']:.0f} / {run['page_p99']:.0f}",
            )
        )
    head = (
        "images",
        "images/s",
        "CPU ms per image",
        "peak MB",
        "202 after s",
        "status ms p50 / p99",
        "page ms p50 / p99",
    )
    return Table(head, rows, "One image in each row of the catalogue; the status is requested while it runs.")


def scale_bars(figures: Figures) -> Table:
    """What must not grow."""
    few, many, photos = figures["small few"], figures["small many"], figures["photos many"]
    growth = many["peak_bytes"] / few["peak_bytes"]
    rows = [
        ("peak memory, most images ÷ fewest", f"{growth:.2f}", "≤ 1.2", MET[growth <= 1.2]),
        _below("peak memory, 800² JPEG", photos["peak_bytes"] / MB, 300, "MB"),
        _below(f"peak memory, {many['images']:,} rows", many["peak_bytes"] / MB, 300, "MB"),
        _below(f"202 for {many['images']:,} rows", many["accepted_seconds"], 2, "s"),
        _below(f"status p99, {many['images']:,} images", many["status_p99"], 20, "ms"),
        _below(f"page p99, {many['images']:,} images", many["page_p99"], 200, "ms"),
    ]
    return Table(("what", "measured", "bar", "met"), rows)


def latency(figures: Figures) -> Table:
    """Throughput by latency, with and without the settings for it."""
    rows = [
        (f"{distance} ms", *(f"{run['images_per_second']:.0f}" for run in (runs["default"], runs["far_host"])))
        for distance, runs in figures.items()
    ]
    return Table(
        ("latency of the image host", "images/s, defaults", "images/s, set for it"), rows, f"Set: {_FAR_HOST}."
    )


def stages(figures: Figures) -> Table:
    """Where the CPU time goes."""
    names = [*next(iter(figures.values()))["stages"]]
    rows = [(name, *(_with_share(run["stages"][name], run["cpu_ms"]) for run in figures.values())) for name in names]
    rows.append(("all", *(f"{run['cpu_ms']:.2f}" for run in figures.values())))
    head = ("CPU ms per image", *(f"{shown_size(run['size'])} {run['format'].upper()}" for run in figures.values()))
    return Table(head, rows, "Measured inside the server, which itself takes time; throughput is measured separately.")


def _with_share(cost: float, total: float) -> str:
    return f"{cost:.2f} ({100 * cost / total:.0f}%)"


def stages_bars(figures: Figures) -> Table:
    """The share of the database in the CPU time."""
    run = figures[DATABASE_BAR]
    share = 100 * run["stages"]["record"] / run["cpu_ms"]
    title = f"database: {shown_size(run['size'])} {run['format'].upper()}"
    return Table(("what", "measured", "bar", "met"), [(title, f"{share:.1f}%", "≤ 5%", MET[share <= 5])])


def rival(figures: Figures) -> Table:
    """The whole job beside img2dataset."""
    mine, theirs = figures["skulight"], figures["img2dataset"]
    factor = _ratio(theirs, mine, "seconds")
    cells = {
        name: (f"{_median(runs, 'seconds'):.1f}", f"{figures['images'] / _median(runs, 'seconds'):.0f}")
        for name, runs in (("img2dataset", theirs), ("SKUlight", mine))
    }
    rows = [
        ("img2dataset", *cells["img2dataset"], "", "", ""),
        ("SKUlight", *cells["SKUlight"], f"{factor:.2f} ×", "≥ 1.6 × (aim 2)", MET[factor >= 1.6]),
    ]
    note = (
        f"{figures['images']:,} 800² JPEGs, from the start of the command to its end; medians of {len(mine)} "
        f"alternating runs. img2dataset {figures['version']} with its best of {figures['tried']} settings: "
        f"{figures['thread_count']} threads, shards of {figures['shard']:,}."
    )
    return Table(("job", "seconds", "images/s", "faster", "bar", "met"), rows, note)


def check(figures: Figures) -> Table:
    """The check of a large catalogue."""
    rows = []
    for format, bar in (("csv", 3), ("xlsx", 6)):
        seconds, peak = (_median(figures[format], name) for name in ("cpu_seconds", "peak_bytes"))
        rows += [
            _below(f"check of {figures['rows']:,} rows of 20 columns, {format}: CPU time", seconds, bar, "s"),
            _below("its peak memory", peak / MB, 250, "MB"),
        ]
    note = f"Medians of {len(figures['csv'])} runs without a server; 200,000 images in two columns."
    return Table(("what", "measured", "bar", "met"), rows, note)


def start(figures: Figures) -> Table:
    """How long the start takes."""
    run, load = (statistics.median(figures[name]) for name in ("make_run", "import_app"))
    rows = [
        _below("second `make run` until it is ready", run, 2, "s"),
        _below('`python -c "import app"`', load, 0.8, "s"),
    ]
    note = f"Medians of {len(figures['make_run'])}; both include the start of Python."
    return Table(("what", "measured", "bar", "met"), rows, note)


def _shown(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def _below(what: str, value: float, bar: float, unit: str) -> tuple[str, ...]:
    return what, f"{_shown(value)} {unit}", f"< {bar} {unit}", MET[value < bar]


def shown_size(size: str) -> str:
    """A size for people."""
    return size.replace("x", " × ") if "x" in size else f"{size}²"


TABLES: Final[dict[str, Callable[[Any], Table]]] = {
    "bars": bars, "matrix": matrix, "scale": scale, "scale-bars": scale_bars, "latency": latency, "stages": stages,
    "stages-bars": stages_bars, "rival": rival, "start": start, "check": check,
}  # fmt: skip


def tables(section: str, figures: Figures) -> list[tuple[str, Table]]:
    """The tables of a section, by name."""
    return [(name, make(figures)) for name, make in TABLES.items() if name.partition("-")[0] == section]
