"""A real agent and a real viewer on a real relay, watched while somebody else means ill; and who that may be."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.dataplane import IceCredentials
from gateway.local_dataplane import LocalDataPlane
from gateway.relay.relay import Relay
from gateway.relay.table import Address, RelayTable
from gateway.relay.table import Mapping as Admitted
from gateway.vm.driver import AgentLink, GuestEvent, Lan
from guest_agent import rtp as agent_rtp
from guest_agent.ports import OfferResult
from guest_agent.protocol.messages import Channel, Ping, Pong
from tests.loopback.media_viewer import Agent, Viewer
from tests.loopback.relay_lan import LOOPBACK, LoopbackLan

__all__ = ["LyingGuest", "Scene", "scene"]


class Wiretap(RelayTable):
    """The table, and every binding request that got somebody in: what one on the viewer's path could have kept."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[bytes] = []

    def judge(self, address: Address, data: bytes | memoryview, now: float) -> tuple[Admitted | None, list[Admitted]]:
        mapping, ended = super().judge(address, data, now)
        if mapping is not None and data[:2] == b"\x00\x01":
            self.heard.append(bytes(data))
        return mapping, ended


class LyingGuest:
    """The session of a guest whose agent answers offers as it likes."""

    def __init__(self, name: str, answer: Mapping[str, Any]) -> None:
        self.id = name
        self.answer = answer
        self.events: asyncio.Queue[GuestEvent] = asyncio.Queue(8)
        self.link: AgentLink = self

    async def hello(self, timeout_s: float) -> Mapping[str, Any]:
        return {}

    async def call(self, method: str, params: Mapping[str, Any], *, timeout_s: float = 10.0) -> Mapping[str, Any]:
        return self.answer if method == "offer" else {}

    def peers_changed(self) -> None:
        return None


class Scene:
    def __init__(self, agent: Agent, viewer: Viewer, dataplane: LocalDataPlane, table: Wiretap) -> None:
        self.agent, self.viewer, self.dataplane, self.table = agent, viewer, dataplane, table
        self.result: OfferResult
        """What the agent told the gateway: ufrag, pwd and port."""
        self._brightness = 40
        self._shown: list[int] = []
        self._pings = 0

    @property
    def relay(self) -> tuple[str, int]:
        return (LOOPBACK, self.dataplane.media_port)

    def count(self, name: str) -> int:
        return self.dataplane.counters()[name]

    async def begin(self) -> None:
        """Connect the viewer through the relay."""
        self.agent.hub.control("p1")
        self.result = await self.agent.hub.offer("p1", await self.viewer.offer(), "control")
        await self.dataplane.admit("victim", IceCredentials(self.result.ufrag, self.result.pwd, self.result.port))
        line = f"a=candidate:0 1 udp 2130706431 {LOOPBACK} {self.dataplane.media_port} typ host\r\n"
        await self.viewer.accept(re.sub(r"(a=candidate:[^\r]*\r\n)+", line, self.result.sdp))
        async with asyncio.timeout(20):
            await self.viewer.connected.wait()
            for event in self.viewer.opened.values():
                await event.wait()
        await self.agent.source.show(self._brightness)
        self._path = self.path()

    def path(self) -> int:
        """The port that the agent sends to."""
        peer = next(iter(self.agent.hub._peers.values()))
        port: int = agent_rtp.ice_connection(peer._transceiver)._nominated[1].remote_candidate.port
        return port

    async def still_watches(self) -> None:
        """Every frame that the agent shows comes, in order, by the path of before, and the viewer is answered."""
        for _ in range(3):
            self._pings += 1
            self.viewer.send(Channel.CONTROL, Ping(self._pings))
            while (said := await self.viewer.receive()) != Pong(self._pings):
                assert not isinstance(said, Pong)
            before, self._brightness = self._brightness, (self._brightness + 37) % 160 + 40
            await self.agent.source.show(self._brightness)
            # aiortc knows that a frame is whole when the next one has begun.
            assert abs(await self.viewer.brightness() - before) <= 2
        assert self.path() == self._path


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    """A victim's desktop with its viewer, and the network of another VM, ``hostile``."""
    lans: dict[str, LoopbackLan] = {}

    async def open_lan(vm_id: str, pid: int | None) -> Lan:
        lans[vm_id] = LoopbackLan()
        return lans[vm_id]

    table = Wiretap()
    dataplane = LocalDataPlane(open_lan, await Relay.open(0, bind=(LOOPBACK,), table=table))
    try:
        for vm in ("victim", "hostile"):
            await dataplane.attach(vm)
        async with Agent() as agent, Viewer() as viewer:
            made = Scene(agent, viewer, dataplane, table)
            await made.begin()
            await made.still_watches()
            yield made
    finally:
        await dataplane.close()
