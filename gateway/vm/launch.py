"""Starting a QEMU in a VM's network, as a user of its own, with nothing but inherited descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import GatewayError, NetnsError, VmBootFailed, VmError
from gateway.netns.lan import GUEST_MAC
from gateway.vm.accel import KVM_DEVICE, Accelerator
from gateway.vm.argv import Fds, Machine, Memory, build_argv, build_cmdline
from gateway.vm.binary import Qemu
from gateway.vm.bounds import Bounds, bounds_of, cgroup_values, limited, placed
from gateway.vm.cgroup import Cgroups, drive_of
from gateway.vm.driver import Command, Lan, VmSpec
from gateway.vm.find import uid_of
from gateway.vm.images import GoldenImage
from gateway.vm.link import StreamLink
from gateway.vm.migration import go_on
from gateway.vm.process import Process, Stranger, drop_privileges
from gateway.vm.qemu_vm import AGENT_SOCKET, QEMU_LOG, QMP_SOCKET, SERIAL_LOG, SERIAL_SOCKET, QemuVm, last_words
from gateway.vm.qmp import Qmp
from gateway.vm.serial import SerialLog
from gateway.vm.streams import listen_unix
from gateway.vm.uids import NOBODY, UIDS, spare_uid

__all__ = ["Host", "Launcher", "Ram", "cgroup_name"]

_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""All that QEMU sees of the gateway's environment, which may hold secrets."""


@dataclass(frozen=True, slots=True)
class Host:
    """What was found out about this host, once."""

    qemu: Qemu
    accel: Accelerator
    tsc_khz: int | None
    """Its time-stamp counter, where a guest must be told (tsc.py)."""
    clock: str
    """Kernel words about its clock."""


@dataclass(frozen=True, slots=True)
class Ram:
    """A file that holds the guest's RAM."""

    memory: Memory
    """TEMPLATE writes it, CLONE reads it."""
    path: Path


class Launcher:
    """Args:
    uid: the user every QEMU becomes when the gateway is root; None gives each VM its own.
    uids: those that VMs are given, one each.
    disk_bps: what a VM may read and write of its disk a second; None: as much as it can.
    die_with_gateway: a VM ends when the gateway does, even one that was killed.
    cgroup: below which each has its own; found by itself unless named.
    """

    def __init__(
        self,
        uid: int | None,
        *,
        uids: range = UIDS,
        disk_bps: int | None = None,
        die_with_gateway: bool,
        cgroup: str = "",
    ) -> None:
        self._uid = uid
        self._range = uids
        self._disk_bps = disk_bps
        self._die_with_gateway = die_with_gateway
        self._cgroup = cgroup
        self._uids: set[int] = set()
        self._cgroups: asyncio.Future[Cgroups] | None = None

    async def cgroups(self) -> Cgroups:
        """The VMs' cgroups, or why there are none."""
        if self._cgroups is None:
            self._cgroups = asyncio.ensure_future(asyncio.to_thread(Cgroups.open, named=self._cgroup))
        return await asyncio.shield(self._cgroups)

    async def launch(
        self,
        spec: VmSpec,
        lan: Lan,
        image: GoldenImage,
        host: Host,
        disk: Path,
        ram: Ram | None = None,
        *,
        incoming: bool = False,
    ) -> QemuVm:
        """A QEMU whose sockets are connected.

        Args:
            ram: of a template or a clone; without it the RAM is the process's own.
            incoming: it waits for a state to go on from (Qmp.load); else it boots.

        Cancelling or failing leaves no process, and the disk as it was. Raises VmBootFailed.
        """
        async with AsyncExitStack() as undo:
            process = await self._spawn(spec, lan, image, host, disk, ram, incoming)
            undo.push_async_callback(process.stop, 0)
            vm = await self._connect(spec, lan, process)
            undo.pop_all()
            return vm

    async def adopt(self, spec: VmSpec, lan: Lan, pid: int) -> QemuVm:
        """A QEMU that an earlier gateway started; a guest that it had stopped runs again.

        Failing leaves the process. Raises VmError.
        """
        cgroups = await self.cgroups()
        try:
            process = Process(Stranger(pid), "QEMU")
        except ProcessLookupError as exc:
            raise VmError("its QEMU has ended") from exc
        uid = uid_of(pid)
        if self._uid is None and uid:
            self._uids.add(uid)
            process.on_end(lambda: self._free_uid(uid))
        process.on_end(lambda: cgroups.remove(cgroup_name(spec)))
        vm: QemuVm | None = None
        try:
            vm = await self._connect(spec, lan, process)
            found, _ = await vm.qmp.status()
            if found != spec.uuid:
                raise VmError(f"the QEMU on its socket is another, {found}")
            await go_on(vm.qmp)
        except BaseException:
            if vm is not None:
                await vm.let_go()
            else:
                process.let_go()
            raise
        return vm

    async def _spawn(
        self,
        spec: VmSpec,
        lan: Lan,
        image: GoldenImage,
        host: Host,
        disk: Path,
        ram: Ram | None,
        incoming: bool,
    ) -> Process:
        """QEMU in the Lan, with everything it may touch as inherited descriptors; ours are closed again."""
        cgroups = await self.cgroups()
        uid = self._take_uid()

        def release() -> None:
            self._free_uid(uid)
            cgroups.remove(cgroup_name(spec))

        with contextlib.ExitStack() as ours:
            try:
                fds = await _open_all(spec.run_dir, lan, image, disk, host.accel, ram, uid, ours)
                machine = Machine(
                    binary=host.qemu.path,
                    name=f"fenster-{spec.id}",
                    uuid=spec.uuid,
                    accel=host.accel.name,
                    cpu=host.accel.cpu,
                    vcpus=spec.vcpus,
                    memory_mib=spec.memory_mib,
                    cmdline=build_cmdline(image.cmdline, host.clock),
                    guest_mac=GUEST_MAC,
                    fds=fds,
                    memory=ram.memory if ram is not None else Memory.ANONYMOUS,
                    incoming=incoming,
                )
                log = os.open(spec.run_dir / QEMU_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                ours.callback(os.close, log)
                argv = drop_privileges(build_argv(machine), uid, die_with_parent=self._die_with_gateway)
                bounds = bounds_of(spec.memory_mib, spec.vcpus, os.fstat(fds.disk or -1).st_size, self._disk_bps)
                argv = limited(argv, bounds, own_uid=self._uid is None and uid not in (None, NOBODY))
                cgroup = await asyncio.to_thread(_make_cgroup, cgroups, spec, bounds, disk)
                if cgroup is not None:
                    argv = placed(argv, str(cgroup))
                popen = await lan.spawn(
                    Command(argv, pass_fds=fds.all(), env=_ENV, cwd=Path("/"), stdout=log, stderr=log)
                )
            except (NetnsError, VmError, OSError) as exc:
                release()
                hint = exc.hint if isinstance(exc, GatewayError) else ""
                words = exc.message if isinstance(exc, GatewayError) else str(exc)
                raise VmBootFailed(f"QEMU could not be started: {words}", hint=hint) from exc
            except BaseException:
                release()
                raise
            process = Process(popen, "QEMU")
            process.on_end(release)
            return process

    async def _connect(self, spec: VmSpec, lan: Lan, process: Process) -> QemuVm:
        qmp = Qmp(spec.run_dir / QMP_SOCKET)
        async with AsyncExitStack() as undo:
            undo.push_async_callback(qmp.close)
            try:
                link = StreamLink(*await asyncio.open_unix_connection(spec.run_dir / AGENT_SOCKET), name=spec.id)
                undo.push_async_callback(link.close)
                console = await asyncio.open_unix_connection(spec.run_dir / SERIAL_SOCKET)
                serial = SerialLog(*console, spec.run_dir / SERIAL_LOG)
                undo.push_async_callback(serial.close)
                link.start()
                serial.start()
                await qmp.connect()
            except (VmError, OSError) as exc:
                words = last_words(spec.run_dir) or str(exc)
                raise VmBootFailed(f"QEMU did not come up: {words}", hint="see fenster doctor") from exc
            undo.pop_all()
        return QemuVm(spec, lan, process, qmp, link, serial)

    async def forget(self, spec: VmSpec) -> None:
        """Remove the cgroup of a machine that has ended while nobody watched. Idempotent."""
        cgroups = await self.cgroups()
        await asyncio.to_thread(cgroups.remove, cgroup_name(spec))

    def _take_uid(self) -> int | None:
        uid = spare_uid(frozenset(self._uids), self._range) if self._uid is None else self._uid
        if uid is not None:
            self._uids.add(uid)
        return uid

    def _free_uid(self, uid: int | None) -> None:
        if uid is not None:
            self._uids.discard(uid)


def cgroup_name(spec: VmSpec) -> str:
    """Of its own also among several gateways."""
    return f"{spec.id}-{spec.uuid[:8]}"


def _make_cgroup(cgroups: Cgroups, spec: VmSpec, bounds: Bounds, disk: Path) -> Path | None:
    return cgroups.make(cgroup_name(spec), cgroup_values(bounds, drive_of(disk)))


async def _open_all(
    run_dir: Path,
    lan: Lan,
    image: GoldenImage,
    disk: Path,
    accel: Accelerator,
    ram: Ram | None,
    uid: int | None,
    ours: contextlib.ExitStack,
) -> Fds:
    def keep(fd: int) -> int:
        ours.callback(os.close, fd)
        return fd

    def listen(name: str) -> int:
        sock: socket.socket = ours.enter_context(listen_unix(run_dir / name))
        return sock.fileno()

    memory = None
    if ram is not None:
        writes = ram.memory is Memory.TEMPLATE
        memory = keep(os.open(ram.path, (os.O_RDWR if writes else os.O_RDONLY) | os.O_CLOEXEC))
        if writes and uid is not None:
            # It opens the RAM anew through /dev/fd, so the file's own mode counts.
            os.fchown(memory, uid, -1)
    return Fds(
        kernel=keep(os.open(image.kernel, os.O_RDONLY | os.O_CLOEXEC)),
        initrd=keep(os.open(image.initrd, os.O_RDONLY | os.O_CLOEXEC)),
        disk=keep(os.open(disk, os.O_RDWR | os.O_CLOEXEC)),
        tap=keep(await lan.open_tap()),
        qmp=listen(QMP_SOCKET),
        agent=listen(AGENT_SOCKET),
        serial=listen(SERIAL_SOCKET),
        kvm=keep(os.open(KVM_DEVICE, os.O_RDWR | os.O_CLOEXEC)) if accel.name == "kvm" else None,
        ram=memory,
    )
