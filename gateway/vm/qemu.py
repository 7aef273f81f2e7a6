"""The `qemu` driver: one microVM per session, in a namespace of its own, as a user of its own.

A machine is a clone of the snapshot of a live desktop where there is one, else it boots.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from gateway.errors import LinkError, SnapshotError, VmError
from gateway.vm.accel import choose_accelerator
from gateway.vm.argv import STATE_URI, Memory
from gateway.vm.binary import find_qemu
from gateway.vm.driver import Facts, Lan, StageFn, Vm, VmDriver, VmSpec
from gateway.vm.images import GoldenImage, find_image
from gateway.vm.launch import Host, Launcher, Saved
from gateway.vm.qemu_vm import QemuVm, remove_files
from gateway.vm.snapshot import Snapshot, open_snapshot, snapshot_key, snapshot_path, verify_snapshot
from gateway.vm.spares import DiskSource, SpareDisks
from gateway.vm.template import make_snapshot
from gateway.vm.tsc import host_tsc_khz, tsc_cmdline

__all__ = ["QemuDriver"]

logger = logging.getLogger(__name__)

CLONE_HELLO_S = 15.0
"""A restored guest answers in a fraction of a second; one that is silent for so long never will."""


class QemuDriver:
    """Starts microVMs.

    Args:
        golden_dir: where ``fenster build`` keeps its images.
        state_dir: keeps the accelerator probe's result.
        snapshots_dir: where ``fenster build`` keeps its snapshots; None never clones.
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
        snapshots_dir: Path | None = None,
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
        self._qemu_name = qemu
        self._find = find
        self._launcher = Launcher(uid, die_with_gateway=die_with_gateway)
        self._clones = snapshots_dir is not None
        self._snapshots_dir = snapshots_dir if snapshots_dir is not None else golden_dir.parent / "snapshots"
        self._verified: dict[Path, tuple[tuple[int, int], ...]] = {}
        self._ready: Host | None = None
        self._cpuinfo = ""
        """Of a host whose processor the guests see. Read once: on one of many cores it takes long."""
        self._checking = asyncio.Lock()
        self._verifying = asyncio.Lock()
        self.counters = dict.fromkeys(["boots", "clones", "clone_failures"], 0)
        """Machines started, by how; since start."""

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
            counters=dict(self.counters),
        )

    async def start(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        image = await self._image(spec.profile)
        host = await self._host(image)
        snapshot = await self._snapshot(spec, image, host)
        if snapshot is not None:
            try:
                vm = await self._start(spec, lan, image, host, snapshot, stage)
            except (VmError, LinkError) as exc:
                self.counters["clone_failures"] += 1
                logger.warning("x no clone for %s, booting instead: %s", spec.id, exc)
            else:
                self.counters["clones"] += 1
                return vm
        vm = await self._start(spec, lan, image, host, None, stage)
        self.counters["boots"] += 1
        return vm

    async def make_snapshot(
        self, spec: VmSpec, lan: Lan, progress: Callable[[str], None], *, force: bool = False
    ) -> Snapshot:
        """The snapshot for machines of this size, made now unless there is a whole one. Raises VmError."""
        image = await self._image(spec.profile)
        host = await self._host(image)
        key = self._key(spec, image, host)
        with contextlib.suppress(SnapshotError):
            there = await asyncio.to_thread(open_snapshot, self._snapshots_dir, spec.profile, key, host.tsc_khz)
            if there is not None and not force:
                return there
        target = snapshot_path(self._snapshots_dir, spec.profile, key)
        return await make_snapshot(self._launcher, spec, lan, image, host, target, key, progress)

    async def snapshot_path(self, spec: VmSpec) -> Path:
        """Where the snapshot for machines of this size is, or would be. Raises VmError."""
        image = await self._image(spec.profile)
        return snapshot_path(self._snapshots_dir, spec.profile, self._key(spec, image, await self._host(image)))

    async def close(self) -> None:
        """Delete the spare disk. VMs that run are not touched. Idempotent."""
        await self._spares.close()

    async def _start(
        self, spec: VmSpec, lan: Lan, image: GoldenImage, host: Host, snapshot: Snapshot | None, stage: StageFn
    ) -> QemuVm:
        """A clone of the snapshot, which answers; without one a machine that boots."""
        source: DiskSource = image if snapshot is None else snapshot
        saved = None if snapshot is None else Saved(Memory.CLONE, snapshot.ram, snapshot.state)
        disk = self._disk_dir / f"{spec.id}.raw"
        async with AsyncExitStack() as undo:
            undo.push_async_callback(asyncio.to_thread, remove_files, spec.run_dir, disk)
            await self._spares.take(source, disk)
            stage("disk")
            vm = await self._launcher.launch(spec, lan, image, host, disk, saved)
            undo.push_async_callback(vm.stop, 0)
            stage("spawn")
            if saved is not None:
                await vm.qmp.restore(STATE_URI)
                stage("restore")
                await vm.qmp.resume()
                # QEMU restores a few mismatches without a word, and such a guest never moves.
                await vm.link.hello(CLONE_HELLO_S)
                stage("resume")
            await asyncio.sleep(0)  # Where a cancellation that came meanwhile can still be undone.
            undo.pop_all()
        # Not before: the copy would compete with the boot.
        vm.greeted.add_done_callback(lambda _: self._spares.refill(source))
        return vm

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

    async def _snapshot(self, spec: VmSpec, image: GoldenImage, host: Host) -> Snapshot | None:
        """The one to clone, its files verified once; None where there is none, or none that is whole."""
        if not self._clones:
            return None
        key = self._key(spec, image, host)
        async with self._verifying:
            try:
                snapshot = await asyncio.to_thread(
                    open_snapshot, self._snapshots_dir, spec.profile, key, host.tsc_khz
                )
                if snapshot is None or self._verified.get(snapshot.path) == _stamps(snapshot):
                    return snapshot
                await asyncio.to_thread(verify_snapshot, snapshot)
                self._verified[snapshot.path] = _stamps(snapshot)
            except (SnapshotError, OSError) as exc:
                logger.warning("x the snapshot is not used: %s", exc)
                return None
            return snapshot


def _stamps(snapshot: Snapshot) -> tuple[tuple[int, int], ...]:
    """Changes when a file is written or replaced."""
    found = [(snapshot.path / name).stat() for name in snapshot.files]
    return tuple((stat.st_ino, stat.st_mtime_ns) for stat in found)


_driver: type[VmDriver] = QemuDriver
_source: type[DiskSource] = Snapshot
