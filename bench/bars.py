"""The bars of throughput beside the codec bound; each is the median of alternating runs."""

from functools import partial

from plan import Figures, Plan, alternating, bound, product
from server_run import Job

BASELINE = {"JPEG_OPTIMIZE": "0", "JPEG_PROGRESSIVE": "0"}
# What docs/performance.md recommends for distant image hosts.
FAR_HOST = {"PER_HOST_CONNECTIONS": "96", "DOWNLOAD_THREADS": "96"}
LATENCY = 0.2


def measure(plan: Plan) -> Figures:
    """800² JPEG with default and with baseline encoding; near and far; 200²."""
    images = plan.images(2_000)
    near = partial(product, small_origin=True)
    far = partial(product, latency=LATENCY)
    return {
        "default": alternating(
            plan.rounds,
            product=partial(product, Job("800", images=images)),
            bound=partial(bound, "800", "jpeg", images),
        ),
        "baseline": alternating(
            plan.rounds,
            product=partial(product, Job("800", images=images, settings=BASELINE)),
            bound=partial(bound, "800", "jpeg", images, baseline=True),
        ),
        "latency": alternating(
            plan.rounds,
            near=partial(near, Job("800", images=images)),
            far=partial(far, Job("800", images=images, settings=FAR_HOST)),
        ),
        "small": alternating(
            plan.rounds,
            product=partial(product, Job("200", images=plan.images(5_000))),
            bound=partial(bound, "200", "jpeg", plan.images(5_000)),
        ),
    }
