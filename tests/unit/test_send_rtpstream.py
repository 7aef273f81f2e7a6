"""Packets as aiortc's own parser reads them."""

from __future__ import annotations

from typing import Any

import pytest
from aiortc.rtp import RtpPacket, unpack_header_extensions, unwrap_rtx

from guest_agent.rtpstream import (
    ABS_CAPTURE_TIME_URI,
    ABS_SEND_TIME_URI,
    MID_URI,
    PLAYOUT_DELAY_URI,
    RtpStream,
)
from guest_agent.twcc import TRANSPORT_CC_URI

ALL = {MID_URI: 1, ABS_SEND_TIME_URI: 2, TRANSPORT_CC_URI: 3, PLAYOUT_DELAY_URI: 4, ABS_CAPTURE_TIME_URI: 5}


def stream(ids: dict[str, int] = ALL, **options: Any) -> RtpStream:
    given: dict[str, Any] = {
        "ssrc": 11,
        "payload_type": 97,
        "seq": 65534,
        "timestamp_origin": 0xFFFFFF00,
        "mid": "vid",
        "rtx_ssrc": 12,
        "rtx_payload_type": 98,
        "rtx_seq": 5,
    }
    return RtpStream(ids=ids, transport_cc_uri=TRANSPORT_CC_URI, **{**given, **options})


def extensions(data: bytes) -> dict[int, bytes]:
    if not data[0] & 0x10:
        return {}
    profile, words = int.from_bytes(data[12:14], "big"), int.from_bytes(data[14:16], "big")
    return dict(unpack_header_extensions(profile, data[16 : 16 + 4 * words]))


def test_a_frame_of_three_packets() -> None:
    out = stream()
    stamp = out.timestamp(0x200)
    assert stamp == 0x100, "it wraps"
    made = [
        out.packet(
            bytes([i]) * 20,
            stamp,
            marker=i == 2,
            transport_seq=700 + i,
            abs_send_time=0x123456,
            captured_ntp=0x1122334455667788 if i == 0 else None,
        )
        for i in range(3)
    ]
    packets = [RtpPacket.parse(data) for data in made]
    assert [(p.sequence_number, p.marker, p.timestamp, p.ssrc, p.payload_type) for p in packets] == [
        (65534, 0, 0x100, 11, 97),
        (65535, 0, 0x100, 11, 97),
        (0, 1, 0x100, 11, 97),
    ]
    assert [p.payload for p in packets] == [bytes([i]) * 20 for i in range(3)]
    common = {1: b"vid", 2: b"\x12\x34\x56", 4: b"\0\0\0"}
    assert extensions(made[0]) == {**common, 3: (700).to_bytes(2, "big"), 5: bytes.fromhex("1122334455667788")}
    assert extensions(made[1]) == {**common, 3: (701).to_bytes(2, "big")}


@pytest.mark.parametrize("ids", [{}, {PLAYOUT_DELAY_URI: 9}, {TRANSPORT_CC_URI: 15, MID_URI: 1}, {"urn:other": 3}])
def test_only_what_was_negotiated(ids: dict[str, int]) -> None:
    data = stream(ids).packet(b"x", 1, marker=True, transport_seq=1, abs_send_time=1, captured_ntp=5)
    known = {ident for uri, ident in ids.items() if uri in ALL and ident < 15}
    assert set(extensions(data)) == known
    assert RtpPacket.parse(data).payload == b"x"


def sent(out: RtpStream, count: int) -> list[RtpPacket]:
    return [
        RtpPacket.parse(out.packet(bytes([i % 256]), i, marker=True, transport_seq=i, abs_send_time=i))
        for i in range(count)
    ]


def test_a_lost_packet_goes_again_as_rtx() -> None:
    out = stream(seq=100)
    sent(out, 3)
    assert out.lost(101, rtt_s=0.1, now=10.0) == 1
    again = RtpPacket.parse(out.repeat(101, transport_seq=9, abs_send_time=9))
    assert (again.ssrc, again.payload_type, again.sequence_number) == (12, 98, 5)
    original = unwrap_rtx(again, payload_type=97, ssrc=11)
    assert (original.sequence_number, original.payload, original.timestamp) == (101, b"\x01", 1)
    assert out.lost(101, rtt_s=0.1, now=10.05) is None, "the report cannot know of it yet"
    assert out.lost(101, rtt_s=0.1, now=10.11) == 1
    assert RtpPacket.parse(out.repeat(101, transport_seq=9, abs_send_time=9)).sequence_number == 6


def test_without_rtx_the_packet_itself_goes_again() -> None:
    out = stream(seq=100, rtx_payload_type=None)
    sent(out, 2)
    assert out.lost(100, rtt_s=0, now=1.0) == 1
    again = RtpPacket.parse(out.repeat(100, transport_seq=9, abs_send_time=9))
    assert (again.ssrc, again.sequence_number, again.payload) == (11, 100, b"\x00")


def test_what_a_keyframe_replaced_is_not_repeated_and_what_is_forgotten_takes_a_keyframe() -> None:
    out = stream(seq=65_000)
    sent(out, 600)
    out.start_keyframe()
    sent(out, 5)
    last_before, first = (65_000 + 599) & 0xFFFF, (65_000 + 600) & 0xFFFF
    assert out.lost(last_before, rtt_s=0, now=1.0) is None
    assert out.lost(first, rtt_s=0, now=1.0) == 1
    sent(out, 5000)
    assert out.lost(first, rtt_s=0, now=1.0) == 0


def test_another_codec_has_numbers_of_its_own_and_what_was_before_is_not_repeated() -> None:
    out = stream(seq=10)
    out.packet(b"old", 0, marker=True, transport_seq=1, abs_send_time=0)
    out.start_keyframe()
    out.switch(41, 42)
    packet = RtpPacket.parse(out.packet(b"new", 1, marker=True, transport_seq=2, abs_send_time=0))
    assert (packet.payload_type, packet.sequence_number) == (41, 11)
    assert out.lost(10, rtt_s=0.01, now=1.0) is None
    assert out.lost(11, rtt_s=0.01, now=1.0) == 3
    again = RtpPacket.parse(out.repeat(11, transport_seq=3, abs_send_time=0))
    assert (again.payload_type, again.ssrc) == (42, 12)
    assert unwrap_rtx(again, payload_type=41, ssrc=11).payload == b"new"
