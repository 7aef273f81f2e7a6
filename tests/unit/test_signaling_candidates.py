"""Where an answer says that the relay is: UDP before TCP, and only where a port can be reached."""

from __future__ import annotations

import pytest
from aiortc.sdp import candidate_from_sdp

from gateway.signaling.candidates import Endpoint, TcpReach, Transport, candidate_lines, endpoints

ADDRESSES = ["203.0.113.7", "2001:db8::7", "127.0.0.1", "::1"]


def tcp_addresses(reach: TcpReach | None, transport: Transport | None = None) -> list[str]:
    found = endpoints(ADDRESSES, udp_port=3478, tcp=reach, transport=transport)
    assert all(one.port == (443 if one.transport == "tcp" else 3478) for one in found)
    return [one.address for one in found if one.transport == "tcp"]


@pytest.mark.parametrize(
    ("listens_on", "reached"),
    [
        (None, ADDRESSES),
        ("::", ADDRESSES),
        ("0.0.0.0", ["203.0.113.7", "127.0.0.1"]),
        ("127.0.0.1", ["127.0.0.1"]),
        ("::1", ["::1"]),
        ("2001:db8::1", ["2001:db8::7", "::1"]),
    ],
)
def test_tcp_is_offered_where_the_port_listens(listens_on: str | None, reached: list[str]) -> None:
    assert tcp_addresses(TcpReach(443, listens_on)) == reached


def test_both_by_default_and_one_when_asked() -> None:
    def transports(transport: Transport | None, tcp: TcpReach | None) -> list[str]:
        return [one.transport for one in endpoints(ADDRESSES[:1], udp_port=3478, tcp=tcp, transport=transport)]

    assert transports(None, TcpReach(443)) == ["udp", "tcp"]
    assert transports("udp", TcpReach(443)) == ["udp"]
    assert transports("tcp", TcpReach(443)) == ["tcp"]
    assert transports(None, None) == ["udp"]
    assert transports("tcp", None) == []


def test_lines() -> None:
    reach = [Endpoint("udp", "203.0.113.7", 3478), Endpoint("udp", "2001:db8::7", 3478)]
    reach += [Endpoint("tcp", "203.0.113.7", 443), Endpoint("tcp", "2001:db8::7", 443)]
    *lines, end = candidate_lines(reach)
    assert end == "a=end-of-candidates"
    assert lines[2].endswith(" tcp 1520434687 203.0.113.7 443 typ host tcptype passive")
    parsed = [candidate_from_sdp(line.removeprefix("a=candidate:")) for line in lines]
    assert [(c.protocol, c.ip, c.port, c.tcpType) for c in parsed] == [
        ("udp", "203.0.113.7", 3478, None),
        ("udp", "2001:db8::7", 3478, None),
        ("tcp", "203.0.113.7", 443, "passive"),
        ("tcp", "2001:db8::7", 443, "passive"),
    ]
    assert {c.component for c in parsed} == {1}
    assert len({c.foundation for c in parsed}) == 4
    priorities = [c.priority for c in parsed]
    assert priorities == sorted(priorities, reverse=True)
    assert all(0 < priority < 2**31 for priority in priorities)
