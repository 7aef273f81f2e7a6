"""Which part of the desktop hangs, by what was seen of it look after look. Pure.

What hangs gives no answer and takes no processor time either. One that gives none and works is busy: a browser with a
heavy page on an emulated processor may be so for long, and to kill it would cost a person their work. So is one that
waits for a processor (R) or a disk (D). One that a signal has stopped (T) needs only be told to go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["BUSY_S", "HUNG_LOOKS", "START_S", "Judge", "Part", "Remedy", "Sight", "State"]

HUNG_LOOKS = 2
"""Looks in a row without an answer and without work, and it is hung."""
BUSY_S = 60.0
"""Without an answer for so long it is hung, however much it works."""
START_S = 15.0
"""After it was started it is not judged for so long: a program that starts answers nobody."""
GONE_S = 60.0
"""What was there and is not for so long, while its unit is neither started nor stopped, will not come by itself."""


class Part(StrEnum):
    X = "x"
    WM = "wm"
    CHROMIUM = "chromium"
    VNC = "vnc"


class State(StrEnum):
    OK = "ok"
    BUSY = "busy"
    HUNG = "hung"
    GONE = "gone"


class Remedy(StrEnum):
    CONTINUE = "told to go on"
    RESTART = "started again"


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look showed of a part."""

    pid: int | None
    """Its main process; None: there is none."""
    answers: bool
    ticks: int = 0
    """Processor time that it has taken (proc_pid_stat(5): utime + stime)."""
    scheduled: str = "S"
    """State of its main thread, of the same page."""
    unit: int | None = None
    """Its unit's first process, where that is another."""


class Judge:
    """One part. ``now`` is any clock's, in s.

    Args:
        needed: it should always be there; a person may close the others.
    """

    def __init__(self, *, needed: bool) -> None:
        self.state = State.OK
        self.repairs = 0
        """How often it was found stopped, hung or gone, and something done about it."""
        self.starts = 0
        """How often its process was another one."""
        self._needed = needed
        self._pid: int | None = None
        self._unit: int | None = None
        self._ticks = 0
        self._answered_at: float | None = None
        self._since = float("-inf")
        self._silent = 0

    def saw(self, sight: Sight, now: float) -> Remedy | None:
        """What is to be done about it now."""
        if sight.pid is None:
            return self._miss(sight.unit, now)
        if sight.pid != self._pid:
            self.starts += self._pid is not None
            self._pid, self._since, self._silent = sight.pid, now, 0
            self._answered_at = None if sight.answers else now
        worked = sight.ticks != self._ticks or sight.scheduled in "RD"
        self._ticks = sight.ticks
        if sight.scheduled == "T":
            return self._repair(State.HUNG, Remedy.CONTINUE, now)
        if sight.answers:
            self._answered_at, self._silent, self.state = now, 0, State.OK
            return None
        if now - self._since < START_S and self._silent == 0 and worked:
            # It starts.
            return None
        self._silent = 0 if worked else self._silent + 1
        since = self._answered_at if self._answered_at is not None else now
        if self._silent < HUNG_LOOKS and now - since < BUSY_S:
            self.state = State.BUSY
            return None
        return self._repair(State.HUNG, Remedy.RESTART, now)

    def _miss(self, unit: int | None, now: float) -> Remedy | None:
        if self.state is not State.GONE or unit != self._unit:
            self.state, self._unit, self._since = State.GONE, unit, now
        # One that was never there is still being started, however slow the guest is.
        expected = self._needed and self._pid is not None
        if expected and now - self._since >= GONE_S:
            return self._repair(State.GONE, Remedy.RESTART, now)
        return None

    def _repair(self, state: State, remedy: Remedy, now: float) -> Remedy:
        self.state, self._since, self._silent, self._answered_at = state, now, 0, now
        self.repairs += 1
        return remedy
