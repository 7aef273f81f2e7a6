"""A person hears the desktop: the whole gateway, the guest's programs by the process driver, a real Chromium."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from gateway.app import serving
from gateway.settings import Settings
from gateway.tokens import mint
from tests.e2e.browser_host import CHROMIUM_FLAGS
from tests.e2e.guest import Guest, eventually
from tests.e2e.viewer import PIN_BAR
from tests.tones import TONE_HZ, tone_pcm
from tests.x11.sound_server import RAW

pytestmark = [pytest.mark.x11, pytest.mark.timeout(150)]

KEEP_CONNECTIONS = """
const Stock = RTCPeerConnection;
window.connections = [];
window.RTCPeerConnection = class extends Stock {
  constructor(...args) { super(...args); window.connections.push(this); }
};
"""
AUDIO_STATS = """async () => {
  const found = [];
  for (const connection of connections)
    for (const s of (await connection.getStats()).values())
      if (s.type === 'inbound-rtp' && s.kind === 'audio') found.push(s);
  return found;
}"""
LISTEN = """async () => {
  window.context ??= new AudioContext();
  await context.resume();
  const split = context.createChannelSplitter(2);
  context.createMediaStreamSource(document.getElementById('listen').srcObject).connect(split);
  window.ears = [0, 1].map((channel) => {
    const ear = context.createAnalyser();
    ear.fftSize = 32768;
    split.connect(ear, channel);
    return ear;
  });
}"""
HEAR = """() => ears.map((ear) => {
  const levels = new Float32Array(ear.frequencyBinCount);
  ear.getFloatFrequencyData(levels);
  const peak = levels.indexOf(Math.max(...levels));
  return { hz: peak * context.sampleRate / ear.fftSize, db: levels[peak] };
})"""


@dataclass
class Desk:
    page: Page
    guest: Guest
    url: str
    tone: Path
    """A minute of it, on the left channel alone."""

    async def open(self) -> None:
        await self.page.goto("about:blank")
        await self.page.goto(self.url)
        await self.page.wait_for_selector(
            'html[data-transport="webrtc"][data-painted="true"]:not([data-sound="unavailable"])',
            state="attached",
            timeout=60_000,
        )

    async def state(self) -> str:
        return str(await self.page.evaluate("document.documentElement.dataset.sound"))

    async def frames(self) -> int:
        script = "document.getElementById('video').getVideoPlaybackQuality().totalVideoFrames"
        return int(await self.page.evaluate(script))

    async def audio_packets(self) -> int:
        """RTP packets of the sound that reached this page."""
        return sum(stats["packetsReceived"] for stats in await self.page.evaluate(AUDIO_STATS))

    async def play(self) -> None:
        command = f"setsid -f pacat {' '.join(RAW)} {self.tone} >/dev/null 2>&1"
        await self.guest.run("sh", "-c", command)

    async def recorders(self) -> int:
        return len((await self.guest.run("sh", "-c", "ps -eo comm | grep -x parec || true")).split())

    async def heard(self) -> dict[str, Any] | None:
        """The left ear, once the tone is what it hears."""
        left, right = await self.page.evaluate(HEAR)
        if left["db"] < -50 or abs(left["hz"] - TONE_HZ) > 3:
            return None
        return {"right_db": right["db"], **left}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    with tempfile.TemporaryDirectory(prefix="fsnd", dir="/tmp") as folder:
        root = Path(folder)
        tone = root / "tone.raw"
        tone.write_bytes(tone_pcm(TONE_HZ, 60.0, right=0.0))
        settings = Settings(driver="process", port=0, state_dir=root / "s", cache_dir=root / "c", run_dir=root / "r")
        async with serving(settings) as gateway, async_playwright() as playwright:
            session = await gateway.services.manager.create()
            await session.wait_ready()
            key = gateway.services.keys.signing_key
            # Who may only look may hear.
            token, _ = mint(key, sid=session.id, role="view", now=time.time(), lifetime_s=3600)
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), headless=True, args=CHROMIUM_FLAGS
            )
            page = await browser.new_page()
            await page.add_init_script(KEEP_CONNECTIONS)
            await page.add_init_script(PIN_BAR)
            yield Desk(page, Guest(session.link), f"{gateway.url}/s/{session.id}#token={token}", tone)
            await browser.close()


async def test_a_tone_is_heard_when_asked_for_and_only_then(desk: Desk) -> None:
    await desk.open()
    await desk.play()
    assert await desk.state() == "off"
    # A heartbeat of the picture later, nothing of the sound has come, though the desktop is loud.
    before = await desk.frames()

    async def more_picture() -> bool | None:
        return await desk.frames() > before or None

    await eventually(more_picture, "another frame")
    assert (await desk.audio_packets(), await desk.recorders()) == (0, 0)

    await desk.page.click("#sound")
    assert await desk.state() == "on"
    await desk.page.evaluate(LISTEN)
    heard = await eventually(desk.heard, "the tone")
    print(f"heard {heard['hz']:.1f} Hz at {heard['db']:.0f} dB, on the other channel {heard['right_db']:.0f} dB")
    assert heard["db"] > heard["right_db"] + 20, "both channels play the left one"
    assert await desk.recorders() == 1
    (stats,) = await desk.page.evaluate(AUDIO_STATS)
    delay_ms = stats["jitterBufferDelay"] / stats["jitterBufferEmittedCount"] * 1000
    print(f"jitter buffer {delay_ms:.0f} ms, {stats['concealedSamples']} samples concealed")

    await desk.page.click("#sound")
    assert await desk.state() == "off"

    async def nobody_records() -> bool | None:
        return await desk.recorders() == 0 or None

    await eventually(nobody_records, "the recorder's end")


async def test_what_was_chosen_outlives_a_reload(desk: Desk) -> None:
    await desk.open()
    await desk.page.click("#sound")
    await desk.play()
    await desk.open()
    assert await desk.state() in ("on", "blocked")
    # The browser plays once the page was touched; the picture's middle is as good as any place.
    await desk.page.click("#stage")

    async def on() -> bool | None:
        return await desk.state() == "on" or None

    await eventually(on, "the sound is on")
    await desk.page.evaluate(LISTEN)
    await eventually(desk.heard, "the tone")


async def test_without_webrtc_the_button_says_why(desk: Desk) -> None:
    await desk.page.add_init_script("delete window.RTCPeerConnection")
    await desk.page.goto(desk.url)
    await desk.page.wait_for_selector(
        'html[data-transport="novnc"][data-painted="true"]', state="attached", timeout=60_000
    )
    assert await desk.state() == "unavailable"
    assert await desk.page.get_attribute("#sound", "title") == "noVNC carries no sound"
    assert await desk.page.is_disabled("#sound")
