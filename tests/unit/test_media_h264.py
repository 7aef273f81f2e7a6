"""RTP payloads of H.264: what goes in comes out on the other side, and nothing is too large."""

from __future__ import annotations

import itertools

from aiortc.codecs.h264 import H264PayloadDescriptor
from hypothesis import example, given
from hypothesis import strategies as st

from guest_agent.h264 import MAX_PAYLOAD_BYTES, packetize, split_annexb

START_CODES = st.sampled_from([b"\x00\x00\x01", b"\x00\x00\x00\x01"])
HEADERS = st.sampled_from([0x67, 0x68, 0x65, 0x41, 0x61, 0x01])
BODIES = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.builds(lambda size: b"\x5a" * size, st.integers(1000, 5000)),
)


def unit_of(nals: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(code + nal for code, nal in nals)


def clean(body: bytes) -> bytes:
    """Emulation prevention keeps start codes and trailing zeros out of NAL units (H.264 7.4.1)."""
    return body.replace(b"\x00", b"\x01") + b"\x80"


NALS = st.lists(
    st.tuples(START_CODES, st.builds(lambda head, body: bytes([head]) + clean(body), HEADERS, BODIES)),
    min_size=1,
    max_size=8,
)


def depacketized(payloads: list[bytes]) -> bytes:
    return b"".join(H264PayloadDescriptor.parse(payload)[1] for payload in payloads)


@given(NALS)
def test_a_receiver_gets_every_unit_back(nals: list[tuple[bytes, bytes]]) -> None:
    payloads = packetize(unit_of(nals))
    assert depacketized(payloads) == b"".join(b"\x00\x00\x00\x01" + nal for _, nal in nals)


@given(NALS, st.integers(50, 1500))
def test_no_payload_is_larger_than_asked(nals: list[tuple[bytes, bytes]], most: int) -> None:
    payloads = packetize(unit_of(nals), most)
    assert max(len(payload) for payload in payloads) <= most
    assert depacketized(payloads) == b"".join(b"\x00\x00\x00\x01" + nal for _, nal in nals)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\x00\x00\x01")
@example(b"\x00\x00\x01\x00\x00\x01")
def test_any_bytes_are_survived(data: bytes) -> None:
    assert all(payload for payload in packetize(data))


def test_small_units_share_a_packet_and_large_ones_are_cut_evenly() -> None:
    sps, pps, idr = b"\x67" + b"s" * 10, b"\x68" + b"p" * 4, b"\x65" + b"i" * (3 * (MAX_PAYLOAD_BYTES - 2))
    payloads = packetize(b"".join(b"\x00\x00\x00\x01" + nal for nal in (sps, pps, idr)))
    assert [payload[0] & 0x1F for payload in payloads] == [24, 28, 28, 28]
    assert payloads[0] == b"\x78\x00\x0b" + sps + b"\x00\x05" + pps
    assert {len(payload) for payload in payloads[1:]} == {MAX_PAYLOAD_BYTES}
    assert [payload[1] for payload in payloads[1:]] == [0x85, 0x05, 0x45]


def test_fragments_differ_by_less_than_their_number() -> None:
    for size in range(MAX_PAYLOAD_BYTES, 6 * MAX_PAYLOAD_BYTES, 97):
        lengths = [len(p) for p in packetize(b"\x00\x00\x01\x41" + b"x" * size)]
        assert max(lengths) - min(lengths) < len(lengths)


def test_sei_and_delimiters_are_left_out() -> None:
    unit = b"".join(b"\x00\x00\x01" + nal for nal in (b"\x09\x10", b"\x06\x05\x04", b"\x65abc"))
    assert packetize(unit) == [b"\x65abc"]


def test_splitting_drops_trailing_zeros() -> None:
    unit = b"\x00\x00\x00\x01\x67\x01\x80\x00\x00\x00\x00\x01\x68\x02\x80\x00\x00"
    assert [bytes(nal) for nal in split_annexb(unit)] == [b"\x67\x01\x80", b"\x68\x02\x80"]


def test_units_are_aggregated_up_to_the_limit() -> None:
    nals = [bytes([0x41]) + bytes([n]) * 299 for n in range(1, 8)]
    payloads = packetize(b"".join(b"\x00\x00\x01" + nal for nal in nals))
    assert [len(p) for p in payloads] == [1 + 3 * 302, 1 + 3 * 302, 300]
    assert depacketized(payloads) == b"".join(itertools.chain(*((b"\x00\x00\x00\x01", nal) for nal in nals)))
