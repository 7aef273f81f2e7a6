"""The desktop's sound over a real aiortc pair. The recorder is a real process that says a tone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiortc.rtp
import numpy as np
import pytest
from aiortc import RTCSessionDescription, sdp

from gateway.signaling.candidates import Endpoint
from gateway.signaling.sdp import rewrite_answer, strip_offer
from guest_agent.audio.capture import Capture
from guest_agent.audio.opus import SoundPacket
from guest_agent.audio.recorder import Recorder
from guest_agent.protocol.messages import Audio, Channel, Ping, Pong
from tests.e2e.guest import eventually
from tests.loopback.media_viewer import Agent, Viewer
from tests.tones import TONE_HZ, frequency_hz

TONE = f"""
import sys, time
sys.path[:] = {sys.path!r}
from tests.tones import tone_pcm
second = tone_pcm({TONE_HZ}, 1.0)
end = time.monotonic()
while True:
    for at in range(0, len(second), 1920):
        sys.stdout.buffer.write(second[at : at + 1920])
        sys.stdout.buffer.flush()
        end += 0.01
        time.sleep(max(0, end - time.monotonic()))
"""


class Recorders:
    """Makes recorders that say a tone, and remembers their processes."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def make(self) -> Recorder:
        recorder = Recorder([sys.executable, "-c", TONE])
        self.pids.append(recorder.pid)
        return recorder

    def source(self, deliver: Callable[[SoundPacket], None]) -> Capture:
        return Capture(deliver, record=self.make)

    def running(self) -> list[int]:
        """The sound thread reaps what it kills, so a pid that is there is a process that runs."""
        return [pid for pid in self.pids if os.path.exists(f"/proc/{pid}")]


@pytest.fixture
def recorders() -> Recorders:
    return Recorders()


@pytest.fixture
async def agent(recorders: Recorders) -> AsyncIterator[Agent]:
    async with Agent(sound=recorders.source) as agent:
        yield agent
    assert recorders.running() == []


async def heard_hz(viewer: Viewer, length_s: float = 0.5) -> float:
    """The frequency of the next so many seconds that the viewer decodes."""
    assert viewer.sound is not None
    parts: list[Any] = []
    async with asyncio.timeout(20):
        while sum(part.shape[0] for part in parts) < length_s * 48_000:
            frame: Any = await viewer.sound.recv()
            assert frame.sample_rate == 48_000
            parts.append(frame.to_ndarray().reshape(-1, 2)[:, 0])
    return frequency_hz(np.concatenate(parts).astype(float))


async def until(happened: Callable[[], bool], what: str) -> None:
    async def probe() -> bool | None:
        return happened() or None

    await eventually(probe, what)


def sound_packets(viewer: Viewer) -> int:
    """RTP packets of the sound that arrived."""
    (section,) = [m for m in viewer.description.media if m.kind == "audio"]
    payload_type = section.rtp.codecs[0].payloadType
    return sum(aiortc.rtp.RtpPacket.parse(data).payload_type == payload_type for data in viewer.packets)


async def round_trip(viewer: Viewer) -> None:
    """When this returns, the agent has taken what was said on ``control`` before."""
    viewer.send(Channel.CONTROL, Ping(1))
    assert await viewer.receive() == Pong(1)


async def test_nothing_is_sent_before_it_is_asked_for_and_then_a_tone_is_heard(
    agent: Agent, recorders: Recorders
) -> None:
    async with Viewer(sound=True) as viewer:
        await viewer.join(agent, role="view")
        await round_trip(viewer)
        for brightness in (50, 60, 60):
            await agent.source.show(brightness)
        await viewer.brightness()
        assert viewer.packets
        assert (sound_packets(viewer), recorders.pids) == (0, [])

        viewer.send(Channel.CONTROL, Audio(True))
        assert await heard_hz(viewer) == pytest.approx(TONE_HZ, abs=3)
        assert len(recorders.running()) == 1

        viewer.send(Channel.CONTROL, Audio(False))
        await until(lambda: not recorders.running(), "the recorder still runs")
        await round_trip(viewer)
        before = sound_packets(viewer)
        await agent.source.show(70)
        await agent.source.show(70)
        await viewer.brightness()
        assert sound_packets(viewer) == before


async def test_one_recorder_for_all_from_the_first_listener_to_the_last(agent: Agent, recorders: Recorders) -> None:
    async with Viewer(sound=True) as one, Viewer(sound=True) as two, Viewer(sound=True) as deaf:
        await one.join(agent, "one")
        await two.join(agent, "two", role="view")
        await deaf.join(agent, "deaf")
        one.send(Channel.CONTROL, Audio(True))
        two.send(Channel.CONTROL, Audio(True))
        assert await asyncio.gather(heard_hz(one), heard_hz(two)) == pytest.approx([TONE_HZ] * 2, abs=3)
        assert (len(recorders.pids), agent.hub.counters()["listeners"]) == (1, 2)
        await agent.hub.bye("one")
        assert await heard_hz(two) == pytest.approx(TONE_HZ, abs=3)
        assert (recorders.running(), agent.hub.counters()["listeners"]) == (recorders.pids, 1)
        await agent.hub.bye("two")
        await until(lambda: not recorders.running(), "the recorder outlives its last listener")
        assert sound_packets(deaf) == 0
        deaf.send(Channel.CONTROL, Audio(True))
        assert await heard_hz(deaf) == pytest.approx(TONE_HZ, abs=3)
        assert len(recorders.pids) == 2


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_recorder_that_dies_or_hangs_is_replaced(
    agent: Agent, recorders: Recorders, how: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guest_agent.audio.capture._MUTE_S", 0.5)
    async with Viewer(sound=True) as viewer:
        await viewer.join(agent)
        viewer.send(Channel.CONTROL, Audio(True))
        await heard_hz(viewer)
        os.kill(recorders.pids[0], how)
        await until(lambda: len(recorders.pids) == 2, "no second recorder")
        assert await heard_hz(viewer) > 0
        assert await heard_hz(viewer) == pytest.approx(TONE_HZ, abs=3)
        assert recorders.running() == recorders.pids[1:]
        assert agent.hub.counters()["recorder_failures"] == 1


async def test_a_program_that_is_not_there_leaves_the_picture_alone() -> None:
    def source(deliver: Callable[[SoundPacket], None]) -> Capture:
        return Capture(deliver, record=lambda: Recorder(["/nowhere/parec"]))

    async with Agent(sound=source) as agent, Viewer(sound=True) as viewer:
        await viewer.join(agent)
        viewer.send(Channel.CONTROL, Audio(True))
        await until(lambda: agent.hub.counters()["recorder_failures"] >= 2, "it was not tried again")
        await agent.source.show(80)
        await agent.source.show(80)
        assert abs(await viewer.brightness() - 80) <= 2


async def test_a_viewer_without_an_audio_section_hears_nothing_and_starts_nothing(
    agent: Agent, recorders: Recorders
) -> None:
    async with Viewer() as viewer:
        await viewer.join(agent)
        viewer.send(Channel.CONTROL, Audio(True))
        await round_trip(viewer)
        assert agent.hub.counters()["listeners"] == 0
        assert agent.hub.counters()["messages"] == 2
        assert recorders.pids == []


ODD_SECTIONS: dict[str, Callable[[str], str]] = {
    "sends only": lambda audio: audio.replace("a=recvonly", "a=sendonly"),
    "inactive": lambda audio: audio.replace("a=recvonly", "a=inactive"),
    "no Opus": lambda audio: audio.replace("opus/48000/2", "OPUSX/48000/2"),
}


@pytest.mark.parametrize("name", ODD_SECTIONS)
async def test_an_audio_section_that_cannot_be_used_is_answered_inactive(
    agent: Agent, recorders: Recorders, name: str
) -> None:
    async with Viewer(sound=True) as viewer:
        head, audio, tail = split_audio(await viewer.offer())
        result = await agent.hub.offer("p1", head + ODD_SECTIONS[name](audio) + tail, "control")
        assert "a=inactive" in split_audio(result.sdp)[1]
        assert "a=sendonly" in split_audio(result.sdp)[0]


async def test_the_answer_passes_the_gateway_and_keeps_sound_and_picture_apart(agent: Agent) -> None:
    async with Viewer(sound=True) as viewer:
        offer = strip_offer(await viewer.offer())
        result = await agent.hub.offer("p1", offer, "view")
        answer = sdp.SessionDescription.parse(rewrite_answer(result.sdp, [Endpoint("udp", "192.0.2.7", 8080)]))
        video, audio, data = answer.media
        assert [m.kind for m in answer.media] == ["video", "audio", "application"]
        assert answer.group[0].items == [m.rtp.muxId for m in answer.media]
        assert (audio.direction, video.direction) == ("sendonly", "sendonly")
        assert [(c.name, c.parameters["stereo"], c.parameters["minptime"]) for c in audio.rtp.codecs] == [
            ("opus", 1, 10)
        ]
        assert audio.msid
        assert video.msid
        assert audio.msid.split()[0] != video.msid.split()[0]
        for media in (video, audio, data):
            assert [(c.ip, c.port) for c in media.ice_candidates] == [("192.0.2.7", 8080)]
        await viewer.connection.setRemoteDescription(RTCSessionDescription(result.sdp, "answer"))


def split_audio(text: str) -> tuple[str, str, str]:
    """What stands before, in and after the audio section."""
    start = text.index("m=audio")
    end = text.find("m=", start + 1)
    return text[:start], text[start:end], text[end:]
