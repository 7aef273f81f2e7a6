"""A real Chromium behind a bad network: whether its feedback arrives, and how the rate follows.

Run: ``PYTHONPATH=.:guest-agent python tests/bench/bench_impaired.py [--browser /usr/bin/chromium]``. Prints a JSON
line for each second; judges nothing. What the browser says is from getStats (webrtc-stats), the rest are the agent's
counters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright

from guest_agent.media import MediaHub
from guest_agent.pump import Pump
from tests.loopback.impaired_relay import ImpairedRelay, impaired, through
from tests.loopback.media_viewer import LOOPBACK, Recorder, without_candidates
from tests.loopback.painted_screen import Painting, painted_screen
from tests.lossy_link import Impairment

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PAGE = """
window.pc = new RTCPeerConnection();
const video_in = pc.addTransceiver('video', {direction: 'recvonly'});
const only = CODEC;
if (only) video_in.setCodecPreferences(RTCRtpReceiver.getCapabilities('video').codecs.filter(
  c => c.mimeType === only || c.mimeType === 'video/rtx'));
for (const label of ['input', 'control']) pc.createDataChannel(label);
const video = document.createElement('video');
video.muted = video.autoplay = true;
document.body.append(video);
pc.ontrack = event => { video.srcObject = new MediaStream([event.track]); video.play(); };
window.join = async () => {
  await pc.setLocalDescription(await pc.createOffer());
  return pc.localDescription.sdp;
};
window.accept = sdp => pc.setRemoteDescription({type: 'answer', sdp});
window.stats = async () => {
  for (const s of (await pc.getStats()).values())
    if (s.type === 'inbound-rtp' && s.kind === 'video')
      return {bytes: s.bytesReceived, frames: s.framesDecoded, freezes: s.freezeCount, nacks: s.nackCount,
              plis: s.pliCount, lost: s.packetsLost, keyframes: s.keyFramesDecoded, codec: s.decoderImplementation,
              jitter_buffer_s: s.jitterBufferDelay, emitted: s.jitterBufferEmittedCount};
  return null;
};
"""
GOOD = Impairment(delay_s=0.01)
PHASES = [
    ("good path", 4, GOOD),
    ("2 Mb/s", 8, Impairment(rate_bps=2_000_000, delay_s=0.01)),
    ("good again", 8, GOOD),
    ("5 % lost", 6, Impairment(delay_s=0.02, jitter_s=0.005, loss=0.05)),
    ("good at last", 3, GOOD),
]
COUNTERS = (
    *("rung_bps", "path_seen_bps", "path_loss_permille", "path_rtt_us", "path_queue_us", "pacer_wait_us"),
    *("transport_feedbacks", "malformed_feedbacks", "repeated_packets", "key_requests", "keyframes"),
)


def own_address() -> str:
    """An address that a browser uses for WebRTC, as it does not use loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


async def watch(page: Page, hub: MediaHub, relay: ImpairedRelay) -> None:
    before: dict[str, Any] = await page.evaluate("stats()") or {}
    loop = asyncio.get_running_loop()
    for name, seconds, impairment in PHASES:
        relay.down.impairment = impairment
        relay.up.impairment = Impairment(delay_s=impairment.delay_s)
        for _ in range(seconds):
            since = loop.time()
            await asyncio.sleep(1)
            took_s = loop.time() - since
            seen: dict[str, Any] = await page.evaluate("stats()")
            change = {k: v - before.get(k, 0) for k, v in seen.items() if isinstance(v, int | float)}
            before = seen
            counters = hub.counters()
            print(json.dumps({
                "phase": name,
                "mbps": round(change["bytes"] * 8 / took_s / 1e6, 2),
                "fps": round(change["frames"] / took_s, 1),
                "jitter_buffer_ms": round(1000 * change["jitter_buffer_s"] / max(1, change["emitted"]), 1),
                **{k: int(change[k]) for k in ("freezes", "nacks", "plis", "lost", "keyframes")},
                "agent": {k: counters[k] for k in COUNTERS},
            }), flush=True)  # fmt: skip


async def main(browser_path: str, fps: int, codec: str | None) -> None:
    patch = pytest.MonkeyPatch()
    painted_screen(patch)
    async with AsyncExitStack() as stack:
        stack.callback(patch.undo)
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        stack.push_async_callback(browser.close)
        await stack.enter_async_context(Painting(fps, 97))
        hub = MediaHub(":none", print, Recorder(), address=LOOPBACK, source=Pump)
        stack.push_async_callback(hub.close)
        page = await browser.new_page()
        await page.evaluate(PAGE.replace("CODEC", json.dumps(codec)))
        result = await hub.offer("p1", without_candidates(await page.evaluate("join()")), "control")
        relay = await stack.enter_async_context(impaired(result.port, 3, own_address()))
        answer = through(result.sdp, relay)
        print(
            json.dumps({"answer": [line for line in answer.split("\r\n") if "transport-" in line or "delay" in line]})
        )
        await page.evaluate("sdp => accept(sdp)", answer)
        await page.wait_for_function("async () => (await stats())?.frames > 0", timeout=20_000)
        await watch(page, hub, relay)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--fps", type=int, default=30)
    parser.add_argument("--codec", help="offer only this one: video/VP8")
    options = parser.parse_args()
    asyncio.run(main(options.browser, options.fps, options.codec))
