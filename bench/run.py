"""`make bench`: measures everything, prints the tables, keeps the figures in bench/results.json.

    .venv/bin/python bench/run.py [--only SECTION …] [--quick]

Everything runs on this machine, on loopback. A missed bar is reported and is no failure; a run in which an image fails
is one: its section stays as it was, and the exit code is 1. The figures of `--quick` go to another file.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import bars
import check
import growth
import origin
import report
import results
import rival
import stages
import start
from catalogue import CACHE
from environment import program
from plan import Figures, Plan
from processes import BrokenRun, end_in_order, run, use_memory
from tables import tables

ROUNDS = 5
QUICK: Final = CACHE.parent / "quick.json"
SECTIONS: Final[dict[str, tuple[str, Callable[[Plan], Figures]]]] = {
    "bars": ("Throughput beside the codec bound", bars.measure),
    "matrix": ("Sizes and formats", growth.sizes),
    "scale": ("Number of images", growth.numbers),
    "latency": ("Distance of the image host", growth.distances),
    "stages": ("Where the CPU time goes", stages.measure),
    "check": ("The check of a large catalogue", check.measure),
    "start": ("Start", start.measure),
    "rival": ("The whole job beside img2dataset", rival.measure),
}


def main() -> int:
    """Measure the chosen sections; 1 when one of them failed."""
    given = _arguments()
    end_in_order()
    use_memory()
    plan = Plan(1 if given.quick else ROUNDS, given.quick)
    path = QUICK if given.quick else results.RESULTS
    missed: list[str] = []
    broken: list[str] = []
    _warn_if_busy()
    for section in given.only:
        try:
            missed += _measure(section, plan, path)
        except BrokenRun as error:
            broken.append(section)
            print(f"FAILED: {error}", file=sys.stderr)
    if not plan.quick:
        _draw()
    print(f"\nNot met: {', '.join(missed)}." if missed else "\nEvery bar that was measured is met.")
    if broken:
        print(f"Failed, and unchanged: {', '.join(broken)}.", file=sys.stderr)
    return 1 if broken else 0


def _measure(section: str, plan: Plan, path: Path) -> list[str]:
    """Measure, print and save one section; gives the names of the bars that it missed."""
    title, measure = SECTIONS[section]
    print(f"\n{title} ({section})", flush=True)
    kept = results.keep(section, measure(plan), quick=plan.quick, origin=origin.kind(), path=path)
    if not plan.quick:
        report.write()
    missed = []
    for _, table in tables(section, kept["figures"]):
        print(f"\n{table.as_text()}", flush=True)
        missed += table.missed
    return missed


def _warn_if_busy() -> None:
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"This machine is busy (load {load:.1f}): the figures will be poor.")


def _draw() -> None:
    """Bring the graphs in docs/performance up to date."""
    try:
        run([program("python"), "scripts/draw_graphs.py", str(results.RESULTS), str(report.GRAPHS)], seconds=120)
    except BrokenRun as error:
        print(f"The graphs are unchanged: {error}", file=sys.stderr)


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, one round")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
