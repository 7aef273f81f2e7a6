"""H.264 for RTP: Annex B access units cut into payloads (RFC 6184). Pure.

A frame is packetised once, in the media thread, and the payloads are shared by every viewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from guest_agent.times import FrameStamps
from guest_agent.videocodec import Codec

__all__ = ["MAX_PAYLOAD_BYTES", "EncodedFrame", "packetize", "split_annexb"]

MAX_PAYLOAD_BYTES = 1150
"""RTP payload. With 12 + 16 bytes of RTP header, 10 of SRTP tag and 48 of IPv6 and UDP it stays below the
1,280 bytes that every path carries (RFC 8200 5), VPNs included."""

_STAP_A = 24
_FU_A = 28
_NRI = 0x60
_TYPE = 0x1F
_SKIPPED = frozenset({6, 9})
"""SEI and access unit delimiter: x264's SEI only names its options, RTP's marker bit does the other's work."""


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One encoded picture, ready to send."""

    payloads: list[bytes]
    pts_90k: int
    """Capture instant in 1/90,000 s since the media thread started."""
    key: bool
    """Decodable without any frame before it."""
    size_bytes: int
    stamps: FrameStamps | None = None
    """None for a picture that was only encoded again."""
    codec: Codec = Codec.H264
    rung: int = 0
    """Which of the two encodes it belongs to (rungs.py)."""


def split_annexb(unit: bytes) -> Iterator[memoryview]:
    """NAL units of a byte stream (H.264 annex B), without start codes."""
    view = memoryview(unit)
    start = unit.find(b"\x00\x00\x01")
    while start >= 0:
        start += 3
        following = unit.find(b"\x00\x00\x01", start)
        end = len(unit) if following < 0 else following
        # trailing_zero_8bits and the zero_byte of a four-byte start code belong to no NAL unit (annex B.1.1)
        while end > start and unit[end - 1] == 0:
            end -= 1
        if end > start:
            yield view[start:end]
        start = following


def packetize(unit: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> list[bytes]:
    """RTP payloads of one access unit, none over ``max_bytes``.

    Small units that follow each other share a STAP-A (RFC 6184 5.7.1); large ones become FU-As of nearly equal
    size (5.8).
    """
    payloads: list[bytes] = []
    waiting: list[memoryview] = []
    waiting_bytes = 1
    for nal in split_annexb(unit):
        if nal[0] & _TYPE in _SKIPPED:
            continue
        if waiting and waiting_bytes + 2 + len(nal) > max_bytes:
            payloads.append(_aggregate(waiting))
            waiting, waiting_bytes = [], 1
        if len(nal) > max_bytes:
            payloads += _fragment(nal, max_bytes)
        else:
            waiting.append(nal)
            waiting_bytes += 2 + len(nal)
    if waiting:
        payloads.append(_aggregate(waiting))
    return payloads


def _aggregate(nals: list[memoryview]) -> bytes:
    if len(nals) == 1:
        return bytes(nals[0])
    body = bytearray([max(nal[0] & _NRI for nal in nals) | _STAP_A])
    for nal in nals:
        body += len(nal).to_bytes(2, "big")
        body += nal
    return bytes(body)


def _fragment(nal: memoryview, max_bytes: int) -> list[bytes]:
    indicator = (nal[0] & 0xE0) | _FU_A
    kind = nal[0] & _TYPE
    body = nal[1:]
    count = -(-len(body) // (max_bytes - 2))
    share = -(-len(body) // count)
    last = count - 1
    return [
        bytes((indicator, kind | (0x80 if i == 0 else 0) | (0x40 if i == last else 0)))
        + bytes(body[i * share : (i + 1) * share])
        for i in range(count)
    ]
