"""The control plane's side: a :class:`~gateway.dataplane.DataPlane` whose bytes are another process's.

It knows all that it has asked for. When the data plane is lost, it starts another and asks for it all again; viewers
by UDP and TCP come back by themselves then, and the guests' proxies are there again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from gateway.dataplane import DataPlane, IceCredentials
from gateway.errors import GatewayError, NetnsError, NotFound
from gateway.exits import Exit, ExitReport, Traffic
from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.plane import calls
from gateway.plane.calls import Call, News, Reply
from gateway.plane.channel import Channel, close_all, pid_and_uid
from gateway.plane.compose import PlaneSettings
from gateway.vm.driver import Lan

__all__ = ["RemoteDataPlane"]

logger = logging.getLogger(__name__)

CALL_S = 30.0
GREET_S, END_S = 10.0, 5.0
PULSE_S, PULSE_ANSWER_S, MISSES = 2.0, 2.0, 2
"""Between two questions whether it lives, for each answer, and how many it may leave unanswered."""
REVIVE_FIRST_S, REVIVE_MAX_S = 0.1, 5.0
"""Between two attempts to have a data plane again."""

Reach = Callable[[], Awaitable[socket.socket]]
"""A connection to the data plane, which is started if it does not run. Raises ConfigError."""


@dataclass(slots=True)
class _Vm:
    """What the data plane was asked for, so that the next one can be."""

    lan: NamespaceLan
    admitted: dict[str, IceCredentials] = field(default_factory=dict)
    out: Exit | None = None
    changed: Callable[[], None] = lambda: None


class RemoteDataPlane:
    """Made by :meth:`connect`."""

    def __init__(self, reach: Reach, settings: PlaneSettings, namespaces: NamespaceThread) -> None:
        self._reach = reach
        self._settings = settings
        self._namespaces = namespaces
        self.media_port = 0
        self.pid = 0
        """The data plane's process."""
        self._channel: Channel | None = None
        self._numbers = count(1)
        self._pending: dict[int, asyncio.Future[tuple[Mapping[str, Any], list[int]]]] = {}
        self._vms: dict[str, _Vm] = {}
        self._traffic: dict[str, Traffic] = {}
        """Of VMs that are not attached yet."""
        self._reports: dict[str, ExitReport] = {}
        self._counters: Mapping[str, int] = {}
        self._egress_counters: Mapping[str, int] = {}
        self._left: set[str] = set()
        self._reviving: asyncio.Task[None] | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._pidfd = -1
        self._closed = False
        self.restarts = 0
        """How often the data plane was lost."""
        self.hangs = 0
        """How often of these because it did not answer."""

    @classmethod
    async def connect(cls, reach: Reach, settings: PlaneSettings, namespaces: NamespaceThread) -> RemoteDataPlane:
        """Raises ConfigError: it cannot be had, or runs with other settings."""
        made = cls(reach, settings, namespaces)
        try:
            try:
                await made._greet()
            except NetnsError as exc:
                # One that hung was ended, and another is started.
                logger.error("! %s", exc)
                made._hang_up()
                await made._greet()
        except BaseException:
            made._hang_up()
            raise
        made._pulse = asyncio.create_task(made._feel_pulse(), name="pulse of the data plane")
        return made

    async def attach(self, vm_id: str, pid: int | None = None) -> Lan:
        """As DataPlane.attach(). What this VM has in the data plane already is taken over with ``pid``."""
        traffic = self._traffic.pop(vm_id, None)
        params = {"adopt": pid is not None, "traffic": None if traffic is None else calls.traffic_to(traffic)}
        if pid is None:
            _, fds = await self._call("attach", vm_id, params)
        else:
            holding = await NamespaceLan.of_process(self._namespaces, pid)
            try:
                _, fds = await self._call("attach", vm_id, params, [holding.fd])
            finally:
                await holding.close()
        lan = NamespaceLan(self._namespaces, fds.pop())
        self._vms[vm_id] = _Vm(lan)
        self._left.discard(vm_id)
        return lan

    async def detach(self, vm_id: str) -> None:
        vm = self._vms.pop(vm_id, None)
        self._reports.pop(vm_id, None)
        if vm_id in self._left:
            return
        try:
            # Also one that is not known here: its attach may have been cancelled.
            await self._call("detach", vm_id)
        finally:
            if vm is not None:
                await vm.lan.close()

    async def leave(self, vm_id: str) -> None:
        """Let go of a VM, for the next control plane; everything of it goes on."""
        self._left.add(vm_id)
        if (vm := self._vms.pop(vm_id, None)) is not None:
            await vm.lan.close()

    async def admit(self, vm_id: str, ice: IceCredentials) -> None:
        vm = self._vm(vm_id)
        params = {"ufrag": ice.ufrag, "pwd": ice.pwd, "guest_port": ice.guest_port}
        await self._call("admit", vm_id, params)
        vm.admitted[ice.ufrag] = ice

    async def revoke(self, vm_id: str, ufrag: str) -> None:
        if vm_id in self._left:
            return
        if (vm := self._vms.get(vm_id)) is not None:
            vm.admitted.pop(ufrag, None)
        await self._call("revoke", vm_id, {"ufrag": ufrag})

    async def dial(self, vm_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        _, fds = await self._call("dial", vm_id, {"port": port})
        sock = socket.socket(fileno=fds.pop())
        try:
            sock.setblocking(False)
            return await asyncio.open_connection(sock=sock)
        except BaseException:
            sock.close()
            raise

    async def set_upstream(self, vm_id: str, out: Exit, changed: Callable[[], None]) -> None:
        vm = self._vm(vm_id)
        vm.out, vm.changed = out, changed
        await self._call("set_upstream", vm_id, {"out": out.reveal()})

    def egress(self, vm_id: str) -> ExitReport:
        """As it was a second ago at most; a change of its state is told at once."""
        return self._reports.get(vm_id) or ExitReport(traffic=self._traffic.get(vm_id, Traffic()))

    def recall_traffic(self, vm_id: str, traffic: Traffic) -> None:
        self._traffic[vm_id] = traffic

    def forget_traffic(self, vm_id: str) -> None:
        self._traffic.pop(vm_id, None)
        self._say("forget_traffic", {"vm": vm_id})

    def take(self, sock: socket.socket) -> None:
        self._say("take", {}, [sock.fileno()])
        sock.close()

    async def ping(self) -> None:
        await self._call("ping")

    def counters(self) -> Mapping[str, int]:
        return {**self._counters, "restarts": self.restarts, "hangs": self.hangs}

    def egress_counters(self) -> Mapping[str, int]:
        return self._egress_counters

    async def settle(self) -> None:
        """All that is wanted of what an earlier control plane left was asked for: let go of the rest."""
        await self._call("settle")

    async def close(self) -> None:
        """Have the data plane end; but turn away from one that has VMs for the next control plane. Idempotent."""
        self._closed = True
        if self._pulse is not None:
            self._pulse.cancel()
            await asyncio.wait({self._pulse})
        if self._reviving is not None:
            self._reviving.cancel()
            await asyncio.gather(self._reviving, return_exceptions=True)
            self._reviving = None
        if self._channel is None:
            return
        keep = bool(self._left)
        for vm_id in list(self._vms):
            await self.detach(vm_id)
        if not keep:
            with contextlib.suppress(GatewayError):
                await self._call("end")
        self._hang_up()

    # The conversation.

    async def _greet(self) -> None:
        sock = await self._reach()
        self._pidfd = _pidfd_of(sock)
        self._channel = Channel(sock, self._receive, self._lost)
        params = {"version": calls.VERSION, "settings": self._settings.model_dump(mode="json")}
        try:
            async with asyncio.timeout(GREET_S):
                said, _ = await self._call("hello", params=params)
        except TimeoutError as exc:
            # While it is going, its socket still takes connections.
            gone = os.dup(self._pidfd)
            self._end_it()
            try:
                await asyncio.to_thread(select.select, [gone], [], [], END_S)
            finally:
                os.close(gone)
            raise NetnsError(f"the data plane did not greet within {GREET_S:g} s, and was ended") from exc
        self.media_port, self.pid = int(said["media_port"]), int(said["pid"])

    async def _call(
        self, name: str, vm_id: str | None = None, params: Mapping[str, Any] | None = None, fds: Sequence[int] = ()
    ) -> tuple[Mapping[str, Any], list[int]]:
        if self._channel is None:
            raise NetnsError("the data plane is being restarted", hint="try again in a moment")
        ident = next(self._numbers)
        future: asyncio.Future[tuple[Mapping[str, Any], list[int]]] = asyncio.get_running_loop().create_future()
        self._pending[ident] = future
        try:
            self._channel.send(calls.encode(Call(ident, name, {**(params or {}), **_of(vm_id)})), fds)
            async with asyncio.timeout(CALL_S):
                return await future
        except TimeoutError as exc:
            raise NetnsError(f"the data plane did not answer {name} within {CALL_S:g} s") from exc
        finally:
            self._pending.pop(ident, None)

    def _say(self, name: str, params: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
        """A call whose answer nobody waits for."""
        if self._channel is not None:
            self._channel.send(calls.encode(Call(next(self._numbers), name, params)), fds)

    def _receive(self, data: bytes, fds: list[int]) -> None:
        match calls.decode(data):
            case Reply(ident, result, error):
                future = self._pending.get(ident)
                if future is None or future.done():
                    close_all(fds)
                elif error is not None:
                    future.set_exception(error)
                else:
                    future.set_result((result, fds))
            case News("report", {"vm": str(vm_id), "report": report}):
                self._hear(vm_id, calls.report_of(report))
            case News("counters", {"counters": counters, "egress": egress}):
                self._counters, self._egress_counters = counters, egress
            case _:
                logger.error("! the data plane said something odd")

    def _hear(self, vm_id: str, report: ExitReport) -> None:
        vm = self._vms.get(vm_id)
        if vm is None:
            return
        before = self._reports.get(vm_id)
        self._reports[vm_id] = report
        if before is None or (before.state, before.kind, before.check) != (report.state, report.kind, report.check):
            vm.changed()

    def _hang_up(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)
        for future in self._pending.values():
            if not future.done():
                future.set_exception(NetnsError("the data plane has gone", hint="try again in a moment"))

    # Losing it.

    async def _feel_pulse(self) -> None:
        """End one that does not answer: what it held is made anew, as of one that died."""
        misses = 0
        while True:
            await asyncio.sleep(PULSE_S)
            try:
                async with asyncio.timeout(PULSE_ANSWER_S):
                    await self.ping()
            except TimeoutError:
                misses += 1
            except NetnsError:
                misses = 0  # It is lost, and has been seen to be.
            else:
                misses = 0
            if misses >= MISSES:
                misses = 0
                logger.error("! the data plane does not answer, and is ended")
                self.hangs += 1
                self._end_it()

    def _end_it(self) -> None:
        if self._pidfd >= 0:
            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            except OSError as exc:
                logger.error("! the data plane %d cannot be ended: %s", self.pid, exc.strerror)

    def _lost(self) -> None:
        self._hang_up()
        if self._closed or self._reviving is not None or self._pulse is None:
            return  # Before the first greeting, whoever connects tries again.
        logger.error("! the data plane is lost; another one is started")
        self.restarts += 1
        self._reviving = asyncio.create_task(self._revive(), name="revive the data plane")

    async def _revive(self) -> None:
        pause_s = REVIVE_FIRST_S
        while True:
            try:
                await self._greet()
                for vm_id, vm in list(self._vms.items()):
                    await self._restore(vm_id, vm)
                break
            except (GatewayError, OSError) as exc:
                logger.error("! no data plane: %s", exc)
                self._hang_up()
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, REVIVE_MAX_S)
        self._reviving = None
        logger.info("= a new data plane has %d VMs", len(self._vms))

    async def _restore(self, vm_id: str, vm: _Vm) -> None:
        traffic = self.egress(vm_id).traffic
        params = {"adopt": True, "traffic": calls.traffic_to(traffic)}
        _, fds = await self._call("attach", vm_id, params, [vm.lan.fd])
        close_all(fds)
        for ice in list(vm.admitted.values()):
            await self.admit(vm_id, ice)
        if vm.out is not None:
            await self.set_upstream(vm_id, vm.out, vm.changed)

    def _vm(self, vm_id: str) -> _Vm:
        vm = self._vms.get(vm_id)
        if vm is None:
            raise NotFound(f"VM {vm_id} has no network.")
        return vm


def _pidfd_of(sock: socket.socket) -> int:
    """Of the process at the other end. Raises NetnsError when it has ended."""
    try:
        return os.pidfd_open(pid_and_uid(sock)[0])
    except ProcessLookupError:
        sock.close()
        raise NetnsError("the data plane has ended", hint="try again in a moment") from None


def _of(vm_id: str | None) -> Mapping[str, str]:
    return {} if vm_id is None else {"vm": vm_id}


_: type[DataPlane] = RemoteDataPlane
