"""Host and port -> a connected socket, to an address that was checked and to no other."""

import socket
import time

from image_processor.download.addresses import AddressHoles, IPAddress, is_public, literal_ip
from image_processor.download.deadline import Deadline
from image_processor.download.name_lookup import Endpoint, NameLookup
from image_processor.errors import BlockedAddress, FetchConnectionError, FetchTimeout, ImageError

# Addresses tried per connection; all of them are checked.
_MAX_DIALLED = 4


class Dialler:
    """Connects to checked addresses only."""

    def __init__(self, lookup: NameLookup, holes: AddressHoles, connect_timeout: float) -> None:
        self._lookup = lookup
        self._holes = holes
        self._connect_timeout = connect_timeout

    def dial(self, host: str, port: int, deadline: Deadline, *, own: bool) -> socket.socket:
        """Return a socket connected to one of the addresses of `host`, all of which must be allowed."""
        found = self._addresses(host, port, deadline)
        deadline.check()
        if not own and not all(self._admits(ip, dialled) for ip, dialled in found):
            raise BlockedAddress
        try:
            sock = self._connect(found[:_MAX_DIALLED], deadline)
        except (FetchConnectionError, FetchTimeout):
            self._lookup.forget(host, port)
            raise
        # The one that works comes first next time.
        try:
            peer = sock.getpeername()[:2]
        except OSError:  # it is gone already
            sock.close()
            raise
        self._lookup.keep(host, port, tuple(sorted(found, key=lambda end: (str(end[0]), end[1]) != peer)))
        return sock

    def _addresses(self, host: str, port: int, deadline: Deadline) -> tuple[Endpoint, ...]:
        if (ip := literal_ip(host)) is not None:
            return ((ip, port),)
        seconds = min(self._connect_timeout, deadline.remaining())
        return self._lookup.find(host, port, seconds, lambda: deadline.is_cut)

    def _admits(self, ip: IPAddress, port: int) -> bool:
        return self._holes.admits(ip, port) or (is_public(ip) and not is_this_machine(ip))

    def _connect(self, found: tuple[Endpoint, ...], deadline: Deadline) -> socket.socket:
        until = time.monotonic() + min(self._connect_timeout, deadline.remaining())
        failure: ImageError = FetchConnectionError()
        for index, (ip, port) in enumerate(found):
            # The time is shared out, so that a dead first address leaves some for the next.
            share = (until - time.monotonic()) / (len(found) - index)
            try:
                return self._connect_one(ip, port, max(share, 0.05), deadline)
            except TimeoutError:
                failure = FetchTimeout("The server did not accept a connection in time; try again later.")
            except OSError:
                failure = FetchConnectionError()
            deadline.check()
        raise failure

    def _connect_one(self, ip: IPAddress, port: int, seconds: float, deadline: Deadline) -> socket.socket:
        sock = socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            deadline.hold(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(seconds)
            sock.connect((str(ip), port))
            sock.settimeout(self._connect_timeout)  # for each step of a TLS handshake
        except BaseException:
            sock.close()
            raise
        return sock


def is_this_machine(ip: IPAddress) -> bool:
    """Say whether `ip` is an address of this machine, public ones included.

    Connecting a datagram socket sends nothing, but lets the system choose the sender: it answers itself only to itself.
    """
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(ip), 9))
            return bool(probe.getsockname()[0] == probe.getpeername()[0])
    except OSError:  # no route, or no IPv6 at all: then the connection will fail, too
        return False
