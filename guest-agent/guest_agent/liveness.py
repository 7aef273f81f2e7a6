"""Signs of life: a process beside this one says that it goes on, and one that falls silent may be hung. Pure.

Silent is not hung: on a starved host an agent that works, or that waits for a processor, may not come to say so for
seconds, and to kill it would cut off its viewers. So a silent one is looked at, and counts as hung when it has been
stopped, when look after look it has done nothing, or when it has been silent beyond all measure.

Silence is counted in looks, not in seconds: where all processors stand still (a paused machine) nobody looks, and a
look that comes late counts once.
"""

from __future__ import annotations

__all__ = ["BEAT_S", "BUSY_S", "STILL_LOOKS", "Silence"]

BEAT_S = 0.5
"""Between two signs, and between two looks."""
STILL_LOOKS = 3
"""So many in a row without a sign and without work, and it is hung: 2 to 2.5 s after its last sign."""
BUSY_S = 30.0
"""Without a sign for so long it is hung, however much it works."""
STOPPED, WORKING = "T", "RD"
"""States (proc_pid_stat(5)): it does not go on by itself; it runs, or waits for a processor or the disk."""


class Silence:
    """``now`` is any clock's, in s."""

    def __init__(self) -> None:
        self._look_at: float | None = None
        self._heard = False
        self._since: float | None = None
        self._ticks = 0
        self._still = 0

    def begin(self, now: float) -> None:
        """There is one now."""
        self._look_at = now + BEAT_S
        self.heard()

    def heard(self) -> None:
        """It gave a sign."""
        self._heard, self._since, self._still = True, None, 0

    def end(self) -> None:
        """There is none any more, or what it does is of no interest."""
        self._look_at = None

    def deadline(self) -> float | None:
        """When look() is due."""
        return self._look_at

    def look(self, now: float) -> bool:
        """Whether it has given no sign since the last look: then call :meth:`see`."""
        if self._look_at is None or now < self._look_at:
            return False
        self._look_at = now + BEAT_S
        heard, self._heard = self._heard, False
        return not heard

    def see(self, scheduled: str, ticks: int, now: float) -> bool:
        """Whether it is hung, told once.

        Args:
            scheduled: the state of its main thread.
            ticks: processor time that it has taken.
        """
        if self._look_at is None:
            return False
        first = self._since is None
        since = self._since = now if self._since is None else self._since
        worked = first or scheduled in WORKING or ticks != self._ticks
        self._ticks = ticks
        self._still = 0 if worked else self._still + 1
        if scheduled != STOPPED and self._still < STILL_LOOKS and now - since < BUSY_S:
            return False
        self.end()
        return True
