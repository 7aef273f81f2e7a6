"""The browser moves to another path and the agent follows (the fault that ice.py mends).

Two relays lie between one viewer and the agent. The second lets nothing back at first, so that the agent's check on
it is still in progress when the first path completes; then the first dies and the viewer nominates the second.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from aioice.ice import CandidatePair

from guest_agent import rtp as agent_rtp
from guest_agent.protocol.messages import Channel, Key, Ping, Pong
from tests.loopback.media_viewer import LOOPBACK, Agent, Viewer


class _Side(asyncio.DatagramProtocol):
    def __init__(self, relay: Relay, name: str) -> None:
        self.relay = relay
        self.name = name

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.relay.pass_on(self.name, data, addr)


class Relay:
    """One UDP path: ``port`` for the viewer, a socket of its own towards the agent."""

    def __init__(self, agent_port: int) -> None:
        self.agent_port = agent_port
        self.forward = self.backward = True
        self.viewer: tuple[str | Any, int] | None = None
        self.reached_agent = asyncio.Event()
        self.held: list[bytes] | None = None
        self.passed_back = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self.outer, _ = await loop.create_datagram_endpoint(lambda: _Side(self, "viewer"), local_addr=(LOOPBACK, 0))
        self.inner, _ = await loop.create_datagram_endpoint(
            lambda: _Side(self, "agent"), remote_addr=(LOOPBACK, self.agent_port)
        )
        self.port: int = self.outer.get_extra_info("sockname")[1]
        self.inner_port: int = self.inner.get_extra_info("sockname")[1]

    def pass_on(self, side: str, data: bytes, addr: tuple[str | Any, int]) -> None:
        if side == "viewer":
            self.viewer = addr
            if self.held is not None:
                self.held.append(data)
            elif self.forward:
                self.inner.sendto(data)
                self.reached_agent.set()
        elif self.backward and self.viewer is not None:
            self.passed_back += 1
            self.outer.sendto(data, self.viewer)

    def release(self) -> None:
        held, self.held = self.held or [], None
        for data in held:
            self.inner.sendto(data)

    def cut(self) -> None:
        self.forward = self.backward = False

    def close(self) -> None:
        self.outer.close()
        self.inner.close()


def through(answer: str, *relays: Relay) -> str:
    """The answer with the agent's candidate replaced by the relays', as the gateway does."""
    lines = [
        f"a=candidate:{n} 1 udp {2130706431 - n} {LOOPBACK} {relay.port} typ host\r\n"
        for n, relay in enumerate(relays)
    ]
    return re.sub(r"(a=candidate:[^\r]*\r\n)+", "".join(lines), answer)


def pair_to(connection: Any, port: int) -> CandidatePair:
    pairs: list[CandidatePair] = connection._check_list
    return next(p for p in pairs if p.remote_candidate.port == port)


async def test_media_and_data_go_on_over_the_second_path() -> None:
    async with Agent() as agent, Viewer() as viewer:
        agent.hub.control("p1")
        result = await agent.hub.offer("p1", await viewer.offer(), "control")
        first, second = Relay(result.port), Relay(result.port)
        await first.open()
        await second.open()
        first.held, second.backward = [], False
        await viewer.accept(through(result.sdp, first, second))
        await asyncio.wait_for(second.reached_agent.wait(), 10)
        first.release()
        async with asyncio.timeout(20):
            await viewer.connected.wait()
            for event in viewer.opened.values():
                await event.wait()

        agent_ice = agent_rtp.ice_connection(next(iter(agent.hub._peers.values()))._transceiver)
        viewer_ice = agent_rtp.ice_connection(viewer.transceiver)
        assert agent_ice._nominated[1].remote_candidate.port == first.inner_port
        await agent.source.show(40)
        await agent.source.show(60)
        assert abs(await viewer.brightness() - 40) <= 2

        first.cut()
        second.backward = True
        passed_before = second.passed_back
        backup = pair_to(viewer_ice, second.port)
        viewer_ice.check_start_task(backup)
        assert backup.task is not None
        await asyncio.wait_for(asyncio.shield(backup.task), 10)
        assert viewer_ice._nominated[1] is backup

        viewer.send(Channel.CONTROL, Ping(9))
        viewer.send(Channel.INPUT, Key(1, 0x61, True))
        assert await viewer.receive() == Pong(9)
        await agent.sink.count(1)
        assert agent_ice._nominated[1].remote_candidate.port == second.inner_port
        await viewer.ask_keyframe()
        await asyncio.wait_for(agent.source.key_wanted.wait(), 10)
        for brightness in (100, 140, 180):
            await agent.source.show(brightness)
        seen = [await viewer.brightness() for _ in range(3)]
        assert [abs(a - b) <= 2 for a, b in zip(seen, (60, 100, 140), strict=True)] == [True] * 3, seen
        assert second.passed_back > passed_before
        first.close()
        second.close()
