"""Viewers with different codecs: H.264 first, VP8 for who has no H.264, both at once from one picture."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from aiortc import RTCRtpSender, sdp

from guest_agent.pump import Pump
from guest_agent.rtpstream import ABS_CAPTURE_TIME_URI
from guest_agent.twcc import TRANSPORT_CC_URI
from tests.loopback.media_viewer import Agent, Viewer, extensions_of
from tests.loopback.painted_screen import Painting, Watch, painted_screen


def only_vp8(viewer: Viewer) -> None:
    codecs = RTCRtpSender.getCapabilities("video").codecs
    viewer.transceiver.setCodecPreferences([c for c in codecs if c.mimeType in ("video/VP8", "video/rtx")])


async def sees(watch: Watch, count: int) -> None:
    """Until so many more pictures were decoded that look right."""
    seen = len(watch.seen)
    async with asyncio.timeout(30):
        while sum(s.psnr_db > 14 for s in watch.seen[seen:]) < count:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.05)


async def test_a_viewer_without_h264_gets_vp8(monkeypatch: pytest.MonkeyPatch) -> None:
    painted_screen(monkeypatch)
    async with Agent(source=Pump) as agent, Painting() as painting, Viewer() as viewer:
        only_vp8(viewer)
        result = await viewer.join(agent)
        video = next(m for m in sdp.SessionDescription.parse(result.sdp).media if m.kind == "video")
        assert {c.mimeType for c in video.rtp.codecs} == {"video/VP8", "video/rtx"}
        assert viewer.track is not None
        watch = Watch(viewer.track, painting)
        await sees(watch, 20)
        assert agent.hub.counters()["keyframes"] <= 2
        assert agent.hub.counters()["lag_viewers"] == 0
        await watch.close()


async def test_vp8_and_h264_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one who controls has the first encode, whoever came first; the other is given the second."""
    painted_screen(monkeypatch)
    async with AsyncExitStack() as stack:
        agent = await stack.enter_async_context(Agent(source=Pump))
        painting = await stack.enter_async_context(Painting())
        early = await stack.enter_async_context(Viewer())
        only_vp8(early)
        await early.join(agent, "p1", "view")
        assert early.track is not None
        one = Watch(early.track, painting)
        stack.push_async_callback(one.close)
        await sees(one, 5)
        late = await stack.enter_async_context(Viewer())
        await late.join(agent, "p2", "control")
        assert late.track is not None
        two = Watch(late.track, painting)
        stack.push_async_callback(two.close)
        await asyncio.gather(sees(one, 10), sees(two, 10))
        assert agent.hub.counters()["lag_viewers"] == 1
        await agent.hub.bye("p2")
        await sees(one, 10)
        assert agent.hub.counters()["lag_viewers"] == 0


async def test_transport_wide_feedback_and_capture_time_where_they_are_offered() -> None:
    async with Agent() as agent, Viewer(transport_cc=True) as viewer:
        viewer.extensions[11] = ABS_CAPTURE_TIME_URI
        result = await viewer.join(agent)
        assert f"a=extmap:10 {TRANSPORT_CC_URI}" in result.sdp
        assert f"a=extmap:11 {ABS_CAPTURE_TIME_URI}" in result.sdp
        assert "transport-cc" in result.sdp.split("a=rtcp-fb", 1)[1]
        async with asyncio.timeout(10):
            while not agent.source.watched:
                agent.source.watched_changed.clear()
                await agent.source.watched_changed.wait()
        for brightness in range(6):
            await agent.source.show(brightness * 10, noise=True)
        await viewer.brightness()
        carried = [extensions_of(data) for data in viewer.packets]
        numbers = [int.from_bytes(found[10], "big") for found in carried]
        assert numbers == list(range(len(numbers)))
        stamped = [found for found in carried if 11 in found]
        assert len(stamped) < len(carried), "only the first packet of a frame"
        ntp_s = [int.from_bytes(found[11], "big") / 2**32 for found in stamped]
        assert ntp_s == sorted(ntp_s)
        async with asyncio.timeout(10):
            while not agent.hub.counters()["transport_feedbacks"]:
                await agent.source.show(7, noise=True)
                await asyncio.sleep(0.05)
        assert agent.hub.counters()["malformed_feedbacks"] == 0


async def test_nothing_of_it_where_it_is_not_offered() -> None:
    async with Agent() as agent, Viewer() as viewer:
        result = await viewer.join(agent)
        assert TRANSPORT_CC_URI not in result.sdp
        assert "transport-cc" not in result.sdp
