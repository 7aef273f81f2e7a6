"""A session's run directory, and what is kept of it after a failure. Blocking: call it in a thread."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["MAX_PATH_BYTES", "keep_logs", "make", "remove"]

MAX_PATH_BYTES = 80
"""A run directory's path; AF_UNIX paths end at 108 bytes and a socket's name comes after it."""

MAX_LOG_BYTES = 1 << 20
MAX_KEPT = 20


def make(path: Path) -> None:
    """Create it, private, and its parents."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise OSError(f"{path} is longer than {MAX_PATH_BYTES} bytes")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(mode=0o700)


def remove(path: Path) -> None:
    """Delete it with all that is in it. Idempotent."""
    if path.exists():
        shutil.rmtree(path)


def keep_logs(run_dir: Path, logs_dir: Path) -> Path | None:
    """Copy the ends of a failed session's logs out of its run directory.

    At most MAX_LOG_BYTES of each, for the MAX_KEPT latest sessions.

    Returns:
        Where they are now; None when there were none.
    """
    logs = [log for log in sorted(run_dir.glob("*.log")) if log.is_file() and log.stat().st_size]
    if not logs:
        return None
    kept = logs_dir / run_dir.name
    kept.mkdir(mode=0o700, parents=True, exist_ok=True)
    for log in logs:
        with log.open("rb") as source:
            source.seek(max(0, log.stat().st_size - MAX_LOG_BYTES))
            (kept / log.name).write_bytes(source.read(MAX_LOG_BYTES))
    earlier = sorted(
        (entry for entry in logs_dir.iterdir() if entry.is_dir()), key=lambda entry: entry.stat().st_mtime
    )
    for entry in earlier[:-MAX_KEPT]:
        shutil.rmtree(entry, ignore_errors=True)
    return kept
