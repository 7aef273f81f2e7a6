"""Video over a real aiortc pair: it arrives, decodes, recovers, and carries what the browser needs on the wire."""

from __future__ import annotations

import asyncio
import contextlib

from aiortc import rtp, sdp

from guest_agent.h264 import MAX_PAYLOAD_BYTES
from guest_agent.ice import UFRAG_CHARS
from guest_agent.ports import PeerState
from guest_agent.rtpstream import PLAYOUT_DELAY_URI
from tests.loopback.media_viewer import LOOPBACK, Agent, Viewer, extensions_of


async def watching(agent: Agent) -> None:
    async with asyncio.timeout(10):
        while not agent.source.watched:
            agent.source.watched_changed.clear()
            await agent.source.watched_changed.wait()


async def test_video_arrives_and_decodes() -> None:
    async with Agent() as agent, Viewer() as viewer:
        assert not agent.source.watched
        await viewer.join(agent)
        await watching(agent)
        shown = [60, 90, 120, 150, 180]
        for brightness in shown:
            await agent.source.show(brightness)
        # The receiving side hands a frame on when the next one starts.
        seen = [await viewer.brightness() for _ in shown[:-1]]
        assert all(abs(a - b) <= 2 for a, b in zip(seen, shown, strict=False)), seen
        assert agent.hub.counters()["frames"] == 5
        assert agent.hub.counters()["keyframes"] == 1


async def test_the_answer_has_one_udp_candidate_and_is_passive() -> None:
    async with Agent() as agent, Viewer() as viewer:
        result = await viewer.join(agent)
        answer = sdp.SessionDescription.parse(result.sdp)
        candidates = {(c.ip, c.port, c.protocol, c.type) for media in answer.media for c in media.ice_candidates}
        assert candidates == {(LOOPBACK, result.port, "udp", "host")}
        assert "a=setup:passive" in result.sdp
        assert "a=setup:active" not in result.sdp
        assert {media.ice.usernameFragment for media in answer.media if media.ice} == {result.ufrag}
        assert {media.ice.password for media in answer.media if media.ice} == {result.pwd}
        assert len(result.ufrag) == UFRAG_CHARS
        video = next(media for media in answer.media if media.kind == "video")
        assert video.direction == "sendonly"
        assert {c.mimeType for c in video.rtp.codecs} == {"video/H264", "video/rtx"}
        h264 = [c.parameters["profile-level-id"] for c in video.rtp.codecs if c.mimeType == "video/H264"]
        assert h264[0] == "42e01f"


async def test_ufrags_are_unique() -> None:
    async with Agent() as agent, Viewer() as one, Viewer() as two:
        first, second = await one.join(agent, "p1"), await two.join(agent, "p2")
        assert first.ufrag != second.ufrag
        assert first.pwd != second.pwd
        assert first.port != second.port
        listed = {(p.peer, p.ufrag, p.pwd, p.port) for p in agent.hub.peers()}
        assert listed == {
            ("p1", first.ufrag, first.pwd, first.port),
            ("p2", second.ufrag, second.pwd, second.port),
        }


async def test_playout_delay_is_zero_on_every_packet_and_payloads_fit() -> None:
    async with Agent() as agent, Viewer() as viewer:
        result = await viewer.join(agent)
        assert f"a=extmap:9 {PLAYOUT_DELAY_URI}" in result.sdp
        await watching(agent)
        for brightness in range(5):
            await agent.source.show(brightness, noise=True)
        await viewer.brightness()
        packets = [rtp.RtpPacket.parse(data) for data in viewer.packets]
        assert len(packets) > 20
        assert max(len(p.payload) for p in packets) <= MAX_PAYLOAD_BYTES
        assert max(len(data) for data in viewer.packets) <= 1200
        for data in viewer.packets:
            assert extensions_of(data)[9] == b"\x00\x00\x00"
            assert set(extensions_of(data)) == {1, 3, 9}


async def test_a_viewer_that_does_not_know_playout_delay_gets_none() -> None:
    async with Agent() as agent, Viewer(playout_delay=False) as viewer:
        result = await viewer.join(agent)
        assert PLAYOUT_DELAY_URI not in result.sdp
        await watching(agent)
        await agent.source.show(50)
        await agent.source.show(50)
        await viewer.brightness()
        assert all(set(extensions_of(data)) == {1, 3} for data in viewer.packets)


async def test_pli_brings_a_keyframe() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        await watching(agent)
        assert (await agent.source.show(40)).key
        assert not (await agent.source.show(80)).key
        await viewer.brightness()
        await viewer.ask_keyframe()
        await viewer.ask_keyframe()
        await asyncio.wait_for(agent.source.key_wanted.wait(), 10)
        assert 1 <= agent.hub.counters()["key_requests"] <= 2
        assert (await agent.source.show(120)).key


async def test_a_second_viewer_joins_on_a_keyframe_of_the_same_encode() -> None:
    async with Agent() as agent, Viewer() as one, Viewer() as two:
        await one.join(agent, "p1")
        await watching(agent)
        await agent.source.show(40)
        await agent.source.show(60)
        await two.join(agent, "p2", role="view")
        await asyncio.wait_for(agent.source.key_wanted.wait(), 10)
        frame = await agent.source.show(90)
        assert frame.key
        await agent.source.show(120)
        await agent.source.show(120)
        assert abs(await two.brightness() - 90) <= 2
        assert [abs(await one.brightness() - b) <= 2 for b in (40, 60, 90)] == [True] * 3
        assert agent.hub.counters()["viewers"] == 2


async def test_capture_ends_with_the_last_viewer() -> None:
    async with Agent() as agent:
        async with Viewer() as viewer:
            await viewer.join(agent)
            await watching(agent)
            await agent.hub.bye("p1")
            assert not agent.source.watched
            assert agent.hub.peers() == []
            await asyncio.wait_for(viewer.lost.wait(), 10)
        assert [(e.state, e.reason) for e in agent.events] == [
            (PeerState.CONNECTED, ""),
            (PeerState.CLOSED, "bye"),
        ]
        assert agent.sink.gone == ["p1"]
        await agent.hub.bye("p1")
        assert len(agent.events) == 2


async def test_a_viewer_that_leaves_is_noticed() -> None:
    async with Agent() as agent:
        async with Viewer() as viewer:
            await viewer.join(agent)
            await watching(agent)
        event = await agent.until("p1", PeerState.CLOSED)
        assert event.reason == "viewer left"
        assert not agent.source.watched
        assert agent.sink.gone == ["p1"]


async def shown(agent: Agent, viewer: Viewer) -> None:
    """Another frame has come through, or was lost for good on a host that does much else."""
    await agent.source.show(1, noise=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            await viewer.brightness()


async def test_reported_loss_lowers_the_rate_and_an_estimate_alone_does_not() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        await watching(agent)
        for brightness in range(20):
            await agent.source.show(brightness, noise=True)
        await viewer.brightness()
        ssrc = rtp.RtpPacket.parse(viewer.packets[-1]).ssrc
        send = viewer.transceiver.receiver.transport._send_rtp
        fci = rtp.pack_remb_fci(1_300_000, [ssrc])
        await send(bytes(rtp.RtcpPsfbPacket(fmt=rtp.RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=fci)))
        clean = rtp.RtcpReceiverInfo(ssrc, 0, 0, 0, 0, 0, 0)
        await send(bytes(rtp.RtcpRrPacket(ssrc=1, reports=[clean])))
        async with asyncio.timeout(10):
            while not agent.hub.counters()["receiver_reports"]:
                await shown(agent, viewer)
        assert agent.source.rates == []
        lossy = rtp.RtcpReceiverInfo(ssrc, 64, 100, 0, 0, 0, 0)
        await send(bytes(rtp.RtcpRrPacket(ssrc=1, reports=[lossy])))
        async with asyncio.timeout(10):
            while not agent.source.rates:
                await shown(agent, viewer)
        assert agent.source.rates[0] < 20_000_000
        assert agent.hub.counters()["lossy_reports"] == 1
