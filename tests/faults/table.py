"""What each fault did: one row, judged by what it may cost, and the table of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Loss", "Row", "markdown"]


class Loss(StrEnum):
    """What a person can lose."""

    CHROMIUM = "Chromium's tabs"
    TERMINAL = "the terminal and what runs in it"
    PROGRAMS = "programs in the background"
    FILES = "files"
    BOOT = "all that runs"
    SESSION = "the session"
    CONNECTIONS = "the guest's connections"


@dataclass(frozen=True, slots=True)
class Row:
    fault: str
    how: str
    saw: str
    """What a viewer by WebRTC saw."""
    back_s: float
    bound_s: float
    lost: frozenset[Loss]
    allowed: frozenset[Loss]
    told: str
    """The reasons that the session's health gave, or its end."""

    def beyond(self, patience: float = 1.0) -> list[str]:
        """What is beyond what it may cost. ``patience``: times its bound, which a host that does more may need."""
        found = [f"lost {loss.value}" for loss in sorted(self.lost - self.allowed)]
        if self.back_s > self.bound_s * patience:
            found.append(f"back after {self.back_s:.1f} s, allowed are {self.bound_s:g} s")
        return found


def markdown(rows: Sequence[Row]) -> str:
    """As a table, in the order of the rows."""
    head = ("fault", "how", "what a viewer saw", "told", "back", "bound", "lost", "may be lost")
    body = [
        (row.fault, row.how, row.saw, row.told or "-", f"{row.back_s:.1f} s", f"{row.bound_s:g} s",
         _words(row.lost), _words(row.allowed)) for row in rows
    ]  # fmt: skip
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *body)) + "\n"


def _words(losses: frozenset[Loss]) -> str:
    return ", ".join(loss.value for loss in sorted(losses)) or "nothing"
