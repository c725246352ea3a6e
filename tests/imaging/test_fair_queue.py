"""Places are shared fairly among owners, however long some of them hold theirs."""

import threading
from collections.abc import Callable, Iterator

import pytest
from servers import wait_for

from image_processor.errors import ImageCancelled
from image_processor.imaging.fair_queue import FairQueue


def never() -> bool:
    return False


class Holders:
    """Threads that hold places until `finish`; `running` lists those that have one."""

    def __init__(self, queue: FairQueue) -> None:
        self._queue = queue
        self._ends: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []
        self.running: list[str] = []

    def start(self, owner: str, name: str) -> None:
        self._ends[name] = threading.Event()
        thread = threading.Thread(target=self._hold, args=(owner, name), daemon=True)
        self._threads.append(thread)
        thread.start()

    def finish(self, name: str) -> None:
        self._ends[name].set()

    def end(self) -> None:
        for end in self._ends.values():
            end.set()
        for thread in self._threads:
            thread.join(120)

    def _hold(self, owner: str, name: str) -> None:
        with self._queue.place(owner, never):
            self.running.append(name)
            self._ends[name].wait(600)


@pytest.fixture
def holders() -> Iterator[Callable[[FairQueue], Holders]]:
    made: list[Holders] = []

    def make(queue: FairQueue) -> Holders:
        made.append(Holders(queue))
        return made[-1]

    yield make
    for one in made:
        one.end()


def test_an_owner_alone_has_every_place_and_no_more(holders: Callable[[FairQueue], Holders]) -> None:
    some = holders(FairQueue(2))
    for name in ("a1", "a2", "a3"):
        some.start("a", name)
        wait_for(lambda name=name: name in some.running or name == "a3")  # type: ignore[misc]

    assert some.running == ["a1", "a2"]
    some.finish("a1")
    wait_for(lambda: "a3" in some.running)


def test_one_that_holds_places_for_long_leaves_a_place_to_the_others(holders: Callable[[FairQueue], Holders]) -> None:
    some = holders(FairQueue(2))
    for name in ("slow1", "slow2"):
        some.start("slow", name)
        wait_for(lambda name=name: name in some.running)  # type: ignore[misc]
    some.start("slow", "slow3")
    some.start("quick", "quick1")
    some.finish("slow1")

    wait_for(lambda: "quick1" in some.running)
    for number in range(1, 20):
        some.start("quick", f"quick{number + 1}")
        some.finish(f"quick{number}")
        wait_for(lambda number=number: f"quick{number + 1}" in some.running)  # type: ignore[misc]
    assert "slow3" not in some.running, "slow has its share with slow2"


def test_an_abandoned_owner_takes_no_place() -> None:
    queue = FairQueue(1)
    with queue.place("a", never):
        with pytest.raises(ImageCancelled), queue.place("b", lambda: True):
            raise AssertionError("a place was given twice")
    with queue.place("b", never):
        pass


def test_a_place_is_given_back_when_its_holder_fails() -> None:
    queue = FairQueue(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="failed"), queue.place("a", never):
            raise ValueError("failed")
    with queue.place("a", never):
        pass
