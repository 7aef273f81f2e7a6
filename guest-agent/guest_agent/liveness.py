"""Signs of life: a process beside this one says that it goes on, and one that falls silent is hung. Pure.

Silence is counted in looks, not in seconds. A guest whose processors stand still (a paused machine, a starved host)
hears nothing, but does not look either, and a look that comes late counts once.
"""

from __future__ import annotations

__all__ = ["BEAT_S", "SILENT_LOOKS", "YOUNG_S", "Silence"]

BEAT_S = 0.5
"""Between two signs, and between two looks."""
SILENT_LOOKS = 4
"""So many in a row, and it is hung: 1.5 to 2 s after its last sign."""
YOUNG_S = 10.0
"""One that is younger is not judged: on a guest that starts, what runs for the first time may take seconds."""


class Silence:
    """``now`` is any clock's, in s."""

    def __init__(self) -> None:
        self._born = 0.0
        self._look_at: float | None = None
        self._silent = 0

    def begin(self, now: float) -> None:
        """There is one now."""
        self._born, self._look_at, self._silent = now, now + BEAT_S, 0

    def heard(self) -> None:
        """It gave a sign."""
        self._silent = 0

    def end(self) -> None:
        """There is none any more, or what it does is of no interest."""
        self._look_at = None

    def deadline(self) -> float | None:
        """When look() is due."""
        return self._look_at

    def look(self, now: float) -> bool:
        """Whether it is hung, told once."""
        if self._look_at is None or now < self._look_at:
            return False
        self._look_at = now + BEAT_S
        self._silent = 0 if now - self._born < YOUNG_S else self._silent + 1
        if self._silent < SILENT_LOOKS:
            return False
        self.end()
        return True
