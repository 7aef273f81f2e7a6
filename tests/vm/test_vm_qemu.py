"""The QEMU driver on the golden image: conformance, and the ends that only a real machine has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import LinkError
from gateway.vm.driver import Vm
from gateway.vm.images import GoldenImage
from gateway.vm.qemu_vm import QemuVm
from tests.contract.vm_conformance import VmConformance
from tests.vm.bench import QemuBench, qemu_bench

pytestmark = [pytest.mark.vm, pytest.mark.timeout(600)]


@pytest.fixture
async def bench(golden_image: GoldenImage) -> AsyncIterator[QemuBench]:
    async with qemu_bench(golden_image) as made:
        yield made


class TestQemu(VmConformance):
    pass


async def _run(vm: Vm, script: str) -> None:
    """Run something that ends the guest; whether it still answers does not matter."""
    with contextlib.suppress(LinkError):
        argv = ["sh", "-c", script]
        await vm.link.call("exec", {"argv": argv, "timeout_s": 30, "as_user": False, "stdin": ""}, timeout_s=60.0)


async def test_a_panic_is_told_with_its_text(bench: QemuBench) -> None:
    vm = await bench.start("aaaaaaaa")
    await vm.link.hello(bench.patience_s)
    dying = asyncio.create_task(_run(vm, "echo c > /proc/sysrq-trigger"))
    ended = await vm.wait()
    await dying
    assert not ended.expected
    assert ended.reason == "the guest kernel panicked: sysrq triggered crash"
    await vm.stop()
    # Its console outlives it, for whoever wants to know more.
    assert "sysrq triggered crash" in (bench.run_root / "aaaaaaaa" / "serial.log").read_text()
    assert str(bench.run_root / "aaaaaaaa" / "serial.log") in ended.hint


async def test_a_guest_that_powers_off_says_so(bench: QemuBench) -> None:
    vm = await bench.start("aaaaaaaa")
    await vm.link.hello(bench.patience_s)
    dying = asyncio.create_task(_run(vm, "poweroff -f"))
    ended = await vm.wait()
    await dying
    assert (ended.expected, ended.reason) == (False, "the guest shut down")
    await vm.stop()


def _powerless(pid: int) -> set[str]:
    """Check one process and return its uids."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(told["CapPrm"], 16) == int(told["CapBnd"], 16) == 0
    assert told["NoNewPrivs"] == "1"
    assert told["Seccomp"] == "2"
    assert Path(f"/proc/{pid}/environ").read_text().count("\0") == 2
    return set(told["Uid"].split())


async def test_qemu_holds_no_rights(bench: QemuBench) -> None:
    """It is a stranger to the host: no capability, seccomp, a uid of its own, nothing of the gateway's secrets."""
    first, second = await asyncio.gather(bench.start("aaaaaaaa"), bench.start("bbbbbbbb"))
    uids = [_powerless(vm.process.pid) for vm in (first, second) if isinstance(vm, QemuVm)]
    assert all(len(uid) == 1 for uid in uids)
    assert "0" not in uids[0] | uids[1]
    assert uids[0] != uids[1]
    await asyncio.gather(first.stop(), second.stop())
