"""Finding a machine's process again, by the uuid on its command line."""

from __future__ import annotations

from pathlib import Path

__all__ = ["find_process", "processor_s", "uid_of"]

TICKS_PER_S = 100
"""USER_HZ, the same on every Linux that a program sees (times(2))."""


def find_process(uuid: str, proc: Path = Path("/proc")) -> int | None:
    """The pid of the QEMU that was started with this uuid, or None.

    A uuid is drawn for each start and never used again, so a process that has it is the one: nothing that reused the
    number of an ended process can be taken for it.
    """
    wanted = b"\0-uuid\0" + uuid.encode() + b"\0"
    for entry in proc.iterdir():
        if entry.name.isdecimal():
            try:
                if wanted in (entry / "cmdline").read_bytes():
                    return int(entry.name)
            except OSError:
                continue  # It has ended meanwhile, or is none of our business.
    return None


def processor_s(pid: int, proc: Path = Path("/proc")) -> float:
    """Processor time of a process and its threads; 0 once it has ended (proc_pid_stat(5))."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def uid_of(pid: int, proc: Path = Path("/proc")) -> int | None:
    """Its real uid."""
    try:
        lines = (proc / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), None)
