"""A QEMU driver on the golden image, with directories of its own."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.vm.driver import Lan, Vm, VmSpec
from gateway.vm.images import GoldenImage
from gateway.vm.qemu import QemuDriver
from gateway.vm.qemu_vm import QemuVm
from tests.contract.vm_conformance import Bench
from tests.leaks import namespace_of

__all__ = ["QemuBench", "qemu_bench"]


class QemuBench(Bench):
    patience_s = 240.0

    def __init__(self, driver: QemuDriver, image: GoldenImage, root: Path, thread: NamespaceThread) -> None:
        super().__init__(driver, root / "run")
        self.driver: QemuDriver = driver
        self.image = image
        self.disk_dir = root / "disks"
        self._thread = thread

    async def make_lan(self) -> Lan:
        return await NamespaceLan.create(self._thread)

    async def kill(self, vm: Vm) -> str:
        assert isinstance(vm, QemuVm)
        vm.process.signal(signal.SIGKILL)
        return "QEMU was killed by signal 9 (SIGKILL)"

    def namespace(self, vm: Vm) -> str:
        assert isinstance(vm, QemuVm)
        return namespace_of(vm.process.pid)

    def roots(self) -> list[Path]:
        return [self.run_root, self.disk_dir]

    def spec(self, name: str) -> VmSpec:
        plain = super().spec(name)
        return VmSpec(plain.id, plain.run_dir, profile=self.image.profile)


@asynccontextmanager
async def qemu_bench(
    image: GoldenImage,
    *,
    accel: Literal["auto", "kvm", "tcg"] = "tcg",
    disk_dir: Path | None = None,
    snapshots_dir: Path | None = None,
) -> AsyncIterator[QemuBench]:
    """Directories, a namespace thread and a driver, ended in reverse order."""
    thread = NamespaceThread()
    await thread.start()
    try:
        with TemporaryDirectory(prefix="fen") as name:
            root = Path(name)
            (root / "run").mkdir()
            disks = disk_dir or root / "disks"
            driver = QemuDriver(
                image.path.parent,
                root / "state",
                disks,
                snapshots_dir=snapshots_dir,
                accel=accel,
                profile=image.profile,
                find=lambda *_: image,
            )
            bench = QemuBench(driver, image, root, thread)
            bench.disk_dir = disks
            await driver.check()  # So that nothing of the first start is found out later than the rest.
            try:
                yield bench
            finally:
                await bench.close()
    finally:
        await thread.close()
