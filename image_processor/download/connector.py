"""Host and port -> a connected socket, to an address that was checked and to no other."""

import errno
import os
import socket

from urllib3.util.wait import wait_for_write

from image_processor.download.addresses import AllowedAddresses, IPAddress, is_public, literal_ip
from image_processor.download.deadline import SLICE, BoundedSocket, Deadline
from image_processor.download.name_lookup import Endpoint, NameLookup
from image_processor.errors import BlockedAddress, FetchConnectionError, FetchTimeout, ImageError

# Addresses tried per connection; all of them are checked.
_MAX_DIALLED = 4


class Dialler:
    """Connects to checked addresses only."""

    def __init__(self, lookup: NameLookup, allowed: AllowedAddresses, connect_timeout: float) -> None:
        self._lookup = lookup
        self._allowed = allowed
        self._connect_timeout = connect_timeout

    def dial(self, host: str, port: int, deadline: Deadline, *, own: bool) -> BoundedSocket:
        """Return a socket connected to one of the addresses of `host`, all of which must be allowed.

        Its time-out is the connect timeout, until another is set: for the TLS handshake. Raises ImageError.
        """
        found = self._addresses(host, port, deadline)
        if not own and not all(self._admits(ip, dialled) for ip, dialled in found):
            raise BlockedAddress
        try:
            sock = self._connect(found[:_MAX_DIALLED], deadline.within(self._connect_timeout))
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
        sock.settimeout(deadline.within(self._connect_timeout))
        return sock

    def _addresses(self, host: str, port: int, deadline: Deadline) -> tuple[Endpoint, ...]:
        if (ip := literal_ip(host)) is not None:
            return ((ip, port),)
        return self._lookup.find(host, port, self._connect_timeout, deadline.check)

    def _admits(self, ip: IPAddress, port: int) -> bool:
        return self._allowed.admits(ip, port) or (is_public(ip) and not is_this_machine(ip))

    def _connect(self, found: tuple[Endpoint, ...], deadline: Deadline) -> BoundedSocket:
        failure: ImageError = FetchConnectionError()
        for index, (ip, port) in enumerate(found):
            # The time is shared out, so that a dead first address leaves some for the next.
            share = max(deadline.remaining() / (len(found) - index), 0.05)
            try:
                return _connect_one(ip, port, deadline.within(share))
            except FetchTimeout:
                failure = FetchTimeout("The server did not accept a connection in time; try again later.")
            except OSError:
                failure = FetchConnectionError()
        raise failure


def _connect_one(ip: IPAddress, port: int, deadline: Deadline) -> BoundedSocket:
    sock = BoundedSocket(socket.AF_INET if ip.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        error = sock.connect_ex((str(ip), port))
        while error == errno.EINPROGRESS:
            deadline.check()
            if wait_for_write(sock, min(SLICE, deadline.remaining())):
                error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
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
