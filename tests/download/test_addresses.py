"""Which addresses may be reached, as tables."""

import ipaddress
import random
import socket

import pytest
from requests_hardened import ip_filter as hardened

from image_processor.download.addresses import AllowedAddresses, is_public, literal_ip
from image_processor.errors import ConfigError

PRIVATE = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.1.2.3 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1
192.31.196.1 192.52.193.1 192.88.99.1 192.168.0.1 192.168.255.255 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1
203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::2 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::a00:1 100::1 100:0:0:1::1 2001::1
2001:0:7f00:1:0:0:8000:fffe 2001:2::1 2001:3::1 2001:4:112::1 2001:10::1 2001:20::1 2001:30::1 2001:db8::1
2002:7f00:1:: 2002:a9fe:a9fe:: 2002:808:808:: 2620:4f:8000::1 3ffe::1 3fff::1 3fff:fff:ffff::1 4000::1 5f00::1
fc00::1 fd00::1 fd00:ec2::254 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
2606:4700::5efe:7f00:1 2606:4700::200:5efe:a9fe:a9fe
""".split()

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.1 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 151.101.1.140 168.63.129.15
169.253.255.255 169.255.0.1 172.15.255.255 172.32.0.1 192.0.1.1 192.0.3.1 192.167.255.255 192.169.0.1 198.17.255.255
198.20.0.1 203.0.112.255 203.0.114.1 223.255.255.255
2001:200::1 2001:4860:4860::8888 2003::1 2400:cb00::1 2606:4700::1111 2620:fe::fe 2a00:1450:4001:830::200e 3ffd::1
""".split()


@pytest.mark.parametrize("ip", PRIVATE)
def test_what_is_not_the_public_internet_is_refused(ip: str) -> None:
    assert not is_public(ipaddress.ip_address(ip))


@pytest.mark.parametrize("ip", PUBLIC)
def test_public_addresses_are_open_up_to_the_edges_of_the_closed_blocks(ip: str) -> None:
    assert is_public(ipaddress.ip_address(ip))


def test_whatever_python_calls_private_is_refused() -> None:
    # A second opinion over a sample of both address spaces; ours is stricter, never looser.
    chance = random.Random(4)
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    addresses += [ipaddress.IPv4Address(chance.getrandbits(32)) for _ in range(5_000)]
    addresses += [ipaddress.IPv6Address((1 << 125) | chance.getrandbits(125)) for _ in range(2_000)]
    wrong = [str(ip) for ip in addresses if is_public(ip) and not (ip.is_global and not ip.is_multicast)]
    assert wrong == []
    assert sum(map(is_public, addresses)) > 5_000


@pytest.mark.parametrize("ip", PRIVATE)
def test_everything_requests_hardened_blocks_is_blocked_here(ip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    record = (family, socket.SOCK_STREAM, 6, "", (ip.partition("%")[0], 80))
    # The reference looks names up itself; this is its name server.
    monkeypatch.setattr(hardened.socket, "getaddrinfo", lambda *_, **__: [record])
    try:
        hardened.filter_host("shop.example", 80, allow_loopback=False)
    except hardened.InvalidIPAddress:
        assert not is_public(ipaddress.ip_address(ip))


def test_requests_hardened_blocks_nothing_that_is_open_here(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    bits = [(32, 0, 32), (125, 1 << 125, 128)]
    for _ in range(3_000):
        width, base, size = chance.choice(bits)
        kind = ipaddress.IPv4Address if size == 32 else ipaddress.IPv6Address
        ip = kind(base | chance.getrandbits(width))
        if not is_public(ip):
            continue
        family = socket.AF_INET6 if size == 128 else socket.AF_INET
        record = (family, socket.SOCK_STREAM, 6, "", (str(ip), 80))
        monkeypatch.setattr(hardened.socket, "getaddrinfo", lambda *_, record=record, **__: [record])
        assert hardened.filter_host("shop.example", 80, allow_loopback=False)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.1", "0X7F.0.0.1", "017700000001", "0177.0.0.1"],
)
def test_every_spelling_of_loopback_is_read_as_loopback(host: str) -> None:
    assert literal_ip(host) == ipaddress.IPv4Address("127.0.0.1")


@pytest.mark.parametrize("host", ["shop.example", "127.0.0.1.example", "1.2.3.4.5", "0x", "café", "256.1.1.1", ""])
def test_names_are_not_addresses(host: str) -> None:
    assert literal_ip(host) is None


@pytest.mark.parametrize(
    ("allowed", "ip", "port", "open_"),
    [
        ("", "127.0.0.1", 80, False),
        ("127.0.0.1:9000", "127.0.0.1", 9000, True),
        ("127.0.0.1:9000", "127.0.0.1", 9001, False),
        ("127.0.0.1:9000", "127.0.0.2", 9000, False),
        ("127.0.0.1:9000", "::ffff:127.0.0.1", 9000, False),
        ("10.0.0.0/8", "10.20.30.40", 12345, True),
        ("10.0.0.0/8", "11.0.0.1", 80, False),
        ("192.168.1.5", "192.168.1.5", 443, True),
        ("192.168.1.5", "192.168.1.6", 443, False),
        ("[::1]:9000", "::1", 9000, True),
        ("[::1]:9000", "::1", 9001, False),
        ("fd00::/8", "fd12::1", 80, True),
        (" 10.0.0.0/8 , 127.0.0.1:9000, ", "127.0.0.1", 9000, True),
    ],
)
def test_an_entry_allows_exactly_its_addresses_and_port(allowed: str, ip: str, port: int, open_: bool) -> None:
    assert AllowedAddresses.parse(allowed).include(ipaddress.ip_address(ip), port) is open_


@pytest.mark.parametrize(
    "text",
    ["nonsense", "localhost:80", "10.0.0.1/8", "10.0.0.0/33", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http",
     "300.1.1.1", "[::1]", "10.0.0.0/8:80", "127.0.0.1:9000;10.0.0.0/8"],
)  # fmt: skip
def test_a_nonsensical_entry_names_the_setting_and_the_entry(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        AllowedAddresses.parse(text)
    assert "IMAGE_PROCESSOR_ALLOWED_PRIVATE_ADDRESSES" in str(refused.value)
    assert text in str(refused.value)
