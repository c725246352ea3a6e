"""How cost grows with the size of the images, with their number, and with the latency of the image host."""

from bars import FAR_HOST
from plan import Figures, Plan, bound, product
from server_run import Job

# How many images of each size and format: about half a minute. A PNG takes some twenty times as long as a JPEG.
SIZE_IMAGES = {
    "200": {"jpeg": 4_000, "png": 400, "webp": 3_000},
    "800": {"jpeg": 1_500, "png": 100, "webp": 500},
    "2000": {"jpeg": 300, "png": 24, "webp": 100},
    "4000x3000": {"jpeg": 150, "png": 24, "webp": 60},
}
# Name: size, images. "few" and "many" are compared.
SCALE = {
    "small few": ("64", 1_000),
    "small": ("64", 10_000),
    "small many": ("64", 100_000),
    "photos few": ("800", 1_000),
    "photos many": ("800", 10_000),
}
DISTANCES = (0, 50, 100, 200, 400)  # milliseconds


def sizes(plan: Plan) -> Figures:
    """Every size in every format: SKUlight and the codec bound, one run each."""
    figures: Figures = {}
    for size, formats in SIZE_IMAGES.items():
        figures[size] = {}
        for format, number in formats.items():
            images = plan.images(number)
            runs = {"product": [product(Job(size, format, images))], "bound": [bound(size, format, images)]}
            figures[size][format] = {"images": images, **runs}
            rates = (f"{one[0]['images_per_second']:.3g}/s" for one in runs.values())
            print(f"  {size} {format}: {', bound '.join(rates)}", flush=True)
    return figures


def numbers(plan: Plan) -> Figures:
    """From a thousand images to a hundred thousand, one in each row."""
    figures: Figures = {}
    for name, (size, number) in SCALE.items():
        images = plan.images(number)
        run = product(Job(size, images=images, per_row=1, poll_seconds=0.2))
        figures[name] = {"size": size, "images": images, **run}
        print(f"  {images:,} of {size}: {run['images_per_second']:.0f}/s", flush=True)
    return figures


def distances(plan: Plan) -> Figures:
    """The same catalogue from image hosts of rising latency, with the defaults and with the settings for it."""
    figures: Figures = {}
    images = plan.images(2_000)
    for distance in DISTANCES:
        figures[str(distance)] = {
            name: product(Job("800", images=images, settings=settings), latency=distance / 1000, small_origin=True)
            for name, settings in (("default", {}), ("far_host", FAR_HOST))
        }
        rates = (f"{run['images_per_second']:.0f}/s" for run in figures[str(distance)].values())
        print(f"  {distance} ms: {', '.join(rates)}", flush=True)
    return figures
