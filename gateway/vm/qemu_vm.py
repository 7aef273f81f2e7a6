"""A running QEMU: its link, its console, its control socket, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path

from gateway.vm.driver import AgentLink, Lan, Vm, VmExit, VmSpec
from gateway.vm.find import processor_s
from gateway.vm.link import StreamLink
from gateway.vm.process import UNKNOWN_STATUS, Process, describe_exit
from gateway.vm.pulse import hung
from gateway.vm.qmp import Qmp
from gateway.vm.serial import SerialLog
from gateway.vm.streams import open_guest_stream

__all__ = [
    "AGENT_SOCKET",
    "QEMU_LOG",
    "QMP_SOCKET",
    "SERIAL_LOG",
    "SERIAL_SOCKET",
    "QemuVm",
    "last_words",
    "remove_sockets",
    "trim_log",
]

logger = logging.getLogger(__name__)

SERIAL_LOG, QEMU_LOG = "serial.log", "qemu.log"
"""In the run directory; they stay there after stop(), for whoever wants to know why a guest failed."""
QMP_SOCKET, AGENT_SOCKET, SERIAL_SOCKET = "qmp.sock", "agent.sock", "serial.sock"
LOG_LOOK_S = 10.0
MAX_LOG_BYTES = 256 * 1024
"""Of what QEMU itself says. A guest can make it complain, as often as it likes."""
DRAIN_S = 1.0
"""How long an ended QEMU's console may take to be read to its end; it is in the socket already."""


class QemuVm:
    """A running QEMU; made by launch.py. Its disk is the driver's."""

    def __init__(
        self,
        spec: VmSpec,
        lan: Lan,
        process: Process,
        qmp: Qmp,
        link: StreamLink,
        serial: SerialLog,
    ) -> None:
        self.id = spec.id
        self.link: AgentLink = link
        self.greeted = link.greeted
        self.process = process
        self._run_dir = spec.run_dir
        self._lan = lan
        self.qmp = qmp
        self._stream_link = link
        self._serial = serial
        self._stopping = False
        self._hung = False
        self._stopped = asyncio.Lock()
        self._exit: asyncio.Task[VmExit] = asyncio.create_task(self._watch(), name=f"vm-{spec.id}")
        self._trimming = asyncio.create_task(self._keep_log_short(), name=f"log-{spec.id}")
        self._pulse = asyncio.create_task(self._end_when_hung(), name=f"pulse-{spec.id}")

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await open_guest_stream(self._lan, port)

    async def wait(self) -> VmExit:
        return await asyncio.shield(self._exit)

    async def pause(self) -> None:
        await self.qmp.pause()

    async def resume(self) -> None:
        await self.qmp.resume()

    async def stop(self, grace_s: float = 2.0) -> None:
        self._stopping = True
        async with self._stopped:
            try:
                if self.process.returncode is None and grace_s > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(grace_s):
                            await self.qmp.quit()
                            await self.process.wait()
            finally:
                # Also when cancelled: a machine whose stop was begun must not go on.
                await self.process.stop(0)
                await asyncio.wait({self._exit})
                await self._link_down()
                await asyncio.to_thread(remove_sockets, self._run_dir)

    async def let_go(self) -> None:
        self._stopping = True
        self._exit.cancel()
        await asyncio.wait({self._exit})
        self.process.let_go()
        await self._link_down()

    def processor_s(self) -> float:
        return processor_s(self.process.pid)

    async def _keep_log_short(self) -> None:
        while True:
            await asyncio.sleep(LOG_LOOK_S)
            await asyncio.to_thread(trim_log, self._run_dir / QEMU_LOG)

    async def _end_when_hung(self) -> None:
        """One that hangs is lost already: its people are told at once, and its memory is free."""
        await hung(self.qmp, self.process.pid)
        self._hung = True
        self.process.signal(signal.SIGKILL)

    async def _link_down(self) -> None:
        for task in (self._trimming, self._pulse):
            task.cancel()
        await asyncio.wait({self._trimming, self._pulse})
        await self._stream_link.close()
        await self._serial.close()
        await self.qmp.close()

    async def _watch(self) -> VmExit:
        code = await self.process.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._serial.drained()
        ended = self._why(code)
        if not ended.expected:
            tail = "\n".join(self._serial.scanner.tail)
            logger.warning("x vm %s: %s; its console ended with\n%s", self.id, ended.reason, tail)
        return ended

    def _why(self, code: int) -> VmExit:
        if self._stopping:
            return VmExit(expected=True, reason="it was stopped")
        if self._hung:
            return VmExit(
                expected=False, reason="QEMU stood still and was ended", hint="was it stopped, or out of memory?"
            )
        console = f"its console is in {self._run_dir / SERIAL_LOG}"
        if self._serial.panic is not None:
            return VmExit(expected=False, reason=f"the guest kernel panicked: {self._serial.panic}", hint=console)
        told = self.qmp.read_shutdown() or ""
        if code == 0 or (code == UNKNOWN_STATUS and told):
            how = {"guest-reset": "rebooted", "guest-shutdown": "shut down"}.get(told, "ended")
            return VmExit(expected=False, reason=f"the guest {how}", hint=console, rebooted=told == "guest-reset")
        reason, hint = describe_exit("QEMU", code)
        return VmExit(expected=False, reason=reason, hint=hint or last_words(self._run_dir) or console)


def last_words(run_dir: Path) -> str:
    """The last line that QEMU itself wrote."""
    try:
        lines = (run_dir / QEMU_LOG).read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def trim_log(path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
    """Empty a log that has grown too long, but for its end, which is kept beside it. QEMU appends, so it goes on."""
    try:
        with path.open("r+b") as log:
            size = log.seek(0, os.SEEK_END)
            if size > max_bytes:
                log.seek(size - max_bytes)
                path.with_name(f"{path.name}.1").write_bytes(log.read(max_bytes))
                log.truncate(0)
    except OSError as exc:
        logger.warning("x %s could not be kept short: %s", path, exc.strerror)


def remove_sockets(run_dir: Path) -> None:
    """What QEMU listened on."""
    for name in (QMP_SOCKET, AGENT_SOCKET, SERIAL_SOCKET):
        (run_dir / name).unlink(missing_ok=True)


_: type[Vm] = QemuVm
