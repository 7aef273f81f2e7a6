"""The session's lifecycle as one table. Pure.

::

    creating ──SPAWNED──> booting ──IDENTIFIED──> assigning ──UP──> ready
        │                    │                        │               │
        └────────────────────┴───────── STOP ─────────┴───────────────┴──> stopping ──RELEASED──> stopped
                                        FAIL: from each of these, and from stopping, to failed
                                        failed ──STOP──> stopping

A session is ``failed`` or ``stopped`` only after everything it held has been released, so seeing either
state means that nothing of it is left. Everything that changes a state stands in ``TRANSITIONS``.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["ENDED", "STARTING", "TRANSITIONS", "BadTransition", "Event", "State", "step"]


class State(Enum):
    CREATING = "creating"
    """Accepted; its network and its disk are being made."""
    BOOTING = "booting"
    """The machine's process runs; the guest has not yet spoken."""
    ASSIGNING = "assigning"
    """The guest has spoken and been given an identity; its agent and x11vnc are coming up."""
    READY = "ready"
    """The agent is up and x11vnc served its banner."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Event(Enum):
    SPAWNED = "spawned"
    """The driver started the machine and the link is open."""
    IDENTIFIED = "identified"
    """The guest answered hello and took its identity."""
    UP = "up"
    """Agent notification and RFB banner were both seen."""
    FAIL = "fail"
    """An error ended it, and its resources were released."""
    STOP = "stop"
    """Somebody asked for its end."""
    RELEASED = "released"
    """Everything it held is gone."""


class BadTransition(Exception):
    """An event in a state that has no entry for it: a mistake in this gateway, never a caller's."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.value} in state {state.value}")
        self.state = state
        self.event = event


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.CREATING: {Event.SPAWNED: State.BOOTING, Event.FAIL: State.FAILED, Event.STOP: State.STOPPING},
    State.BOOTING: {Event.IDENTIFIED: State.ASSIGNING, Event.FAIL: State.FAILED, Event.STOP: State.STOPPING},
    State.ASSIGNING: {Event.UP: State.READY, Event.FAIL: State.FAILED, Event.STOP: State.STOPPING},
    State.READY: {Event.FAIL: State.FAILED, Event.STOP: State.STOPPING},
    State.STOPPING: {Event.RELEASED: State.STOPPED, Event.FAIL: State.FAILED, Event.STOP: State.STOPPING},
    State.FAILED: {Event.STOP: State.STOPPING},
    State.STOPPED: {Event.STOP: State.STOPPED},
}

STARTING = frozenset({State.CREATING, State.BOOTING, State.ASSIGNING})
"""States on the way to READY."""
ENDED = frozenset({State.STOPPED, State.FAILED})
"""States in which a session holds nothing."""


def step(state: State, event: Event) -> State:
    """The state after ``event``.

    Raises:
        BadTransition: the table has no entry.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise BadTransition(state, event) from None
