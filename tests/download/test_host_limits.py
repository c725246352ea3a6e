"""How a host is treated, with a clock that only the test moves."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from image_processor.download.host_limits import COOL_DOWN, DEAD_AFTER, GRACE, MAX_REMEMBERED, STUCK_AFTER, HostLimits
from image_processor.errors import (
    BlockedAddress,
    DNSFailure,
    FetchConnectionError,
    FetchTimeout,
    HTTPStatusError,
    ImageError,
    InvalidURL,
    NotAnImage,
)

HOST = "shop.example"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limits(clock: Clock) -> HostLimits:
    return HostLimits(16, 64, clock=clock)


def enter_all(limits: HostLimits, host: str = HOST, request: object = None) -> int:
    """Take every place there is and say how many there were."""
    places = 0
    while limits.acquire(host, request):
        places += 1
    return places


def enter_new_hosts(limits: HostLimits, request: object, count: int = 1_000) -> list[str]:
    """Take a place at every new host where there is one, and say which those are."""
    hosts = [f"{number}.{request}.example" for number in range(count)]
    return [host for host in hosts if limits.acquire(host, request)]


def prove(limits: HostLimits, host: str = HOST, responses: int = 16) -> None:
    for _ in range(responses):
        assert limits.acquire(host)
        limits.release(host, None)


def leave_all(limits: HostLimits, count: int, error: ImageError | None = None) -> None:
    for _ in range(count):
        limits.release(HOST, error)


def places(limits: HostLimits, host: str = HOST) -> int:
    """How many places there are, counted without a trace: no request was sent, so nothing is learned."""
    count = enter_all(limits, host)
    for _ in range(count):
        limits.release(host, InvalidURL())
    return count


def push_back() -> ImageError:
    return HTTPStatusError(http_status=429, permanent=False)


def fail_once(limits: HostLimits, error: ImageError) -> None:
    assert limits.acquire(HOST)
    limits.release(HOST, error)


def kill(limits: HostLimits, clock: Clock, error: ImageError | None = None) -> None:
    for _ in range(DEAD_AFTER):
        fail_once(limits, error or FetchConnectionError())
        clock.now += GRACE
    assert limits.refusal(HOST) is not None


def test_a_host_has_as_many_places_as_are_set(limits: HostLimits) -> None:
    assert enter_all(limits) == 16
    assert not limits.acquire(HOST)
    limits.release(HOST, None)
    assert limits.acquire(HOST)


def test_hosts_do_not_share_places(limits: HostLimits) -> None:
    enter_all(limits)
    assert enter_all(limits, "other.example") == 16


@pytest.mark.parametrize(
    "error",
    [push_back(), HTTPStatusError(http_status=503, permanent=False), FetchTimeout(), FetchTimeout(responded=True)],
)
def test_a_host_that_pushes_back_gets_half_the_places(error: ImageError, limits: HostLimits) -> None:
    fail_once(limits, error)
    assert places(limits) == 8


@pytest.mark.parametrize(
    "error",
    [None, HTTPStatusError(http_status=404), NotAnImage(), FetchConnectionError(), DNSFailure(), BlockedAddress()],
)
def test_other_ends_leave_the_places_alone(error: ImageError | None, limits: HostLimits) -> None:
    enter_all(limits)
    limits.release(HOST, error)
    leave_all(limits, 15)
    assert places(limits) == 16


def test_a_batch_that_fails_together_halves_the_places_once(limits: HostLimits) -> None:
    leave_all(limits, enter_all(limits), push_back())
    assert places(limits) == 8
    leave_all(limits, enter_all(limits), push_back())
    assert places(limits) == 4


def test_there_is_always_one_place(limits: HostLimits) -> None:
    for _ in range(20):
        fail_once(limits, push_back())
    assert places(limits) == 1


def test_places_grow_back_slowly_and_never_beyond_the_setting(limits: HostLimits) -> None:
    fail_once(limits, push_back())
    grown = []
    for _ in range(200):
        assert limits.acquire(HOST)
        limits.release(HOST, None)
        grown.append(places(limits))
    assert grown[6] == 8 and grown[20] < 11  # about one more per round
    assert grown == sorted(grown) and grown[-1] == 16


def test_a_dead_host_is_given_up_with_the_reason(limits: HostLimits, clock: Clock) -> None:
    kill(limits, clock, DNSFailure(permanent=False))
    refusal = limits.refusal(HOST)
    assert isinstance(refusal, DNSFailure) and not refusal.retryable
    assert refusal.detail.startswith("The server of this image could not be reached")
    assert not limits.acquire(HOST)
    assert limits.refusal("other.example") is None


def test_a_host_that_restarts_is_not_dead_at_once(limits: HostLimits, clock: Clock) -> None:
    leave_all(limits, enter_all(limits), FetchConnectionError())
    assert limits.refusal(HOST) is None
    clock.now += GRACE
    fail_once(limits, FetchConnectionError())
    assert limits.refusal(HOST) is not None


def test_a_host_that_restarts_after_an_idle_hour_is_not_dead_at_once(limits: HostLimits, clock: Clock) -> None:
    prove(limits)
    clock.now += 3_600
    leave_all(limits, enter_all(limits), FetchConnectionError())
    assert limits.refusal(HOST) is None


@pytest.mark.parametrize("sign_of_life", [None, HTTPStatusError(http_status=404), push_back(), NotAnImage()])
def test_any_response_in_between_keeps_a_host_alive(
    sign_of_life: ImageError | None, limits: HostLimits, clock: Clock
) -> None:
    for _ in range(3):
        for _ in range(DEAD_AFTER - 1):
            fail_once(limits, FetchConnectionError())
            clock.now += GRACE
        fail_once(limits, sign_of_life)  # type: ignore[arg-type]
    assert limits.refusal(HOST) is None


def test_a_host_that_is_only_slow_gets_fewer_places_before_it_is_given_up(limits: HostLimits, clock: Clock) -> None:
    clock.now += 30
    for count in range(1, STUCK_AFTER + 1):
        assert limits.refusal(HOST) is None, count
        fail_once(limits, FetchTimeout(responded=True))
        clock.now += 30
    assert isinstance(limits.refusal(HOST), FetchTimeout)


def test_a_thousand_images_on_a_dead_host_take_a_few_timeouts(limits: HostLimits, clock: Clock) -> None:
    tried = refused = 0
    started = clock.now
    while tried + refused < 1_000:
        if limits.refusal(HOST):
            refused += 1
            continue
        entered = enter_all(limits)
        tried += entered
        clock.now += 30
        leave_all(limits, entered, FetchTimeout())
    assert tried <= 16 and refused >= 984
    assert clock.now - started <= 30


def test_one_probe_is_let_through_after_the_cool_down(limits: HostLimits, clock: Clock) -> None:
    kill(limits, clock)
    clock.now += COOL_DOWN - GRACE - 1
    assert limits.refusal(HOST) is not None
    clock.now += 1
    assert limits.refusal(HOST) is None
    assert enter_all(limits) == 1
    assert limits.refusal(HOST) is not None  # the others still fail quickly
    limits.release(HOST, None)
    assert limits.refusal(HOST) is None
    assert places(limits) > 1


def test_a_probe_that_fails_makes_the_next_wait_longer(limits: HostLimits, clock: Clock) -> None:
    kill(limits, clock)
    clock.now += COOL_DOWN
    fail_once(limits, FetchConnectionError())
    clock.now += COOL_DOWN
    assert limits.refusal(HOST) is not None
    clock.now += COOL_DOWN
    assert limits.refusal(HOST) is None


def test_stragglers_of_a_host_that_died_meanwhile_do_not_lengthen_the_wait(limits: HostLimits, clock: Clock) -> None:
    entered = enter_all(limits)
    clock.now += 30
    leave_all(limits, entered, FetchConnectionError())
    clock.now += COOL_DOWN
    assert limits.refusal(HOST) is None


def test_a_straggler_that_succeeds_brings_the_host_back(limits: HostLimits, clock: Clock) -> None:
    entered = enter_all(limits)
    clock.now += 30
    leave_all(limits, entered - 1, FetchConnectionError())
    assert limits.refusal(HOST) is not None
    limits.release(HOST, None)
    assert limits.refusal(HOST) is None


def test_a_hundred_thousand_hosts_cost_the_memory_of_a_few(limits: HostLimits) -> None:
    tracemalloc.start()
    try:
        for number in range(100_000):
            host = f"{number}.example"
            assert limits.acquire(host)
            limits.release(host, None if number % 2 else FetchConnectionError())
        memory = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(limits) <= MAX_REMEMBERED
    assert memory < 3_000_000


def test_a_host_in_use_is_never_forgotten(limits: HostLimits) -> None:
    enter_all(limits)
    for number in range(MAX_REMEMBERED + 10):
        assert limits.acquire(f"{number}.example")
        limits.release(f"{number}.example", FetchConnectionError())
    assert not limits.acquire(HOST)


@pytest.mark.parametrize(("threads", "share"), [(64, 32), (32, 16), (9, 4), (2, 4)])
def test_hosts_that_have_not_responded_share_half_of_the_download_threads(
    threads: int, share: int, clock: Clock
) -> None:
    limits = HostLimits(16, threads, clock=clock)
    prove(limits)
    assert len(enter_new_hosts(limits, "hostile")) == share
    assert enter_all(limits) == 16


def test_places_at_hosts_that_hung_are_free_again_after_the_timeout(limits: HostLimits) -> None:
    for _ in range(3):
        entered = enter_new_hosts(limits, "hostile")
        assert len(entered) == 32
        for host in entered:
            limits.release(host, FetchTimeout())


def test_a_new_host_that_responds_takes_nothing_from_the_share_of_those_that_do_not(limits: HostLimits) -> None:
    for number in range(1_000):
        host = f"{number}.example"
        assert limits.acquire(host)
        limits.release(host, None)
        assert limits.acquire(host)  # and is left running


def test_beyond_the_share_each_catalogue_may_try_one_host_at_a_time(limits: HostLimits) -> None:
    enter_new_hosts(limits, "hostile")
    for number in range(3):
        entered = [host for host in (f"a{number}.example", f"b{number}.example") if limits.acquire(host, "innocent")]
        assert entered == [f"a{number}.example"]
        limits.release(entered[0], None)


def test_many_catalogues_of_hosts_that_hang_leave_a_quarter_of_the_threads_to_the_others(limits: HostLimits) -> None:
    prove(limits)
    assert sum(len(enter_new_hosts(limits, f"hostile{number}")) for number in range(200)) == 48
    assert enter_all(limits) == 16


def test_a_host_that_responded_gets_its_places_in_spite_of_those_that_hang(limits: HostLimits) -> None:
    enter_new_hosts(limits, "hostile")
    assert limits.acquire(HOST, "innocent")
    assert not limits.acquire(HOST, "innocent")
    for _ in range(16):  # a response makes room for the next image and for one more
        limits.release(HOST, None)
        enter_all(limits, request="innocent")
    limits.release(HOST, None)
    assert limits.acquire(HOST, "innocent") and not limits.acquire(HOST, "innocent")
    leave_all(limits, 15)
    assert enter_all(limits, request="innocent") == 15


def test_a_host_that_stops_responding_shares_with_those_that_never_did(limits: HostLimits) -> None:
    prove(limits)
    fail_once(limits, FetchTimeout())
    enter_new_hosts(limits, None)
    assert not limits.acquire(HOST)


def test_a_host_that_has_to_wait_is_not_remembered(limits: HostLimits) -> None:
    enter_new_hosts(limits, "hostile")
    assert len(limits) == 32


def test_leaving_without_having_entered_changes_nothing(limits: HostLimits) -> None:
    limits.release(HOST, push_back())
    assert enter_all(limits) == 16


def test_threads_never_get_more_places_than_there_are() -> None:
    limits = HostLimits(4)
    inside = most = 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        for _ in range(500):
            if limits.acquire(HOST):
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1
                limits.release(HOST, None)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))
    assert 1 <= most <= 4
    assert enter_all(limits) == 4
