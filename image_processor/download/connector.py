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
_MAX_TRIED = 4


class Connector:
    """Connects to checked addresses only."""

    def __init__(self, lookup: NameLookup, allowed: AllowedAddresses, connect_timeout: float) -> None:
        self._lookup = lookup
        self._allowed = allowed
        self._connect_timeout = connect_timeout

    def connect(self, host: str, port: int, deadline: Deadline, *, own: bool) -> BoundedSocket:
        """Return a socket connected to one of the addresses of `host`.

        All of them must be allowed, unless the host is this server (`own`). The socket's timeout is the connect
        timeout, until another is set: for the TLS handshake. Raises ImageError.
        """
        found = self._addresses(host, port, deadline)
        if not own and not all(self._is_allowed(endpoint) for endpoint in found):
            raise BlockedAddress
        try:
            sock, used = _connect_to_any(found[:_MAX_TRIED], deadline.within(self._connect_timeout))
        except (FetchConnectionError, FetchTimeout):
            self._lookup.forget(host, port)
            raise
        # The one that works comes first next time.
        self._lookup.keep(host, port, (used, *(endpoint for endpoint in found if endpoint != used)))
        sock.settimeout(deadline.within(self._connect_timeout))
        return sock

    def _addresses(self, host: str, port: int, deadline: Deadline) -> tuple[Endpoint, ...]:
        if (ip := literal_ip(host)) is not None:
            return ((ip, port),)
        return self._lookup.find(host, port, self._connect_timeout, deadline.check)

    def _is_allowed(self, endpoint: Endpoint) -> bool:
        ip, port = endpoint
        return self._allowed.include(ip, port) or (is_public(ip) and not is_this_machine(ip))


def _connect_to_any(found: tuple[Endpoint, ...], deadline: Deadline) -> tuple[BoundedSocket, Endpoint]:
    failure: ImageError = FetchConnectionError()
    for index, endpoint in enumerate(found):
        # The time is shared out, so that a dead first address leaves some for the next.
        share = max(deadline.remaining() / (len(found) - index), 0.05)
        try:
            return _connect(endpoint, deadline.within(share)), endpoint
        except FetchTimeout:
            failure = FetchTimeout("The server did not accept a connection in time; try again later.")
        except OSError:
            failure = FetchConnectionError()
    raise failure


def _connect(endpoint: Endpoint, deadline: Deadline) -> BoundedSocket:
    ip, port = endpoint
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
    """Whether `ip` is an address of this machine, public ones included.

    Connecting a datagram socket sends nothing, but lets the system choose the sender: it is the receiver only here.
    """
    try:
        with socket.socket(socket.AF_INET if ip.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((str(ip), 9))
            return bool(probe.getsockname()[0] == probe.getpeername()[0])
    except OSError:  # no route, or no IPv6 at all: then the connection will fail, too
        return False
