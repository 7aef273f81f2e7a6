"""What passes the RFB filter, what does not, and what is let go of at the end."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import VncError
from gateway.vnc.rfb import MAX_CUT_TEXT_BYTES, MAX_ENCODINGS, MAX_HELD_KEYS, ClientFilter, Role

PIXEL_FORMAT = b"\0\0\0\0" + bytes(range(16))
UPDATE = pack("!BBHHHH", 3, 1, 0, 0, 1280, 720)
CONTINUOUS = pack("!BBHHHH", 150, 1, 0, 0, 1280, 720)
FENCE = pack("!B3xIB", 248, 1, 3) + b"abc"
XVP = pack("!BxBB", 250, 1, 2)
RESIZE = pack("!BxHHBx", 251, 800, 600, 1) + bytes(16)
CUT = pack("!B3xi", 6, 5) + b"hello"
EXTENDED_CUT = pack("!B3xiI", 6, -8, 0x10000001) + b"zlib"


def encodings(*values: int) -> bytes:
    return pack(f"!BxH{len(values)}i", 2, len(values), *values)


def key(keysym: int, down: bool) -> bytes:
    return pack("!BBxxI", 4, down, keysym)


def qemu_key(keysym: int, code: int, down: bool) -> bytes:
    return pack("!BBHII", 255, 0, down, keysym, code)


def pointer(mask: int, x: int = 10, y: int = 20) -> bytes:
    return pack("!BBHH", 5, mask, x, y)


VIEWING = [PIXEL_FORMAT, encodings(7, -239, -224), UPDATE, CONTINUOUS, FENCE]
DOING = [
    key(0x61, True),
    key(0x61, False),
    qemu_key(0x62, 48, True),
    pointer(1),
    pointer(0),
    RESIZE,
]


@pytest.mark.parametrize("message", VIEWING)
@pytest.mark.parametrize("role", ["control", "view"])
def test_viewing_is_everyones(message: bytes, role: Role) -> None:
    client = ClientFilter(role)
    assert client.feed(message) == message
    assert client.dropped == 0


@pytest.mark.parametrize("message", DOING)
def test_doing_is_the_controllers(message: bytes) -> None:
    assert ClientFilter("control").feed(message + UPDATE) == message + UPDATE
    viewer = ClientFilter("view")
    assert viewer.feed(message + UPDATE) == UPDATE
    assert viewer.dropped == 1
    assert viewer.release_all() == b""


@pytest.mark.parametrize("role", ["control", "view"])
def test_nobody_shuts_the_machine_down(role: Role) -> None:
    client = ClientFilter(role)
    assert client.feed(XVP + UPDATE) == UPDATE
    assert client.dropped == 1


def test_extended_mouse_buttons_are_never_agreed_on() -> None:
    assert ClientFilter("control").feed(encodings(7, -316, -239)) == encodings(7, -239)
    assert ClientFilter("control").feed(encodings(-316)) == encodings()


def test_held_keys_and_buttons_are_released() -> None:
    client = ClientFilter("control")
    client.feed(key(0xFFE1, True) + qemu_key(0x62, 48, True) + key(0x61, True) + key(0x61, False) + pointer(5, 7, 9))
    released = client.release_all()
    assert released == qemu_key(0x62, 48, False) + key(0xFFE1, False) + pointer(0, 7, 9)
    assert client.release_all() == b""


def test_what_was_released_is_not_released_again() -> None:
    client = ClientFilter("control")
    client.feed(key(0x61, True) + key(0x61, True) + key(0x61, False) + pointer(1) + pointer(0))
    assert client.release_all() == b""


def test_more_keys_than_hands_are_not_pressed() -> None:
    client = ClientFilter("control")
    client.feed(b"".join(key(0x100 + n, True) for n in range(MAX_HELD_KEYS)))
    assert client.feed(key(0x61, True)) == b""
    assert client.feed(key(0x100, True)) == key(0x100, True)
    assert client.feed(key(0x100, False) + key(0x61, True)) == key(0x100, False) + key(0x61, True)
    assert client.dropped == 1
    assert len(client.release_all()) == MAX_HELD_KEYS * 8


@pytest.mark.parametrize("role", ["control", "view"])
def test_cut_text_goes_no_further_and_is_not_kept(role: Role) -> None:
    client = ClientFilter(role)
    assert client.feed(CUT + UPDATE + EXTENDED_CUT + UPDATE) == UPDATE + UPDATE
    assert client.feed(pack("!B3xi", 6, MAX_CUT_TEXT_BYTES)) == b""
    for _ in range(MAX_CUT_TEXT_BYTES // 4096):
        assert client.feed(b"x" * 4096) == b""
    assert client.feed(UPDATE) == UPDATE
    assert client.dropped == 3


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x01",
        b"\x07",
        b"\x80",
        b"GET / HTTP/1.1\r\n",
        pack("!BxH", 2, MAX_ENCODINGS + 1),
        pack("!B3xi", 6, MAX_CUT_TEXT_BYTES + 1),
        pack("!B3xi", 6, -MAX_CUT_TEXT_BYTES - 1),
        pack("!B3xi", 6, -(2**31)),
        pack("!B3xi", 6, -3),
        pack("!B3xIB", 248, 0, 65),
        pack("!BxHHBx", 251, 1, 1, 17),
        b"\xff\x01",
    ],
)
@pytest.mark.parametrize("role", ["control", "view"])
def test_nonsense_ends_it(nonsense: bytes, role: Role) -> None:
    client = ClientFilter(role)
    assert client.feed(UPDATE + nonsense) == UPDATE
    assert isinstance(client.failure, VncError)
    assert client.feed(UPDATE) == b""


def test_held_keys_are_released_after_nonsense_too() -> None:
    client = ClientFilter("control")
    client.feed(key(0x61, True) + b"\x63")
    assert client.failure is not None
    assert client.release_all() == key(0x61, False)


MESSAGES = st.lists(st.sampled_from([*VIEWING, *DOING, XVP, encodings(-316, 7), b"\x63"]), max_size=20).map(b"".join)
ROLES = st.sampled_from(["control", "view"])


@given(MESSAGES | st.binary(max_size=400), ROLES, st.lists(st.integers(1, 9), min_size=1, max_size=20))
def test_pieces_give_what_the_whole_gives(data: bytes, role: Role, sizes: list[int]) -> None:
    whole, byte_wise, piece_wise = ClientFilter(role), ClientFilter(role), ClientFilter(role)
    expected = whole.feed(data)
    assert b"".join(byte_wise.feed(data[at : at + 1]) for at in range(len(data))) == expected
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(data[at : at + size])
        at += size
    assert b"".join(map(piece_wise.feed, pieces)) == expected
    for other in (byte_wise, piece_wise):
        assert other.dropped == whole.dropped
        assert str(other.failure) == str(whole.failure)
    assert whole.release_all() == byte_wise.release_all() == piece_wise.release_all()


@given(MESSAGES)
def test_a_viewer_without_control_only_looks(data: bytes) -> None:
    out = ClientFilter("view").feed(data)
    again = ClientFilter("view")
    assert again.feed(out) == out
    assert again.dropped == 0
