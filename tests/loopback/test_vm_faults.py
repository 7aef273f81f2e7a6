"""A VM that cannot start says why, and leaves nothing: no image, no space, a QEMU that will not run."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.errors import DiskError, ImageError, VmBootFailed, VmUnavailable
from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.vm.driver import Lan, Vm
from gateway.vm.qemu import QemuDriver
from tests.contract.vm_conformance import Bench
from tests.leaks import grown
from tests.unit.test_vm_images import make


class FaultBench(Bench):
    """A QEMU driver whose images, disks and QEMU are whatever the test makes of them."""

    def __init__(self, root: Path, thread: NamespaceThread) -> None:
        self.root = root
        self.disks = root / "disks"
        self.disks.mkdir()
        self.thread = thread
        (root / "run").mkdir()
        super().__init__(self.with_qemu("exec sleep 1000"), root / "run")

    def with_qemu(self, script: str) -> QemuDriver:
        program = self.root / "qemu"
        text = f'#!/bin/sh\n[ "$1" = --version ] && echo "QEMU emulator version 10.0.2" && exit\n{script}\n'
        program.write_text(text)
        program.chmod(0o755)
        driver = QemuDriver(
            self.root / "golden", self.root / "state", self.disks, accel="tcg", qemu=str(program), uid=os.getuid()
        )
        self.driver = driver
        return driver

    async def make_lan(self) -> Lan:
        return await NamespaceLan.create(self.thread)

    async def kill(self, vm: Vm) -> str:
        raise NotImplementedError("nothing runs here")

    def roots(self) -> list[Path]:
        return [self.run_root, self.disks]


@pytest.fixture
async def bench() -> AsyncIterator[FaultBench]:
    thread = NamespaceThread()
    await thread.start()
    try:
        with tempfile.TemporaryDirectory(prefix="fen") as root:
            yield FaultBench(Path(root), thread)
    finally:
        await thread.close()


@pytest.fixture
def small_disks(bench: FaultBench) -> Iterator[FaultBench]:
    """The disks' directory on a file system of one MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(bench.disks)], check=True)
    yield bench
    subprocess.run(["umount", str(bench.disks)], check=True)


async def test_no_image(bench: FaultBench) -> None:
    before = bench.left()
    with pytest.raises(ImageError, match="no golden image") as caught:
        await bench.start("aaaaaaaa")
    assert caught.value.hint == "run fenster build"
    await bench.close_lans()
    assert not grown(before, bench.left())


async def test_a_damaged_image(bench: FaultBench) -> None:
    folder = make(bench.root / "golden", "xfce", "1234")
    os.truncate(folder / "disk.raw", 7)
    before = bench.left()
    with pytest.raises(ImageError, match=r"disk\.raw has 7 bytes, not 400"):
        await bench.start("aaaaaaaa")
    await bench.close_lans()
    assert not grown(before, bench.left())


@pytest.mark.parametrize("sparse", [False, True])
async def test_a_full_disk(small_disks: FaultBench, sparse: bool) -> None:
    def fill(body: dict[str, object]) -> None:
        folder = small_disks.root / "golden" / "xfce-1234"
        (folder / "disk.raw").write_bytes(os.urandom(2 << 20))
        if sparse:  # More data than there is room for, behind a hole.
            os.truncate(folder / "disk.raw", 0)
            with (folder / "disk.raw").open("r+b") as out:
                out.seek(64 << 20)
                out.write(os.urandom(2 << 20))
        files = body["files"]
        assert isinstance(files, dict)
        files["disk.raw"]["size"] = (folder / "disk.raw").stat().st_size

    make(small_disks.root / "golden", "xfce", "1234", fill)
    before = small_disks.left()
    with pytest.raises(DiskError, match="no space for a VM's disk") as caught:
        await small_disks.start("aaaaaaaa")
    assert "free some space" in caught.value.hint
    await small_disks.close_lans()
    assert not grown(before, small_disks.left())


async def test_a_qemu_that_ends_at_once_is_quoted(bench: FaultBench) -> None:
    make(bench.root / "golden", "xfce", "1234")
    bench.with_qemu("echo 'qemu: could not set up host memory: Cannot allocate memory' >&2; exit 1")
    before = bench.left()
    with pytest.raises(VmBootFailed, match="could not set up host memory"):
        await bench.start("aaaaaaaa")
    await bench.close_lans()
    assert not grown(before, bench.left())


async def test_a_qemu_that_says_nothing_is_given_up(bench: FaultBench, monkeypatch: pytest.MonkeyPatch) -> None:
    make(bench.root / "golden", "xfce", "1234")
    monkeypatch.setattr("gateway.vm.qmp.CONNECT_TIMEOUT_S", 0.2)
    before = bench.left()
    with pytest.raises(VmBootFailed, match=r"did not greet within 0\.2 s"):
        await bench.start("aaaaaaaa")
    await bench.close_lans()
    assert not grown(before, bench.left())


async def test_no_qemu(bench: FaultBench) -> None:
    make(bench.root / "golden", "xfce", "1234")
    (bench.root / "qemu").unlink()
    before = bench.left()
    with pytest.raises(VmUnavailable, match="not on the PATH"):
        await bench.start("aaaaaaaa")
    await bench.close_lans()
    assert not grown(before, bench.left())


async def test_a_run_directory_with_a_long_name_is_refused(bench: FaultBench) -> None:
    make(bench.root / "golden", "xfce", "1234")
    bench.run_root = bench.root / "run" / ("x" * 90)
    bench.run_root.mkdir()
    before = bench.left()
    with pytest.raises(VmBootFailed, match="longer than 107 bytes"):
        await bench.start("aaaaaaaa")
    await bench.close_lans()
    assert not grown(before, bench.left())
