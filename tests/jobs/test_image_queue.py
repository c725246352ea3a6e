"""The window over the images of a job: bounded, fair between hosts, patient with retries."""

import itertools
from collections.abc import Sequence

from image_processor.download.host_limits import HostLimits
from image_processor.errors import FetchConnectionError
from image_processor.jobs.image_queue import LOOK_AHEAD, ImageWindow
from image_processor.store.outcomes import ImageTask, Portion

JOB = Portion("job", 0, 1_000_000)


class FakeProducts:
    """The images of a job in memory, fetched as from the store; counts what was fetched."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self.images = [ImageTask(n, n, 1, f"http://{host}/{n}", host, 1) for n, host in enumerate(hosts, start=1)]
        self.fetched = 0

    def pending_images(
        self,
        job_id: str,
        after_id: int,
        limit: int,
        *,
        last_id: int,
        host: str | None = None,
        without: Sequence[str] = (),
    ) -> list[ImageTask]:
        found = [
            image
            for image in self.images
            if after_id < image.id <= last_id and image.host not in without and host in (None, image.host)
        ][:limit]
        self.fetched += len(found)
        return found


def taken(window: ImageWindow, limits: HostLimits, release: bool = True) -> list[int]:
    """The ids of all images that get a turn now."""
    ids = []
    while turn := window.take():
        ids.append(turn.image.id)
        if release and turn.refusal is None:
            limits.release(turn.image.host, None)
    return ids


def test_every_image_gets_exactly_one_turn() -> None:
    products = FakeProducts([f"host{n % 7}" for n in range(5_000)])
    limits = HostLimits(16)
    window = ImageWindow(products, JOB, limits)

    assert sorted(taken(window, limits)) == list(range(1, 5_001))
    assert window.empty


def test_the_window_stays_small_however_large_the_job() -> None:
    products = FakeProducts(["one"] * 100_000)
    window = ImageWindow(products, JOB, HostLimits(16))

    assert len(taken(window, HostLimits(16), release=False)) == 16
    assert products.fetched <= LOOK_AHEAD + 128


def test_twenty_thousand_images_of_a_busy_host_do_not_hide_the_others() -> None:
    products = FakeProducts(["busy"] * 20_000 + ["free"] * 3)
    window = ImageWindow(products, JOB, HostLimits(2))

    assert taken(window, HostLimits(2), release=False) == [1, 20_001, 2, 20_002]


def test_hosts_take_turns() -> None:
    products = FakeProducts(["a", "a", "a", "b", "b", "b"])
    limits = HostLimits(16)

    assert taken(ImageWindow(products, JOB, limits), limits) == [1, 4, 2, 5, 3, 6]


def test_an_image_that_is_retried_waits_its_time_and_delays_no_other() -> None:
    products = FakeProducts(["a", "a"])
    limits = HostLimits(16)
    window = ImageWindow(products, JOB, limits)
    first = window.take()
    assert first is not None

    window.wait_again(first, 60)
    assert taken(window, limits) == [2]
    assert not window.empty

    window.wait_again(first, 0)
    assert taken(window, limits) == [1]


def test_a_dead_host_is_refused_with_its_reason() -> None:
    products = FakeProducts(["dead"] * 500 + ["alive"])
    seconds = itertools.count(step=10)
    limits = HostLimits(16, clock=lambda: float(next(seconds)))
    for _ in range(20):
        if limits.acquire("dead"):
            limits.release("dead", FetchConnectionError())
    window = ImageWindow(products, JOB, limits)

    turns = {turn.image.id: turn for turn in iter(window.take, None)}

    assert turns[1].refusal is not None
    assert turns[501].refusal is None
    assert len(turns) >= 500
