"""The session's lifecycle as one table. Pure.

::

    creating ──SPAWNED──> booting ────IDENTIFIED──> assigning ──UP──> ready
        └───RESTORED──> restoring ────IDENTIFIED──────┘ ^              │ │ ^
                             ^ ^                        │    SUSPEND ──┘ │ │
                             │ └── REBOOT (to booting) ─┼────────────────┘ │
                             │                          │                  │
              suspended ──RESUME──> resuming ──IDENTIFIED                  │
                  ^ ^                   └── REFUSED ──┐                    │
                  │ └─────────────────────────────────┘                    │
                  └── SAVED ── suspending ── KEPT ─────────────────────────┘

    STOP: from each of these to stopping ──RELEASED──> stopped
    FAIL: from each of these, and from stopping, to failed ──STOP──> stopping

A session is ``failed`` or ``stopped`` only after everything it held has been released, so seeing either
state means that nothing of it is left. Everything that changes a state stands in ``TRANSITIONS``.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["ENDED", "IDLE", "STARTING", "TRANSITIONS", "BadTransition", "Event", "State", "step"]


class State(Enum):
    CREATING = "creating"
    """Accepted; its network and its disk are being made."""
    BOOTING = "booting"
    """The machine's process runs; the guest has not yet spoken."""
    RESTORING = "restoring"
    """As booting, for a clone of a desktop that runs already."""
    ASSIGNING = "assigning"
    """The guest has spoken and been given an identity; its agent and x11vnc are coming up."""
    READY = "ready"
    """The agent is up and x11vnc served its banner."""
    SUSPENDING = "suspending"
    """Its memory is being written to disk."""
    SUSPENDED = "suspended"
    """All that is left of it is on disk."""
    RESUMING = "resuming"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Event(Enum):
    SPAWNED = "spawned"
    """The driver started the machine and the link is open."""
    RESTORED = "restored"
    """As SPAWNED, for a clone and for a machine that waited in the pool."""
    IDENTIFIED = "identified"
    """The guest answered hello and took its identity."""
    UP = "up"
    """Agent notification and RFB banner were both seen."""
    REBOOT = "reboot"
    """The guest rebooted; its disk is booted again."""
    SUSPEND = "suspend"
    SAVED = "saved"
    """The suspend came to its end, and the machine is gone."""
    KEPT = "kept"
    """The suspend failed, and the machine goes on."""
    RESUME = "resume"
    REFUSED = "refused"
    """The resume failed, and nothing is lost by it."""
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


_ENDS = {Event.FAIL: State.FAILED, Event.STOP: State.STOPPING}

TRANSITIONS: dict[State, dict[Event, State]] = {
    State.CREATING: {Event.SPAWNED: State.BOOTING, Event.RESTORED: State.RESTORING, **_ENDS},
    State.BOOTING: {Event.IDENTIFIED: State.ASSIGNING, **_ENDS},
    State.RESTORING: {Event.IDENTIFIED: State.ASSIGNING, **_ENDS},
    State.ASSIGNING: {Event.UP: State.READY, **_ENDS},
    State.READY: {Event.SUSPEND: State.SUSPENDING, Event.REBOOT: State.BOOTING, **_ENDS},
    State.SUSPENDING: {Event.SAVED: State.SUSPENDED, Event.KEPT: State.READY, **_ENDS},
    State.SUSPENDED: {Event.RESUME: State.RESUMING, **_ENDS},
    State.RESUMING: {
        Event.IDENTIFIED: State.ASSIGNING,
        # Its memory is of no use; its disk is.
        Event.SPAWNED: State.BOOTING,
        Event.REFUSED: State.SUSPENDED,
        **_ENDS,
    },
    State.STOPPING: {Event.RELEASED: State.STOPPED, Event.FAIL: State.FAILED, Event.STOP: State.STOPPING},
    State.FAILED: {Event.STOP: State.STOPPING},
    State.STOPPED: {Event.STOP: State.STOPPED},
}

STARTING = frozenset({State.CREATING, State.BOOTING, State.RESTORING, State.ASSIGNING, State.RESUMING})
"""States on the way to READY."""
ENDED = frozenset({State.STOPPED, State.FAILED})
"""States in which a session holds nothing."""
IDLE = ENDED | {State.SUSPENDED}
"""States in which it takes neither memory nor a processor."""


def step(state: State, event: Event) -> State:
    """The state after ``event``.

    Raises:
        BadTransition: the table has no entry.
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise BadTransition(state, event) from None
