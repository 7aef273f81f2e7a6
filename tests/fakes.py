"""In-process doubles of the VM, its network and the data plane, for everyone's unit tests.

They keep the contracts of gateway/vm/driver.py: the conformance suite (tests/contract/vm_conformance.py) runs
against them and against the real drivers. Nothing here sleeps or opens a port; streams are socketpairs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from gateway.dataplane import DataPlane, IceCredentials
from gateway.errors import Conflict, GatewayError, NotFound, SnapshotError, VmBootFailed, VmLost
from gateway.exits import Exit, ExitReport, Traffic
from gateway.vm.driver import (
    AgentLink,
    Facts,
    Lan,
    SavedTemplate,
    StageFn,
    Vm,
    VmDriver,
    VmExit,
    VmSpec,
)
from gateway.vm.link import StreamLink
from gateway.vm.streams import open_guest_stream
from guest_agent.protocol.link import VNC_PORT
from tests.fake_guest import FakeGuest, GuestRefusal
from tests.fake_lan import RFB_BANNER, FakeLan, PortHandler, Streams, rfb
from tests.memory_store import MemoryStore

__all__ = [
    "RFB_BANNER",
    "FakeDataPlane",
    "FakeDriver",
    "FakeGuest",
    "FakeLan",
    "FakeVm",
    "GuestRefusal",
    "MemoryStore",
    "PortHandler",
    "boot_failure",
    "silent_guest",
]


class FakeVm:
    """A machine made of one task. ``guest`` is its scripted inside."""

    def __init__(self, spec: VmSpec, lan: Lan, guest: FakeGuest, link: StreamLink, streams: Streams) -> None:
        self.id = spec.id
        self.spec = spec
        self.guest = guest
        self.link: AgentLink = link
        self.stops = 0
        self.paused = False
        self.spent_s = 0.0
        self._ending = asyncio.Lock()
        self._lan = lan
        self._stream_link = link
        self._streams = streams
        self._exit: asyncio.Future[VmExit] = asyncio.get_running_loop().create_future()

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await open_guest_stream(self._lan, port)

    async def wait(self) -> VmExit:
        return await asyncio.shield(self._exit)

    async def pause(self) -> None:
        self.paused = True

    async def resume(self) -> None:
        self.paused = False

    @property
    def ended(self) -> bool:
        return self._exit.done()

    async def stop(self, grace_s: float = 2.0) -> None:
        self.stops += 1
        await self._end(VmExit(expected=True, reason="it was stopped"))

    async def crash(self, reason: str = "QEMU was killed by signal 9", hint: str = "") -> None:
        """End it as a kill from outside would."""
        await self._end(VmExit(expected=False, reason=reason, hint=hint))

    async def let_go(self) -> None:
        await self._stream_link.close()

    def processor_s(self) -> float:
        return self.spent_s

    async def reboot(self) -> None:
        """End it as a guest's reboot does."""
        await self._end(VmExit(expected=False, reason="the guest rebooted", rebooted=True))

    async def _end(self, result: VmExit) -> None:
        if not self._exit.done():
            self._exit.set_result(result)
        # Whoever comes second waits: after stop() nothing of it is left, and nothing of it is touched.
        async with self._ending:
            await self._streams.close()
            await self._stream_link.close()


class FakeDriver:
    """Starts FakeVms.

    A test may set one of the errors (``start_error`` is raised after the disk stage, by whatever starts a machine),
    give ``guest`` to script the next guests, or clear ``gate`` to hold start(), boot() and resume(), and
    ``write_gate`` to hold suspend(), fork() and save(), until it is set again.
    """

    def __init__(self, *, guest: Callable[[], FakeGuest] = FakeGuest) -> None:
        self.guest = guest
        self.check_error: GatewayError | None = None
        self.start_error: GatewayError | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.starting = asyncio.Event()
        """Set when a start() has made its disk and waits at the gate."""
        self.write_gate = asyncio.Event()
        self.write_gate.set()
        self.writing = asyncio.Event()
        """Set when a suspend(), fork() or save() waits at the write gate."""
        self.vms: dict[str, FakeVm] = {}
        """By id, also when they have ended."""
        self.specs: list[VmSpec] = []
        self.disks: set[str] = set()
        self.asleep: dict[str, bool] = {}
        """Suspended machines by id; False: it cannot be resumed any more."""
        self.suspend_error: GatewayError | None = None
        self.fork_error: GatewayError | None = None
        self.save_error: GatewayError | None = None
        self.templates: list[SavedTemplate] = []

    async def check(self) -> Facts:
        if self.check_error is not None:
            raise self.check_error
        why = "the rest is only pretended"
        return Facts("fake", "none", "nothing runs", isolated=False, limits=("memory",), limits_why=why)

    async def start(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        async with contextlib.AsyncExitStack() as undo:
            undo.callback(self.disks.discard, spec.id)
            self.disks.add(spec.id)
            stage("disk")
            vm = await self.boot(spec, lan, stage)
            undo.pop_all()
        return vm

    async def boot(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        self.asleep.pop(spec.id, None)
        return await self._launch(spec, lan, stage)

    async def _launch(self, spec: VmSpec, lan: Lan, stage: StageFn) -> FakeVm:
        assert spec.id in self.disks
        self.specs.append(spec)
        self.starting.set()
        await self.gate.wait()
        if self.start_error is not None:
            raise self.start_error
        async with contextlib.AsyncExitStack() as undo:
            vm = await self._boot(spec, lan)
            undo.push_async_callback(vm.stop)
            stage("spawn")
            await asyncio.sleep(0)
            undo.pop_all()
        self.vms[spec.id] = vm
        return vm

    async def suspend(self, vm: Vm, spec: VmSpec) -> None:
        await self._write(vm, self.suspend_error)
        self.asleep[spec.id] = True
        await vm.stop()

    def suspended(self, spec: VmSpec) -> bool:
        return spec.id in self.asleep

    async def resume(self, spec: VmSpec, lan: Lan, stage: StageFn) -> Vm:
        if not self.asleep[spec.id]:
            raise SnapshotError("it was suspended on another QEMU, image or host")
        vm = await self._launch(spec, lan, stage)
        del self.asleep[spec.id]
        # What slept is still somebody, and its agent runs.
        vm.guest.identity = "as before"
        stage("restore")
        stage("resume")
        return vm

    async def fork(self, vm: Vm, spec: VmSpec, child: VmSpec) -> float:
        await self._write(vm, self.fork_error)
        self.disks.add(child.id)
        self.asleep[child.id] = True
        return 0.25

    async def save(self, spec: VmSpec, lan: Lan, name: str) -> SavedTemplate:
        await self._write(None, self.save_error)
        del self.asleep[spec.id]
        self.templates.append(SavedTemplate(name, spec.profile, spec.vcpus, spec.memory_mib, spec.browser))
        return self.templates[-1]

    def saved(self) -> Sequence[SavedTemplate]:
        return self.templates

    def find(self, spec: VmSpec) -> int | None:
        vm = self.vms.get(spec.id)
        return 4242 if vm is not None and not vm.ended and vm.spec.uuid == spec.uuid else None

    async def adopt(self, spec: VmSpec, lan: Lan, pid: int) -> Vm:
        old = self.vms[spec.id]
        self.vms[spec.id] = vm = await self._boot(spec, lan, old.guest)
        return vm

    async def end(self, spec: VmSpec) -> None:
        if self.find(spec) is not None:
            await self.vms[spec.id].crash()

    async def discard(self, spec: VmSpec) -> None:
        await self.end(spec)
        self.disks.discard(spec.id)
        self.asleep.pop(spec.id, None)

    async def survivor(self) -> FakeDriver:
        """What the next gateway's driver finds when this one's gateway is killed now: files, and machines that run.

        Both drivers have them from then on, and nothing that is done with one shows in the other. The guests are the
        same: a test may script what they say to the next.
        """
        other = FakeDriver(guest=self.guest)
        other.disks, other.asleep, other.templates = set(self.disks), dict(self.asleep), list(self.templates)
        for vm in [vm for vm in self.vms.values() if not vm.ended]:
            other.vms[vm.id] = twin = await other._boot(vm.spec, FakeLan(), vm.guest)
            await twin.let_go()
        return other

    async def _write(self, vm: Vm | None, error: GatewayError | None) -> None:
        self.writing.set()
        await self.write_gate.wait()
        await asyncio.sleep(0)
        if error is not None:
            raise error
        if isinstance(vm, FakeVm) and vm.ended:
            raise VmLost("it ended meanwhile")

    async def _boot(self, spec: VmSpec, lan: Lan, guest: FakeGuest | None = None) -> FakeVm:
        guest = guest or self.guest()
        if isinstance(lan, FakeLan):
            lan.ports.setdefault(VNC_PORT, rfb)
        ours, theirs = socket.socketpair()
        streams = Streams()
        try:
            await streams.serve(theirs, guest.serve, f"fake-guest-{spec.id}")
            link = StreamLink(*await asyncio.open_connection(sock=ours), name=spec.id)
        except BaseException:
            await streams.close()
            ours.close()
            raise
        link.start()
        return FakeVm(spec, lan, guest, link, streams)


class FakeDataPlane:
    """Namespaces and mappings in two dictionaries."""

    def __init__(self, media_port: int = 8443) -> None:
        self.media_port = media_port
        self.lans: dict[str, FakeLan] = {}
        self.admitted: dict[tuple[str, str], IceCredentials] = {}
        """By (vm_id, ufrag)."""
        self.attach_error: GatewayError | None = None
        self.settled = False
        self.exits: dict[str, Exit] = {}
        """By VM, the last that was set."""
        self.reports: dict[str, ExitReport] = {}
        self.watchers: dict[str, Callable[[], None]] = {}
        self.carried: dict[str, Traffic] = {}

    async def attach(self, vm_id: str, pid: int | None = None) -> Lan:
        if self.attach_error is not None:
            raise self.attach_error
        self.lans[vm_id] = FakeLan()
        return self.lans[vm_id]

    async def detach(self, vm_id: str) -> None:
        for key in [key for key in self.admitted if key[0] == vm_id]:
            del self.admitted[key]
        lan = self.lans.pop(vm_id, None)
        if lan is not None:
            await lan.close()

    async def leave(self, vm_id: str) -> None:
        await self.detach(vm_id)

    async def settle(self) -> None:
        self.settled = True

    async def ping(self) -> None:
        return None

    async def admit(self, vm_id: str, ice: IceCredentials) -> None:
        if any(ufrag == ice.ufrag for _, ufrag in self.admitted):
            raise Conflict(f"the ufrag {ice.ufrag} is taken")
        self.admitted[(vm_id, ice.ufrag)] = ice

    async def revoke(self, vm_id: str, ufrag: str) -> None:
        self.admitted.pop((vm_id, ufrag), None)

    async def dial(self, vm_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        lan = self.lans.get(vm_id)
        if lan is None:
            raise NotFound(f"no VM {vm_id}")
        return await open_guest_stream(lan, port)

    async def set_upstream(self, vm_id: str, out: Exit, changed: Callable[[], None]) -> None:
        if vm_id not in self.lans:
            raise NotFound(f"no VM {vm_id}")
        self.exits[vm_id] = out
        state: Literal["off", "unknown"] = "off" if out.type == "none" else "unknown"
        self.reports[vm_id] = ExitReport(state, traffic=self.carried.get(vm_id, Traffic()))
        self.watchers[vm_id] = changed

    def egress(self, vm_id: str) -> ExitReport:
        asleep = ExitReport(traffic=self.carried.get(vm_id, Traffic()))
        return self.reports.get(vm_id, asleep) if vm_id in self.lans else asleep

    def recall_traffic(self, vm_id: str, traffic: Traffic) -> None:
        self.carried[vm_id] = traffic

    def forget_traffic(self, vm_id: str) -> None:
        self.carried.pop(vm_id, None)

    def report(self, vm_id: str, report: ExitReport) -> None:
        """Have the VM's proxy say this of itself."""
        self.reports[vm_id] = report
        self.carried[vm_id] = report.traffic
        self.watchers[vm_id]()

    def take(self, sock: socket.socket) -> None:
        sock.close()

    def counters(self) -> Mapping[str, int]:
        return {"admitted": len(self.admitted)}

    def egress_counters(self) -> Mapping[str, int]:
        return {"egress_bytes_up": 7, "egress_error_upstream-down": 2}


def silent_guest() -> FakeGuest:
    """For FakeDriver(guest=silent_guest): boots and never says a word."""
    return FakeGuest(silent=True)


def boot_failure() -> VmBootFailed:
    """For FakeDriver.start_error."""
    return VmBootFailed("QEMU ended at once", hint="see serial.log")


_vm: type[Vm] = FakeVm
_driver: type[VmDriver] = FakeDriver
_dataplane: type[DataPlane] = FakeDataPlane
