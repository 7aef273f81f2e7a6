"""Two habits of browsers that stock aiortc's receiver lacks, put in its place: it asks again for what still misses,
and it goes on with a keyframe that is complete, whatever is missing before it (libwebrtc's nack_requester.cc and
frame_buffer.cc do the like).
"""

from __future__ import annotations

import time
from collections import deque

from aiortc import RTCRtpReceiver
from aiortc.codecs.h264 import H264PayloadDescriptor
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

__all__ = ["like_a_browser"]

_RETRY_S, _RETRIES = 0.06, 10
_MOST = 1000
_FROZEN_S = 3.0
"""After so long without a frame a browser asks for a keyframe."""
_SPS = 7


class _Nacks:
    """In place of aiortc's NackGenerator."""

    def __init__(self) -> None:
        self._max: int | None = None
        self._missing: dict[int, tuple[int, float]] = {}
        self.missing: set[int] = set()
        """Those to ask for now."""

    def add(self, packet: RtpPacket) -> bool:
        now, seq = time.monotonic(), packet.sequence_number
        if self._max is None:
            self._max = seq
        ahead = seq - self._max & 0xFFFF
        if 0 < ahead < _MOST:
            for offset in range(1, ahead):
                self._missing[self._max + offset & 0xFFFF] = (0, float("-inf"))
        if ahead < 0x8000:
            self._max = seq
        self._missing.pop(seq, None)
        due = {n for n, (_, asked) in self._missing.items() if now >= asked + _RETRY_S}
        for number in due:
            times = self._missing[number][0] + 1
            self._missing[number] = (times, now)
            if times >= _RETRIES:
                del self._missing[number]
        self.missing = due
        return bool(due)


class _Frames:
    """In place of aiortc's JitterBuffer: whole frames in order, or from the next whole keyframe."""

    def __init__(self) -> None:
        self._packets: dict[int, RtpPacket] = {}
        self._next: int | None = None
        self._ready: deque[JitterFrame] = deque()
        self._last_at = time.monotonic()

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        seq = packet.sequence_number
        if self._next is None or (seq - self._next & 0xFFFF) < 0x8000:
            self._packets[seq] = packet
        while (frame := self._take(self._next)) or (frame := self._take(self._keyframe(seq))):
            self._ready.append(frame)
            self._last_at = time.monotonic()
        frozen = time.monotonic() - self._last_at > _FROZEN_S
        if frozen:
            self._last_at = time.monotonic()
        return frozen, self._ready.popleft() if self._ready else None

    def _keyframe(self, first: int) -> int | None:
        """Where the frame starts that a packet belongs to, if it is a keyframe."""
        stamp = self._packets[first].timestamp if first in self._packets else None
        while (before := self._packets.get(first - 1 & 0xFFFF)) is not None and before.timestamp == stamp:
            first = first - 1 & 0xFFFF
        packet = self._packets.get(first)
        if packet is None:
            return None
        unit = bytes(H264PayloadDescriptor.parse(packet.payload)[1]) if packet.payload else b""
        return first if unit[4:5] and unit[4] & 0x1F == _SPS else None

    def _take(self, first: int | None) -> JitterFrame | None:
        if first is None or first not in self._packets:
            return None
        stamp, parts, at = self._packets[first].timestamp, [], first
        while (packet := self._packets.get(at)) is not None and packet.timestamp == stamp:
            parts.append(packet._data)  # type: ignore[attr-defined]
            at = at + 1 & 0xFFFF
            if packet.marker:
                self._packets = {n: p for n, p in self._packets.items() if (n - at & 0xFFFF) < 0x8000}
                self._next = at
                return JitterFrame(data=b"".join(parts), timestamp=stamp)
        return None


def like_a_browser(receiver: RTCRtpReceiver) -> None:
    """Before the connection is up."""
    for name, value in (("__nack_generator", _Nacks()), ("__jitter_buffer", _Frames())):
        assert hasattr(receiver, "_RTCRtpReceiver" + name)
        setattr(receiver, "_RTCRtpReceiver" + name, value)
