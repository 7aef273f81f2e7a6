"""The QEMU driver on the golden image: conformance, and the ends that only a real machine has."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from gateway.errors import LinkError
from gateway.vm.driver import Vm
from gateway.vm.images import GoldenImage
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
