"""RFC 4571 frames: the same datagrams however the stream is cut, bounded memory, oversize refused at its header."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import FramingError
from gateway.relay.framing import HEADER_BYTES, MAX_FRAME_BYTES, Deframer, put_header

LIMIT = 64
FRAMES = st.lists(st.binary(max_size=LIMIT), max_size=8)


def framed(*datagrams: bytes) -> bytes:
    return b"".join(len(datagram).to_bytes(2, "big") + datagram for datagram in datagrams)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def test_the_examples_of_the_rfc() -> None:
    assert Deframer().feed(b"\x00\x03abc\x00\x01d") == [b"abc", b"d"]
    assert Deframer().feed(b"\x01\x00" + b"x" * 256) == [b"x" * 256]
    # A null packet.
    assert Deframer().feed(b"\x00\x00\x00\x01d") == [b"d"]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 1200, 65535])
def test_headers(size: int) -> None:
    buffer = bytearray(b"..rest")
    put_header(buffer, size)
    assert bytes(buffer) == size.to_bytes(2, "big") + b"rest"


@given(FRAMES, st.lists(st.integers(0, 1000), max_size=10))
def test_any_cut_gives_the_same_datagrams(datagrams: list[bytes], cuts: list[int]) -> None:
    deframer = Deframer(LIMIT)
    found = [frame for piece in pieces(framed(*datagrams), cuts) for frame in deframer.feed(memoryview(piece))]
    assert found == [datagram for datagram in datagrams if datagram]
    assert deframer.kept_bytes == 0


@given(st.binary(max_size=400), st.lists(st.integers(0, 1000), max_size=10))
def test_noise_gives_frames_or_one_error_and_keeps_little(stream: bytes, cuts: list[int]) -> None:
    deframer = Deframer(LIMIT)
    seen = b""
    try:
        for piece in pieces(stream, cuts):
            for frame in deframer.feed(piece):
                assert 0 < len(frame) <= LIMIT
                seen += framed(frame)
            assert deframer.kept_bytes < HEADER_BYTES + LIMIT
    except FramingError:
        assert len(stream) >= HEADER_BYTES
        return
    # Nothing is lost or made up: what came out and what waits is the stream without its null packets.
    assert len(seen) + deframer.kept_bytes <= len(stream)


@pytest.mark.parametrize("size", [MAX_FRAME_BYTES + 1, 65535])
def test_an_oversized_frame_is_refused_at_its_header(size: int) -> None:
    deframer = Deframer()
    assert deframer.feed(framed(b"good") + size.to_bytes(2, "big")[:1]) == [b"good"]
    with pytest.raises(FramingError, match=str(size)):
        deframer.feed(size.to_bytes(2, "big")[1:])


def test_the_largest_frame_passes() -> None:
    deframer = Deframer()
    whole = framed(b"x" * MAX_FRAME_BYTES)
    assert deframer.feed(whole[:-1]) == []
    assert deframer.kept_bytes == HEADER_BYTES + MAX_FRAME_BYTES - 1
    assert deframer.feed(whole[-1:]) == [b"x" * MAX_FRAME_BYTES]
