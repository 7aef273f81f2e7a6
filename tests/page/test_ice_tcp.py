"""Media by ICE-TCP, on the port that serves the page, to a real Chromium: with UDP dropped, and beside UDP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from gateway.sessions.session import Session
from tests.e2e.browser_host import BrowserHost, chromium
from tests.e2e.gateway import Gateway
from tests.e2e.guest import eventually
from tests.e2e.viewer import Viewer
from tests.page.conftest import DISPLAY_PX, VIEWPORT
from tests.x11.conftest import XServer
from tests.x11.painter import Painter

pytestmark = [pytest.mark.page, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

COLOURS = {0xE02020: "red", 0x20A020: "green", 0x2040E0: "blue"}
PATCH = (100, 100, 80, 40)
FRAMES = 150

KEEP_CONNECTIONS = """
  window.connections = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...given) { super(...given); window.connections.push(this); }
  };
"""
SELECTED = """async (pc) => {
  const stats = [...(await pc.getStats()).values()];
  const transport = stats.find((one) => one.type === 'transport');
  const pair = stats.find((one) => one.id === transport.selectedCandidatePairId);
  const remote = stats.find((one) => one.id === pair.remoteCandidateId);
  const video = stats.find((one) => one.type === 'inbound-rtp' && one.kind === 'video');
  return { protocol: remote.protocol, port: remote.port, frames: video?.framesDecoded ?? 0 };
}"""
CONNECT = f"""async ({{ url, token }}) => {{
  const pc = new RTCPeerConnection();
  try {{
    pc.addTransceiver('video', {{ direction: 'recvonly' }});
    pc.createDataChannel('input');
    const begun = performance.now();
    await pc.setLocalDescription(await pc.createOffer());
    const connected = new Promise((good, bad) => {{
      pc.onconnectionstatechange = () => {{
        if (pc.connectionState === 'connected') good();
        if (pc.connectionState === 'failed') bad(new Error('failed'));
      }};
    }});
    const headers = {{ Authorization: 'Bearer ' + token, 'Content-Type': 'application/sdp' }};
    const answer = await fetch(url, {{ method: 'POST', body: pc.localDescription.sdp, headers }});
    if (!answer.ok) throw new Error(await answer.text());
    const answered = performance.now();
    await pc.setRemoteDescription({{ type: 'answer', sdp: await answer.text() }});
    await connected;
    const ms = [answered - begun, performance.now() - begun];
    const selected = await ({SELECTED})(pc);
    await fetch(answer.headers.get('Location'), {{ method: 'DELETE', headers }});
    return {{ ...selected, answered: ms[0], connected: ms[1] }};
  }} finally {{
    pc.close();
  }}
}}"""


@pytest_asyncio.fixture(loop_scope="module")
async def browser(browser_host: BrowserHost, gateway: Gateway) -> AsyncIterator[Browser]:
    async with chromium(browser_host, gateway.origin) as browser:
        yield browser


@pytest.fixture
def painter(screen: XServer) -> Iterator[Painter]:
    with contextlib.closing(Painter(screen.display)) as painter:
        yield painter


def counters(gateway: Gateway) -> Mapping[str, int]:
    return gateway.serving.services.dataplane.counters()


async def connect(browser: Browser, gateway: Gateway, session: Session, query: str) -> dict[str, Any]:
    """From the offer to a connection, without the page around it; times in ms."""
    context = await browser.new_context()
    try:
        page = await context.new_page()
        await page.goto(f"{gateway.origin}/healthz")
        url = gateway.viewer_url(session.id, "view")
        given = {"url": f"/v1/sessions/{session.id}/whep{query}", "token": url.rpartition("token=")[2]}
        found: dict[str, Any] = await page.evaluate(CONNECT, given)
        return found
    finally:
        await context.close()


async def test_without_udp_the_page_paints_by_tcp(
    browser_host: BrowserHost, browser: Browser, gateway: Gateway, session: Session, painter: Painter
) -> None:
    browser_host.drop_udp()
    before = counters(gateway)
    context = await browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
    await context.add_init_script(KEEP_CONNECTIONS)
    page = await context.new_page()
    viewer = await Viewer.open(page, gateway.viewer_url(session.id, "view"), "webrtc", DISPLAY_PX)

    async def shown(colour: int) -> bool | None:
        red, green, blue = colour >> 16, colour >> 8 & 0xFF, colour & 0xFF
        pixels = await viewer.pixels("ice-tcp", PATCH)
        near = [p for p in pixels if all(abs(a - b) < 24 for a, b in zip(p, (red, green, blue), strict=True))]
        return len(near) == len(pixels) or None

    # The first: later ones are the page's own trials of a way by UDP.
    selected = f"async () => ({SELECTED})(window.connections[0])"
    for colour, name in COLOURS.items():
        painter.fill(0, 0, *DISPLAY_PX, colour)
        await eventually(lambda colour=colour: shown(colour), f"a {name} screen", 10)  # type: ignore[misc]
    begun = (await page.evaluate(selected))["frames"]
    async with asyncio.timeout(60):
        while (found := await page.evaluate(selected))["frames"] < begun + FRAMES:
            painter.page(found["frames"])
    assert (found["protocol"], found["port"]) == ("tcp", int(gateway.origin.rpartition(":")[2]))
    after = counters(gateway)
    got = {name: after[name] - before[name] for name in after}
    print(f"\n{found['frames']} frames decoded; { ({name: count for name, count in got.items() if count}) }")
    assert got["tcp_bytes_to_viewer"] == got["bytes_to_viewer"] > 10_000
    assert got["tcp_bytes_to_guest"] == got["bytes_to_guest"] > 1_000
    await context.close()


@pytest.mark.parametrize(
    ("udp", "query", "protocol"),
    [
        (True, "", "udp"),
        (True, "?transport=udp", "udp"),
        (True, "?transport=tcp", "tcp"),
        (False, "", "tcp"),
        (False, "?transport=tcp", "tcp"),
    ],
)
async def test_what_it_takes_to_connect(
    browser_host: BrowserHost, browser: Browser, gateway: Gateway, session: Session,
    udp: bool, query: str, protocol: str,
) -> None:  # fmt: skip
    if udp:
        browser_host.pass_udp()
    else:
        browser_host.drop_udp()
    runs = [await connect(browser, gateway, session, query) for _ in range(5)]
    assert {run["protocol"] for run in runs} == {protocol}
    shown = ", ".join(f"{run['connected']:.0f}" for run in runs)
    answered = ", ".join(f"{run['answered']:.0f}" for run in runs)
    print(f"\nUDP {'on' if udp else 'off'}, {query or 'both'}: offer to connected {shown} ms, answered {answered}")
