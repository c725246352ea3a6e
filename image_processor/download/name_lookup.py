"""Host name -> addresses: bounded in time, shared between threads, capped in number.

`getaddrinfo` has no time limit and cannot be interrupted, so every lookup runs in a thread of its own that may be
left behind. One lookup per host serves every thread that waits for it; what it found is kept for a short while.
"""

import copy
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from image_processor.download.addresses import IPAddress
from image_processor.download.deadline import SLICE
from image_processor.errors import DNSFailure

log = logging.getLogger(__name__)

Endpoint = tuple[IPAddress, int]
Resolver = Callable[[str, int], Sequence[tuple[Any, ...]]]

# Lookups that may hang at once. A stuck thread costs little memory, a full table holds up every other host.
MAX_RUNNING = 128
_MAX_KEPT = 1024
_KEEP_SECONDS = 30.0

_SLOW = "The name server did not respond in time, so the host name could not be looked up; try again later."
_UNAVAILABLE = "The host name could not be looked up just now; try again later."
# What the resolver says about itself; its other errors are about the name, and permanent.
_RESOLVER_ERRORS = {socket.EAI_AGAIN, socket.EAI_SYSTEM, socket.EAI_MEMORY}


def system_resolver(host: str, port: int) -> list[tuple[Any, ...]]:
    """Ask the system for the socket addresses of `host`. Raises socket.gaierror, UnicodeError."""
    return [entry[4] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


@dataclass(slots=True)
class _Lookup:
    started: float = field(default_factory=time.monotonic)
    result: tuple[Endpoint, ...] | DNSFailure | None = None


class NameLookup:
    """Looks host names up. `resolver` takes a host and a port and returns socket addresses."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._changed = threading.Condition()
        self._running: dict[tuple[str, int], _Lookup] = {}
        self._kept: dict[tuple[str, int], tuple[float, tuple[Endpoint, ...]]] = {}

    def find(self, host: str, port: int, seconds: float, check: Callable[[], None]) -> tuple[Endpoint, ...]:
        """Return every address of `host`, at least one, within `seconds`.

        `check` is called meanwhile, and raises when the addresses are no longer needed. Raises DNSFailure: permanent
        when there is no such name, retryable when the name server is slow or cannot be reached (EAI_AGAIN).
        """
        key = (host, port)
        until = time.monotonic() + seconds
        with self._changed:
            if kept := self._fresh(key):
                return kept
            self._wait(lambda: key in self._running or len(self._running) < MAX_RUNNING, until, check)
            lookup = self._running.get(key) or self._start(key)
            # A lookup that is overdue already has used up the time of those who join it, too.
            self._wait(lambda: lookup.result is not None, min(lookup.started + seconds, until), check)
        if isinstance(lookup.result, DNSFailure):
            raise copy.copy(lookup.result)  # each thread raises its own
        return lookup.result or ()

    def keep(self, host: str, port: int, found: tuple[Endpoint, ...]) -> None:
        """Remember addresses that could be connected to, in this order, for 30 s from when they were looked up."""
        key = (host, port)
        with self._changed:
            until, _ = self._kept.get(key, (time.monotonic() + _KEEP_SECONDS, ()))
            self._kept[key] = until, found
            if len(self._kept) > _MAX_KEPT:
                del self._kept[next(iter(self._kept))]

    def forget(self, host: str, port: int) -> None:
        """Look the host up again next time: its addresses could not be connected to."""
        with self._changed:
            self._kept.pop((host, port), None)

    def _fresh(self, key: tuple[str, int]) -> tuple[Endpoint, ...]:
        until, found = self._kept.get(key, (0.0, ()))
        if until > time.monotonic():
            return found
        self._kept.pop(key, None)
        return ()

    def _wait(self, is_ready: Callable[[], bool], until: float, check: Callable[[], None]) -> None:
        while not is_ready():
            check()
            left = until - time.monotonic()
            if left <= 0:
                raise DNSFailure(_SLOW, permanent=False)
            self._changed.wait(min(left, SLICE))

    def _start(self, key: tuple[str, int]) -> _Lookup:
        lookup = _Lookup()
        try:
            threading.Thread(target=self._look_up, args=(key, lookup), name="name-lookup", daemon=True).start()
        except RuntimeError as error:  # the system has no threads left
            raise DNSFailure(_SLOW, permanent=False) from error
        self._running[key] = lookup
        return lookup

    def _look_up(self, key: tuple[str, int], lookup: _Lookup) -> None:
        try:
            lookup.result = _resolved(self._resolver, *key)
        finally:
            with self._changed:
                del self._running[key]
                self._changed.notify_all()


def _resolved(resolver: Resolver, host: str, port: int) -> tuple[Endpoint, ...] | DNSFailure:
    try:
        return tuple((ipaddress.ip_address(ip), port) for ip, port, *_ in resolver(host, port)) or DNSFailure()
    except UnicodeError:  # a label that is empty or longer than 63 characters
        return DNSFailure()
    except OSError as error:
        if isinstance(error, socket.gaierror) and error.errno not in _RESOLVER_ERRORS:
            return DNSFailure()
        log.debug("a lookup failed", exc_info=True)
        return DNSFailure(_UNAVAILABLE, permanent=False)
