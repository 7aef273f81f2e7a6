"""An agent that is watched by itself once, with real aiortc at both ends."""

from __future__ import annotations

import asyncio

import pytest

from guest_agent.ports import PeerState
from guest_agent.warm import WARM_PEER, warm
from tests.loopback.media_viewer import LOOPBACK, Agent


async def test_it_connects_takes_a_frame_and_leaves_nothing() -> None:
    async with Agent() as agent:
        warming = asyncio.create_task(warm(agent.hub, LOOPBACK, timeout_s=20))
        await agent.until(WARM_PEER, PeerState.CONNECTED)
        await agent.source.show(100)
        # A decoder gives a frame when it knows that the next has begun.
        await agent.source.show(120)
        await warming
        assert agent.hub.peers() == []
        assert agent.hub.counters()["frames"] >= 1
        assert (await agent.until(WARM_PEER, PeerState.CLOSED)).reason == "bye"


async def test_without_a_frame_it_gives_up_and_leaves_nothing() -> None:
    async with Agent() as agent:
        with pytest.raises(TimeoutError):
            await warm(agent.hub, LOOPBACK, timeout_s=0.5)
        assert agent.hub.peers() == []
