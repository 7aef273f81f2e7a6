"""How long a silent noVNC viewer may hold something."""

from __future__ import annotations

from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from gateway.vnc.lease import LEASE_S, Lease
from gateway.vnc.rfb import ClientFilter
from guest_agent.input import state

BEAT = b""
UPDATE = pack("!BBHHHH", 3, 1, 0, 0, 1280, 720)


def key(down: bool, keysym: int = 0x61) -> bytes:
    return pack("!BBxxI", 4, down, keysym)


def pointer(buttons: int) -> bytes:
    return pack("!BBHH", 5, buttons, 3, 4)


class Viewer:
    def __init__(self) -> None:
        self.client = ClientFilter("control")
        self.lease = Lease(self.client, 2.0)

    def says(self, data: bytes, now: float) -> None:
        self.client.feed(data)
        self.lease.heard(data, now)


def test_both_transports_have_one_lease() -> None:
    assert LEASE_S == state.LEASE_S


def test_keys_and_buttons_go_up_after_a_silent_lease() -> None:
    viewer = Viewer()
    viewer.says(BEAT, 10.0)
    assert viewer.lease.deadline() is None, "it holds nothing"
    viewer.says(key(True) + pointer(1), 10.1)
    assert viewer.lease.deadline() == 12.1
    assert viewer.lease.expire(12.0) == b""
    assert viewer.lease.expire(12.1) == key(False) + pointer(0)
    assert viewer.lease.ended == 1
    assert viewer.lease.deadline() is None
    assert viewer.lease.expire(99.0) == b""


def test_whatever_comes_renews_it() -> None:
    viewer = Viewer()
    viewer.says(BEAT, 0.0)
    viewer.says(key(True), 0.0)
    for at, message in enumerate((BEAT, UPDATE, key(True), UPDATE[:3], UPDATE[3:])):
        viewer.says(message, float(at + 1))
        assert viewer.lease.deadline() == at + 3.0


def test_a_viewer_without_heartbeats_has_none_until_its_first() -> None:
    viewer = Viewer()
    viewer.says(key(True), 0.0)
    assert viewer.lease.deadline() is None
    assert viewer.lease.expire(1000.0) == b""
    viewer.says(BEAT, 1000.0)
    assert viewer.lease.deadline() == 1002.0


def test_it_begins_anew_when_the_viewer_comes_back() -> None:
    viewer = Viewer()
    viewer.says(BEAT, 0.0)
    viewer.says(key(True), 0.0)
    viewer.lease.expire(5.0)
    viewer.says(key(True), 9.0)
    assert viewer.lease.deadline() == 11.0
    viewer.client.control(False)
    assert viewer.lease.deadline() is None, "released already, with control"


_EVENTS = st.lists(
    st.tuples(
        st.sampled_from([BEAT, UPDATE, key(True), key(False), key(True, 0xFFE1), pointer(1), pointer(0)]),
        st.floats(0.0, 5.0),
    )
)


@given(_EVENTS)
def test_nothing_is_held_a_lease_after_the_last_sign_of_life(events: list[tuple[bytes, float]]) -> None:
    viewer = Viewer()
    viewer.says(BEAT, 0.0)
    now = 0.0
    for message, pause_s in events:
        now += pause_s
        viewer.lease.expire(now)
        if pause_s >= 2.0:
            assert not viewer.client.holds
        viewer.says(message, now)
    viewer.lease.expire(now + 2.0)
    assert not viewer.client.holds
