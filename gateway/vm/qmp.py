"""QMP: the only module that knows qemu.qmp (alpha, so it stays behind this small face)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from qemu.qmp import QMPClient, QMPError
from qemu.qmp.events import EventListener

from gateway.errors import VmError

__all__ = ["Qmp"]

_wire_log = logging.getLogger(f"{__name__}.wire")

CONNECT_TIMEOUT_S = 20.0
"""Until QEMU's greeting: it has to map the guest's memory first, on a host that may be starting many."""
COMMAND_TIMEOUT_S = 10.0
MIGRATION_TIMEOUT_S = 30.0
MIGRATION_POLL_S = 0.002


class Qmp:
    """A QMP session on the socket ``path``, where a listening descriptor was given to QEMU."""

    def __init__(self, path: Path) -> None:
        self.shutdown_reason: str | None = None
        """Why the guest ended, once QEMU has said so: "guest-reset", "guest-shutdown", "host-qmp-quit"..."""
        self._path = path
        self._client = QMPClient()
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

    async def freeze(self, uri: str) -> None:
        """Stop the guest and write its device state; its RAM stays where it is. Raises VmError."""
        await self.pause()
        await self._leave_ram_alone()
        await self.execute("migrate", {"uri": uri})
        await self._migrated("saved")

    async def restore(self, uri: str) -> None:
        """Read the device state that :meth:`freeze` wrote; the guest stands still afterwards. Raises VmError."""
        await self._leave_ram_alone()
        await self.execute("migrate-incoming", {"uri": uri})
        await self._migrated("restored")

    async def pause(self) -> None:
        """Stop the guest's processors. Raises VmError."""
        await self.execute("stop")

    async def resume(self) -> None:
        """Let the guest run. Raises VmError."""
        await self.execute("cont")

    async def _leave_ram_alone(self) -> None:
        capability = {"capability": "x-ignore-shared", "state": True}
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
