"""What the host has of its own in the suite: an exit, a small disk for its state, golden files that may go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.faults.upstream import Upstream

__all__ = ["STATE_MIB", "Host"]

STATE_MIB = 32


class Host:
    """Args:
    cache: the user's, whose golden files stay as they are.
    home: of a gateway; on the same file system.
    upstream: every session's exit.
    """

    def __init__(self, cache: Path, home: Path, upstream: Upstream) -> None:
        self.upstream = upstream
        self.state = home / "state"
        self._cache = cache
        self._mine = home / "cache"

    def mount_state(self) -> None:
        """A file system of its own, so that it can be full."""
        self.state.mkdir(mode=0o700)
        options = f"size={STATE_MIB}m,mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.state], check=True, capture_output=True)

    def unmount_state(self) -> None:
        subprocess.run(["umount", "--lazy", self.state], check=True, capture_output=True)

    def link_golden(self) -> None:
        """Copies by name (hard links): they may be deleted."""
        for name in ("golden", "snapshots"):
            shutil.copytree(self._cache / name, self._mine / name, copy_function=os.link, symlinks=True)

    def delete_golden(self) -> None:
        for name in ("golden", "snapshots"):
            shutil.rmtree(self._mine / name)
