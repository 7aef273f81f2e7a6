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
LAST_SET = 15
"""Descriptor sets above this number are made here; a new gateway on an old QEMU begins above what it finds."""


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

    async def pause(self) -> None:
        """Stop the guest's processors. Raises VmError."""
        await self.execute("stop")

    async def resume(self) -> None:
        """Let the guest run. Raises VmError."""
        await self.execute("cont")

    async def status(self) -> tuple[str, str]:
        """The machine's uuid and its run state: "running", "paused", "postmigrate"... Raises VmError."""
        uuid, status = await self.execute("query-uuid"), await self.execute("query-status")
        if not isinstance(uuid, dict) or not isinstance(status, dict):
            raise VmError("QEMU does not say what it is")
        return str(uuid.get("UUID")), str(status.get("status"))

    @contextlib.asynccontextmanager
    async def lend(self, fd: int) -> AsyncIterator[str]:
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
