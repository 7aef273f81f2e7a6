"""The audit log: who did what, one JSON object a line, in a file of its own that rotates by size.

========== =============================================================================================
field      what
========== =============================================================================================
at         RFC 3339, UTC
event      see EVENTS
outcome    ok, refused (the caller may not, or asked too often) or failed
actor      key, token, ticket, operator (at this host's shell), gateway (by itself) or nobody
key, owner of an API key: its id, whose it is
credential first 8 hex digits of a token's or ticket's SHA-256: which one, and it opens nothing
role       of a token or ticket, and of the viewer: control or view
address    the client's
session    its id
viewer     a viewer's public name in its session
request    id of the HTTP request, as in the log and in X-Request-Id
reason     kind of the error, or what else there is to say
========== =============================================================================================

Nothing of it is a secret: no key, token, ticket, password, URL or body is ever passed to it. It is written by a task
of its own; when it cannot keep up, or the disk is full, what is lost is counted, and the gateway goes on.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["EVENTS", "FIELDS", "AuditFile", "AuditLog", "audit_path", "entry"]

logger = logging.getLogger(__name__)

EVENTS = {
    "session.create": "a desktop was asked for",
    "session.update": "its life, exit or switches were changed",
    "session.suspend": "it is put to sleep",
    "session.resume": "it is woken",
    "session.fork": "a second one was made of it",
    "session.destroy": "its end was asked for",
    "session.end": "it ended, whatever the reason",
    "template.save": "a template was made of it",
    "token.issue": "a viewer token was made",
    "ticket.issue": "a ticket was made",
    "ticket.exchange": "a ticket became a token",
    "desktop.connect": "a viewer asked for the picture, by WebRTC or noVNC",
    "desktop.screenshot": "a picture was fetched",
    "viewer.join": "a viewer is there",
    "viewer.leave": "it is gone",
    "control.take": "a viewer controls from now on",
    "control.release": "nobody controls any more",
    "file.upload": "a file was written to the desktop",
    "file.download": "a file or a listing was read from it",
    "file.delete": "a file was deleted on it",
    "auth.fail": "a credential was wrong, or missing where one is needed",
    "access.refuse": "a good credential for something else, or from another page",
    "key.new": "an API key was made",
    "key.revoke": "one was revoked",
    "audit.lost": "so many entries were lost before this one",
}
FIELDS = (
    "at",
    "event",
    "outcome",
    "actor",
    "key",
    "owner",
    "credential",
    "role",
    "address",
    "session",
    "viewer",
    "request",
    "reason",
)  # fmt: skip
MAX_WAITING = 4096
"""Entries that are not on disk yet; one more is lost, and counted."""
MAX_TEXT = 200


def audit_path(state_dir: Path) -> Path:
    return state_dir / "audit.jsonl"


def entry(event: str, outcome: str, now: float, fields: Mapping[str, str | None]) -> str:
    """One line, with its end. Fields that say nothing are left out; texts are cut."""
    assert event in EVENTS, event
    body = {"at": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"), "event": event}
    body["outcome"] = outcome
    body |= {name: value[:MAX_TEXT] for name, value in fields.items() if value}
    assert body.keys() <= set(FIELDS), body.keys()
    return json.dumps({name: body[name] for name in FIELDS if name in body}) + "\n"


class AuditFile:
    """The file, also for several processes at once. Blocking.

    Args:
        path: the newest entries; older files are ``path``.1, the newer one, to ``path``.KEEP.
        max_bytes: after which a new file is begun.
        keep: how many older files there are at most.
    """

    def __init__(self, path: Path, *, max_bytes: int = 10 << 20, keep: int = 10) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._keep = keep

    def append(self, lines: Iterable[str]) -> None:
        """Raises OSError."""
        data = "".join(lines).encode()
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.path.exists() and self.path.stat().st_size + len(data) > self._max_bytes:
                self._rotate()
            fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
        finally:
            os.close(lock)

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older = self._numbered(number - 1) if number > 1 else self.path
            if older.exists():
                older.replace(self._numbered(number))
        if self._keep == 0:
            self.path.unlink()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


class AuditLog:
    """Takes entries without waiting; :meth:`run` writes them.

    Args:
        file: None keeps nothing, but counts.
        clock: Unix time in s.
    """

    def __init__(
        self, file: AuditFile | None = None, *, clock: Callable[[], float] = time.time, max_waiting: int = MAX_WAITING
    ) -> None:
        self._file = file
        self._clock = clock
        self._max_waiting = max_waiting
        self._waiting: deque[str] = deque()
        self._news = asyncio.Event()
        self._writing: asyncio.Future[None] | None = None
        self._lost = 0
        self._counts = {"written": 0, "lost": 0}

    def counters(self) -> Mapping[str, int]:
        """Entries, since start."""
        return {**self._counts, "waiting": len(self._waiting)}

    def note(self, event: str, outcome: str = "ok", **fields: str | None) -> None:
        """An entry; see the module for the fields. Never raises for a full queue."""
        if self._file is None:
            return
        line = entry(event, outcome, self._clock(), fields)
        if len(self._waiting) >= self._max_waiting:
            self._lose(1)
            return
        self._waiting.append(line)
        self._news.set()

    def skip(self) -> None:
        """An entry that is not to be written; it counts as lost, and the log says so with the next one."""
        if self._file is not None:
            self._lose(1)

    async def run(self) -> None:
        """Write until cancelled; then what is left."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                self._writing = asyncio.get_running_loop().run_in_executor(None, self._append)
                # The thread cannot be called back, and two must not write at once.
                await asyncio.shield(self._writing)
        finally:
            if self._writing is not None:
                await self._writing
            await asyncio.to_thread(self._append)

    def _append(self) -> None:
        """Blocking. Only the loop appends to the queue, and only this takes away."""
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if self._file is None or not lines:
            return
        lost, self._lost = self._lost, 0
        if lost:
            lines.append(entry("audit.lost", "failed", self._clock(), {"actor": "gateway", "reason": str(lost)}))
        try:
            self._file.append(lines)
        except OSError as exc:
            logger.error("! the audit log cannot be written: %s", exc.strerror)
            self._lost += lost
            self._lose(len(lines) - bool(lost))
        else:
            self._counts["written"] += len(lines)

    def _lose(self, count: int) -> None:
        self._lost += count
        self._counts["lost"] += count
