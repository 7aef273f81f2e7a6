"""Processes of the desktop's units, as cgroup and proc show them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["belongs", "find", "first_of", "read_stat", "waits_unread"]

CGROUPS = Path("/sys/fs/cgroup/system.slice")
PROC = Path("/proc")
LISTEN, ESTABLISHED = "0A", "01"


def _pids(unit: str, cgroups: Path) -> list[int]:
    try:
        return sorted(int(line) for line in (cgroups / unit / "cgroup.procs").read_text().split())
    except OSError:
        return []  # No such unit runs.


def belongs(pid: int, unit: str, proc: Path = PROC) -> bool:
    """Whether it is a process of the unit still."""
    try:
        return (proc / str(pid) / "cgroup").read_text().rstrip().endswith(f"/{unit}")
    except OSError:
        return False


def first_of(unit: str, cgroups: Path = CGROUPS) -> int | None:
    """The unit's oldest process."""
    started = [(stat[2], pid) for pid in _pids(unit, cgroups) if (stat := read_stat(pid)) is not None]
    return min(started)[1] if started else None


def find(unit: str, names: tuple[str, ...], cgroups: Path = CGROUPS, proc: Path = PROC) -> int | None:
    """The unit's process with one of these names."""
    for pid in _pids(unit, cgroups):
        try:
            if (proc / str(pid) / "comm").read_text().strip() in names:
                return pid
        except OSError:
            continue
    return None


def read_stat(pid: int, proc: Path = PROC) -> tuple[str, int, int] | None:
    """State, processor time in ticks, and start time in ticks since boot (proc_pid_stat(5)); None: it is gone."""
    try:
        # Its name stands in parentheses and may hold anything.
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[11]) + int(fields[12]), int(fields[19])


def waits_unread(table: str, port: int) -> tuple[bool, frozenset[str]]:
    """Of /proc/net/tcp's text: whether somebody listens on the port, and the sockets in which something lies unread.

    Of a socket that listens that is a connection which nobody has accepted (proc_pid_net(5): rx_queue).
    """
    listens, unread = False, set()
    for line in table.splitlines()[1:]:
        fields = line.split()
        local, remote, state, queues = fields[1:5]
        if int(local.rpartition(":")[2], 16) != port or state not in (LISTEN, ESTABLISHED):
            continue
        listens |= state == LISTEN
        if int(queues.partition(":")[2], 16):
            unread.add(remote)
    return listens, frozenset(unread)
