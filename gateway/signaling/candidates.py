"""Where a browser reaches the relay, as candidates of an answer. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

__all__ = ["Endpoint", "TcpReach", "Transport", "candidate_lines", "endpoints"]

Transport = Literal["udp", "tcp"]

_HOST_PREFERENCE = {"udp": 126, "tcp": 90}
"""Type preferences (RFC 8445 5.1.2.2). RFC 6544 4.2 wants UDP's above TCP's: where both work, UDP wins."""
_COMPONENT = 1
_PASSIVE_PREFERENCE = 4
"""RFC 6544 4.2, for host candidates."""


class Endpoint(NamedTuple):
    transport: Transport
    address: str
    """An IP literal."""
    port: int


@dataclass(frozen=True, slots=True)
class TcpReach:
    """How browsers reach the gateway by TCP."""

    port: int
    listens_on: str | None = None
    """The local address of the port; None where something else stands before it, so that it says nothing."""


def endpoints(
    addresses: Sequence[str], *, udp_port: int, tcp: TcpReach | None, transport: Transport | None = None
) -> list[Endpoint]:
    """UDP first, then TCP, each in the order of ``addresses``.

    Args:
        addresses: IP literals, best first (see :func:`gateway.signaling.advertise.advertised`).
        tcp: None where there is no ICE-TCP. Of the addresses only those that its port can be reached at count.
        transport: narrows them; None is both.
    """
    found = [Endpoint("udp", address, udp_port) for address in addresses] if transport != "tcp" else []
    if tcp is not None and transport != "udp":
        found += [Endpoint("tcp", one, tcp.port) for one in addresses if _listened_on(one, tcp.listens_on)]
    return found


def _listened_on(address: str, listens_on: str | None) -> bool:
    if listens_on is None:
        return True
    wanted, bound = ipaddress.ip_address(address), ipaddress.ip_address(listens_on)
    if bound.is_loopback and not wanted.is_loopback:
        return False
    # The wildcard of IPv6 takes IPv4 too. Any other address may be known outside by another name (NAT 1:1).
    return wanted.version == bound.version or (bound.version == 6 and bound.is_unspecified)


def candidate_lines(reach: Sequence[Endpoint]) -> list[str]:
    """``a=candidate`` for each, then end-of-candidates (RFC 8839 5.1, RFC 6544 4.5).

    Priorities are those of RFC 8445 5.1.2.1.
    """
    lines = []
    for index, (transport, address, port) in enumerate(reach):
        local = 65535 - index if transport == "udp" else _PASSIVE_PREFERENCE << 13 | (8191 - index)
        priority = _HOST_PREFERENCE[transport] << 24 | local << 8 | (256 - _COMPONENT)
        passive = " tcptype passive" if transport == "tcp" else ""
        lines.append(
            f"a=candidate:{index + 1} {_COMPONENT} {transport} {priority} {ipaddress.ip_address(address)} {port} "
            f"typ host{passive}"
        )
    return [*lines, "a=end-of-candidates"]
