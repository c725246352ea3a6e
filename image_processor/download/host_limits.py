"""Limits per host: how many connections it gets at a time, and when no image of it is tried for a while.

The limit halves when a host pushes back and grows by one per round of successes: what TCP does on a congested line
(additive increase, multiplicative decrease). A host that does not respond at all is declared dead, so that 1,000 images
on it do not take 1,000 timeouts. Places beyond the responses of a host since its last failure are unproven; all hosts
share half of the download threads for them, so that 1,000 hosts that hang do not delay those that respond.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from image_processor.errors import (
    BlockedAddress,
    DNSFailure,
    FetchConnectionError,
    FetchTimeout,
    ImageCancelled,
    ImageError,
    InvalidURL,
)

# Failures in a row before a host counts as dead: without any response, and when it responds but never in time.
DEAD_AFTER = 8
STUCK_AFTER = 24
# Seconds without a success before a host counts as dead: a server that restarts refuses a whole batch in an instant.
GRACE = 5.0
# Seconds until one probe of a dead host is allowed; doubled each time it fails.
COOL_DOWN = 60.0
LONGEST_COOL_DOWN = 600.0
# Hosts remembered without a connection in use.
MAX_REMEMBERED = 4096

_PUSH_BACK = frozenset({429, 503})
# Errors that say nothing about the host, because no request was sent.
_NOT_SENT = (BlockedAddress, InvalidURL, ImageCancelled)
_UNREACHABLE = (FetchConnectionError, DNSFailure)


@dataclass(slots=True)
class _Host:
    limit: float
    responded_at: float
    running: int = 0
    responses: int = 0  # since the last failure
    unproven: list[object] = field(default_factory=list)  # the jobs that took the places beyond `responses`
    before_halving: int = 0  # downloads that were running when the limit was halved: they do not halve it again
    failures: int = 0
    without_response: int = 0
    dead_until: float | None = None
    probing: bool = False
    cool_down: float = COOL_DOWN
    reason: type[ImageError] = FetchConnectionError


class HostLimits:
    """The connections of every host. `per_host` is the most connections one host gets at a time. Thread-safe.

    `threads` is the number of download threads. `clock` returns monotonic seconds.
    """

    def __init__(self, per_host: int, threads: int = 32, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_host = per_host
        self._threads = threads
        self._unproven: list[object] = []  # those of all hosts
        self._clock = clock
        self._lock = threading.Lock()
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    def acquire(self, host: str, job: object = None) -> bool:
        """Take a place at `host` and return True, or return False when none is free. `release` gives it back.

        Beyond the share of unproven places each `job` may have one, while there are threads to spare.
        """
        with self._lock:
            state = self._hosts.get(host) or _Host(limit=float(self._per_host), responded_at=self._clock())
            if state.dead_until is not None and (state.running or self._clock() < state.dead_until):
                return False
            if state.running >= int(state.limit):
                return False
            if not state.running and not state.failures:
                state.responded_at = self._clock()  # nothing was requested from it meanwhile
            if state.running >= state.responses:
                if not self._has_room_for(job):
                    return False
                state.unproven.append(job)
                self._unproven.append(job)
            state.probing = state.dead_until is not None
            state.running += 1
            self._remember(host, state)
            return True

    def release(self, host: str, error: ImageError | None) -> None:
        """Give the place at `host` back, and learn from the outcome: an error, or None for a success."""
        with self._lock:
            state = self._hosts.get(host)
            if state is None or state.running == 0:
                return
            state.running -= 1
            self._learn(state, error)
            while len(state.unproven) > max(state.running - state.responses, 0):
                self._unproven.remove(state.unproven.pop())
            self._hosts.move_to_end(host)

    def refusal(self, host: str) -> ImageError | None:
        """The error for an image on a dead host, which must not be tried; None for other hosts."""
        with self._lock:
            state = self._hosts.get(host)
            if state is None or state.dead_until is None:
                return None
            if not state.running and self._clock() >= state.dead_until:
                return None  # time for a probe
            return state.reason(
                "The server of this image could not be reached many times in a row, so it was not tried again; "
                "check the host name, and retry later.",
                permanent=True,
            )

    def __len__(self) -> int:
        """The number of hosts that are remembered."""
        with self._lock:
            return len(self._hosts)

    def _learn(self, state: _Host, error: ImageError | None) -> None:
        before_halving = state.before_halving > 0
        state.before_halving = max(state.before_halving - 1, 0)
        if isinstance(error, _NOT_SENT):
            state.probing = False
            return
        if isinstance(error, (FetchTimeout, *_UNREACHABLE)):
            self._count_failure(state, error)
        else:
            self._revive(state)
        if isinstance(error, FetchTimeout) or (error is not None and error.http_status in _PUSH_BACK):
            if not before_halving:
                state.limit = max(state.limit / 2, 1.0)
                state.before_halving = state.running
        elif not isinstance(error, _UNREACHABLE):
            state.limit = min(state.limit + 1.0 / state.limit, float(self._per_host))

    def _count_failure(self, state: _Host, error: ImageError) -> None:
        state.failures += 1
        state.responses = 0
        state.without_response += not error.responded
        lifeless = state.without_response >= DEAD_AFTER or state.failures >= STUCK_AFTER
        now = self._clock()
        if state.probing:
            state.cool_down = min(state.cool_down * 2, LONGEST_COOL_DOWN)
        elif state.dead_until is not None or not lifeless or now - state.responded_at < GRACE:
            return
        state.probing = False
        state.dead_until = now + state.cool_down
        state.reason = type(error)

    def _revive(self, state: _Host) -> None:
        state.failures = state.without_response = 0
        state.responses += 1
        state.dead_until, state.probing = None, False
        state.cool_down = COOL_DOWN
        state.responded_at = self._clock()

    def _has_room_for(self, job: object) -> bool:
        # A quarter is for a first image of each job that has none waiting, the last one for hosts that respond.
        most = self._threads // 2 if job in self._unproven else self._threads * 3 // 4
        return len(self._unproven) < max(most, 4)

    def _remember(self, host: str, state: _Host) -> None:
        """Keep the state, and forget the idle host that was used longest ago when there are too many."""
        self._hosts[host] = state
        if len(self._hosts) > MAX_REMEMBERED:
            idle = next((host for host, state in self._hosts.items() if not state.running), None)
            if idle is not None:
                del self._hosts[idle]
