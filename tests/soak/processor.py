"""Who has the processor: this run, or others beside it. A gap on a busy host is the host's; the report must tell."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.soak.record import Cores

__all__ = ["Look", "between", "look"]

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Look:
    """Seconds of a processor since the host's start (proc_stat(5))."""

    at_s: float
    busy_s: float
    stolen_s: float
    """By a hypervisor above this host."""
    ours_s: Mapping[int, float]
    """By process."""


def look(at_s: float, folder: Path) -> Look:
    """Ours are this process, what descends from it, and whatever names ``folder`` in its command line."""
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    parents, spent = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(path.parts[2])
        parents[pid], spent[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS_PER_S
    ours = {pid: spent[pid] for pid in spent if _descends(pid, parents) or _names(pid, folder)}
    return Look(at_s, (user + nice + system + irq + softirq) / TICKS_PER_S, steal / TICKS_PER_S, ours)


def between(before: Look, after: Look) -> Cores:
    """What each had, on average. Pure. What of ours ended in between is counted with the others."""
    elapsed_s = after.at_s - before.at_s
    ours_s = sum(max(0.0, spent - before.ours_s.get(pid, 0.0)) for pid, spent in after.ours_s.items())
    others_s = max(0.0, after.busy_s - before.busy_s - ours_s)
    return Cores(
        round(after.at_s, 3), ours_s / elapsed_s, others_s / elapsed_s, (after.stolen_s - before.stolen_s) / elapsed_s
    )


def _descends(pid: int, parents: Mapping[int, int]) -> bool:
    own = os.getpid()
    while pid not in (0, own):
        pid = parents.get(pid, 0)
    return pid == own


def _names(pid: int, folder: Path) -> bool:
    try:
        return os.fsencode(folder) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
