"""The data plane's side: one control plane at a time tells it what to do, and finds all as the last one left it.

What a new control plane has not asked for again by the time that it says ``settle`` belongs to nobody, and goes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.dataplane import IceCredentials
from gateway.errors import ConfigError, Conflict, GatewayError, NotFound
from gateway.exits import Exit
from gateway.local_dataplane import LocalDataPlane
from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.plane import calls
from gateway.plane.calls import Call, News, Reply
from gateway.plane.channel import Channel, close_all, listen, pid_and_uid
from gateway.plane.compose import PlaneSettings

__all__ = ["PlaneServer"]

logger = logging.getLogger(__name__)

MAX_PENDING = 256
"""Calls under way; a control plane that asks for more at once is out of its mind."""
MAX_OTHERS = 8
"""Connections that have not said hello: who asks for our pid. The oldest gives way."""
NEWS_S = 1.0
"""Between two rounds of counters and reports."""

MakePlane = Callable[[PlaneSettings], Awaitable[LocalDataPlane]]
Handler = Callable[["PlaneServer", Mapping[str, Any], list[int]], Awaitable[Mapping[str, Any] | tuple[int, ...]]]


@dataclass(slots=True)
class _Vm:
    lan: NamespaceLan
    """The data plane's; it closes it."""
    out: Exit | None = None
    admitted: dict[str, IceCredentials] = field(default_factory=dict)
    """By ufrag."""
    wanted: set[str] = field(default_factory=set)
    """Ufrags that the present control plane has asked for."""
    claimed: bool = True
    """The present control plane has asked for it."""
    told: Any = None
    """The report that it has."""


class PlaneServer:
    """Listens at ``path`` from :meth:`start` on.

    Args:
        namespaces: started; closed by who made it.
        make: the data plane, by the first control plane's settings.
    """

    def __init__(self, path: Path, namespaces: NamespaceThread, make: MakePlane) -> None:
        self._path = path
        self._namespaces = namespaces
        self._make = make
        self._made: LocalDataPlane | None = None
        self._settings: PlaneSettings | None = None
        self._vms: dict[str, _Vm] = {}
        self._listening: socket.socket | None = None
        self._master: Channel | None = None
        """The control plane: the last that has said hello."""
        self._others: list[Channel] = []
        """Connected, and silent so far; oldest first."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._counters: Mapping[str, Any] = {}
        self.ended = asyncio.Event()
        """A control plane has asked for the end."""
        self.alone = asyncio.Event()
        """There is neither control plane nor VM."""
        self.alone.set()

    def start(self) -> None:
        """Raises ConfigError."""
        self._listening = listen(self._path)
        asyncio.get_running_loop().add_reader(self._listening, self._accept)
        self._spawn(self._tell_news(), "news")

    async def ping(self) -> None:
        """For a watchdog: the loop that runs this is all that there is."""

    async def close(self) -> None:
        """End everything that goes through here. Idempotent."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._path.unlink(missing_ok=True)
            self._listening = None
        for channel in [*self._others, *([self._master] if self._master is not None else [])]:
            channel.close()
        self._others.clear()
        self._master = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._made is not None:
            await self._made.close()
            self._made = None

    def _accept(self) -> None:
        assert self._listening is not None
        try:
            sock, _ = self._listening.accept()
        except OSError:
            return
        if pid_and_uid(sock)[1] != os.geteuid():
            logger.warning("! another user's process wanted to be the control plane")
            sock.close()
            return
        if len(self._others) >= MAX_OTHERS:
            self._others.pop(0).close()
        channel = Channel(sock, lambda data, fds: self._receive(channel, data, fds), lambda: self._left(channel))
        self._others.append(channel)

    def _welcome(self, channel: Channel) -> None:
        """It has said hello, and all that the last one wanted is to be asked for again."""
        if channel is self._master:
            return
        if self._master is not None:
            logger.warning("= another control plane takes over")
            self._master.close()
        self._others.remove(channel)
        self._master = channel
        for vm in self._vms.values():
            vm.claimed, vm.told = False, None
            vm.wanted.clear()
        self._counters = {}
        self.alone.clear()
        logger.info("= a control plane is here")

    def _left(self, channel: Channel) -> None:
        if channel is not self._master:
            self._others.remove(channel)
            return
        logger.info("= the control plane has gone; %d VMs go on", len(self._vms))
        self._master = None
        self._look_around()

    def _look_around(self) -> None:
        if self._master is None and not self._vms:
            self.alone.set()

    def _receive(self, channel: Channel, data: bytes, fds: list[int]) -> None:
        try:
            call = calls.decode(data)
        except ValueError:
            logger.error("! the control plane said something odd")
            call = None
        known = channel is self._master
        if not isinstance(call, Call) or len(self._tasks) >= MAX_PENDING or not (known or call.name == "hello"):
            close_all(fds)
            return
        if call.name == "take":
            # No answer, and no time to lose: a viewer's connection.
            self._take(fds)
            return
        self._spawn(self._answer(channel, call, fds), call.name)

    def _take(self, fds: list[int]) -> None:
        for fd in fds:
            sock = socket.socket(fileno=fd)
            if self._made is None:
                sock.close()
            else:
                self._made.take(sock)

    async def _answer(self, channel: Channel, call: Call, fds: list[int]) -> None:
        answer: list[int] = []
        try:
            handler = HANDLERS.get(call.name)
            if handler is None:
                raise ConfigError(f"no call named {call.name[:40]!r}", hint="restart the data plane")
            result = await handler(self, call.params, fds)
            if call.name == "hello" and channel.open:
                self._welcome(channel)
            if isinstance(result, tuple):
                answer, result = list(result), {}
            reply = Reply(call.id, result)
        except GatewayError as exc:
            reply = Reply(call.id, {}, exc)
        except Exception as exc:
            logger.exception("! %s", call.name)
            reply = Reply(call.id, {}, GatewayError(f"{type(exc).__name__} in the data plane"))
        finally:
            close_all(fds)
        channel.send(calls.encode(reply), answer)
        close_all(answer)

    # The calls.

    async def _hello(self, params: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        settings = PlaneSettings.model_validate(params["settings"])
        if params.get("version") != calls.VERSION:
            raise ConfigError("the data plane is of another release", hint="end its sessions, and restart it")
        if self._made is None:
            self._made = await self._make(settings)
            self._settings = settings
        elif settings != self._settings:
            raise ConfigError(
                "the data plane runs with other settings of media or proxies",
                hint="restart it, which interrupts its viewers, or set them as they were",
            )
        return {"media_port": self._plane.media_port, "pid": os.getpid()}

    async def _attach(self, params: Mapping[str, Any], fds: list[int]) -> tuple[int, ...]:
        name, adopt = str(params["vm"]), bool(params["adopt"])
        known = self._vms.get(name)
        if known is not None and adopt:
            known.claimed = True
        else:
            if known is not None:
                # Of a control plane that was killed before it could say so.
                await self._detach({"vm": name}, [])
            if params.get("traffic") is not None:
                self._plane.recall_traffic(name, calls.traffic_of(params["traffic"]))
            lan = NamespaceLan(self._namespaces, fds.pop()) if fds else await NamespaceLan.create(self._namespaces)
            await self._plane.attach(name, lan=lan)
            known = self._vms[name] = _Vm(lan)
        return (os.dup(known.lan.fd),)

    async def _detach(self, params: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        name = str(params["vm"])
        self._vms.pop(name, None)
        await self._plane.detach(name)
        self._look_around()
        return {}

    async def _admit(self, params: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        vm = self._vm(params)
        ice = IceCredentials(str(params["ufrag"]), str(params["pwd"]), int(params["guest_port"]))
        if vm.admitted.get(ice.ufrag) != ice:
            await self._plane.admit(str(params["vm"]), ice)
            vm.admitted[ice.ufrag] = ice
        vm.wanted.add(ice.ufrag)
        return {}

    async def _revoke(self, params: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        name, ufrag = str(params["vm"]), str(params["ufrag"])
        if (vm := self._vms.get(name)) is not None:
            vm.admitted.pop(ufrag, None)
            vm.wanted.discard(ufrag)
        await self._plane.revoke(name, ufrag)
        return {}

    async def _dial(self, params: Mapping[str, Any], fds: list[int]) -> tuple[int, ...]:
        with await self._plane.connect(str(params["vm"]), int(params["port"])) as sock:
            return (sock.detach(),)

    async def _set_upstream(self, params: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        vm, name, out = self._vm(params), str(params["vm"]), Exit.model_validate(params["out"])
        if vm.out != out:
            await self._plane.set_upstream(name, out, lambda: self._tell_report(name))
            vm.out = out
        self._tell_report(name)
        return {}

    async def _forget_traffic(self, params: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        self._plane.forget_traffic(str(params["vm"]))
        return {}

    async def _settle(self, params: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        for name, vm in list(self._vms.items()):
            if not vm.claimed:
                logger.info("= nobody wants VM %s any more", name)
                await self._detach({"vm": name}, [])
                continue
            for ufrag in [ufrag for ufrag in vm.admitted if ufrag not in vm.wanted]:
                await self._revoke({"vm": name, "ufrag": ufrag}, [])
        return {}

    async def _ping(self, params: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        return {}

    async def _end(self, params: Mapping[str, Any], fds: list[int]) -> Mapping[str, Any]:
        self.ended.set()
        return {}

    # What it tells unasked.

    async def _tell_news(self) -> None:
        while True:
            await asyncio.sleep(NEWS_S)
            if self._master is None or self._made is None:
                continue
            counters = {"counters": self._plane.counters(), "egress": self._plane.egress_counters()}
            if counters != self._counters:
                self._counters = counters
                self._master.send(calls.encode(News("counters", counters)))
            for name in list(self._vms):
                self._tell_report(name)

    def _tell_report(self, name: str) -> None:
        vm = self._vms.get(name)
        if vm is None or self._master is None or not vm.claimed:
            return
        report = calls.report_to(self._plane.egress(name))
        if report != vm.told:
            vm.told = report
            self._master.send(calls.encode(News("report", {"vm": name, "report": report})))

    @property
    def _plane(self) -> LocalDataPlane:
        if self._made is None:
            raise Conflict("the first call is hello")
        return self._made

    def _vm(self, params: Mapping[str, Any]) -> _Vm:
        vm = self._vms.get(str(params["vm"]))
        if vm is None:
            raise NotFound(f"VM {params['vm']} has no network.")
        return vm

    def _spawn(self, work: Awaitable[None], name: str) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


HANDLERS: Mapping[str, Handler] = {
    "hello": PlaneServer._hello,
    "attach": PlaneServer._attach,
    "detach": PlaneServer._detach,
    "admit": PlaneServer._admit,
    "revoke": PlaneServer._revoke,
    "dial": PlaneServer._dial,
    "set_upstream": PlaneServer._set_upstream,
    "forget_traffic": PlaneServer._forget_traffic,
    "settle": PlaneServer._settle,
    "ping": PlaneServer._ping,
    "end": PlaneServer._end,
}
