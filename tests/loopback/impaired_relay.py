"""A UDP path between a viewer and the agent that loses, delays, reorders and doubles datagrams, and has a rate.

What happens to a datagram is decided by its order and a seed (lossy_link.py); the relay only waits until it is due.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.loopback.media_viewer import LOOPBACK
from tests.lossy_link import Impairment, LossyLink

__all__ = ["ImpairedRelay", "impaired", "through"]


class _Side(asyncio.DatagramProtocol):
    def __init__(self, relay: ImpairedRelay, *, down: bool) -> None:
        self.relay = relay
        self.down = down

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.relay.received(data, addr, down=self.down)


class ImpairedRelay:
    """``down`` is towards the viewer, ``up`` towards the agent. Impairments may be changed at any time."""

    def __init__(self, agent_port: int, seed: int, address: str = LOOPBACK) -> None:
        self.down = LossyLink(Impairment(), seed)
        self.up = LossyLink(Impairment(), seed + 1)
        self._agent_port = agent_port
        self.address = address
        """Where the viewer reaches it."""
        self._viewer: tuple[str | Any, int] | None = None
        self._loop = asyncio.get_running_loop()
        self._due: set[asyncio.TimerHandle] = set()

    async def open(self) -> None:
        endpoint = self._loop.create_datagram_endpoint
        self._outer, _ = await endpoint(lambda: _Side(self, down=False), local_addr=(self.address, 0))
        self._inner, _ = await endpoint(lambda: _Side(self, down=True), remote_addr=(LOOPBACK, self._agent_port))
        self.port: int = self._outer.get_extra_info("sockname")[1]

    def received(self, data: bytes, addr: tuple[str | Any, int], *, down: bool) -> None:
        if not down:
            self._viewer = addr
        now = self._loop.time()
        for due in (self.down if down else self.up).offer(len(data) + 28, now):
            if due <= now:
                self._pass_on(data, down)
            else:
                self._later(due, data, down)

    def _later(self, due: float, data: bytes, down: bool) -> None:
        def run() -> None:
            self._due.discard(handle)
            self._pass_on(data, down)

        handle = self._loop.call_at(due, run)
        self._due.add(handle)

    def _pass_on(self, data: bytes, down: bool) -> None:
        if not down:
            self._inner.sendto(data)
        elif self._viewer is not None:
            self._outer.sendto(data, self._viewer)

    def close(self) -> None:
        for handle in self._due:
            handle.cancel()
        self._outer.close()
        self._inner.close()


@asynccontextmanager
async def impaired(agent_port: int, seed: int, address: str = LOOPBACK) -> AsyncIterator[ImpairedRelay]:
    """An open relay."""
    relay = ImpairedRelay(agent_port, seed, address)
    await relay.open()
    try:
        yield relay
    finally:
        relay.close()


def through(answer: str, relay: ImpairedRelay) -> str:
    """The answer with the agent's candidate replaced by the relay's, as the gateway does."""
    line = f"a=candidate:0 1 udp 2130706431 {relay.address} {relay.port} typ host\r\n"
    return re.sub(r"(a=candidate:[^\r]*\r\n)+", line, answer)
