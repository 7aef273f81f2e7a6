"""Every way out that test_cage.py tries from inside a guest: one table, and what may answer each.

A row is a name, how it is tried, its target, and the answers that it may get. "The host" in an answer is the VM's own
end of the tap, in the VM's namespace: nothing of the host's own.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from gateway.netns.lan import GUEST_IP, GUEST_MAC, HOST_IP, TAP_MAC
from tests.vm.frames import (
    ARP,
    BROADCAST,
    ICMP,
    ICMP6,
    IPV4,
    IPV6,
    TCP,
    UDP,
    arp,
    echo,
    ethernet,
    icmp6,
    ipv4,
    ipv6,
    syn,
)
from tests.vm.frames import udp as udp_of

__all__ = ["Attempt", "World", "attempts"]

PUBLIC = "8.8.8.8"
METADATA = "169.254.169.254"
FOREIGN_MAC = "02:fc:00:00:00:99"
FOREIGN_IP = "10.11.12.13"
NOBODY = "00:00:00:00:00:00"
LINK_LOCAL, ALL_NODES, ALL_ROUTERS = "fe80::fc:ff:fe00:5", "ff02::1", "ff02::2"
TAP_LINK_LOCAL = "fe80::fc:ff:fe00:6"
SOURCE_PORT = 61000

Answers = frozenset[str]
SILENCE: Answers = frozenset()
REFUSED = frozenset({"TCP reset"})
UNREACHABLE = frozenset({"ICMP unreachable"})


@dataclass(frozen=True, slots=True)
class World:
    """Who is there to be reached."""

    host_addresses: Sequence[str]
    """IPv4 of the host's interfaces."""
    http_port: int
    media_port: int
    trap_port: int
    """Of the test's own listeners on the host, TCP and UDP."""


@dataclass(frozen=True, slots=True)
class Attempt:
    name: str
    how: Literal["tcp", "udp", "frame", "proxy"]
    """tcp and udp: by a socket, and as a frame that carries a mark. proxy: asked of the session's own proxy."""
    target: tuple[str, int] | Callable[[bytes], bytes]
    """Address and port; or the frame around a mark."""
    answers: Answers = SILENCE
    """What may come back, by the words of frames.seen(); ARP always may."""
    open: bool = False
    """Whether it is meant to get through: the control of the table."""

    def plan(self, mark: bytes) -> dict[str, Any]:
        """For cage_guest.py: what to do, and the frames to send."""
        if callable(self.target):
            return {"how": self.how, "frames": [self.target(mark).hex()]}
        address, port = self.target
        given = {"how": self.how, "address": address, "port": port, "data": mark.hex()}
        if self.how == "tcp":
            segment = syn(GUEST_IP, address, (SOURCE_PORT, port), mark)
            return {**given, "frames": [_ip_frame(ipv4(GUEST_IP, address, TCP, segment)).hex()]}
        return {**given, "frames": []}


def attempts(world: World) -> list[Attempt]:
    """The table."""
    return [
        Attempt("its proxy", "tcp", (HOST_IP, 3128), frozenset({"TCP answer"}), open=True),
        *_own_end(world),
        *_host(world),
        *_elsewhere(),
        *_frames(world),
        *_ipv6(),
        *_through_the_proxy(world),
    ]


def _own_end(world: World) -> list[Attempt]:
    """Other ports of the tap's far end. Nothing listens there, and the namespace's kernel says so."""
    ports = {
        "ssh": 22, "DNS": 53, "HTTP": 80, "HTTPS": 443, "beside the proxy": 3129, "VNC": 5901, "files": 5902,
        "the gateway's HTTP": world.http_port, "a listener of the host": world.trap_port,
    }  # fmt: skip
    udp_ports = {"DNS": 53, "DHCP": 67, "NTP": 123, "the gateway's media": world.media_port, "mDNS": 5353}
    return [
        *[Attempt(f"far end, {what}", "tcp", (HOST_IP, port), REFUSED) for what, port in ports.items()],
        *[Attempt(f"far end, {what}", "udp", (HOST_IP, port), UNREACHABLE) for what, port in udp_ports.items()],
    ]


def _host(world: World) -> list[Attempt]:
    rows = []
    for address in world.host_addresses:
        rows += [
            Attempt("host, the gateway's HTTP", "tcp", (address, world.http_port)),
            Attempt("host, a listener", "tcp", (address, world.trap_port)),
            Attempt("host, ssh", "tcp", (address, 22)),
            Attempt("host, the gateway's media", "udp", (address, world.media_port)),
            Attempt("host, a listener", "udp", (address, world.trap_port)),
            Attempt(f"host {address}, ping", "frame", _ping(address)),
        ]
    return rows


def _elsewhere() -> list[Attempt]:
    return [
        Attempt("metadata service", "tcp", (METADATA, 80)),
        Attempt("metadata service", "udp", (METADATA, 80)),
        Attempt("public, HTTPS", "tcp", ("1.1.1.1", 443)),
        Attempt("public, DNS", "tcp", (PUBLIC, 53)),
        Attempt("public, DNS", "udp", (PUBLIC, 53)),
        Attempt("public, QUIC", "udp", ("1.1.1.1", 443)),
        Attempt("private network", "tcp", ("192.168.1.1", 80)),
        Attempt("carrier-grade NAT", "tcp", ("100.64.0.1", 80)),
        Attempt("link broadcast", "udp", ("169.254.0.23", 9)),
        Attempt("limited broadcast, DHCP", "udp", ("255.255.255.255", 67)),
        Attempt("multicast, mDNS", "udp", ("224.0.0.251", 5353)),
        Attempt("multicast, SSDP", "udp", ("239.255.255.250", 1900)),
    ]


def _frames(world: World) -> list[Attempt]:
    me, gateway = (GUEST_MAC, GUEST_IP), (NOBODY, HOST_IP)
    forged = (FOREIGN_MAC, FOREIGN_IP)
    opening = (SOURCE_PORT, 3128)

    def of_arp(operation: int, sender: tuple[str, str], target: tuple[str, str], to: str = BROADCAST) -> Any:
        return lambda mark: ethernet(to, sender[0], ARP, arp(operation, sender, target) + mark)

    def of_ip(source: str, to: str, protocol: int, **more: Any) -> Any:
        return lambda mark: _ip_frame(ipv4(source, to, protocol, mark, **more))

    def from_mac(source: str, to: str = TAP_MAC) -> Any:
        return lambda mark: ethernet(
            to, source, IPV4, ipv4(GUEST_IP, HOST_IP, TCP, syn(GUEST_IP, HOST_IP, opening, mark))
        )

    def from_ip(source: str) -> Any:
        return lambda mark: _ip_frame(ipv4(source, HOST_IP, TCP, syn(source, HOST_IP, opening, mark)))

    def of_icmp(kind: int, code: int) -> Any:
        return lambda mark: _ip_frame(ipv4(GUEST_IP, HOST_IP, ICMP, echo(mark, kind, code)))

    def of_kind(kind: int, to: str = BROADCAST) -> Any:
        return lambda mark: ethernet(to, GUEST_MAC, kind, mark)

    def tagged(mark: bytes) -> bytes:
        inner = ipv4(GUEST_IP, PUBLIC, UDP, udp_of(GUEST_IP, PUBLIC, (SOURCE_PORT, 53), mark))
        return ethernet(TAP_MAC, GUEST_MAC, 0x8100, struct.pack("!HH", 5, IPV4) + inner)

    def dhcp(mark: bytes) -> bytes:
        ask = bytes([1, 1, 6, 0]) + bytes(24) + bytes.fromhex(GUEST_MAC.replace(":", "")) + bytes(202)
        ask += bytes.fromhex("63825363350101ff") + mark
        return ethernet(
            BROADCAST, GUEST_MAC, IPV4,
            ipv4("0.0.0.0", "255.255.255.255", UDP, udp_of("0.0.0.0", "255.255.255.255", (68, 67), ask)),
        )  # fmt: skip

    others = {"other VM's MAC, as broadcast": BROADCAST, "to its own MAC, which every VM has": GUEST_MAC}
    return [
        Attempt("ARP: who is its far end", "frame", of_arp(1, me, gateway)),
        Attempt("ARP: who is the metadata service", "frame", of_arp(1, me, (NOBODY, METADATA))),
        *[Attempt(f"ARP: who is {ip}", "frame", of_arp(1, me, (NOBODY, ip))) for ip in world.host_addresses],
        Attempt("ARP spoof: I am the far end", "frame", of_arp(2, (GUEST_MAC, HOST_IP), (TAP_MAC, HOST_IP))),
        Attempt("ARP spoof: the guest is elsewhere", "frame", of_arp(2, (FOREIGN_MAC, GUEST_IP), (TAP_MAC, HOST_IP))),
        Attempt("ARP from a foreign MAC and address", "frame", of_arp(1, forged, gateway)),
        Attempt("ARP, gratuitous, foreign", "frame", of_arp(1, forged, (NOBODY, FOREIGN_IP))),
        Attempt("a foreign MAC as source", "frame", from_mac(FOREIGN_MAC), frozenset({"TCP answer"})),
        Attempt("the far end's own MAC as source", "frame", from_mac(TAP_MAC), frozenset({"TCP answer"})),
        Attempt("a multicast MAC as source", "frame", from_mac("01:00:5e:00:00:01"), frozenset({"TCP answer"})),
        *[Attempt(what, "frame", from_mac(GUEST_MAC, to)) for what, to in others.items()],
        *[
            Attempt(f"source {source} to its proxy", "frame", from_ip(source))
            for source in (FOREIGN_IP, PUBLIC, "127.0.0.1", HOST_IP, "0.0.0.0", *world.host_addresses)
        ],
        Attempt("loopback of its far end", "frame", of_ip(GUEST_IP, "127.0.0.1", UDP)),
        Attempt("from loopback to loopback", "frame", of_ip("127.0.0.1", "127.0.0.1", UDP)),
        Attempt("ping of its far end", "frame", _ping(HOST_IP)),
        Attempt("ping of a public address", "frame", _ping(PUBLIC)),
        Attempt("ping of the metadata service", "frame", _ping(METADATA)),
        Attempt("ping of the link's broadcast", "frame", _ping("169.254.0.23")),
        Attempt("ICMP timestamp", "frame", of_icmp(13, 0), frozenset({"ICMP timestamp"})),
        Attempt("ICMP redirect", "frame", of_icmp(5, 1)),
        Attempt(
            "loose source route", "frame",
            lambda mark: _ip_frame(
                ipv4(GUEST_IP, HOST_IP, UDP, udp_of(GUEST_IP, HOST_IP, (SOURCE_PORT, 53), mark),
                     options=bytes([131, 7, 4, 8, 8, 8, 8, 0])),
            ),
        ),
        Attempt("first fragment", "frame", of_ip(GUEST_IP, PUBLIC, UDP, fragment=0x2000)),
        Attempt("IP in IP", "frame", of_ip(GUEST_IP, HOST_IP, 4), UNREACHABLE),
        Attempt("GRE", "frame", of_ip(GUEST_IP, HOST_IP, 47), UNREACHABLE),
        Attempt("ESP", "frame", of_ip(GUEST_IP, HOST_IP, 50), UNREACHABLE),
        Attempt("SCTP", "frame", of_ip(GUEST_IP, HOST_IP, 132), UNREACHABLE),
        Attempt("IGMP", "frame", of_ip(GUEST_IP, "224.0.0.22", 2)),
        Attempt("DHCP discover", "frame", dhcp),
        Attempt("VLAN tag", "frame", tagged),
        *[
            Attempt(f"ethertype {what}", "frame", of_kind(kind, to))
            for what, kind, to in [
                ("LLDP", 0x88CC, "01:80:c2:00:00:0e"), ("EAPOL", 0x888E, "01:80:c2:00:00:03"),
                ("PPPoE", 0x8863, BROADCAST), ("MPLS", 0x8847, TAP_MAC), ("MACsec", 0x88E5, TAP_MAC),
                ("unknown", 0x9999, TAP_MAC), ("STP", 0x0026, "01:80:c2:00:00:00"),
            ]
        ],
    ]  # fmt: skip


def _ipv6() -> list[Attempt]:
    unspecified = "::"

    def of(source: str, to: str, protocol: int, payload: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        return lambda mark: ethernet("33:33:00:00:00:01", GUEST_MAC, IPV6, ipv6(source, to, protocol, payload(mark)))

    def icmp(source: str, to: str, kind: int, body: bytes) -> Callable[[bytes], bytes]:
        return of(source, to, ICMP6, lambda mark: icmp6(source, to, kind, body + mark))

    def packet(to: str, port: int) -> Callable[[bytes], bytes]:
        return of(LINK_LOCAL, to, UDP, lambda mark: udp_of(LINK_LOCAL, to, (SOURCE_PORT, port), mark))

    tap = bytes.fromhex("fe80000000000000 00fc00fffe000006".replace(" ", ""))
    prefix = bytes.fromhex("0304 40c0 00000e10 00000e10 00000000 20010db8000000000000000000000000".replace(" ", ""))
    return [
        Attempt("IPv6 neighbour solicitation", "frame", icmp(LINK_LOCAL, ALL_NODES, 135, bytes(4) + tap)),
        Attempt("IPv6 duplicate address", "frame", icmp(unspecified, ALL_NODES, 135, bytes(4) + tap)),
        Attempt("IPv6 router solicitation", "frame", icmp(LINK_LOCAL, ALL_ROUTERS, 133, bytes(4))),
        Attempt("IPv6 router advertisement", "frame",
                icmp(LINK_LOCAL, ALL_NODES, 134, bytes.fromhex("40000708") + bytes(8) + prefix)),
        Attempt("IPv6 neighbour advertisement", "frame",
                icmp(LINK_LOCAL, ALL_NODES, 136, bytes.fromhex("20000000") + tap)),
        Attempt("IPv6 ping of all nodes", "frame", icmp(LINK_LOCAL, ALL_NODES, 128, bytes(4))),
        Attempt("IPv6 ping of the far end's link-local", "frame", icmp(LINK_LOCAL, TAP_LINK_LOCAL, 128, bytes(4))),
        Attempt("IPv6 multicast listener report", "frame", icmp(LINK_LOCAL, "ff02::16", 143, bytes(4))),
        Attempt("IPv6 multicast, mDNS", "frame", packet("ff02::fb", 5353)),
        Attempt("IPv6 multicast, DHCPv6", "frame", packet("ff02::1:2", 547)),
        Attempt("IPv6 public, DNS", "frame", packet("2001:4860:4860::8888", 53)),
        Attempt("IPv6 loopback", "frame", packet("::1", 53)),
        Attempt("IPv6, IPv4-mapped loopback", "frame", packet("::ffff:127.0.0.1", 53)),
    ]  # fmt: skip


def _through_the_proxy(world: World) -> list[Attempt]:
    """Asked of a proxy that leaves from the host itself (direct), which is the most that a session can be given."""
    names = {
        "the host's loopback": "127.0.0.1", "the host by name": "localhost", "its far end": HOST_IP,
        "itself or another VM": GUEST_IP, "IPv6 loopback": "[::1]", "mapped loopback": "[::ffff:127.0.0.1]",
        "loopback as a number": "2130706433",
        **{f"host {address}": address for address in world.host_addresses if _private(address)},
    }  # fmt: skip
    return [
        *[Attempt(f"proxy to {what}", "proxy", (name, world.trap_port)) for what, name in names.items()],
        Attempt("proxy to the metadata service", "proxy", (METADATA, 80)),
    ]


def _private(address: str) -> bool:
    return not ipaddress.ip_address(address).is_global


def _ping(address: str) -> Callable[[bytes], bytes]:
    return lambda mark: _ip_frame(ipv4(GUEST_IP, address, ICMP, echo(mark)))


def _ip_frame(packet: bytes) -> bytes:
    """To the far end's MAC, as to a router."""
    return ethernet(TAP_MAC, GUEST_MAC, IPV4, packet)
