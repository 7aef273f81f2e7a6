"""Ethernet frames, byte by byte, and in words what is seen of one. Pure.

RFC 826 (ARP), 791 and 1071 (IPv4, its sum), 792 (ICMP), 768 (UDP), 9293 (TCP), 8200 and 4861 (IPv6, discovery).
"""

from __future__ import annotations

import ipaddress
import struct

__all__ = ["BROADCAST", "arp", "echo", "ethernet", "icmp6", "ipv4", "ipv6", "mac", "seen", "syn", "udp"]

BROADCAST = "ff:ff:ff:ff:ff:ff"
ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
SYN, RST, ACK = 0x02, 0x04, 0x10


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ethernet(to: str, source: str, kind: int, payload: bytes) -> bytes:
    return mac(to) + mac(source) + struct.pack("!H", kind) + payload


def arp(operation: int, sender: tuple[str, str], target: tuple[str, str]) -> bytes:
    """``sender`` and ``target`` are (MAC, IPv4); operation 1 asks, 2 answers."""
    (sender_mac, sender_ip), (target_mac, target_ip) = sender, target
    head = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation)
    return head + mac(sender_mac) + _ip(sender_ip) + mac(target_mac) + _ip(target_ip)


def ipv4(source: str, to: str, protocol: int, payload: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    """``options`` is a whole number of 4-byte words; ``fragment`` the flags and offset field."""
    words = 5 + len(options) // 4
    total = words * 4 + len(payload)
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, total, 7, fragment, 64, protocol, 0) + _ip(source) + _ip(to)
    head += options
    return head[:10] + struct.pack("!H", _sum(head)) + head[12:] + payload


def udp(source: str, to: str, ports: tuple[int, int], data: bytes) -> bytes:
    head = struct.pack("!HHHH", *ports, 8 + len(data), 0)
    pseudo = _pseudo(source, to, UDP, 8 + len(data))
    return head[:6] + struct.pack("!H", _sum(pseudo + head + data) or 0xFFFF) + data


def syn(source: str, to: str, ports: tuple[int, int], data: bytes) -> bytes:
    """A TCP opening that carries data, which a stack may take or leave."""
    head = struct.pack("!HHIIBBHHH", *ports, 1, 0, 5 << 4, SYN, 65535, 0, 0)
    return (
        head[:16] + struct.pack("!H", _sum(_pseudo(source, to, TCP, 20 + len(data)) + head + data)) + b"\0\0" + data
    )


def echo(data: bytes, kind: int = 8, code: int = 0) -> bytes:
    """ICMP; an echo request unless told otherwise."""
    head = struct.pack("!BBHHH", kind, code, 0, 7, 1)
    return head[:2] + struct.pack("!H", _sum(head + data)) + head[4:] + data


def ipv6(source: str, to: str, protocol: int, payload: bytes) -> bytes:
    # Discovery is believed only with a hop limit of 255.
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 255) + _ip(source) + _ip(to) + payload


def icmp6(source: str, to: str, kind: int, body: bytes) -> bytes:
    head = struct.pack("!BBH", kind, 0, 0)
    return head[:2] + struct.pack("!H", _sum(_pseudo(source, to, ICMP6, 4 + len(body)) + head + body)) + body


def seen(frame: bytes) -> str:
    """What a frame is, in a few words: "ARP answer", "TCP reset from port 80"."""
    if len(frame) < 14:
        return "a short frame"
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == ARP:
        return {1: "ARP question", 2: "ARP answer"}.get(frame[21], "ARP")
    if kind == IPV6:
        return "IPv6"
    if kind != IPV4:
        return f"ethertype {kind:04x}"
    protocol, payload = frame[23], frame[14 + (frame[14] & 15) * 4 :]
    if protocol == TCP:
        flags = payload[13]
        what = "reset" if flags & RST else "opening" if flags & (SYN | ACK) == SYN else "answer"
        return f"TCP {what} from port {int.from_bytes(payload[:2])}"
    if protocol == UDP:
        return f"UDP from port {int.from_bytes(payload[:2])}"
    if protocol == ICMP:
        return {0: "ICMP echo", 3: "ICMP unreachable", 8: "ICMP question", 14: "ICMP timestamp"}.get(
            payload[0], f"ICMP {payload[0]}"
        )
    return f"IP protocol {protocol}"


def _ip(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _pseudo(source: str, to: str, protocol: int, length: int) -> bytes:
    return _ip(source) + _ip(to) + struct.pack("!II", length, protocol)


def _sum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return int(~total & 0xFFFF)
