"""RFB from viewers who mean ill and from an x11vnc that has been taken over: filter and both handshakes.

What the filter lets through is read here a second time, by a table of its own, and applied to a modelled server.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from struct import pack, unpack_from

from gateway.vnc.handshake import VERSION, ServerLogin, ViewerWelcome, vnc_auth_response
from gateway.vnc.rfb import MAX_HELD_KEYS, ClientFilter, Role
from tests.fuzzing import drawn, pieces, steady, volumes

KEY, POINTER, QEMU, DESKTOP_SIZE, CUT_TEXT, XVP, ENCODINGS, FENCE = 4, 5, 255, 251, 6, 250, 2, 248
LENGTHS = {0: 20, 3: 10, KEY: 8, POINTER: 6, 150: 10, QEMU: 12}
"""RFC 6143 7.5, and rfbproto for those above 7."""
INPUT = {KEY, POINTER, QEMU, DESKTOP_SIZE}
MOST_KEPT = 4100
"""Bytes of the longest head."""

MESSAGES = [
    bytes(20),
    pack("!BxH3i", ENCODINGS, 3, 0, -316, 16),
    pack("!BBHHHH", 3, 1, 0, 0, 1280, 720),
    pack("!BBxxI", KEY, 1, 0x61),
    pack("!BBxxI", KEY, 0, 0x61),
    pack("!BBxxI", KEY, 1, 0xFFE1),
    pack("!BBHH", POINTER, 1, 30, 40),
    pack("!BBHH", POINTER, 0, 30, 40),
    pack("!BBHII", QEMU, 0, 1, 0x62, 48),
    pack("!BBHII", QEMU, 0, 0, 0x62, 48),
    pack("!BxxxI", CUT_TEXT, 5) + b"hello",
    pack("!Bxxxi", CUT_TEXT, -8) + bytes(8),
    pack("!BBHHHH", 150, 1, 0, 0, 1280, 720),
    pack("!BxxxIB", FENCE, 1, 3) + b"abc",
    pack("!BxBB", XVP, 1, 2),
    pack("!BxHHBx", DESKTOP_SIZE, 800, 600, 1) + bytes(16),
]


def sent(data: bytes) -> Iterator[bytes]:
    """The messages that x11vnc would read; an assertion fails at what is none."""
    at = 0
    while at < len(data):
        kind = data[at]
        match kind:
            case 2:
                size = 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
            case 248:
                size = 9 + data[at + 8]
            case 251:
                size = 8 + 16 * data[at + 6]
            case _:
                assert kind in LENGTHS, f"message type {kind} came through"
                size = LENGTHS[kind]
        assert at + size <= len(data), "a part of a message came through"
        yield data[at : at + size]
        at += size


class Server:
    """What x11vnc holds down on account of this viewer."""

    def __init__(self) -> None:
        self.down: set[tuple[int, ...]] = set()
        self.buttons = 0

    def take(self, data: bytes, role: Role) -> None:
        for message in sent(data):
            kind = message[0]
            assert role == "control" or kind not in INPUT
            if kind == KEY:
                self._press((unpack_from("!I", message, 4)[0],), message[1])
            elif kind == QEMU:
                self._press(unpack_from("!II", message, 4), unpack_from("!H", message, 2)[0])
            elif kind == POINTER:
                self.buttons = message[1]
            elif kind == ENCODINGS:
                assert -316 not in unpack_from(f"!{len(message) // 4 - 1}i", message, 4)

    def _press(self, key: tuple[int, ...], down: int) -> None:
        if down:
            self.down.add(key)
        else:
            self.down.discard(key)


@volumes(16_000)
def test_viewers(count: int, seed: int) -> None:
    rng = random.Random(seed)
    failed = went = dropped = 0
    with steady(count) as step:
        for number, data in enumerate(drawn(rng, [*MESSAGES, b"".join(MESSAGES)], count)):
            role: Role = rng.choice(("control", "view"))
            client, whole, server = ClientFilter(role), ClientFilter(role), Server()
            begins = b"".join(rng.choices(MESSAGES, k=rng.randint(0, 3)))
            data = begins + data
            with step(number):
                at_once = whole.feed(data)
                by_piece = b"".join(client.feed(piece) for piece in pieces(rng, data))
            # However it comes, the same comes of it.
            assert at_once == by_piece
            assert (client.failure is None, client.dropped) == (whole.failure is None, whole.dropped)
            assert len(client._buffer) < MOST_KEPT
            server.take(by_piece, role)
            assert len(server.down) <= MAX_HELD_KEYS
            if rng.random() < 0.5:
                server.take(client.control(False), role)
            else:
                server.take(client.release_all(), role)
            assert (server.down, server.buttons, client.holds) == (set(), 0, False)
            failed += client.failure is not None
            went += bool(by_piece)
            dropped += client.dropped > 0
    assert min(failed, went, dropped) > count / 20

    fresh = ClientFilter("control")
    assert fresh.feed(MESSAGES[3] + MESSAGES[4]) == MESSAGES[3] + MESSAGES[4]


def test_messages_cut_at_every_place() -> None:
    whole = b"".join(MESSAGES)
    passed = ClientFilter("control").feed(whole)
    assert len(passed) > len(whole) / 2
    for at in range(len(whole) + 1):
        client = ClientFilter("control")
        assert client.feed(whole[:at]) + client.feed(whole[at:]) == passed
        # And one who leaves there holds nothing.
        left, server = ClientFilter("control"), Server()
        server.take(left.feed(whole[:at]), "control")
        server.take(left.release_all(), "control")
        assert (server.down, server.buttons) == (set(), 0)


@volumes(8_000)
def test_both_handshakes(count: int, seed: int) -> None:
    rng = random.Random(seed)
    challenge = bytes(range(16))
    by_server = [
        VERSION + b"\x01\x02" + challenge + bytes(4),
        VERSION + b"\x02\x01\x02" + challenge + bytes(3) + b"\x01" + pack("!I", 5) + b"wrong",
        VERSION + b"\x00" + pack("!I", 8) + b"too many",
        VERSION + b"\x01\x01" + bytes(4),
        b"RFB 003.003\n" + bytes(8),
    ]
    by_viewer = [
        VERSION + b"\x01\x00",
        VERSION + b"\x01\x01" + MESSAGES[3],
        b"RFB 004.001\n\x01\x01",
        b"GET / HTTP/1.1\r\n",
    ]
    ended: dict[bool | None, int] = {True: 0, False: 0, None: 0}
    with steady(count) as step:
        for number, (theirs, ours) in enumerate(
            zip(drawn(rng, by_server, count), drawn(rng, by_viewer, count), strict=True)
        ):
            data = theirs if number % 2 else ours
            hands = [ServerLogin("secret") if number % 2 else ViewerWelcome() for _ in range(2)]
            with step(number):
                at_once = hands[0].feed(data)
                by_piece = b"".join(hands[1].feed(piece) for piece in pieces(rng, data))
            assert at_once == by_piece
            for hand in hands:
                assert not (hand.done and hand.failure)
                # It is long over, or it says how little it still waits for.
                assert hand.done or hand.failure or 0 < hand.needed <= 4096
            ended[hands[0].done or (False if hands[0].failure else None)] += 1
            # The one secret goes out only as its answer to a challenge.
            assert b"secret" not in at_once
    assert min(ended.values()) > count / 50

    login, viewer = ServerLogin("secret"), ViewerWelcome()
    answered = login.feed(by_server[0])
    assert login.done
    assert answered == VERSION + b"\x02" + vnc_auth_response(challenge, "secret")
    assert viewer.feed(by_viewer[0]) == b"\x01\x01" + bytes(4)
    assert viewer.done
