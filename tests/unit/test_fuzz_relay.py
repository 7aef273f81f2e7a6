"""STUN and RFC 4571 framing from strangers: who gets in had the password, and nothing else comes of anything."""

from __future__ import annotations

import random
import struct

from aioice import stun

from gateway.dataplane import IceCredentials
from gateway.errors import FramingError
from gateway.relay.framing import MAX_FRAME_BYTES, Deframer
from gateway.relay.stun import BindingRequest, is_genuine, read_binding_request
from gateway.relay.table import RelayTable
from tests.fuzzing import drawn, pieces, steady, volumes
from tests.stun_messages import binding_request, binding_response

PEERS = {f"ufrag{number:03d}": f"{number:022d}" for number in range(3)}
FRAMES = [
    b"\x00\x01x",
    b"\x00\x00",
    b"\x00\x05abcde",
    (1200).to_bytes(2, "big") + bytes(1200),
    b"\x10\x00" + bytes(4096),
]


def messages() -> list[bytes]:
    valid = [binding_request(ufrag, pwd) for ufrag, pwd in PEERS.items()]
    guessed = [binding_request(ufrag, "x" * 22) for ufrag in PEERS]
    others = [binding_response(pwd) for pwd in PEERS.values()]
    return [
        *valid,
        *guessed,
        *others,
        binding_request("nobody00", "x" * 22),
        b"\x80" + bytes(100),
        b"\x16\xfe\xfd" + bytes(90),
    ]


def is_signed(data: bytes) -> bool:
    """By aioice, which is not the code under test."""
    try:
        message = stun.parse_message(data)
    except (ValueError, struct.error):
        return False
    ufrag = str(message.attributes.get("USERNAME", "")).partition(":")[0]
    return ufrag in PEERS and message.check_message_integrity(PEERS[ufrag].encode())


@volumes(40_000)
def test_datagrams(count: int, seed: int) -> None:
    rng = random.Random(seed)
    table = RelayTable(max_per_peer=4)
    for ufrag, pwd in PEERS.items():
        table.admit(f"vm-{ufrag}", IceCredentials(ufrag, pwd, 40_000))
    valid = messages()
    now = opened = 0.0
    with steady(count) as step:
        for number, data in enumerate(drawn(rng, valid, count)):
            now += 0.01
            # Few addresses, so that some of them are known; they come and go.
            address = (0, "192.0.2.1", rng.randrange(20))
            known = table.mappings.get(address)
            with step(number):
                mapping, ended = table.judge(address, rng.choice((data, memoryview(data))), now)
            if mapping is not None and mapping is not known:
                opened += 1
                assert is_signed(data)
            if mapping is not None:
                assert table.mappings[address] is mapping
            assert known is None or known not in ended or mapping is not known
            if number % 50 == 0:
                for gone in list(table.mappings.values())[:2]:
                    table.forget(gone)
    assert opened > count / 200, "some of them were let in"
    counts = table.counts
    assert counts["dropped_bad_integrity"] > count / 200
    assert counts["dropped_malformed"] > count / 200
    assert all(len(peer.mappings) <= 4 for peer in table.peers.values())

    genuine, _ = table.judge((0, "198.51.100.1", 1), valid[0], now + 60)
    assert genuine is not None, "and a viewer still gets in"
    assert genuine.peer.ice.ufrag == "ufrag000"


def test_a_request_with_one_byte_missing_changed_or_more_is_none() -> None:
    """Every place of it."""
    (ufrag, pwd), *_ = PEERS.items()
    whole = binding_request(ufrag, pwd)

    def let_in(data: bytes) -> bool:
        request = read_binding_request(data)
        return (
            isinstance(request, BindingRequest)
            and request.ufrag == ufrag.encode()
            and is_genuine(request, data, pwd.encode())
        )

    assert let_in(whole)
    for at in range(len(whole)):
        assert not let_in(whole[:at])
        assert not let_in(whole[at:]) or at == 0
        assert not let_in(whole + whole[: at + 1])
        # Of what follows MESSAGE-INTEGRITY only the FINGERPRINT's value counts, its last four bytes.
        if at < len(whole) - 8 or at >= len(whole) - 4:
            for bit in range(8):
                assert not let_in(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])


@volumes(12_000)
def test_frames(count: int, seed: int) -> None:
    rng = random.Random(seed)
    refused = frames = 0
    with steady(count) as step:
        for number, data in enumerate(drawn(rng, [*FRAMES, FRAMES[0] * 50, FRAMES[2] + FRAMES[3]], count)):
            at_once, by_piece = Deframer(), Deframer()
            with step(number):
                try:
                    found: list[bytes] | None = at_once.feed(data)
                except FramingError:
                    found = None
                later: list[bytes] | None = []
                try:
                    for piece in pieces(rng, data):
                        assert later is not None
                        later += by_piece.feed(piece)
                        assert by_piece.kept_bytes < 2 + MAX_FRAME_BYTES
                except FramingError:
                    later = None
            # However it comes, the same comes of it.
            assert found == later
            refused += found is None
            frames += len(found or ())
    assert refused > count / 100
    assert frames > count / 2
    assert Deframer().feed(b"\x00\x02hi") == [b"hi"]


def test_frames_cut_at_every_place() -> None:
    whole = b"".join(FRAMES)
    frames = Deframer().feed(whole)
    assert len(frames) == 4
    for at in range(len(whole) + 1):
        deframer = Deframer()
        assert [*deframer.feed(whole[:at]), *deframer.feed(whole[at:])] == frames
        assert deframer.kept_bytes == 0
