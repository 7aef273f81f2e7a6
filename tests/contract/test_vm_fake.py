"""The fake keeps the contract that it stands in for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import DiskError, GuestError, LinkTimeout
from gateway.vm.driver import Lan, Vm
from guest_agent.protocol.rpc import METHOD_NOT_FOUND
from tests.contract.vm_conformance import Bench, VmConformance
from tests.fakes import FakeDriver, FakeGuest, FakeLan, FakeVm
from tests.leaks import grown


class FakeBench(Bench):
    async def make_lan(self) -> Lan:
        return FakeLan()

    async def kill(self, vm: Vm) -> str:
        assert isinstance(vm, FakeVm)
        await vm.crash("QEMU was killed by signal 9 (SIGKILL)")
        return "signal 9"


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="fen") as root:
        yield FakeBench(FakeDriver(), Path(root))


class TestFake(VmConformance):
    pass


async def test_a_start_that_fails_leaves_nothing(bench: Bench) -> None:
    assert isinstance(bench.driver, FakeDriver)
    bench.driver.start_error = DiskError("no space")
    before = bench.left()
    with pytest.raises(DiskError):
        await bench.start("aaaaaaaa")
    await bench.close_lans()
    assert not grown(before, bench.left())


async def test_a_silent_guest_times_out(bench: Bench) -> None:
    assert isinstance(bench.driver, FakeDriver)
    bench.driver.guest = lambda: FakeGuest(silent=True)
    vm = await bench.start("aaaaaaaa")
    with pytest.raises(LinkTimeout):
        await vm.link.hello(0.05)
    await vm.stop()
    await bench.close_lans()


async def test_an_unknown_method_is_refused(bench: Bench) -> None:
    vm = await bench.start("aaaaaaaa")
    with pytest.raises(GuestError) as caught:
        await vm.link.call("nonsense", {})
    assert caught.value.code == METHOD_NOT_FOUND
    await vm.stop()
    await bench.close_lans()
