"""The first products of a request as the status tells them, made anew only when something of them has changed.

Whoever watches a request of 100,000 images asks again and again. To read and shape the first 500 took 10 ms of the
interpreter each time, for which the work on the others had to wait.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from image_processor.models import ImageStatus, ProcessingRequest
from image_processor.repository import Repository
from image_processor.status import MOST_IMAGES, MOST_PRODUCTS, ProductBody, product_bodies

MOST_KEPT = 16  # requests whose first products are kept at hand, about 1 MB each
UNFINISHED = (ImageStatus.PENDING, ImageStatus.PROCESSING)


@dataclass(frozen=True, slots=True)
class _Kept:
    """Bodies, and of which run and which states of their images they tell. `final`: they stay until the run ends."""

    run: tuple[str, int]
    states: list[tuple[str, int, int]]
    bodies: list[ProductBody]
    final: bool


class FirstProducts:
    """Keeps the bodies of the requests that were asked for last. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, request: ProcessingRequest) -> list[ProductBody]:
        """The bodies of at most MOST_PRODUCTS products with at most MOST_IMAGES images."""
        run = (request.status, request.run)
        with self._lock:
            kept = self._kept.get(request.id)
        if kept is not None and kept.final and kept.run == run:
            return kept.bodies
        # Asked before the products are read: should they change in between, the next question finds other states.
        states = self._repository.image_states(request.id, MOST_PRODUCTS)
        if kept is not None and (kept.run, kept.states) == (run, states):
            return kept.bodies
        bodies = self._read(request.id)
        whole = len(bodies) == min(request.row_count, MOST_PRODUCTS)
        final = whole and not any(image.status in UNFINISHED for body in bodies for image in body.images)
        # Not those that are still to be inserted, nor rows with a thousand URLs each.
        if 0 < sum(len(body.input_image_urls) for body in bodies) <= 2 * MOST_IMAGES:
            self._keep(request.id, _Kept(run, states, bodies, final))
        return bodies

    def _keep(self, request_id: str, kept: _Kept) -> None:
        with self._lock:
            self._kept[request_id] = kept
            self._kept.move_to_end(request_id)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)

    def _read(self, request_id: str) -> list[ProductBody]:
        products = self._repository.products(request_id, limit=MOST_PRODUCTS)
        return product_bodies(products, self._repository.images_of([one.id for one in products], limit=MOST_IMAGES))
