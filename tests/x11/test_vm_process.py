"""The development driver: conformance, with real host processes in a real namespace."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.vm.driver import Lan, Vm
from gateway.vm.local import ProcessDriver, ProcessVm
from tests.contract.vm_conformance import Bench, VmConformance
from tests.leaks import namespace_of

pytestmark = [pytest.mark.x11, pytest.mark.timeout(180)]


class ProcessBench(Bench):
    patience_s = 60.0

    def __init__(self, run_root: Path, thread: NamespaceThread) -> None:
        super().__init__(ProcessDriver(), run_root)
        self._thread = thread

    async def make_lan(self) -> Lan:
        return await NamespaceLan.create(self._thread)

    async def kill(self, vm: Vm) -> str:
        assert isinstance(vm, ProcessVm)
        vm.process.signal(signal.SIGKILL)
        return "the process guest was killed by signal 9 (SIGKILL)"

    async def close_lans(self) -> None:
        await super().close_lans()
        # The thread does one thing after the other: what a cancelled start was doing there is undone by now.
        os.close(await self._thread.create())

    def namespace(self, vm: Vm) -> str:
        assert isinstance(vm, ProcessVm)
        return namespace_of(vm.process.pid)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    thread = NamespaceThread()
    await thread.start()
    try:
        with tempfile.TemporaryDirectory(prefix="fen") as root:
            made = ProcessBench(Path(root), thread)
            try:
                yield made
            finally:
                await made.close()
    finally:
        await thread.close()


class TestProcess(VmConformance):
    pass


async def test_it_says_that_it_isolates_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    facts = await bench.driver.check()
    assert (facts.accelerator, facts.isolated) == ("none", False)
    vm = await bench.start("aaaaaaaa")
    assert "WITHOUT a VM" in caplog.text
    await vm.stop()


async def test_x_servers_that_start_together_compile_their_keymaps_apart(bench: Bench) -> None:
    """Both are display :1, which names the file; one that finds the other's half written does not start."""
    found = set()
    for vm in await asyncio.gather(bench.start("aaaaaaaa"), bench.start("bbbbbbbb")):
        argv = ["stat", "--format=%d", "/var/lib/xkb"]
        params = {"argv": argv, "timeout_s": 30, "as_user": False, "stdin": ""}
        found.add((await vm.link.call("exec", params, timeout_s=60.0))["stdout"].strip())
    assert len(found - {str(os.stat("/var/lib/xkb").st_dev)}) == 2


async def test_a_dead_x_server_ends_it_with_that_reason(bench: Bench) -> None:
    vm = await bench.start("aaaaaaaa")
    await vm.link.hello(bench.patience_s)
    argv = ["pkill", "-KILL", "-x", "Xorg"]
    killing = asyncio.create_task(
        vm.link.call("exec", {"argv": argv, "timeout_s": 30, "as_user": False, "stdin": ""}, timeout_s=60.0)
    )
    ended = await vm.wait()
    await asyncio.wait({killing})
    killing.exception()
    assert (ended.expected, ended.reason) == (False, "the X server ended with status -9")
    await vm.stop()
