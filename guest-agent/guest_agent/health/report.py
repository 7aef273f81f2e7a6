"""What the health service has seen last, in a file that the zygote reads for the gateway."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["disk_percent", "memory_percent", "read_report", "write_report"]

NAME = "health.json"
MAX_BYTES = 16 * 1024


def write_report(run: Path, report: Mapping[str, Any]) -> None:
    """Whole or not at all; the folder is in memory, so that a full disk does not matter. Raises OSError."""
    new = run / f"{NAME}.new"
    new.write_text(json.dumps(report))
    new.replace(run / NAME)


def read_report(run: Path) -> Mapping[str, Any]:
    """Empty while there is none."""
    try:
        with (run / NAME).open("rb") as file:
            report = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def disk_percent(path: str = "/") -> int:
    """How full, for an ordinary user."""
    free = os.statvfs(path)
    used = free.f_blocks - free.f_bfree
    return round(100 * used / max(1, used + free.f_bavail))


def memory_percent(text: str) -> int:
    """How full, by /proc/meminfo's text."""
    values = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in text.splitlines())}
    return round(100 - 100 * values["MemAvailable"] / values["MemTotal"])
