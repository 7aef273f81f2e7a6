"""Coloured text as a real Chromium paints it, compared with the desktop's own pixels: 4:2:0, and crisp."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray
from playwright.async_api import Browser, Page, async_playwright

from gateway.tokens import Role
from guest_agent.capture import Screen
from guest_agent.rects import Rect
from tests.e2e.browser_host import CHROMIUM_FLAGS
from tests.e2e.guest import eventually
from tests.e2e.viewer import Viewer
from tests.x11.conftest import XServer
from tests.x11.desktops import Desktop, process_desktop
from tests.x11.painter import Painter

pytestmark = [pytest.mark.x11, pytest.mark.timeout(150), pytest.mark.asyncio(loop_scope="module")]

COLOURS = (0xAA0000, 0x00AA00, 0xAA5500, 0x5555FF, 0xAA00AA, 0x00AAAA, 0xFF5555, 0x55FF55)
"""A terminal's."""
PIXELS = """() => {
  const video = document.getElementById('video');
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(video, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let text = '';
  for (let i = 0; i < data.length; i += 32768) text += String.fromCharCode(...data.subarray(i, i + 32768));
  return [canvas.width, canvas.height, btoa(text)];
}"""


@dataclass
class Desk:
    desktop: Desktop
    browser: Browser
    wanted: NDArray[np.int16]
    """The desktop's pixels, RGB."""
    ink: NDArray[np.bool_]
    """Where a stroke is."""

    async def open(self, role: Role = "control") -> Page:
        page = await self.browser.new_page(viewport={"width": 1280, "height": 800})
        await Viewer.open(page, self.desktop.viewer_url(role), "webrtc", self.desktop.session.display_px)
        return page

    async def shown(self, page: Page) -> NDArray[np.int16]:
        width, height, data = await page.evaluate(PIXELS)
        rgba = np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
        assert rgba.shape[:2] == self.wanted.shape[:2]
        return rgba[..., :3].astype(np.int16)

    async def error(self, page: Page) -> float:
        """How far the strokes' colours are from the desktop's: the mean over their channels, 0 to 255."""
        return float(np.abs(await self.shown(page) - self.wanted)[self.ink].mean())

    async def psnr_db(self, page: Page) -> float:
        return float(10 * np.log10(255**2 / np.mean((await self.shown(page) - self.wanted).astype(float) ** 2)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desktop(shared_xserver: XServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desktop]:
    async with process_desktop(tmp_path_factory.mktemp("state"), display=shared_xserver.display) as desktop:
        yield desktop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", headless=True, args=CHROMIUM_FLAGS
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(shared_xserver: XServer, desktop: Desktop, browser: Browser) -> AsyncIterator[Desk]:
    display = shared_xserver.display
    painter = Painter(display)
    for left, top, width, height, colour in strokes(painter.width_px, painter.height_px):
        painter.fill(left, top, width, height, colour)
    screen = Screen(display)
    screen.watch(True)
    bgrx = screen.grab(Rect(0, 0, painter.width_px, painter.height_px)).copy()
    screen.close()
    wanted = bgrx[..., 2::-1].astype(np.int16)
    yield Desk(desktop, browser, wanted, np.ptp(wanted, axis=2) > 64)
    painter.close()


def strokes(width_px: int, height_px: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Something like coloured words: letters' stems and bars, one pixel wide, at odd places and even."""
    rng = np.random.default_rng(1)
    for row, top in enumerate(range(20, height_px - 20, 45)):
        for column, left in enumerate(range(20, width_px - 20, 9)):
            colour = COLOURS[(row + column // 8) % len(COLOURS)]
            yield left, top, 1, 10, colour
            yield left, top + int(rng.integers(0, 10)), 6, 1, colour


async def until_crisp(page: Page, state: str) -> None:
    await page.wait_for_selector(f'html[data-crisp="{state}"]', state="attached", timeout=30_000)


async def test_coloured_text_is_painted_as_it_is(desk: Desk) -> None:
    page = await desk.open()
    assert await page.is_visible("#crisp")
    await until_crisp(page, "off")

    async def settled() -> bool | None:
        # 4:2:0 gets no nearer than this, and black is farther.
        return await desk.error(page) < 70 or None

    await eventually(settled, "the picture")
    plain, plain_db = await desk.error(page), await desk.psnr_db(page)
    assert plain > 20

    async def right() -> bool | None:
        # The picture gets there in steps, at first with a coarse quantizer.
        return (await desk.error(page) < 12 and await desk.psnr_db(page) > plain_db + 8) or None

    await page.click("#crisp")
    await until_crisp(page, "on")
    await eventually(right, "the strokes' colours")
    crisp, crisp_db = await desk.error(page), await desk.psnr_db(page)
    print(f"strokes off by {plain:.1f} and {crisp:.1f} of 255; {plain_db:.1f} and {crisp_db:.1f} dB")
    assert crisp_db > plain_db + 8

    # What was chosen outlives a reload of the tab.
    await page.reload()
    await until_crisp(page, "on")
    await eventually(right, "the strokes' colours after a reload")

    await page.click("#crisp")
    await until_crisp(page, "off")
    assert await page.get_attribute("#crisp", "aria-pressed") == "false"
    await page.close()


async def test_who_may_only_look_has_no_switch_and_sees_what_the_other_chose(desk: Desk) -> None:
    page, watcher = await desk.open(), await desk.open("view")
    assert not await watcher.is_visible("#crisp")
    await page.click("#crisp")
    await until_crisp(page, "on")

    async def right() -> bool | None:
        return await desk.error(watcher) < 12 or None

    await eventually(right, "the strokes' colours for the watcher")
    await watcher.close()
    await page.close()


async def test_a_browser_that_cannot_decode_it_has_no_switch(desk: Desk) -> None:
    page = await desk.browser.new_page(viewport={"width": 1280, "height": 800})
    await page.add_init_script(
        """const stock = RTCRtpReceiver.getCapabilities.bind(RTCRtpReceiver);
        RTCRtpReceiver.getCapabilities = (kind) => {
          const all = stock(kind);
          return { ...all, codecs: all.codecs.filter((c) => !/profile-level-id=f4/.test(c.sdpFmtpLine ?? '')) };
        };"""
    )
    await Viewer.open(page, desk.desktop.viewer_url(), "webrtc", desk.desktop.session.display_px)
    await page.wait_for_selector('html[data-control="me"]', state="attached", timeout=30_000)
    assert not await page.is_visible("#crisp")
    assert await page.get_attribute("html", "data-crisp") == "unavailable"
    await page.close()
