"""Every state and every event of the lifecycle table."""

from __future__ import annotations

import pytest

from gateway.sessions.lifecycle import ENDED, TRANSITIONS, BadTransition, Event, State, step

LIVING = [state for state in State if state not in (State.STOPPING, State.STOPPED, State.FAILED)]

EXPECTED: dict[tuple[State, Event], State] = {
    **{(state, Event.FAIL): State.FAILED for state in LIVING},
    **{(state, Event.STOP): State.STOPPING for state in LIVING},
    (State.CREATING, Event.SPAWNED): State.BOOTING,
    (State.CREATING, Event.RESTORED): State.RESTORING,
    (State.BOOTING, Event.IDENTIFIED): State.ASSIGNING,
    (State.RESTORING, Event.IDENTIFIED): State.ASSIGNING,
    (State.ASSIGNING, Event.UP): State.READY,
    (State.READY, Event.SUSPEND): State.SUSPENDING,
    (State.READY, Event.REBOOT): State.BOOTING,
    (State.SUSPENDING, Event.SAVED): State.SUSPENDED,
    (State.SUSPENDING, Event.KEPT): State.READY,
    (State.SUSPENDED, Event.RESUME): State.RESUMING,
    (State.RESUMING, Event.IDENTIFIED): State.ASSIGNING,
    (State.RESUMING, Event.SPAWNED): State.BOOTING,
    (State.RESUMING, Event.REFUSED): State.SUSPENDED,
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
