"""A viewer by WebRTC without a browser, who comes back as the page does: what it saw is when packets came."""

from __future__ import annotations

import asyncio
import contextlib
import time
from itertools import pairwise
from typing import Any

import aiohttp
from aiortc.mediastreams import MediaStreamError

from tests.loopback.media_viewer import Viewer

__all__ = ["SILENCE_S", "Watcher"]

SILENCE_S = 3.2
"""Without a packet for so long it offers anew: an idle desktop sends one every 1.5 s. The page, which has the ping of
its data channel too, asks after 1.2 s."""
CONNECT_S = 10.0
PAUSE_S = 0.5


class _Peer(Viewer):
    """Tells when a packet came."""

    def __init__(self, came: list[float]) -> None:
        super().__init__()
        self._came = came
        self.heard = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None

    def _record(self) -> None:
        transport = self.transceiver.receiver.transport
        stock = transport._handle_rtp_data

        async def tap(data: bytes, arrival_time_ms: int) -> None:
            self._came.append(time.monotonic())
            self.heard.set()
            await stock(data, arrival_time_ms=arrival_time_ms)

        transport._handle_rtp_data = tap  # type: ignore[method-assign]

    async def drain(self) -> None:
        """aiortc decodes, and keeps what nobody takes."""
        while self.track is None:
            await self.connected.wait()
        track: Any = self.track
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()


class Watcher:
    """Args:
    origin: of the gateway.
    sid: of the session.
    token: a viewer's.
    """

    def __init__(self, origin: str, sid: str, token: str) -> None:
        self.offers: list[float] = []
        self.came: list[float] = []
        """By CLOCK_MONOTONIC, in s."""
        self._url = f"{origin}/v1/sessions/{sid}/whep"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        self._task = asyncio.create_task(self._run(), name="watcher")

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def sees(self, since: float) -> bool | None:
        """True once a packet has come after ``since``, else None."""
        return (bool(self.came) and self.came[-1] > since) or None

    def says(self, since: float) -> str:
        """What it saw from then until now."""
        now = time.monotonic()
        before = [at for at in self.came if at <= since][-1:]
        times = [*before, *(at for at in self.came if at > since), now]
        longest = max(later - earlier for earlier, later in pairwise(times))
        offers = sum(at > since for at in self.offers)
        # The heartbeat of an idle desktop is no stop.
        still = "a live picture" if longest < 2.0 else f"a picture that stood still for {longest:.1f} s"
        return still + (f", {offers} new offers" if offers > 1 else ", a new offer" if offers else "")

    async def _run(self) -> None:
        async with aiohttp.ClientSession(headers=self._headers) as http:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError):
                    await self._watch(http)
                await asyncio.sleep(PAUSE_S)

    async def _watch(self, http: aiohttp.ClientSession) -> None:
        peer = _Peer(self.came)
        draining = asyncio.create_task(peer.drain())
        try:
            offer = await peer.offer()
            self.offers.append(time.monotonic())
            async with http.post(self._url, data=offer, timeout=aiohttp.ClientTimeout(total=CONNECT_S)) as response:
                response.raise_for_status()
                await peer.accept(await response.text())
            async with asyncio.timeout(CONNECT_S):
                await peer.heard.wait()
            while not peer.lost.is_set():
                peer.heard.clear()
                async with asyncio.timeout(SILENCE_S):
                    await peer.heard.wait()
        finally:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
            await peer.close()
