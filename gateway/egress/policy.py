"""Where a guest may go: targets taken apart, forbidden addresses, host lists and ports. Pure.

Whatever spells an address is read as a browser or a C library would read it (WHATWG URL 3.5, inet_aton(3)), so that
no spelling of a forbidden one passes for a name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

from gateway.errors import ProxyRequestError, TargetForbidden

__all__ = ["Policy", "Target", "forbidden_address", "parse_host", "parse_target"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"0[x][0-9a-f]*|[0-9]+")
_MAX_NAME = 253

_FORBIDDEN = [
    ipaddress.ip_network(text)
    for text in (
        # IANA's special-purpose registries, whose reading by ipaddress.is_global differs between Python releases.
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        # Cloud metadata on public addresses: Azure's, Alibaba's is within 100.64.0.0/10.
        "168.63.129.16/32",
        "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16",
        "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
]  # fmt: skip
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOW32 = 0xFFFFFFFF
_SPECIAL_NAMES = frozenset({"localhost", "local", "localdomain", "internal", "intranet", "lan", "home.arpa", "onion"})
"""RFC 6761, 6762, 8375 and what cloud metadata and home routers answer to."""


@dataclass(frozen=True, slots=True)
class Target:
    host: str
    """A name in lower case without a dot at its end, or an address in its usual spelling without brackets."""
    port: int
    address: Address | None = None
    """Set when the host is an address."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_target(authority: str, default_port: int | None = None) -> Target:
    """``host:port`` of a request (RFC 9112 3.2.2, 3.2.3). Raises ProxyRequestError."""
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ProxyRequestError("the address in brackets is malformed")
        port_text = rest[1:] if rest else None
        host = f"[{host}]"
    else:
        host, colon, text = authority.partition(":")
        port_text = text if colon else None
    if port_text is None and default_port is not None:
        port = default_port
    elif port_text is not None and re.fullmatch(r"[0-9]{1,5}", port_text) and 0 < int(port_text) < 65536:
        port = int(port_text)
    else:
        raise ProxyRequestError("the target has no valid port")
    return parse_host(host, port)


def parse_host(host: str, port: int) -> Target:
    """Raises ProxyRequestError."""
    if host.startswith("["):
        try:
            v6 = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise ProxyRequestError("the address in brackets is malformed") from None
        if v6.scope_id is not None:
            raise ProxyRequestError("an address with a zone names nothing outside of this machine")
        return Target(str(v6), port, v6)
    name = host.lower()
    name = name.removesuffix(".")
    labels = name.split(".")
    if len(name) > _MAX_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise ProxyRequestError("the host is neither a name nor an address")
    if _NUMBER.fullmatch(labels[-1]):
        v4 = _ipv4(labels)
        return Target(str(v4), port, v4)
    return Target(name, port)


def _ipv4(parts: list[str]) -> ipaddress.IPv4Address:
    """Decimal, octal and hexadecimal parts, of which the last may stand for several (inet_aton(3))."""
    if len(parts) > 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise ProxyRequestError("the host is no valid IPv4 address")
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        raise ProxyRequestError("the host is no valid IPv4 address") from None
    *front, last = numbers
    if any(number > 255 for number in front) or last >= 256 ** (5 - len(parts)):
        raise ProxyRequestError("the host is no valid IPv4 address")
    value = last + sum(number << (24 - 8 * place) for place, number in enumerate(front))
    return ipaddress.IPv4Address(value)


def _number(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if len(text) > 1 and text.startswith("0") else int(text)


def forbidden_address(address: Address) -> bool:
    """Whether it is anything but a public unicast address, or carries an IPv4 address that is none."""
    if any(address.version == net.version and address in net for net in _FORBIDDEN):
        return True
    if address.is_multicast:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return not address.is_global
    inner = _embedded(address)
    if inner is not None:
        # Whether such a form is translated depends on the network that it leaves by.
        return forbidden_address(inner)
    return address not in _GLOBAL_UNICAST or not address.is_global


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside: mapped, compatible, NAT64, 6to4, ISATAP. (Teredo lies in 2001::/23.)"""
    value = int(address)
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or value >> 32 in (0, 0xFFFF0000):
        return ipaddress.IPv4Address(value & _LOW32)
    if (value >> 32) & 0xFDFFFFFF == 0x00005EFE:
        return ipaddress.IPv4Address(value & _LOW32)
    return None


@dataclass(frozen=True, slots=True)
class Policy:
    """What a gateway lets its guests reach.

    A rule of the lists is a name, which covers all below it (``example.com`` covers ``a.example.com``), an address,
    or ``*``. A denied target stays denied, whatever allows it.
    """

    allow: Collection[str] = ()
    """Empty: every public host."""
    deny: Collection[str] = ()
    ports: Collection[int] = ()
    """Empty: every port."""
    direct: bool = False
    """Sessions may leave from this host itself."""

    def check(self, target: Target) -> None:
        """Raises TargetForbidden."""
        if target.address is not None:
            self.check_address(target.address)
        elif _special(target.host):
            raise TargetForbidden(f"{target.host} is a name of private networks")
        if self.ports and target.port not in self.ports:
            raise TargetForbidden(f"port {target.port} is not allowed here")
        if any(_covers(rule, target.host) for rule in self.deny):
            raise TargetForbidden(f"{target.host} is not allowed here")
        if self.allow and not any(_covers(rule, target.host) for rule in self.allow):
            raise TargetForbidden(f"{target.host} is not among the hosts that are allowed here")

    def check_address(self, address: Address) -> None:
        """Also for what a name was resolved to. Raises TargetForbidden."""
        if forbidden_address(address):
            raise TargetForbidden(f"{address} is an address of private networks, or a special one")


def _special(name: str) -> bool:
    return "." not in name or any(_covers(rule, name) for rule in _SPECIAL_NAMES)


def _covers(rule: str, host: str) -> bool:
    rule = rule.lower().strip("[]").removeprefix("*.").strip(".")
    return rule in ("*", "") or host == rule or host.endswith(f".{rule}")
