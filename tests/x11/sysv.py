"""System V shared memory that a killed program left: x11vnc makes 42 segments and removes them only by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["remove_segments_of"]


def remove_segments_of(pid: int) -> None:
    """Remove what this process made, once it has ended; a host has room for 4096 segments in all (shmmni)."""
    header, *rows = [line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines()]
    made = [row[header.index("shmid")] for row in rows if row[header.index("cpid")] == str(pid)]
    if made:
        subprocess.run(["ipcrm", *(f"--shmem-id={shmid}" for shmid in made)], check=True)
