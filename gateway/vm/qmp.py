"""QMP: the only module that knows qemu.qmp (alpha, so it stays behind this small face)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

from qemu.qmp import QMPClient, QMPError
from qemu.qmp.events import EventListener

from gateway.errors import VmError

__all__ = ["Qmp"]

_wire_log = logging.getLogger(f"{__name__}.wire")

CONNECT_TIMEOUT_S = 20.0
"""Until QEMU's greeting: it has to map the guest's memory first, on a host that may be starting many."""
COMMAND_TIMEOUT_S = 10.0
MIGRATION_TIMEOUT_S = 120.0
"""For the RAM of a large guest on a slow disk; device state alone takes milliseconds."""
MIGRATION_POLL_S = 0.002
JOB_POLL_S = 0.05
DISK_NODE, COPY_NODE = "disk0", "copy0"
"""Names of the disk (argv.py) and, while it is copied, of the copy and its job."""
BACKUP_TIMEOUT_S = 600.0
LAST_SET = 15
"""Descriptor sets above this number are made here; a new gateway on an old QEMU begins above what it finds."""
NO_LIMIT_BPS = 1 << 50
"""A migration goes over a network unless told otherwise, and spares it."""


class Qmp:
    """A QMP session on the socket ``path``, where a listening descriptor was given to QEMU."""

    def __init__(self, path: Path) -> None:
        self.shutdown_reason: str | None = None
        """Why the guest ended, once QEMU has said so: "guest-reset", "guest-shutdown", "host-qmp-quit"..."""
        self._path = path
        self._client = QMPClient()
        self._last_set = LAST_SET
        self._shutdowns = EventListener(names=["SHUTDOWN"])
        self._client.register_listener(self._shutdowns)
        # qemu.qmp logs every lost connection as an error; here losing it is how a machine ends.
        _wire_log.setLevel(logging.CRITICAL)
        self._client.logger = _wire_log

    async def connect(self) -> None:
        """Wait for the greeting and negotiate. Raises VmError."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._client.connect(str(self._path))
        except TimeoutError as exc:
            raise VmError(f"QEMU did not greet within {CONNECT_TIMEOUT_S:g} s") from exc
        except QMPError as exc:
            raise VmError(f"QEMU did not speak QMP: {exc}") from exc

    async def execute(self, command: str, arguments: dict[str, object] | None = None) -> object:
        """One command and its answer. Raises VmError."""
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                return await self._client.execute(command, arguments)
        except TimeoutError as exc:
            raise VmError(f"QEMU did not answer {command} within {COMMAND_TIMEOUT_S:g} s") from exc
        except QMPError as exc:
            raise VmError(f"QEMU refused {command}: {exc}") from exc

    async def save(self, fd: int, *, with_ram: bool) -> None:
        """Write the device state, and all of the RAM or none, to a file; the guest stands still and stays so.

        Args:
            fd: the file, open for writing only; stays the caller's.

        Raises:
            VmError: it could not be written.
        """
        await self.pause()
        await self._capability("x-ignore-shared", not with_ram)
        await self.execute("migrate-set-parameters", {"max-bandwidth": NO_LIMIT_BPS})
        async with self._lend(fd) as path:
            await self.execute("migrate", {"uri": f"file:{path}"})
            await self._migrated("saved")

    async def load(self, fd: int, *, with_ram: bool) -> None:
        """Read what :meth:`save` wrote; the guest stands still afterwards.

        Args:
            fd: the file, open for reading only; stays the caller's.

        Raises:
            VmError: it could not be read.
        """
        await self._capability("x-ignore-shared", not with_ram)
        async with self._lend(fd) as path:
            await self.execute("migrate-incoming", {"uri": f"file:{path}"})
            await self._migrated("restored")

    async def pause(self) -> None:
        """Stop the guest's processors. Raises VmError."""
        await self.execute("stop")

    async def resume(self) -> None:
        """Let the guest run. Raises VmError."""
        await self.execute("cont")

    async def go_on(self) -> None:
        """Let a guest run that is to run, whatever the last user of this socket was about. Raises VmError."""
        with contextlib.suppress(VmError):
            await self.execute("migrate_cancel")
        await self._end_copy()
        _, status = await self.status()
        if status not in ("running", "shutdown"):
            with contextlib.suppress(VmError):  # QEMU before version 10 does so by itself when it goes on.
                await self.activate()
            await self.resume()

    async def activate(self) -> None:
        """Let the machine write its disk again, which it has handed on with its state. Raises VmError."""
        await self.execute("blockdev-set-active", {"node-name": DISK_NODE, "active": True})

    async def disk_bytes(self) -> int:
        """Size of its disk. Raises VmError."""
        told = await self.execute("query-named-block-nodes", {"flat": True})
        nodes = told if isinstance(told, list) else []
        for node in nodes:
            if isinstance(node, dict) and node.get("node-name") == DISK_NODE:
                return int(node["image"]["virtual-size"])
        raise VmError("QEMU has no disk")

    @contextlib.asynccontextmanager
    async def backup(self, fd: int) -> AsyncIterator[None]:
        """Copy the disk as it is on entering; leaving waits until that is done. The guest may write meanwhile.

        Args:
            fd: a file of the disk's size, open for reading and writing; stays the caller's.

        Raises:
            VmError: it could not be copied.
        """
        async with self._lend(fd) as path:
            file = {"driver": "file", "filename": path, "aio": "threads"}
            await self.execute("blockdev-add", {"driver": "raw", "node-name": COPY_NODE, "file": file})
            try:
                job = {"job-id": COPY_NODE, "device": DISK_NODE, "target": COPY_NODE, "sync": "full"}
                await self.execute("blockdev-backup", {**job, "auto-dismiss": False})
                yield
                await self._copied()
            finally:
                await self._end_copy()

    async def _copied(self) -> None:
        try:
            async with asyncio.timeout(BACKUP_TIMEOUT_S):
                while True:
                    job = await self._copy_job()
                    if job is None or job.get("status") == "concluded":
                        break
                    await asyncio.sleep(JOB_POLL_S)
        except TimeoutError as exc:
            raise VmError(f"the disk was not copied within {BACKUP_TIMEOUT_S:g} s") from exc
        if job is None or "error" in job:
            raise VmError(f"the disk could not be copied: {'the copy is gone' if job is None else job['error']}")

    async def _copy_job(self) -> dict[str, object] | None:
        told = await self.execute("query-jobs")
        jobs = told if isinstance(told, list) else []
        return next((job for job in jobs if isinstance(job, dict) and job.get("id") == COPY_NODE), None)

    async def _end_copy(self) -> None:
        """Whatever became of a copy, let go of it. With the machine gone there is nothing to do."""
        with contextlib.suppress(VmError):
            job = await self._copy_job()
            if job is not None and job.get("status") != "concluded":
                await self.execute("block-job-cancel", {"device": COPY_NODE, "force": True})
                with contextlib.suppress(VmError):
                    await self._copied()
            if job is not None:
                await self.execute("job-dismiss", {"id": COPY_NODE})
        with contextlib.suppress(VmError):
            await self.execute("blockdev-del", {"node-name": COPY_NODE})

    async def status(self) -> tuple[str, str]:
        """The machine's uuid and its run state: "running", "paused", "postmigrate"... Raises VmError."""
        uuid, status = await self.execute("query-uuid"), await self.execute("query-status")
        if not isinstance(uuid, dict) or not isinstance(status, dict):
            raise VmError("QEMU does not say what it is")
        return str(uuid.get("UUID")), str(status.get("status"))

    @contextlib.asynccontextmanager
    async def _lend(self, fd: int) -> AsyncIterator[str]:
        """A path by which QEMU, which may open nothing of ours, finds the file."""
        taken = await self.execute("query-fdsets")
        known = [entry["fdset-id"] for entry in taken if isinstance(entry, dict)] if isinstance(taken, list) else []
        number = self._last_set = max(self._last_set, *known, LAST_SET) + 1
        try:
            # A copy, because the library keeps nothing alive while QEMU has not yet received it.
            copy = os.dup(fd)
            try:
                self._client.send_fd_scm(copy)
                await self.execute("add-fd", {"fdset-id": number})
            finally:
                os.close(copy)
        except (QMPError, OSError) as exc:
            raise VmError(f"QEMU did not take a file: {exc}") from exc
        try:
            yield f"/dev/fdset/{number}"
        finally:
            # QEMU keeps it while it is in use; with the machine gone there is nobody to tell.
            with contextlib.suppress(VmError):
                await self.execute("remove-fd", {"fdset-id": number})

    async def _capability(self, name: str, on: bool) -> None:
        capability = {"capability": name, "state": on}
        await self.execute("migrate-set-capabilities", {"capabilities": [capability]})

    async def _migrated(self, done: str) -> None:
        """Ask until it is; QEMU's events about it are an option of their own."""
        try:
            async with asyncio.timeout(MIGRATION_TIMEOUT_S):
                while True:
                    told = await self.execute("query-migrate")
                    status = told.get("status") if isinstance(told, dict) else None
                    if status == "completed":
                        return
                    if status in ("failed", "cancelled"):
                        why = told.get("error-desc", status) if isinstance(told, dict) else status
                        raise VmError(f"the machine's state could not be {done}: {why}")
                    await asyncio.sleep(MIGRATION_POLL_S)
        except TimeoutError as exc:
            raise VmError(f"the machine's state was not {done} within {MIGRATION_TIMEOUT_S:g} s") from exc

    async def quit(self) -> None:
        """Ask QEMU to end; whether it does is seen on its process."""
        with contextlib.suppress(VmError):
            await self.execute("quit")

    def read_shutdown(self) -> str | None:
        """The newest SHUTDOWN event's reason, or None."""
        for event in self._shutdowns.clear():
            data = event.get("data", {})
            if isinstance(data, dict):
                self.shutdown_reason = str(data.get("reason", "unknown"))
        return self.shutdown_reason

    async def close(self) -> None:
        """Drop the session. Idempotent."""
        # disconnect() raises what ended the session: EOFError when QEMU went first.
        with contextlib.suppress(QMPError, EOFError, OSError):
            await self._client.disconnect()
