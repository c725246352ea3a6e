"""The check of a large catalogue, as CSV and as a workbook: CPU time and memory."""

from typing import Final

from plan import Figures, Plan
from processes import output_of

ROWS: Final = 100_000
FORMATS: Final = ("csv", "xlsx")


def measure(plan: Plan) -> Figures:
    """Each format in a separate process, in turns."""
    number = plan.images(ROWS)
    runs: Figures = {format: [] for format in FORMATS}
    for _ in range(plan.rounds):
        for format in FORMATS:
            runs[format].append(output_of("check_run.py", format, number, seconds=900))
            print(f"  {format}: {runs[format][-1]['cpu_seconds']:.2f} s", flush=True)
    return {"rows": number, **runs}
