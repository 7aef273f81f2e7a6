"""The tests' own receiver: what it takes for a keyframe, and when it asks for one."""

from __future__ import annotations

import threading

import pytest
from aiortc.codecs.h264 import H264PayloadDescriptor
from aiortc.rtp import RtpPacket

from tests.loopback.browser_receiver import Frames

SLICE, SPS = b"\x61", b"\x67"
FU_A, FU_START, FU_END = 0x7C, 0x80, 0x40
LIKE_AN_SPS = b"1234" + SPS + b"567"
"""A middle part of a fragmented slice whose fifth byte could be a parameter set's type."""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("tests.loopback.browser_receiver.time", clock)
    return clock


def packet(seq: int, payload: bytes, *, timestamp: int, marker: bool) -> RtpPacket:
    packet = RtpPacket(sequence_number=seq, timestamp=timestamp, marker=marker, payload_type=97)
    packet.payload = payload
    packet._data = H264PayloadDescriptor.parse(payload)[1]  # type: ignore[attr-defined]
    return packet


def single(seq: int, kind: bytes) -> RtpPacket:
    """A frame in one packet."""
    return packet(seq, kind + b"unit", timestamp=seq, marker=True)


def fragment(seq: int, flags: int, data: bytes) -> RtpPacket:
    return packet(seq, bytes([FU_A, flags | 1]) + data, timestamp=1, marker=bool(flags & FU_END))


def test_only_the_beginning_of_a_unit_tells_a_keyframe(clock: Clock) -> None:
    frames = Frames(threading.Event())
    assert frames.add(single(9, SPS))[1] is not None
    parts = [fragment(10, FU_START, b"first"), fragment(11, 0, LIKE_AN_SPS), fragment(12, 0, LIKE_AN_SPS)]
    last = fragment(13, FU_END, b"last")
    for part in (parts[0], parts[2], last):
        assert frames.add(part) == (False, None)
    _, frame = frames.add(parts[1])
    assert frame is not None
    assert frame.data == b"".join(part._data for part in (*parts, last))  # type: ignore[attr-defined]


def test_after_what_cannot_be_decoded_nothing_but_a_keyframe_goes_on(clock: Clock) -> None:
    undecodable = threading.Event()
    frames = Frames(undecodable)
    assert frames.add(single(9, SPS))[1] is not None
    assert frames.add(single(10, SLICE))[1] is not None
    undecodable.set()
    assert frames.add(single(11, SLICE)) == (False, None)
    undecodable.clear()
    clock.now += 0.21
    assert frames.add(single(12, SLICE)) == (True, None)
    assert frames.add(single(13, SLICE)) == (False, None)
    clock.now += 0.21
    assert frames.add(single(14, SLICE)) == (True, None)
    assert frames.add(single(15, SPS))[1] is not None
    assert frames.add(single(16, SLICE))[1] is not None
    clock.now += 2.9
    assert frames.add(single(17, SLICE))[0] is False
    clock.now += 3.1
    assert frames.add(packet(19, SLICE + b"unit", timestamp=19, marker=True)) == (True, None)
