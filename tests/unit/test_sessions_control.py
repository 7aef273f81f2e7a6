"""Who controls: one at most, handed over by request, kept through a reload."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from gateway.errors import Conflict, Forbidden, GatewayError
from gateway.sessions.control import (
    DENIED_S,
    GRANT_AFTER_S,
    RECALL_S,
    RETURN_S,
    Connection,
    Control,
    Transport,
    Viewer,
    name_of,
)

ANN, BEN, CEM = (Viewer(letter * 32, "control") for letter in "abc")
WATCHER = Viewer("d" * 32, "view")


def joined(control: Control, viewer: Viewer, now: float = 0.0, key: str = "", by: Transport = "webrtc") -> str:
    key = key or f"{viewer.id[0]}-{by}"
    control.joined(Connection(key, viewer, by), now)
    return key


def test_the_first_who_may_control_does() -> None:
    control = Control()
    watching = joined(control, WATCHER)
    assert control.controller is None
    ann, ben = joined(control, ANN), joined(control, BEN)
    assert control.controller == ANN
    assert [control.controls(key) for key in (watching, ann, ben)] == [False, True, False]
    assert [(seat.name, seat.number, seat.role) for seat in control.seats()] == [
        ("dddddddd", 1, "view"),
        ("aaaaaaaa", 2, "control"),
        ("bbbbbbbb", 3, "control"),
    ]


def test_a_request_is_granted_by_the_one_who_controls() -> None:
    control = Control()
    joined(control, ANN)
    joined(control, BEN)
    control.request(BEN, 1)
    control.request(BEN, 2)
    assert control.requests == [name_of(BEN.id)]
    control.grant(ANN, None, 3)
    assert (control.controller, control.requests, control.deadline()) == (BEN, [], None)


def test_a_request_that_nobody_answers_is_granted() -> None:
    control = Control()
    joined(control, ANN)
    joined(control, BEN)
    control.request(BEN, 5)
    assert control.deadline() == 5 + GRANT_AFTER_S
    control.tick(5 + GRANT_AFTER_S - 0.1)
    assert control.controller == ANN
    control.tick(5 + GRANT_AFTER_S)
    assert control.controller == BEN


def test_who_was_denied_may_not_ask_again_at_once() -> None:
    control = Control()
    joined(control, ANN)
    joined(control, BEN)
    control.request(BEN, 0)
    control.deny(ANN, None, 1)
    assert (control.controller, control.requests, control.deadline()) == (ANN, [], None)
    with pytest.raises(Conflict, match="denied"):
        control.request(BEN, DENIED_S)
    control.request(BEN, 1 + DENIED_S)
    assert control.requests == [name_of(BEN.id)]


def test_released_control_goes_to_who_asked_first_and_else_to_nobody() -> None:
    control = Control()
    for viewer in (ANN, BEN, CEM):
        joined(control, viewer)
    control.request(CEM, 0)
    control.request(BEN, 1)
    control.release(ANN, 2)
    assert control.controller == CEM
    # Ben asked Ann, and has to ask Cem.
    assert control.requests == []
    control.release(CEM, 3)
    assert control.controller is None
    assert control.controller_peer is None
    control.request(ANN, 4)
    assert control.controller == ANN


def test_only_the_one_who_controls_and_the_api_key_hand_over() -> None:
    control = Control()
    joined(control, ANN)
    joined(control, BEN)
    joined(control, WATCHER)
    for act in (control.grant, control.deny):
        with pytest.raises(Forbidden):
            act(BEN, None, 0)
    with pytest.raises(Forbidden):
        control.release(WATCHER, 0)
    # The id without the role is somebody else.
    with pytest.raises(Forbidden):
        control.release(Viewer(ANN.id, "view"), 0)
    with pytest.raises(Conflict, match="nobody asks"):
        control.grant(ANN, None, 0)
    with pytest.raises(Conflict, match="dddddddd"):
        control.grant(ANN, name_of(WATCHER.id), 0)
    control.grant(None, name_of(BEN.id), 0)
    assert control.controller == BEN


def test_a_view_token_never_asks() -> None:
    control = Control()
    joined(control, WATCHER)
    with pytest.raises(Forbidden, match="view token"):
        control.request(WATCHER, 0)
    with pytest.raises(Conflict, match="picture"):
        control.request(ANN, 0)


def test_a_reload_keeps_control() -> None:
    control = Control()
    key = joined(control, ANN)
    joined(control, BEN)
    control.left(key, 10)
    assert control.controller == ANN
    joined(control, CEM, 10 + RETURN_S - 0.1)
    assert control.controller == ANN
    joined(control, ANN, 10 + RETURN_S - 0.1, "another")
    control.tick(1000)
    assert control.controller == ANN
    assert control.controller_peer == "another"


def test_one_who_does_not_come_back_makes_room() -> None:
    control = Control()
    key = joined(control, ANN)
    for viewer in (BEN, CEM):
        joined(control, viewer)
    control.left(key, 10)
    control.request(CEM, 11)
    assert control.deadline() == 10 + RETURN_S
    control.tick(10 + RETURN_S)
    assert control.controller == CEM
    joined(control, ANN, 100)
    control.left("c-webrtc", 100)
    control.tick(100 + RETURN_S)
    assert control.controller == BEN  # Nobody asked: who came first.


def test_who_comes_back_is_asked_anew() -> None:
    control = Control()
    key = joined(control, ANN)
    joined(control, BEN)
    control.left(key, 10)
    control.request(BEN, 10)
    joined(control, ANN, 14, "again")
    assert control.deadline() == 14 + GRANT_AFTER_S


def test_a_viewer_with_two_transports_is_one() -> None:
    control = Control()
    vnc = joined(control, ANN, by="novnc")
    assert control.controller_peer is None
    rtc = joined(control, ANN)
    assert control.controls(vnc)
    assert control.controls(rtc)
    assert control.controller_peer == rtc
    assert [(seat.number, seat.transport) for seat in control.seats()] == [(1, "webrtc")]
    control.left(vnc, 100)
    control.tick(1000)
    assert control.controller == ANN


def test_a_restarted_gateway_knows_who_controlled() -> None:
    control = Control()
    control.recall(BEN.id, 0)
    joined(control, ANN, 1)
    assert control.controller == BEN
    assert control.deadline() == RECALL_S
    joined(control, BEN, RECALL_S - 1)
    control.tick(1000)
    assert control.controller == BEN


def test_numbers_are_used_again() -> None:
    control = Control()
    key = joined(control, ANN)
    joined(control, BEN)
    control.left(key, 0)
    joined(control, CEM)
    assert {seat.name[0]: seat.number for seat in control.seats()} == {"b": 2, "c": 1}


VIEWERS = [*(Viewer(letter * 32, role) for letter in "ab" for role in ("control", "view")), CEM]


class Anything(RuleBasedStateMachine):
    """Any events in any order, by anybody, at any time."""

    connections: Any = Bundle("connections")

    def __init__(self) -> None:
        super().__init__()
        self.control = Control()
        self.now = 0.0
        self.made = 0
        self.here: dict[str, Viewer] = {}
        self.away_since: float | None = None

    @rule(seconds=st.sampled_from([0.0, 0.5, RETURN_S, GRANT_AFTER_S, DENIED_S]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def the_timer_fires(self) -> None:
        deadline = self.control.deadline()
        if deadline is not None:
            self.now = max(self.now, deadline)
            self.control.tick(self.now)
            assert self.control.deadline() is None or self.control.deadline() > self.now  # type: ignore[operator]

    @rule(
        target=connections, viewer=st.sampled_from(VIEWERS), transport=st.sampled_from(["webrtc", "novnc"])
    )  # A connection's own id is never used twice.
    def somebody_comes(self, viewer: Viewer, transport: Transport) -> str:
        self.made += 1
        key = f"connection-{self.made}"
        self.control.joined(Connection(key, viewer, transport), self.now)
        self.here[key] = viewer
        return key

    @rule(key=consumes(connections))
    def somebody_leaves(self, key: str) -> None:
        self.control.left(key, self.now)
        del self.here[key]

    @rule(viewer=st.sampled_from(VIEWERS))
    def somebody_asks(self, viewer: Viewer) -> None:
        try:
            self.control.request(viewer, self.now)
        except (Forbidden, Conflict):
            assert viewer != self.control.controller or viewer not in self.here.values()

    @rule(
        what=st.sampled_from(["grant", "deny", "release"]),
        by=st.sampled_from([None, *VIEWERS]),
        to=st.sampled_from([None, *(name_of(viewer.id) for viewer in VIEWERS)]),
    )
    def somebody_rules(self, what: str, by: Viewer | None, to: str | None) -> None:
        self.control.tick(self.now)
        before = (self.control.controller, self.control.requests)
        try:
            if what == "release":
                self.control.release(by, self.now)
            else:
                getattr(self.control, what)(by, to, self.now)
        except GatewayError:
            assert (self.control.controller, self.control.requests) == before
        else:
            assert by in (None, before[0])

    @invariant()
    def one_controls_at_most(self) -> None:
        controlling = {viewer for key, viewer in self.here.items() if self.control.controls(key)}
        assert len(controlling) <= 1
        assert all(viewer.role == "control" for viewer in controlling)
        assert controlling <= {self.control.controller}

    @invariant()
    def what_it_says_is_so(self) -> None:
        control = self.control
        assert {key: one.viewer for key, one in control.connections.items()} == self.here
        assert len({seat.number for seat in control.seats()}) == len(set(self.here.values()))
        peer = control.controller_peer
        assert peer is None or control.controls(peer)
        present = {name_of(viewer.id) for viewer in self.here.values() if viewer.role == "control"}
        assert set(control.requests) <= present
        if control.controller is not None:
            assert name_of(control.controller.id) not in control.requests

    @invariant()
    def nobody_absent_controls_for_long(self) -> None:
        controller = self.control.controller
        if controller is not None and controller not in self.here.values():
            assert self.control.deadline() is not None


TestAnything = Anything.TestCase


def test_input_stays_with_the_connection_that_works_while_another_is_tried() -> None:
    control = Control()
    control.joined(Connection("old", ANN, "webrtc"), 0)
    control.connected("old")
    control.joined(Connection("trial", ANN, "webrtc"), 1)
    assert control.controller_peer == "old"
    control.left("trial", 2)
    control.joined(Connection("better", ANN, "webrtc"), 3)
    control.connected("better")
    assert control.controller_peer == "better"
    control.left("better", 4)
    assert control.controller_peer == "old"
