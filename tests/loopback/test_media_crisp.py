"""H.264 4:4:4 to who asks for it and can decode it: a real agent, real offers, pictures decoded from the packets."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import av
import numpy as np
import pytest
from aiortc import rtp, sdp
from aiortc.codecs.h264 import h264_depayload
from numpy.typing import NDArray

from guest_agent.protocol.messages import Channel, Crisp, IsCrisp
from guest_agent.pump import Pump
from tests.loopback.media_viewer import Agent, Viewer
from tests.loopback.painted_screen import HEIGHT_PX, WIDTH_PX, paint, painted_screen

FULL, REPAIR = 41, 42
"""Payload types as Chromium numbers them, below those that aiortc uses."""


def offering_444(offer: str, profile: str = "f4001f") -> str:
    """An offer of aiortc's with what Chromium adds to it."""
    lines = [f"a=rtpmap:{FULL} H264/90000", f"a=rtcp-fb:{FULL} nack", f"a=rtcp-fb:{FULL} nack pli"]
    lines += [f"a=fmtp:{FULL} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}"]
    lines += [f"a=rtpmap:{REPAIR} rtx/90000", f"a=fmtp:{REPAIR} apt={FULL}"]
    offer = re.sub(r"(m=video \d+ \S+)( [^\r]*)", rf"\1\2 {FULL} {REPAIR}", offer)
    at = offer.index("a=rtpmap:", offer.index("m=video"))
    return offer[:at] + "".join(f"{line}\r\n" for line in lines) + offer[at:]


class Able(Viewer):
    """A viewer whose browser decodes 4:4:4, as Chromium does."""

    async def offer(self) -> str:
        return offering_444(await super().offer())


def text() -> NDArray[np.uint8]:
    """Strokes of one pixel in strong colours on black, as a terminal's; BGRX."""
    rng = np.random.default_rng(9)
    image = np.zeros((HEIGHT_PX, WIDTH_PX, 4), np.uint8)
    for left in range(4, WIDTH_PX - 4, 5):
        image[rng.random(HEIGHT_PX) < 0.5, left, rng.integers(0, 3)] = 255
    return image


class Eyes:
    """Decodes what came for a viewer, which stock aiortc would not for 4:4:4."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._read = 0
        self._unit = b""
        self._type = -1
        self._decoder: Any = None

    def _frames(self) -> list[tuple[int, Any]]:
        """Newly decoded pictures, each with its payload type."""
        frames = []
        packets = [rtp.RtpPacket.parse(data) for data in self._viewer.packets[self._read :]]
        self._read += len(packets)
        for packet in packets:
            if packet.payload_type != self._type:
                self._type, self._decoder = packet.payload_type, av.CodecContext.create("h264", "r")
            self._unit += h264_depayload(packet.payload)
            if packet.marker:
                frames += [(self._type, frame) for frame in self._decoder.decode(av.Packet(self._unit))]
                self._unit = b""
        return frames

    async def sees(self, full: bool) -> float:
        """Until a picture of that kind has come; how like the text it is, in dB."""
        async with asyncio.timeout(20):
            while True:
                for payload_type, frame in self._frames():
                    assert (payload_type == FULL) == (frame.format.name == "yuv444p")
                    if (payload_type == FULL) is full:
                        return psnr_db(frame)
                await asyncio.sleep(0.02)


def psnr_db(frame: Any) -> float:
    shown = frame.reformat(format="bgra", src_colorspace="ITU601", dst_color_range="JPEG").to_ndarray()
    return float(10 * np.log10(255**2 / np.mean((shown[..., :3].astype(float) - text()[..., :3]) ** 2)))


async def says(viewer: Viewer, on: bool) -> None:
    async with asyncio.timeout(10):
        while await viewer.receive() != IsCrisp(on):
            pass


async def test_the_text_is_crisp_when_asked_for_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    painted_screen(monkeypatch)
    async with Agent(source=Pump) as agent, Able() as viewer:
        result = await viewer.join(agent)
        (video,) = (m for m in sdp.SessionDescription.parse(result.sdp).media if m.kind == "video")
        crisp = next(c for c in video.rtp.codecs if c.payloadType == FULL)
        assert crisp.parameters["profile-level-id"] == "f4001f"
        assert {f"{f.type} {f.parameter}" for f in crisp.rtcpFeedback} == {"nack None", "nack pli"}
        assert f"a=fmtp:{REPAIR} apt={FULL}" in result.sdp
        await paint(text())
        eyes = Eyes(viewer)
        plain_db = await eyes.sees(full=False)
        assert agent.hub.counters()["crisp"] == 0

        viewer.send(Channel.CONTROL, Crisp(True))
        await says(viewer, True)
        crisp_db = await eyes.sees(full=True)
        print(f"plain {plain_db:.1f} dB, crisp {crisp_db:.1f} dB")
        assert crisp_db > plain_db + 10
        assert agent.hub.counters()["crisp"] == 1

        viewer.send(Channel.CONTROL, Crisp(False))
        await says(viewer, False)
        assert await eyes.sees(full=False) < crisp_db - 10


async def test_who_cannot_decode_it_gets_the_second_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    painted_screen(monkeypatch)
    async with Agent(source=Pump) as agent, Able() as leader, Viewer() as watcher:
        await leader.join(agent, "leader", "control")
        await watcher.join(agent, "watcher", "view")
        await paint(text())
        first, second = Eyes(leader), Eyes(watcher)
        await asyncio.gather(first.sees(full=False), second.sees(full=False))
        watcher.send(Channel.CONTROL, Crisp(True))
        leader.send(Channel.CONTROL, Crisp(True))
        await says(leader, True)
        crisp_db = await first.sees(full=True)
        await agent.counted("lag_viewers", 1)
        await agent.counted("lag_frames", 1)
        assert await second.sees(full=False) < crisp_db - 10
        await agent.hub.bye("leader")
        await second.sees(full=False)
        assert agent.hub.counters()["crisp"] == 0


@pytest.mark.parametrize("profile", ["f4001", "zz001f", "f4ffff", "64001f"])
async def test_a_profile_that_is_none_of_them_is_left_out(profile: str) -> None:
    async with Agent() as agent, Viewer() as viewer:
        answer = (await agent.hub.offer("p1", offering_444(await viewer.offer(), profile), "control")).sdp
        assert f"a=rtpmap:{FULL} " not in answer
        assert f"a=rtpmap:{REPAIR} " not in answer


async def test_a_number_that_no_packet_can_carry_is_left_out() -> None:
    async with Agent() as agent, Viewer() as viewer:
        offer = re.sub(rf"\b{FULL}\b", "200", offering_444(await viewer.offer()))
        assert "a=rtpmap:200 " not in (await agent.hub.offer("p1", offer, "control")).sdp
