"""Whose request it is: the client's address, also behind reverse proxies that the settings trust. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

__all__ = ["Network", "bucket_of", "client_address", "is_trusted", "parse_network"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_HOPS = 16
"""Entries of X-Forwarded-For that are looked at."""


def parse_network(text: str) -> Network:
    """An address, or a network such as 10.0.0.0/8. Raises ValueError."""
    try:
        return ipaddress.ip_network(text.strip())
    except ValueError:
        raise ValueError(f"{text[:64]!r} is neither an address nor a network such as 10.0.0.0/8") from None


def is_trusted(address: str, trusted: Iterable[Network]) -> bool:
    """Whether an address belongs to a proxy of ours."""
    parsed = _parse(address)
    return parsed is not None and any(parsed in network for network in trusted)


def client_address(peer: str, forwarded_for: Sequence[str], trusted: Sequence[Network]) -> str:
    """Who asks.

    Each proxy appends the address that it saw, so only what trusted ones wrote counts: the list is read from its end,
    and the first address that is no proxy of ours is the client's. What stands before it, the client wrote itself.

    Args:
        peer: the other end of the connection.
        forwarded_for: X-Forwarded-For, each header in order.
        trusted: addresses of reverse proxies.
    """
    known = _parse(peer)
    if known is None:
        return peer
    hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
    for hop in reversed(hops[-MAX_HOPS:]):
        if not any(known in network for network in trusted):
            break
        said = _parse(hop)
        if said is None:
            break
        known = said
    return str(known)


def bucket_of(address: str) -> str:
    """What shares one rate limit: an IPv4 address, an IPv6 /64, which is what one subscriber has (RFC 6177)."""
    parsed = _parse(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return str(parsed) if parsed is not None else address


def _parse(text: str) -> _Address | None:
    try:
        # A port may follow, as in RFC 7239 6: 192.0.2.1:4711, [2001:db8::1]:4711. A zone says nothing elsewhere.
        bare = text[1:].partition("]")[0] if text.startswith("[") else text
        if bare.count(":") == 1:
            bare = bare.partition(":")[0]
        parsed = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped if mapped is not None else parsed
