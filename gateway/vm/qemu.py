"""The `qemu` driver: one microVM per session, in a namespace of its own, as a user of its own.

A machine is a clone of the snapshot of a live desktop where there is one, else it boots.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gateway.errors import DiskError, ImageError, LinkError, SnapshotError, VmError
from gateway.vm import migration
from gateway.vm.accel import choose_accelerator
from gateway.vm.argv import Memory
from gateway.vm.binary import find_qemu
from gateway.vm.driver import Facts, Lan, SavedTemplate, StageFn, Vm, VmDriver, VmSpec
from gateway.vm.files import MachineFiles
from gateway.vm.find import find_process
from gateway.vm.images import GoldenImage, find_image, open_image
from gateway.vm.launch import Host, Launcher, Ram
from gateway.vm.library import Library
from gateway.vm.process import Process, Stranger
from gateway.vm.qemu_vm import QemuVm, remove_sockets
from gateway.vm.snapshot import DISK, Snapshot, open_snapshot, snapshot_key, snapshot_path, verify_snapshot
from gateway.vm.spares import DiskSource, SpareDisks
from gateway.vm.suspend import fork, load, suspend
from gateway.vm.template import make_snapshot
from gateway.vm.tsc import host_tsc_khz, tsc_cmdline
from gateway.vm.uids import UIDS

__all__ = ["QemuDriver"]

logger = logging.getLogger(__name__)

CLONE_HELLO_S = 15.0
"""A restored guest answers in a fraction of a second; one that is silent for so long never will."""


class QemuDriver:
    """Starts microVMs.

    Args:
        golden_dir: where ``fenster build`` keeps its images.
        state_dir: keeps the accelerator probe's result, and the templates that people save.
        disk_dir: where the VMs' disks are made. Not the run directory, which is often in RAM; with reflink it
            must be on the golden images' file system.
        snapshots_dir: where ``fenster build`` keeps its snapshots; None never clones one.
        accel: "auto" finds out by booting.
        profile: the image that check() looks at; a VmSpec names its own.
        reflink: let disks share blocks with their source until either is written, where the file system can.
        spare_disk: keep a copy of the disk ready, made after each VM's hello, without clones after check() too;
            close() deletes it.
        uid: the user every QEMU becomes when the gateway is root; None gives each VM its own.
        uids: those that VMs are given, one each.
        disk_bps: what a VM may read and write of its disk a second; None: as much as it can.
        die_with_gateway: a VM ends when the gateway does, even one that was killed; without it adopt() finds it.
        cgroup: below which each VM has its own; found by itself unless named.
        find: how an image is found by profile; tests replace it.
    """

    def __init__(
        self,
        golden_dir: Path,
        state_dir: Path,
        disk_dir: Path,
        *,
        snapshots_dir: Path | None = None,
        accel: Literal["auto", "kvm", "tcg"] = "auto",
        profile: str = "xfce",
        reflink: bool = False,
        spare_disk: bool = False,
        uid: int | None = None,
        uids: range = UIDS,
        disk_bps: int | None = None,
        qemu: str = "qemu-system-x86_64",
        die_with_gateway: bool = True,
        cgroup: str = "",
        find: Callable[[Path, str], GoldenImage] = find_image,
    ) -> None:
        self._golden_dir = golden_dir
        self._state_dir = state_dir
        self._disk_dir = disk_dir
        self._library = Library(state_dir / "templates")
        self._wanted = accel
        self._profile = profile
        self._spares = SpareDisks(disk_dir, ahead=spare_disk, reflink=reflink)
        self._qemu_name = qemu
        self._find = find
        self._launcher = Launcher(uid, uids=uids, disk_bps=disk_bps, die_with_gateway=die_with_gateway, cgroup=cgroup)
        self._clones = snapshots_dir is not None
        self._snapshots_dir = snapshots_dir if snapshots_dir is not None else golden_dir.parent / "snapshots"
        self._verified: dict[Path, tuple[tuple[int, int], ...]] = {}
        self._ready: Host | None = None
        self._cpuinfo = ""
        """Of a host whose processor the guests see. Read once: on one of many cores it takes long."""
        self._checking = asyncio.Lock()
        self._verifying = asyncio.Lock()
        self.counters = dict.fromkeys(["boots", "clones", "clone_failures", "resumes"], 0)
        """Machines started, by how; since start."""

    async def check(self) -> Facts:
        image = await self._image(self._profile)
        host = await self._host(image)
        if not self._clones:  # A clone has its snapshot's disk, not the image's.
            self._spares.refill(image)
        cgroups = await self._launcher.cgroups()
        return Facts(
            name="qemu",
            accelerator=host.accel.name,
            why=host.accel.why,
            isolated=host.accel.name == "kvm",
            versions={"qemu": host.qemu.version, "image": f"{image.profile}-{image.key}", **image.versions},
            counters=dict(self.counters),
            limits=cgroups.controllers,
            limits_why=cgroups.why,
        )

    async def start(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        image, host = await self._image_of(spec)
        snapshot, source = await self._source(spec, image, host)
        if snapshot is not None:
            try:
                vm = await self._clone(spec, lan, image, host, snapshot, stage)
            except (VmError, LinkError) as exc:
                self.counters["clone_failures"] += 1
                logger.warning("x no clone for %s, booting instead: %s", spec.id, exc)
            else:
                self.counters["clones"] += 1
                return vm
        async with self._new_disk(spec, source, image):
            stage("disk")
            vm = await self._launch(spec, lan, image, host, stage)
        self.counters["boots"] += 1
        # Not before: the copy would compete with the boot.
        vm.greeted.add_done_callback(lambda _: self._spares.refill(source))
        return vm

    async def boot(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        files = self._files(spec)
        image = await self._image_of_disk(spec)
        host = await self._host(image)
        await asyncio.to_thread(files.use_up)
        vm = await self._launch(spec, lan, image, host, stage)
        self.counters["boots"] += 1
        return vm

    async def suspend(self, vm: Vm, spec: VmSpec) -> None:
        assert isinstance(vm, QemuVm)
        image = await self._image_of_disk(spec)
        host = await self._host(image)
        await suspend(vm, self._files(spec), self._key(spec, image, host), image.key, host.tsc_khz)

    def suspended(self, spec: VmSpec) -> bool:
        return self._files(spec).sealed()

    async def resume(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        files = self._files(spec)
        image = await self._image_of_disk(spec)
        host = await self._host(image)
        await asyncio.to_thread(files.check, self._key(spec, image, host), host.tsc_khz)
        async with AsyncExitStack() as undo:
            vm = await self._launch(spec, lan, image, host, stage, incoming=True)
            undo.push_async_callback(vm.stop, 0)
            await load(vm, files)
            stage("restore")
            await asyncio.sleep(0)  # Where a cancellation that came meanwhile can still be undone.
            undo.pop_all()
        # From its first step on the disk is ahead of the stream.
        await asyncio.to_thread(files.use_up)
        try:
            await vm.qmp.resume()
        except BaseException:
            await vm.stop(0)
            raise
        stage("resume")
        self.counters["resumes"] += 1
        return vm

    async def fork(self, vm: Vm, spec: VmSpec, child: VmSpec) -> float:
        assert isinstance(vm, QemuVm)
        image = await self._image_of_disk(spec)
        host = await self._host(image)
        files = self._files(child)
        await asyncio.to_thread(files.claim, image.key)
        return await fork(vm, files, self._key(spec, image, host), image.key, host.tsc_khz)

    async def save(self, spec: VmSpec, lan: Lan, name: str) -> SavedTemplate:
        image = await self._image_of_disk(spec)
        host = await self._host(image)
        files = self._files(spec)
        return await self._library.save(
            name, self._launcher, spec, lan, image, host, files, self._key(spec, image, host)
        )

    def saved(self) -> Sequence[SavedTemplate]:
        return self._library.list()

    def find(self, spec: VmSpec) -> int | None:
        return find_process(spec.uuid)

    async def adopt(self, spec: VmSpec, lan: Lan, pid: int) -> Vm:
        # A host that cannot start anything any more may still run what it has: nothing is looked up here.
        return await self._launcher.adopt(spec, lan, pid)

    async def end(self, spec: VmSpec) -> None:
        pid = await asyncio.to_thread(find_process, spec.uuid)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                await Process(Stranger(pid), "QEMU").stop(0)
        await self._launcher.forget(spec)

    async def discard(self, spec: VmSpec) -> None:
        await self.end(spec)
        try:
            await asyncio.to_thread(self._files(spec).remove)
            await asyncio.to_thread(remove_sockets, spec.run_dir)
        except OSError as exc:
            raise DiskError(f"the disk of {spec.id} could not be deleted: {exc.strerror}") from exc

    async def make_snapshot(
        self, spec: VmSpec, lan: Lan, progress: Callable[[str], None], *, force: bool = False
    ) -> Snapshot:
        """The snapshot for machines of this size, made now unless there is a whole one. Raises VmError."""
        image = await self._image(spec.profile)
        host = await self._host(image)
        key = self._key(spec, image, host)
        target = snapshot_path(self._snapshots_dir, spec.profile, key)
        with contextlib.suppress(SnapshotError):
            there = await asyncio.to_thread(open_snapshot, target, spec.profile, key, host.tsc_khz)
            if there is not None and not force:
                return there
        return await make_snapshot(self._launcher, spec, lan, image, host, target, key, progress)

    async def snapshot_path(self, spec: VmSpec) -> Path:
        """Where the snapshot for machines of this size is, or would be. Raises VmError."""
        image = await self._image(spec.profile)
        return snapshot_path(self._snapshots_dir, spec.profile, self._key(spec, image, await self._host(image)))

    async def close(self) -> None:
        """Delete the spare disk. VMs that run are not touched. Idempotent."""
        await self._spares.close()

    async def _clone(
        self, spec: VmSpec, lan: Lan, image: GoldenImage, host: Host, snapshot: Snapshot, stage: StageFn
    ) -> QemuVm:
        """A clone of the snapshot, which answers."""
        async with self._new_disk(spec, snapshot, image), AsyncExitStack() as undo:
            stage("disk")
            ram = Ram(Memory.CLONE, snapshot.ram)
            vm = await self._launch(spec, lan, image, host, stage, ram, incoming=True)
            undo.push_async_callback(vm.stop, 0)
            with snapshot.state.open("rb") as state:
                await migration.load(vm.qmp, state.fileno(), with_ram=False)
            stage("restore")
            await vm.qmp.resume()
            # QEMU restores a few mismatches without a word, and such a guest never moves.
            await vm.link.hello(CLONE_HELLO_S)
            stage("resume")
            await asyncio.sleep(0)
            undo.pop_all()
        vm.greeted.add_done_callback(lambda _: self._spares.refill(snapshot))
        return vm

    async def _launch(
        self,
        spec: VmSpec,
        lan: Lan,
        image: GoldenImage,
        host: Host,
        stage: StageFn,
        ram: Ram | None = None,
        *,
        incoming: bool = False,
    ) -> QemuVm:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(asyncio.to_thread, remove_sockets, spec.run_dir)
            vm = await self._launcher.launch(spec, lan, image, host, self._files(spec).disk, ram, incoming=incoming)
            undo.push_async_callback(vm.stop, 0)
            stage("spawn")
            await asyncio.sleep(0)  # Where a cancellation that came meanwhile can still be undone.
            undo.pop_all()
        return vm

    @contextlib.asynccontextmanager
    async def _new_disk(self, spec: VmSpec, source: DiskSource, image: GoldenImage) -> AsyncIterator[None]:
        """A copy of the source's disk; gone again when what is done with it fails."""
        files = self._files(spec)
        try:
            await asyncio.to_thread(files.claim, image.key)
            await self._spares.take(source, files.disk)
            yield
        except BaseException:
            await asyncio.to_thread(files.remove)
            raise

    def _files(self, spec: VmSpec) -> MachineFiles:
        return MachineFiles(self._disk_dir, spec.id)

    async def _image_of(self, spec: VmSpec) -> tuple[GoldenImage, Host]:
        """What a new machine starts from: a saved template's own image while it is there, else the profile's."""
        image = await self._image(spec.profile)
        if spec.saved:
            image = await self._image_with(image, await asyncio.to_thread(self._library.image, spec.saved))
        return image, await self._host(image)

    async def _image_of_disk(self, spec: VmSpec) -> GoldenImage:
        key = await asyncio.to_thread(self._files(spec).image)
        return await self._image_with(await self._image(spec.profile), key)

    async def _image_with(self, newest: GoldenImage, key: str) -> GoldenImage:
        """The image of this key while it is there; else the newest, whose kernel is as good as any for the disk."""
        if key in ("", newest.key):
            return newest
        try:
            return await asyncio.to_thread(open_image, self._golden_dir / f"{newest.profile}-{key}")
        except ImageError:
            return newest

    async def _image(self, profile: str) -> GoldenImage:
        return await asyncio.to_thread(self._find, self._golden_dir, profile)

    async def _host(self, image: GoldenImage) -> Host:
        async with self._checking:
            if self._ready is None:
                qemu = await find_qemu(self._qemu_name)
                accel = await choose_accelerator(qemu, image, wanted=self._wanted, state_dir=self._state_dir)
                logger.info("= accelerator %s: %s", accel.name, accel.why)
                if accel.name == "kvm":
                    self._cpuinfo = await asyncio.to_thread(Path("/proc/cpuinfo").read_text)
                khz = await asyncio.to_thread(host_tsc_khz) if accel.name == "tcg" else None
                self._ready = Host(qemu, accel, khz, tsc_cmdline(khz))
            return self._ready

    def _key(self, spec: VmSpec, image: GoldenImage, host: Host) -> str:
        return snapshot_key(image, host, spec, self._cpuinfo)

    async def _source(self, spec: VmSpec, image: GoldenImage, host: Host) -> tuple[Snapshot | None, DiskSource]:
        """The snapshot to clone, its files verified once, if there is a whole one; and the disk to copy without."""
        key = self._key(spec, image, host)
        path = self._library.path(spec.saved) if spec.saved else snapshot_path(self._snapshots_dir, spec.profile, key)
        if not self._clones and not spec.saved:
            return None, image
        async with self._verifying:
            try:
                snapshot = await asyncio.to_thread(open_snapshot, path, spec.profile, key, host.tsc_khz)
                if snapshot is None:
                    return None, image
                if self._verified.get(path) != await asyncio.to_thread(_stamps, snapshot):
                    await asyncio.to_thread(verify_snapshot, snapshot)
                    self._verified[path] = await asyncio.to_thread(_stamps, snapshot)
            except (SnapshotError, OSError) as exc:
                logger.warning("x the snapshot is not used: %s", exc)
                return None, image if not spec.saved else _SavedDisk(path, spec.profile, image.key)
            return snapshot, snapshot if spec.saved else image


@dataclass(frozen=True, slots=True)
class _SavedDisk:
    """A saved template's disk alone, to be booted where its snapshot does not fit."""

    path: Path
    profile: str
    key: str

    @property
    def disk(self) -> Path:
        return self.path / DISK


def _stamps(snapshot: Snapshot) -> tuple[tuple[int, int], ...]:
    """Changes when a file is written or replaced."""
    found = [(snapshot.path / name).stat() for name in snapshot.files]
    return tuple((stat.st_ino, stat.st_mtime_ns) for stat in found)


_driver: type[VmDriver] = QemuDriver
_sources: tuple[type[DiskSource], ...] = (Snapshot, _SavedDisk)
