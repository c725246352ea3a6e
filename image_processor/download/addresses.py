"""Which IP addresses may be reached. Pure: no name is looked up here, no socket is opened."""

import contextlib
import ipaddress
import re
import socket
from dataclasses import dataclass

from image_processor.errors import ConfigError

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

SETTING = "IMAGE_PROCESSOR_ALLOWED_PRIVATE_ADDRESSES"

# The IANA special-purpose registry (RFC 6890 and its updates), multicast, and one cloud's metadata address in public
# space. Written out, because `ipaddress.is_private` follows the Python version (cpython #113171).
_CLOSED_IPV4 = tuple(
    ipaddress.IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this network; Linux takes 0.0.0.0 for the machine itself
        "10.0.0.0/8",  # private, RFC 1918
        "100.64.0.0/10",  # carrier-grade NAT, RFC 6598; 100.100.100.200 is a metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent: metadata and secrets behind a public address
        "169.254.0.0/16",  # link-local; 169.254.169.254 is the metadata service of most clouds
        "172.16.0.0/12",  # private, RFC 1918
        "192.0.0.0/24",  # protocol assignments, RFC 6890; 192.0.0.192 is a metadata service
        "192.0.2.0/24",  # documentation, RFC 5737
        "192.31.196.0/24",  # AS112, RFC 7535
        "192.52.193.0/24",  # automatic multicast tunnelling, RFC 7450
        "192.88.99.0/24",  # 6to4 relays, RFC 7526
        "192.168.0.0/16",  # private, RFC 1918
        "192.175.48.0/24",  # AS112, RFC 7534
        "198.18.0.0/15",  # benchmarks, RFC 2544
        "198.51.100.0/24",  # documentation, RFC 5737
        "203.0.113.0/24",  # documentation, RFC 5737
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and the broadcast address
    )
)

# Everything outside 2000::/3 is closed without being listed: loopback, mapped IPv4 (::ffff:0:0/96), NAT64
# (64:ff9b::/96), unique local, link-local, site-local, multicast, segment routing.
_OPEN_IPV6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_IPV6 = tuple(
    ipaddress.IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo (wraps IPv4), benchmarks, ORCHID, AMT
        "2001:db8::/32",  # documentation, RFC 3849
        "2002::/16",  # 6to4: wraps an IPv4 address, RFC 7526
        "2620:4f:8000::/48",  # AS112, RFC 7534
        "3ffe::/16",  # the former 6bone, returned
        "3fff::/20",  # documentation, RFC 9637
    )
)

# An ISATAP interface identifier (RFC 5214, section 6.1) wraps an IPv4 address under any prefix.
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)

_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[^\[\]:]+)):(?P<port>[0-9]{1,5})")


def is_public(ip: IPAddress) -> bool:
    """Whether `ip` is an address of the public Internet.

    IPv6 addresses that wrap an IPv4 address (mapped, NAT64, 6to4, Teredo, ISATAP) are never public: no shop is hosted
    behind one, and each would bypass the IPv4 rules.
    """
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in block for block in _CLOSED_IPV4)
    if ip not in _OPEN_IPV6 or (int(ip) >> 32) & 0xFFFF_FFFF in _ISATAP:
        return False
    return not any(ip in block for block in _CLOSED_IPV6)


def literal_ip(host: str) -> IPAddress | None:
    """Read `host` as an IP address, in any spelling that the system's resolver would take for one; None for a name.

    `127.1`, `0x7f000001`, `017700000001` and `2130706433` are all 127.0.0.1 (inet_aton(3)).
    """
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host)
    with contextlib.suppress(OSError, UnicodeError):
        return ipaddress.IPv4Address(socket.inet_aton(host))
    return None


@dataclass(frozen=True, slots=True)
class AllowedAddresses:
    """The private addresses that may be reached: networks, each with a port or None for all of them."""

    entries: tuple[tuple[IPNetwork, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "AllowedAddresses":
        """Read comma-separated `ip:port`, `[ipv6]:port`, `ip` or CIDR entries. Raises ConfigError on anything else."""
        return cls(tuple(_parse_entry(entry.strip()) for entry in text.split(",") if entry.strip()))

    def include(self, ip: IPAddress, port: int) -> bool:
        """Whether exactly this address and port may be reached."""
        return any(ip in network and only in (None, port) for network, only in self.entries)


def _parse_entry(entry: str) -> tuple[IPNetwork, int | None]:
    try:
        if (match := _WITH_PORT.fullmatch(entry)) is None:
            return ipaddress.ip_network(entry), None
        if 1 <= int(match["port"]) <= 65_535:
            return ipaddress.ip_network(ipaddress.ip_address(match["v6"] or match["v4"])), int(match["port"])
    except ValueError:
        pass
    raise ConfigError(
        f"{SETTING} has the entry {entry!r}, which is not valid: it takes addresses with a port, such as "
        "127.0.0.1:9000 or [fd00::1]:9000, and networks, such as 10.0.0.0/8, separated by commas."
    )
