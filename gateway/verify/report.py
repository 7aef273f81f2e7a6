"""What a verification found. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Check", "Report"]


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    ok: bool
    detail: str
    """What was seen, in a line."""
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    session: str
    timings: dict[str, float] = field(default_factory=dict)
    accelerator: str = ""
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "session": self.session,
            "accelerator": self.accelerator,
            "timings": self.timings,
            "checks": [asdict(check) for check in self.checks],
        }
