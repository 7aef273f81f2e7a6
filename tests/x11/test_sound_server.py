"""The agent on the real sound server: what a program plays is what a viewer hears, and nothing runs for nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from guest_agent.audio.capture import Capture
from guest_agent.protocol.messages import Audio, Channel
from tests.e2e.guest import eventually
from tests.loopback.media_viewer import Agent, Viewer
from tests.loopback.test_sound import heard_hz
from tests.tones import TONE_HZ, tone_pcm
from tests.x11.sound_server import SoundServer, running_sound_server

pytestmark = [pytest.mark.x11, pytest.mark.timeout(90)]


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SoundServer]:
    async with running_sound_server(tmp_path) as server:
        # Where the agent's recorder finds it, as in the guest.
        monkeypatch.setenv("XDG_RUNTIME_DIR", server.env["XDG_RUNTIME_DIR"])
        monkeypatch.delenv("PULSE_SERVER", raising=False)
        yield server


@pytest.fixture
def tone(server: SoundServer, tmp_path: Path) -> Iterator[None]:
    """A program that plays one, for longer than any test takes."""
    file = tmp_path / "tone.raw"
    file.write_bytes(tone_pcm(TONE_HZ, 90.0))
    player = server.play(str(file))
    yield
    player.kill()
    player.communicate()


async def hears_the_tone(viewer: Viewer) -> bool | None:
    return abs(await heard_hz(viewer) - TONE_HZ) < 3 or None


async def test_what_a_program_plays_is_heard(server: SoundServer, tone: None) -> None:
    async with Agent(sound=Capture) as agent, Viewer(sound=True) as viewer:
        await viewer.join(agent)
        viewer.send(Channel.CONTROL, Audio(True))
        await eventually(lambda: hears_the_tone(viewer), "the tone")
        assert agent.hub.counters()["recorder_failures"] == 0


async def test_an_idle_desktop_is_recorded_for_a_listener_and_not_sent(server: SoundServer) -> None:
    assert await server.sink_state() == "SUSPENDED"
    async with Agent(sound=Capture) as agent, Viewer(sound=True) as viewer:
        await viewer.join(agent)
        viewer.send(Channel.CONTROL, Audio(True))

        async def silent() -> bool | None:
            return agent.hub.counters()["sound_silent"] >= 100 or None

        await eventually(silent, "a second of silence")
        assert await server.sink_state() == "IDLE"
        assert agent.hub.counters()["sound_packets"] == 0
    # WirePlumber suspends what has been idle for 5 s.
    await eventually(lambda: is_suspended(server), "the sink sleeps again")


async def is_suspended(server: SoundServer) -> bool | None:
    return await server.sink_state() == "SUSPENDED" or None


async def test_the_sound_comes_back_when_the_server_does(server: SoundServer, tmp_path: Path) -> None:
    async with Agent(sound=Capture) as agent, Viewer(sound=True) as viewer:
        await viewer.join(agent)
        viewer.send(Channel.CONTROL, Audio(True))

        async def recording() -> bool | None:
            return agent.hub.counters()["sound_silent"] > 0 or None

        await eventually(recording, "a recorder")
        server.kill()

        async def failed() -> bool | None:
            return agent.hub.counters()["recorder_failures"] > 0 or None

        await eventually(failed, "the recorder's end")
        await server.start()
        file = tmp_path / "tone.raw"
        file.write_bytes(tone_pcm(TONE_HZ, 60.0))
        player = server.play(str(file))
        try:
            await eventually(lambda: hears_the_tone(viewer), "the tone")
        finally:
            player.kill()
            player.communicate()
