"""Offers that cannot be answered, and what replaces or refuses a viewer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import pytest

from guest_agent.errors import NotReady, OfferError
from guest_agent.media import MediaHub
from guest_agent.peer import MAX_SDP_BYTES
from guest_agent.ports import PeerState
from tests.loopback.media_viewer import Agent, Recorder, ScriptedSource, Viewer


def without_codecs(offer: str) -> str:
    return offer.replace("H264/90000", "H265/90000").replace("VP8/90000", "VP9/90000")


BAD: dict[str, Callable[[str], str]] = {
    "empty": lambda offer: "",
    "noise": lambda offer: "\x00\xff v=0 nonsense",
    "cut short": lambda offer: offer[: len(offer) // 2],
    "no ICE": lambda offer: "".join(s for s in offer.splitlines(True) if "ice-" not in s),
    "no fingerprint": lambda offer: "".join(s for s in offer.splitlines(True) if "fingerprint" not in s),
    "no H.264 and no VP8": without_codecs,
    "no video": lambda offer: offer.replace("m=video", "m=audio"),
    "two videos": lambda offer: offer + offer[offer.index("m=video") : offer.index("m=application")],
    "sends only": lambda offer: offer.replace("a=recvonly", "a=sendonly"),
    "no rtcp-mux": lambda offer: offer.replace("a=rtcp-mux\r\n", ""),
    "huge": lambda offer: offer + "a=x:" + "y" * MAX_SDP_BYTES,
    "bad ports": lambda offer: re.sub(r"m=video \d+", "m=video nine", offer),
    "bad extmap": lambda offer: offer.replace("a=extmap:1 ", "a=extmap:one "),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_offer_is_refused_and_disturbs_nobody(name: str) -> None:
    async with Agent() as agent, Viewer() as good, Viewer() as bad:
        await good.join(agent, "good")
        with pytest.raises(OfferError) as caught:
            await agent.hub.offer("bad", BAD[name](await bad.offer()), "control")
        assert "\x00" not in str(caught.value)
        assert [p.peer for p in agent.hub.peers()] == ["good"]
        assert agent.hub.counters()["offers_refused"] == 1
        await agent.source.show(50)
        await agent.source.show(50)
        assert abs(await good.brightness() - 50) <= 2


async def test_a_bad_role_is_refused() -> None:
    async with Agent() as agent, Viewer() as viewer:
        with pytest.raises(OfferError, match="admin"):
            await agent.hub.offer("p1", await viewer.offer(), "admin")


async def test_too_many_viewers() -> None:
    async with Agent(max_peers=1) as agent, Viewer() as one, Viewer() as two:
        await one.join(agent, "p1")
        with pytest.raises(OfferError, match="1 viewers"):
            await agent.hub.offer("p2", await two.offer(), "view")
        await agent.hub.bye("p1")
        await two.join(agent, "p2")


async def test_the_same_name_replaces() -> None:
    async with Agent() as agent, Viewer() as old, Viewer() as new:
        await old.join(agent, "p1")
        await new.join(agent, "p1")
        await asyncio.wait_for(old.lost.wait(), 10)
        assert [(e.state, e.reason) for e in agent.events] == [
            (PeerState.CONNECTED, ""),
            (PeerState.CLOSED, "replaced"),
            (PeerState.CONNECTED, ""),
        ]
        assert agent.sink.gone == ["p1"]
        assert len(agent.hub.peers()) == 1


async def test_an_offer_that_nobody_follows_up_ends() -> None:
    async with Agent(connect_s=0.05) as agent, Viewer() as viewer:
        await agent.hub.offer("p1", await viewer.offer(), "control")
        assert len(agent.hub.peers()) == 1
        event = await agent.until("p1", PeerState.CLOSED)
        assert event.reason == "never connected"
        assert agent.hub.peers() == []


async def test_cancelling_an_offer_leaves_nothing() -> None:
    async with Agent() as agent, Viewer() as viewer:
        task = asyncio.create_task(agent.hub.offer("p1", await viewer.offer(), "control"))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert agent.hub.peers() == []
        await viewer.join(agent, "p1")


async def test_an_address_that_is_not_ours() -> None:
    hub = MediaHub(":none", lambda event: None, Recorder(), address="192.0.2.1", source=ScriptedSource)
    async with Viewer() as viewer:
        with pytest.raises(NotReady, match=r"192\.0\.2\.1"):
            await hub.offer("p1", await viewer.offer(), "control")
        assert hub.peers() == []
    await hub.close()


async def test_a_closed_hub_takes_no_offers() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        await agent.hub.close()
        assert agent.events[-1].reason == "agent stopping"
        assert agent.source.closed
        with pytest.raises(NotReady):
            await agent.hub.offer("p2", "v=0", "control")
        await agent.hub.close()


async def test_the_data_channel_may_come_first_in_the_offer() -> None:
    """As Firefox orders it when the page opens channels before it asks for video."""
    async with Agent() as agent, Viewer() as viewer:
        offer = await viewer.offer()
        video, application = offer.index("m=video"), offer.index("m=application")
        swapped = offer[:video] + offer[application:] + offer[video:application]
        swapped = swapped.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 1 0")
        result = await agent.hub.offer("p1", swapped, "control")
        answer = result.sdp
        application, video = answer.index("m=application"), answer.index("m=video")
        assert application < video
        back = answer[:application] + answer[video:] + answer[application:video]
        await viewer.accept(back.replace("a=group:BUNDLE 1 0", "a=group:BUNDLE 0 1"))
        async with asyncio.timeout(20):
            await viewer.connected.wait()
            await viewer.opened["input"].wait()
        await agent.until("p1", PeerState.CONNECTED)
