"""Habits of browsers that stock aiortc's receiver lacks, put in its place. It asks again for what still misses, goes
on with a keyframe that is complete, whatever is missing before it, and after a frame that could not be decoded it
takes nothing but a keyframe, and asks for one (PLI, RFC 4585 6.3.1) until it comes. libwebrtc does the like in
nack_requester.cc, frame_buffer.cc and video_receive_stream2.cc.
"""

from __future__ import annotations

import threading
import time
from collections import deque

from aiortc import RTCRtpReceiver
from aiortc.codecs.h264 import H264PayloadDescriptor
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtp import RtpPacket

__all__ = ["Frames", "like_a_browser"]

_RETRY_S, _RETRIES = 0.06, 10
_MOST = 1000
_FROZEN_S, _KEYLESS_S = 3.0, 0.2
"""After so long without a frame a browser asks for a keyframe; and again, while nothing but that will do."""
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


class Frames:
    """In place of aiortc's JitterBuffer: whole frames in order, or from the next whole keyframe.

    ``undecodable`` is set by aiortc's decoder, and unset by its receiver, which asks for a keyframe once.
    """

    def __init__(self, undecodable: threading.Event) -> None:
        self._packets: dict[int, RtpPacket] = {}
        self._next: int | None = None
        self._ready: deque[JitterFrame] = deque()
        self._last_at = time.monotonic()
        self._undecodable = undecodable
        self._key_needed = False

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        seq = packet.sequence_number
        if self._next is None or (seq - self._next & 0xFFFF) < 0x8000:
            self._packets[seq] = packet
        if self._undecodable.is_set():
            self._key_needed = True
            self._ready.clear()
        while frame := self._following(seq):
            self._ready.append(frame)
            self._last_at = time.monotonic()
        frozen = time.monotonic() - self._last_at > (_KEYLESS_S if self._key_needed else _FROZEN_S)
        if frozen:
            self._last_at = time.monotonic()
        return frozen, self._ready.popleft() if self._ready else None

    def _following(self, seq: int) -> JitterFrame | None:
        """The next frame to decode, if it is whole now that packet ``seq`` is here."""
        frame = None if self._key_needed else self._take(self._next)
        if frame is None and (frame := self._take(self._keyframe(seq))):
            self._key_needed = False
        return frame

    def _keyframe(self, first: int) -> int | None:
        """Where the frame starts that a packet belongs to, if it is a keyframe."""
        stamp = self._packets[first].timestamp if first in self._packets else None
        while (before := self._packets.get(first - 1 & 0xFFFF)) is not None and before.timestamp == stamp:
            first = first - 1 & 0xFFFF
        packet = self._packets.get(first)
        if packet is None or not packet.payload:
            return None
        descriptor, unit = H264PayloadDescriptor.parse(packet.payload)
        # Only a unit's beginning has its type: in the middle of one any byte may look like it.
        return first if descriptor.first_fragment and unit[4:5] and unit[4] & 0x1F == _SPS else None

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
    private = "_RTCRtpReceiver__"
    frames = Frames(getattr(receiver, private + "decoder_error"))
    for name, value in (("nack_generator", _Nacks()), ("jitter_buffer", frames)):
        assert hasattr(receiver, private + name)
        setattr(receiver, private + name, value)
