"""Which addresses an answer advertises. Pure.

A browser can only reach the gateway's relay where it is told to; the best hint, when nothing is configured,
is where the browser already reached the gateway by HTTP.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from gateway.errors import ConfigError

__all__ = ["advertised", "parse_configured"]

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_configured(values: Iterable[str]) -> tuple[str, ...]:
    """Check configured addresses: IP literals, in order, without doubles. Raises ConfigError naming a bad one."""
    found: dict[str, None] = {}
    for value in values:
        address = _literal(value)
        if address is None or address.is_unspecified or address.is_multicast:
            raise ConfigError(
                f"advertise: {value!r} is not an address a browser can reach.",
                hint="Give IPv4 or IPv6 literals, such as 203.0.113.7 or 2001:db8::7.",
            )
        found[str(address)] = None
    return tuple(found)


def advertised(
    *,
    configured: Sequence[str] = (),
    local: str | None = None,
    host_header: str | None = None,
    host_addresses: Iterable[str] = (),
    remote: str | None = None,
) -> list[str]:
    """IP literals for the answer's candidates, best first, without doubles.

    Args:
        configured: when given, exactly these (from :func:`parse_configured`).
        local: the gateway's end of the HTTP connection (``transport.get_extra_info("sockname")[0]``).
        host_header: the request's Host; counts when it is an IP literal, with or without a port.
        host_addresses: every address of this host's interfaces; link-local ones are left out.
        remote: the viewer's end. Loopback addresses are advertised only to a viewer who came over loopback;
            that viewer is told them first and the host's others after.
    """
    if configured:
        return list(configured)
    viewer = _literal(remote)
    over_loopback = viewer is not None and viewer.is_loopback
    reached = [_literal(local), _literal(_host_part(host_header))]
    owned = [address for value in host_addresses if (address := _literal(value)) and not address.is_link_local]
    found: dict[str, None] = {}
    for address in (*reached, *owned):
        if address is None or address.is_unspecified or address.is_multicast:
            continue
        # A candidate has no room for an IPv6 link-local address's interface.
        if address.version == 6 and address.is_link_local:
            continue
        if not address.is_loopback or over_loopback:
            found[str(address)] = None
    return list(found)


def _literal(value: str | None) -> _Ip | None:
    """An address from its text; IPv4 in IPv6's clothing (a dual-stack listener's) is taken out of it."""
    if not value:
        return None
    try:
        address = ipaddress.ip_address(value.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _host_part(host: str | None) -> str | None:
    """Host without its port (RFC 9110 7.2): ``[2001:db8::7]:8443`` or ``203.0.113.7:8443``."""
    if not host:
        return None
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
