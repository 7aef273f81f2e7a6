"""What doctor has found out about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Finding", "Grade"]


class Grade(Enum):
    OK = "ok"
    WARN = "warn"
    """Works, with a limit that a person should know."""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    name: str
    grade: Grade
    detail: str
    mend: str = ""
    """A command, or what to change."""
