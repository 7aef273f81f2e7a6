"""Every state and every event of the lifecycle table."""

from __future__ import annotations

import pytest

from gateway.sessions.lifecycle import ENDED, TRANSITIONS, BadTransition, Event, State, step

EXPECTED: dict[tuple[State, Event], State] = {
    (State.CREATING, Event.SPAWNED): State.BOOTING,
    (State.CREATING, Event.FAIL): State.FAILED,
    (State.CREATING, Event.STOP): State.STOPPING,
    (State.BOOTING, Event.IDENTIFIED): State.ASSIGNING,
    (State.BOOTING, Event.FAIL): State.FAILED,
    (State.BOOTING, Event.STOP): State.STOPPING,
    (State.ASSIGNING, Event.UP): State.READY,
    (State.ASSIGNING, Event.FAIL): State.FAILED,
    (State.ASSIGNING, Event.STOP): State.STOPPING,
    (State.READY, Event.FAIL): State.FAILED,
    (State.READY, Event.STOP): State.STOPPING,
    (State.STOPPING, Event.RELEASED): State.STOPPED,
    (State.STOPPING, Event.FAIL): State.FAILED,
    (State.STOPPING, Event.STOP): State.STOPPING,
    (State.FAILED, Event.STOP): State.STOPPING,
    (State.STOPPED, Event.STOP): State.STOPPED,
}

EVERY = [(state, event) for state in State for event in Event]


@pytest.mark.parametrize(("state", "event"), EVERY, ids=[f"{s.value}-{e.value}" for s, e in EVERY])
def test_every_state_and_event(state: State, event: Event) -> None:
    if (state, event) in EXPECTED:
        assert step(state, event) is EXPECTED[(state, event)]
    else:
        with pytest.raises(BadTransition) as caught:
            step(state, event)
        assert (caught.value.state, caught.value.event) == (state, event)


def test_every_state_has_a_row_and_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {State.CREATING} | {after for row in TRANSITIONS.values() for after in row.values()}
    assert reached == set(State)


@pytest.mark.parametrize("state", State)
def test_a_stop_always_leads_to_an_end(state: State) -> None:
    after = step(state, Event.STOP)
    if after is State.STOPPING:
        after = step(after, Event.RELEASED)
    assert after is State.STOPPED
    assert after in ENDED
