"""What every VM driver must do, run against the fake, the host processes and QEMU.

A test module subclasses :class:`VmConformance` and gives a ``bench`` fixture.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import LinkClosed
from gateway.sessions.waiting import rfb_banner
from gateway.vm.driver import Lan, StageFn, Vm, VmDriver, VmSpec
from guest_agent.protocol.link import LINK_VERSION, VNC_PORT
from tests.leaks import footprint, grown, namespace_users

__all__ = ["Bench", "VmConformance"]

STAGES = ["disk", "spawn"]


class Bench(ABC):
    """A driver and what it stands on."""

    patience_s = 20.0
    """Longer than any step takes that does succeed."""

    def __init__(self, driver: VmDriver, run_root: Path) -> None:
        self.driver = driver
        self.run_root = run_root
        self.lans: list[Lan] = []
        self.vms: list[Vm] = []
        self.specs: list[VmSpec] = []

    @abstractmethod
    async def make_lan(self) -> Lan:
        """A network for one machine."""

    @abstractmethod
    async def kill(self, vm: Vm) -> str:
        """End it from outside, rudely; returns what its reason must contain."""

    def namespace(self, vm: Vm) -> str:
        """Its network namespace, or "" where there is none."""
        return ""

    def roots(self) -> list[Path]:
        return [self.run_root]

    def spec(self, name: str) -> VmSpec:
        run_dir = self.run_root / name
        run_dir.mkdir()
        return VmSpec(name, run_dir)

    async def lan(self) -> Lan:
        lan = await self.make_lan()
        self.lans.append(lan)
        return lan

    async def start(self, name: str, stage: StageFn = lambda name: None) -> Vm:
        spec = self.spec(name)
        vm = await self.driver.start(spec, await self.lan(), stage)
        # A start that fails or is cancelled has left nothing to discard.
        self.specs.append(spec)
        self.vms.append(vm)
        return vm

    async def discard(self) -> None:
        """Delete the machines' disks."""
        for spec in self.specs:
            await self.driver.discard(spec)
        self.specs.clear()

    async def close_lans(self) -> None:
        for lan in self.lans:
            await lan.close()
        self.lans.clear()

    async def close(self) -> None:
        """End what a failed test left running."""
        for vm in self.vms:
            await vm.stop(0)
        await self.discard()
        await self.close_lans()

    def left(self) -> dict[str, list[str]]:
        return footprint(*self.roots())


class VmConformance:
    """The tests. ``bench`` comes from the subclass."""

    @pytest.fixture
    async def clean(self, bench: Bench) -> AsyncIterator[None]:
        """Whatever the test does, what was there before is what is there afterwards."""
        before = bench.left()
        yield
        await bench.discard()
        await bench.close_lans()
        left = grown(before, bench.left())
        assert not left, left

    async def test_a_machine_lives_and_ends(self, bench: Bench, clean: None) -> None:
        stages: list[str] = []
        vm = await bench.start("aaaaaaaa", stages.append)
        assert stages == STAGES
        assert vm.id == "aaaaaaaa"
        inside = bench.namespace(vm)

        hello = await vm.link.hello(bench.patience_s)
        assert hello["protocol"] == LINK_VERSION
        assert (await rfb_banner(vm.dial, VNC_PORT, timeout_s=bench.patience_s)).startswith(b"RFB 003.")
        argv = ["sh", "-c", "echo fenster-$((6 * 7))"]
        ran = await vm.link.call(
            "exec", {"argv": argv, "timeout_s": bench.patience_s, "as_user": False, "stdin": ""}, timeout_s=60.0
        )
        assert (ran["code"], ran["stdout"]) == (0, "fenster-42\n")

        waiting = asyncio.create_task(vm.wait())
        await vm.stop()
        await vm.stop()
        assert (await waiting).expected
        assert await vm.wait() == waiting.result()
        with pytest.raises(LinkClosed):
            await vm.link.call("hello", {})
        await bench.close_lans()
        assert not inside or namespace_users(inside) == []

    async def test_a_killed_machine_says_so_and_its_neighbour_lives_on(self, bench: Bench, clean: None) -> None:
        first, second = await asyncio.gather(bench.start("aaaaaaaa"), bench.start("bbbbbbbb"))
        await asyncio.gather(first.link.hello(bench.patience_s), second.link.hello(bench.patience_s))
        if bench.namespace(first):
            assert bench.namespace(first) != bench.namespace(second)

        reason = await bench.kill(first)
        ended = await first.wait()
        assert not ended.expected
        assert reason in ended.reason
        with pytest.raises(LinkClosed):
            await first.link.hello(bench.patience_s)

        assert (await second.link.hello(bench.patience_s))["protocol"] == LINK_VERSION
        await first.stop()
        assert await first.wait() == ended
        assert (await second.link.hello(bench.patience_s))["protocol"] == LINK_VERSION
        await second.stop()
        assert (await second.wait()).expected

    @pytest.mark.parametrize("when", ["at once", *STAGES])
    async def test_a_cancelled_start_leaves_nothing(self, bench: Bench, clean: None, when: str) -> None:
        starting: asyncio.Task[Vm]

        def stage(name: str) -> None:
            if name == when:
                starting.cancel()

        starting = asyncio.create_task(bench.start("aaaaaaaa", stage))
        if when == "at once":
            await asyncio.sleep(0)
            starting.cancel()
        await asyncio.wait({starting})
        assert starting.cancelled()

    async def test_a_stop_while_it_boots_is_a_stop(self, bench: Bench, clean: None) -> None:
        vm = await bench.start("aaaaaaaa")
        greeting = asyncio.create_task(vm.link.hello(bench.patience_s))
        await asyncio.sleep(0)
        await asyncio.gather(vm.stop(), vm.stop())
        await asyncio.wait({greeting})
        assert (await vm.wait()).expected
        assert greeting.exception() is None or isinstance(greeting.exception(), LinkClosed)

    async def test_a_cancelled_dial_leaves_nothing(self, bench: Bench, clean: None) -> None:
        vm = await bench.start("aaaaaaaa")
        await vm.link.hello(bench.patience_s)
        await rfb_banner(vm.dial, VNC_PORT, timeout_s=bench.patience_s)
        before = bench.left()["descriptors"]
        for turns in range(1, 12):
            dialing = asyncio.create_task(vm.dial(VNC_PORT))
            for _ in range(turns):
                await asyncio.sleep(0)
            dialing.cancel()
            await asyncio.wait({dialing})
            if not dialing.cancelled():
                _, writer = dialing.result()
                writer.close()
                await writer.wait_closed()
        await vm.stop()
        left = Counter(bench.left()["descriptors"]) - Counter(before)
        assert not [target for target in left if target.startswith("socket:")]
