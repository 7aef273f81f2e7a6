"""The `qemu` driver: one microVM per session, in a namespace of its own, as a user of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import GatewayError, NetnsError, VmBootFailed, VmError
from gateway.netns.lan import GUEST_MAC
from gateway.vm.accel import KVM_DEVICE, Accelerator, choose_accelerator
from gateway.vm.argv import Fds, Machine, build_argv, build_cmdline
from gateway.vm.binary import Qemu, find_qemu
from gateway.vm.driver import AgentLink, Command, Facts, Lan, StageFn, Vm, VmDriver, VmExit, VmSpec
from gateway.vm.images import GoldenImage, find_image
from gateway.vm.link import StreamLink
from gateway.vm.process import Process, describe_exit, drop_privileges, spare_uid
from gateway.vm.qmp import Qmp
from gateway.vm.serial import SerialLog
from gateway.vm.spares import SpareDisks
from gateway.vm.streams import listen_unix, open_guest_stream
from gateway.vm.tsc import host_tsc_khz, tsc_cmdline

__all__ = ["QemuDriver", "QemuVm"]

logger = logging.getLogger(__name__)

SERIAL_LOG, QEMU_LOG = "serial.log", "qemu.log"
"""In the run directory; they stay there after stop(), for whoever wants to know why a guest failed."""
DRAIN_S = 1.0
"""How long an ended QEMU's console may take to be read to its end; it is in the socket already."""


class QemuVm:
    """A running QEMU; made by QemuDriver.start."""

    def __init__(
        self, spec: VmSpec, lan: Lan, process: Process, qmp: Qmp, link: StreamLink, serial: SerialLog, disk: Path
    ) -> None:
        self.id = spec.id
        self.link: AgentLink = link
        self.greeted = link.greeted
        self.process = process
        self._run_dir = spec.run_dir
        self._lan = lan
        self._qmp = qmp
        self._stream_link = link
        self._serial = serial
        self._disk = disk
        self._stopping = False
        self._stopped = asyncio.Lock()
        self._exit: asyncio.Task[VmExit] = asyncio.create_task(self._watch(), name=f"vm-{spec.id}")

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await open_guest_stream(self._lan, port)

    async def wait(self) -> VmExit:
        return await asyncio.shield(self._exit)

    async def stop(self, grace_s: float = 2.0) -> None:
        self._stopping = True
        async with self._stopped:
            try:
                if self.process.returncode is None and grace_s > 0:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(grace_s):
                            await self._qmp.quit()
                            await self.process.wait()
            finally:
                # Also when cancelled: a machine whose stop was begun must not go on.
                await self.process.stop(0)
                await asyncio.wait({self._exit})
                await self._link_down()
                await asyncio.to_thread(_remove_files, self._run_dir, self._disk)

    async def _link_down(self) -> None:
        await self._stream_link.close()
        await self._serial.close()
        await self._qmp.close()

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
        console = f"its console is in {self._run_dir / SERIAL_LOG}"
        if self._serial.panic is not None:
            return VmExit(expected=False, reason=f"the guest kernel panicked: {self._serial.panic}", hint=console)
        if code == 0:
            told = self._qmp.read_shutdown() or ""
            how = {"guest-reset": "rebooted", "guest-shutdown": "shut down"}.get(told, "ended")
            return VmExit(expected=False, reason=f"the guest {how}", hint=console)
        reason, hint = describe_exit("QEMU", code)
        return VmExit(expected=False, reason=reason, hint=hint or _last_words(self._run_dir) or console)


@dataclass(frozen=True, slots=True)
class _Host:
    """What was found out about this host, once."""

    qemu: Qemu
    accel: Accelerator
    clock: str
    """Kernel words about its clock."""


class QemuDriver:
    """Starts microVMs.

    Args:
        golden_dir: where ``fenster build`` keeps its images.
        state_dir: keeps the accelerator probe's result.
        disk_dir: where the VMs' disks are made. Not the run directory, which is often in RAM; with reflink it
            must be on the golden images' file system.
        accel: "auto" finds out by booting.
        profile: the image that check() looks at; a VmSpec names its own.
        spare_disk: keep a copy of the disk ready, made after check() and after each VM's hello; close() deletes it.
        uid: the user every QEMU becomes when the gateway is root; None gives each VM its own.
        die_with_gateway: a VM ends when the gateway does, even one that was killed; without it nothing here would
            find that VM again.
        find: how an image is found by profile; tests replace it.
    """

    def __init__(
        self,
        golden_dir: Path,
        state_dir: Path,
        disk_dir: Path,
        *,
        accel: Literal["auto", "kvm", "tcg"] = "auto",
        profile: str = "xfce",
        reflink: bool = False,
        spare_disk: bool = False,
        uid: int | None = None,
        qemu: str = "qemu-system-x86_64",
        die_with_gateway: bool = True,
        find: Callable[[Path, str], GoldenImage] = find_image,
    ) -> None:
        self._golden_dir = golden_dir
        self._state_dir = state_dir
        self._disk_dir = disk_dir
        self._wanted = accel
        self._profile = profile
        self._spares = SpareDisks(disk_dir, ahead=spare_disk, reflink=reflink)
        self._uid = uid
        self._qemu_name = qemu
        self._die_with_gateway = die_with_gateway
        self._find = find
        self._uids: set[int] = set()
        self._ready: _Host | None = None
        self._checking = asyncio.Lock()

    async def check(self) -> Facts:
        image = await self._image(self._profile)
        host = await self._host(image)
        self._spares.refill(image)
        return Facts(
            name="qemu",
            accelerator=host.accel.name,
            why=host.accel.why,
            isolated=host.accel.name == "kvm",
            versions={"qemu": host.qemu.version, "image": f"{image.profile}-{image.key}", **image.versions},
        )

    async def start(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        image = await self._image(spec.profile)
        host = await self._host(image)
        disk = self._disk_dir / f"{spec.id}.raw"
        async with AsyncExitStack() as undo:
            undo.push_async_callback(asyncio.to_thread, _remove_files, spec.run_dir, disk)
            await self._spares.take(image, disk)
            stage("disk")
            process = await self._spawn(spec, lan, image, host, disk)
            undo.push_async_callback(process.stop, 0)
            vm = await self._connect(spec, lan, process, disk)
            undo.push_async_callback(vm.stop, 0)
            stage("spawn")
            await asyncio.sleep(0)  # Where a cancellation that came meanwhile can still be undone.
            undo.pop_all()
        # Not before: the copy would compete with the boot.
        vm.greeted.add_done_callback(lambda _: self._spares.refill(image))
        return vm

    async def close(self) -> None:
        """Delete the spare disk. VMs that run are not touched. Idempotent."""
        await self._spares.close()

    async def _image(self, profile: str) -> GoldenImage:
        return await asyncio.to_thread(self._find, self._golden_dir, profile)

    async def _host(self, image: GoldenImage) -> _Host:
        async with self._checking:
            if self._ready is None:
                qemu = await find_qemu(self._qemu_name)
                accel = await choose_accelerator(qemu, image, wanted=self._wanted, state_dir=self._state_dir)
                logger.info("= accelerator %s: %s", accel.name, accel.why)
                clock = tsc_cmdline(await asyncio.to_thread(host_tsc_khz)) if accel.name == "tcg" else ""
                self._ready = _Host(qemu, accel, clock)
            return self._ready

    async def _spawn(self, spec: VmSpec, lan: Lan, image: GoldenImage, host: _Host, disk: Path) -> Process:
        """QEMU in the Lan, with everything it may touch as inherited descriptors; ours are closed again."""
        uid = self._take_uid()
        with contextlib.ExitStack() as ours:
            try:
                fds = await _open_all(spec.run_dir, lan, image, disk, host.accel, ours)
                machine = Machine(
                    binary=host.qemu.path,
                    name=f"fenster-{spec.id}",
                    uuid=str(uuid.uuid4()),
                    accel=host.accel.name,
                    cpu=host.accel.cpu,
                    vcpus=spec.vcpus,
                    memory_mib=spec.memory_mib,
                    cmdline=build_cmdline(image.cmdline, host.clock),
                    guest_mac=GUEST_MAC,
                    fds=fds,
                )
                log = os.open(spec.run_dir / QEMU_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                ours.callback(os.close, log)
                argv = drop_privileges(build_argv(machine), uid, die_with_parent=self._die_with_gateway)
                popen = await lan.spawn(Command(argv, pass_fds=fds.all(), env=_ENV, stdout=log, stderr=log))
            except (NetnsError, VmError, OSError) as exc:
                self._free_uid(uid)
                hint = exc.hint if isinstance(exc, GatewayError) else ""
                words = exc.message if isinstance(exc, GatewayError) else str(exc)
                raise VmBootFailed(f"QEMU could not be started: {words}", hint=hint) from exc
            except BaseException:
                self._free_uid(uid)
                raise
            process = Process(popen, "QEMU")
            process.on_end(lambda: self._free_uid(uid))
            return process

    async def _connect(self, spec: VmSpec, lan: Lan, process: Process, disk: Path) -> QemuVm:
        qmp = Qmp(spec.run_dir / "qmp.sock")
        async with AsyncExitStack() as undo:
            undo.push_async_callback(qmp.close)
            try:
                link = StreamLink(*await asyncio.open_unix_connection(spec.run_dir / "agent.sock"), name=spec.id)
                undo.push_async_callback(link.close)
                console = await asyncio.open_unix_connection(spec.run_dir / "serial.sock")
                serial = SerialLog(*console, spec.run_dir / SERIAL_LOG)
                undo.push_async_callback(serial.close)
                link.start()
                serial.start()
                await qmp.connect()
            except (VmError, OSError) as exc:
                await process.stop(0)
                words = _last_words(spec.run_dir) or str(exc)
                raise VmBootFailed(f"QEMU did not come up: {words}", hint="see fenster doctor") from exc
            undo.pop_all()
        return QemuVm(spec, lan, process, qmp, link, serial, disk)

    def _take_uid(self) -> int | None:
        uid = spare_uid(frozenset(self._uids)) if self._uid is None else self._uid
        if uid is not None:
            self._uids.add(uid)
        return uid

    def _free_uid(self, uid: int | None) -> None:
        if uid is not None:
            self._uids.discard(uid)


_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""All that QEMU sees of the gateway's environment, which may hold secrets."""


async def _open_all(
    run_dir: Path, lan: Lan, image: GoldenImage, disk: Path, accel: Accelerator, ours: contextlib.ExitStack
) -> Fds:
    def keep(fd: int) -> int:
        ours.callback(os.close, fd)
        return fd

    def listen(name: str) -> int:
        sock: socket.socket = ours.enter_context(listen_unix(run_dir / name))
        return sock.fileno()

    return Fds(
        kernel=keep(os.open(image.kernel, os.O_RDONLY | os.O_CLOEXEC)),
        initrd=keep(os.open(image.initrd, os.O_RDONLY | os.O_CLOEXEC)),
        disk=keep(os.open(disk, os.O_RDWR | os.O_CLOEXEC)),
        tap=keep(await lan.open_tap()),
        qmp=listen("qmp.sock"),
        agent=listen("agent.sock"),
        serial=listen("serial.sock"),
        kvm=keep(os.open(KVM_DEVICE, os.O_RDWR | os.O_CLOEXEC)) if accel.name == "kvm" else None,
    )


def _last_words(run_dir: Path) -> str:
    try:
        lines = (run_dir / QEMU_LOG).read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1] if lines else ""


def _remove_files(run_dir: Path, disk: Path) -> None:
    for path in (disk, *(run_dir / name for name in ("qmp.sock", "agent.sock", "serial.sock"))):
        path.unlink(missing_ok=True)


_driver: type[VmDriver] = QemuDriver
_vm: type[Vm] = QemuVm
