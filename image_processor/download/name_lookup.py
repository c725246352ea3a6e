"""Host name -> addresses: bounded in time, shared between threads, capped in number.

`getaddrinfo` knows no time limit and cannot be interrupted, so every lookup runs in a thread of its own that may be
left behind. One lookup per host serves every thread that asks while it runs; what it found is kept for a short while.
"""

import logging
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from image_processor.download.addresses import IPAddress, literal_ip
from image_processor.download.deadline import SLICE
from image_processor.errors import DNSFailure

log = logging.getLogger(__name__)

# (address, port), as in the first two members of a socket address.
Endpoint = tuple[IPAddress, int]
Resolver = Callable[[str, int], Sequence[tuple[Any, ...]]]

# Lookups that may hang at once. A stuck thread costs little memory, a full table holds up every other host.
MAX_RUNNING = 128
MAX_KEPT = 1024

_SLOW = "The name server did not answer in time, so the host name could not be looked up; try again later."
_UNAVAILABLE = "The host name could not be looked up just now; try again later."
# What the resolver says about a name (permanent), as opposed to about itself.
_NO_SUCH_NAME = {
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY", "EAI_FAIL", "EAI_FAMILY", "EAI_SERVICE")
    if hasattr(socket, name)
}


def system_resolver(host: str, port: int) -> list[tuple[Any, ...]]:
    """Ask the system for the socket addresses of `host`. Raises socket.gaierror, UnicodeError."""
    return [entry[4] for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class _Lookup:
    __slots__ = ("done", "failure", "found", "started")

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.done = False
        self.found: tuple[Endpoint, ...] = ()
        self.failure: tuple[str | None, bool] | None = (_UNAVAILABLE, False)


class NameLookup:
    """Looks host names up.

    `resolver` takes a host and a port and returns socket addresses, as `system_resolver` does.
    """

    def __init__(self, resolver: Resolver = system_resolver, *, keep_seconds: float = 30.0) -> None:
        self._resolver = resolver
        self._keep_seconds = keep_seconds
        self._changed = threading.Condition()
        self._running: dict[tuple[str, int], _Lookup] = {}
        self._kept: OrderedDict[tuple[str, int], tuple[float, tuple[Endpoint, ...]]] = OrderedDict()

    def find(self, host: str, port: int, seconds: float, check: Callable[[], None]) -> tuple[Endpoint, ...]:
        """Return every address of `host`, at least one, within `seconds`.

        `check` is called meanwhile, and raises when the addresses are not wanted any more. Raises DNSFailure: permanent
        when there is no such name, to be tried again when the name server is slow or cannot be asked (EAI_AGAIN).
        """
        key = (host, port)
        until = time.monotonic() + seconds
        with self._changed:
            if kept := self._fresh(key):
                return kept
            self._wait(lambda: key in self._running or len(self._running) < MAX_RUNNING, until, check)
            lookup = self._join(key)
            # A lookup that is overdue already has used up the time of those who join it, too.
            self._wait(lambda: lookup.done, min(lookup.started + seconds, until), check)
        if lookup.failure is not None:
            detail, permanent = lookup.failure
            raise DNSFailure(detail, permanent=permanent)
        return lookup.found

    def keep(self, host: str, port: int, found: tuple[Endpoint, ...]) -> None:
        """Remember addresses that could be connected to: a host without keep-alive is not looked up every time."""
        with self._changed:
            if (host, port) not in self._kept:
                self._kept[host, port] = (time.monotonic() + self._keep_seconds, found)
                while len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)

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

    def _join(self, key: tuple[str, int]) -> _Lookup:
        if key not in self._running:
            lookup = self._running[key] = _Lookup()
            threading.Thread(target=self._look_up, args=(key, lookup), name="name-lookup", daemon=True).start()
        return self._running[key]

    def _look_up(self, key: tuple[str, int], lookup: _Lookup) -> None:
        try:
            lookup.found = tuple(_endpoint(address) for address in self._resolver(*key))
            lookup.failure = None if lookup.found else (None, True)
        except socket.gaierror as error:
            no_such_name = error.errno in _NO_SUCH_NAME
            lookup.failure = (None if no_such_name else _UNAVAILABLE, no_such_name)
        except UnicodeError:  # a label that is empty or longer than 63 characters
            lookup.failure = (None, True)
        except OSError:
            log.debug("a lookup failed", exc_info=True)
        finally:
            with self._changed:
                lookup.done = True
                self._running.pop(key, None)
                self._changed.notify_all()


def _endpoint(address: tuple[Any, ...]) -> Endpoint:
    ip = literal_ip(str(address[0]))
    if ip is None:
        raise OSError("the resolver returned something that is not an address")
    return ip, int(address[1])
