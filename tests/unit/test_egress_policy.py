"""Targets and what is forbidden, in every spelling."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.egress.policy import Policy, Target, forbidden_address, parse_target
from gateway.errors import EgressError, ProxyRequestError, TargetForbidden

OPEN = Policy()

PRIVATE_V4 = (
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "169.254.0.22", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.7", "192.88.99.1", "192.168.1.1",
    "198.18.0.1", "198.51.100.3", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "168.63.129.16",
)  # fmt: skip
PRIVATE_V6 = (
    "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "100::1", "3fff::1",
    "2001::1", "5f00::1", "64:ff9b:1::1", "4000::1",
)  # fmt: skip
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e")


def spellings(v4: str) -> list[str]:
    """What inet_aton(3) and browsers take for the same address."""
    a, b, c, d = (int(part) for part in v4.split("."))
    whole = int(ipaddress.IPv4Address(v4))
    return [
        v4, f"{v4}.", str(whole), f"0x{whole:x}", f"0X{whole:X}", f"0{whole:o}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"{a}.{(b << 16) | (c << 8) | d}",
        f"{a}.{b}.{(c << 8) | d}", f"{a}.0x{b:x}.0{c:o}.{d}",
    ]  # fmt: skip


def embeddings(v4: str) -> list[str]:
    """IPv6 addresses that carry it."""
    whole = int(ipaddress.IPv4Address(v4))
    values = [
        (0xFFFF << 32) | whole,  # mapped
        whole,  # compatible
        (0xFFFF << 48) | whole,  # SIIT
        (0x64FF9B << 96) | whole,  # NAT64
        (0x2002 << 112) | (whole << 80) | 1,  # 6to4
        (0x2A001450 << 96) | (0x5EFE << 32) | whole,  # ISATAP
        (0x2A001450 << 96) | (0x02005EFE << 32) | whole,
    ]
    return [f"[{ipaddress.IPv6Address(value)}]" for value in values]


def reach(host: str, policy: Policy = OPEN, port: int = 443) -> Target:
    target = parse_target(f"{host}:{port}")
    policy.check(target)
    return target


@pytest.mark.parametrize("address", PRIVATE_V4)
def test_no_spelling_of_a_private_address_passes(address: str) -> None:
    for spelt in [*spellings(address), *embeddings(address)]:
        with pytest.raises(TargetForbidden):
            reach(spelt)


@pytest.mark.parametrize("address", PRIVATE_V6)
def test_nor_one_of_ipv6(address: str) -> None:
    for spelt in (address, ipaddress.IPv6Address(address).exploded, address.upper()):
        with pytest.raises(TargetForbidden):
            reach(f"[{spelt}]")


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass_in_their_usual_spelling(address: str) -> None:
    if ":" in address:
        assert reach(f"[{address}]").host == address
        return
    assert {reach(spelt).host for spelt in spellings(address)} == {address}


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "a.localhost", "metadata.google.internal", "printer.local", "router.lan", "wpad",
        "metadata", "host.home.arpa", "abc.onion", "localhost.localdomain",
    ],
)  # fmt: skip
def test_names_of_private_networks(host: str) -> None:
    with pytest.raises(TargetForbidden):
        reach(host)


@pytest.mark.parametrize(
    "authority",
    [
        "", ":443", "a.example", "a.example:", "a.example:0", "a.example:65536", "a.example:4 4", "a.example:+443",
        "a.example:443:443", "[::1:443", "[fe80::1%25eth0]:443", "[::1]x:443", "[1.2.3.4]:443", "a..example:443",
        ".a.example:443", "-a.example:443", "a.example-:443", "a_b@c.example:443", "a%2eexample:443",
        "a b.example:443",
        "1.2.3.4.5:443", "256.1.1.1:443", "1.2.3.0x:443x", "08.1.1.1:443", "1.2.3.4294967296:443",
        "a.0x1g.example.1:1",
        "bücher.example:443", "a" * 64 + ".example:443", "a." * 127 + "example:443", "a\u3002example:443",
        "१.1.1.1:443", "a.example:४४३", "a.example\n:443", "127。0。0。1:80",
    ],
)  # fmt: skip
def test_what_is_no_target(authority: str) -> None:
    with pytest.raises(ProxyRequestError):
        parse_target(authority)


def test_names_are_read_as_one() -> None:
    assert parse_target("WWW.Example.COM.:8443") == Target("www.example.com", 8443)
    assert parse_target("a.example", default_port=80).port == 80
    assert str(parse_target("[2606:4700::1]:443")) == "[2606:4700::1]:443"


def test_lists_go_by_suffix_and_deny_wins() -> None:
    policy = Policy(allow=("example.com", "*.example.net", "1.1.1.1"), deny=("bad.example.com",))
    for host in ("example.com", "a.b.example.com", "example.net", "x.example.net", "1.1.1.1", "0x1010101"):
        reach(host, policy)
    for host in ("notexample.com", "example.com.evil.org", "bad.example.com", "x.bad.example.com", "8.8.8.8"):
        with pytest.raises(TargetForbidden):
            reach(host, policy)
    with pytest.raises(TargetForbidden):
        reach("10.0.0.1", Policy(allow=("10.0.0.1", "*")))
    with pytest.raises(TargetForbidden):
        reach("a.example", Policy(deny=("*",)))


def test_ports() -> None:
    web = Policy(ports=(80, 443))
    reach("a.example", web)
    with pytest.raises(TargetForbidden):
        reach("a.example", web, port=25)


@given(st.integers(0, 2**32 - 1))
def test_a_forbidden_ipv4_address_is_forbidden_inside_ipv6_too(value: int) -> None:
    address = ipaddress.IPv4Address(value)
    for text in embeddings(str(address)):
        v6 = ipaddress.IPv6Address(text.strip("[]"))
        assert forbidden_address(v6) >= forbidden_address(address)


@given(st.from_regex(r"[0-9a-fxA-FX.]{1,20}", fullmatch=True))
def test_whatever_a_c_library_takes_for_an_address_is_taken_for_the_same(text: str) -> None:
    try:
        theirs = str(ipaddress.IPv4Address(socket.inet_aton(text)))
    except OSError:
        return
    try:
        ours = parse_target(f"{text}:80")
    except ProxyRequestError:
        return
    assert ours.address is not None
    assert ours.host == theirs


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        target = parse_target(text)
        OPEN.check(target)
    except EgressError:
        return
    assert target.host
    assert target.host.isascii()
    assert 0 < target.port < 65536
    assert parse_target(str(target)) == target
