"""Two people at one desktop: who controls, handing it over, and whose window sets the display's size.

Real pages on the process driver: all this ends at the guest's X server and x11vnc, which are the same there. A page
without RTCPeerConnection, as some browsers are set up, goes over to noVNC by itself.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from gateway.app import serving
from gateway.sessions.session import Session
from gateway.settings import Settings
from gateway.tokens import Role
from tests.e2e.browser_host import CHROMIUM_FLAGS
from tests.e2e.gateway import Gateway
from tests.e2e.guest import Guest, eventually
from tests.e2e.viewer import Transport, Viewer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(170), pytest.mark.asyncio(loop_scope="module")]

BOTH: tuple[Transport, ...] = ("webrtc", "novnc")
STAGE_PX = (
    "(() => { const s = document.querySelector('#stage'); return [s.clientWidth & ~1, s.clientHeight & ~1]; })()"
)
"""What is left of the window by the bar, whose height depends on the window's width."""
PAIRS = [("webrtc", "webrtc"), ("novnc", "novnc"), ("webrtc", "novnc"), ("novnc", "webrtc")]
KEYS_DOWN = """
import xcffib, xcffib.xproto
print(sum(map(int.bit_count, xcffib.connect().core.QueryKeymap().reply().keys)))
"""
file_numbers = count(1)


@dataclass
class Desk:
    """One desktop, and as many pages onto it as a test opens; they are closed with it."""

    gateway: Gateway
    session: Session
    browser: Browser
    pages: AsyncExitStack

    @property
    def guest(self) -> Guest:
        return Guest(self.session.link)

    async def open(self, transport: Transport, role: Role = "control") -> Viewer:
        context = await self.browser.new_context(viewport={"width": 1100, "height": 700})
        self.pages.push_async_callback(context.close)
        if transport == "novnc":
            await context.add_init_script("delete window.RTCPeerConnection")
        url = self.gateway.viewer_url(self.session.id, role)
        return await Viewer.open(await context.new_page(), url, transport, self.session.display_px)

    async def controlling(self, transport: Transport) -> Viewer:
        viewer = await self.open(transport)
        await viewer.controls()
        return viewer

    async def watching(self, transport: Transport, role: Role = "control") -> Viewer:
        viewer = await self.open(transport, role)
        await viewer.controls("other")
        return viewer

    async def only_types(self, controller: Viewer, watcher: Viewer) -> None:
        """What the watcher types and clicks is not there when the controller's own is."""
        mine, theirs = (f"/tmp/control-{self.session.id}-{next(file_numbers)}" for _ in range(2))
        terminal = await eventually(lambda: self.guest.window("xfce4-terminal"), "the terminal", 60)
        await controller.click(*terminal.centre)
        await eventually(lambda: self.guest.has_focus("xfce4-terminal"), "the focus")
        # Beside the terminal: it would take the focus away from it.
        await watcher.click(self.session.display_px[0] - 4, self.session.display_px[1] - 4)
        await watcher.type(f"touch {theirs}\n", 30)
        await controller.type(f"touch {mine}\n", 30)
        await eventually(lambda: self._is_there(mine), "the controller's file")
        assert await self._is_there(theirs) is None

    async def _is_there(self, path: str) -> bool | None:
        return await self.guest.read(path) is not None or None

    async def keys_down(self) -> int:
        return int(await self.guest.run(sys.executable, "-c", KEYS_DOWN))

    async def until_keys_down(self, wanted: int) -> None:
        async def so() -> bool | None:
            return await self.keys_down() == wanted or None

        await eventually(so, f"{wanted} keys down")

    async def until_size(self, size_px: tuple[int, int], *viewers: Viewer) -> None:
        """The X server's word, and each page's picture."""

        async def so() -> bool | None:
            said = await self.guest.run("xwininfo", "-root")
            width, height = (int(re.findall(rf"{side}: (\d+)", said)[0]) for side in ("Width", "Height"))
            return (width, height) == size_px or None

        await eventually(so, f"a display of {size_px}")
        for viewer in viewers:
            await viewer.page.wait_for_function(PICTURE_IS, arg=list(size_px), timeout=30_000)


PICTURE_IS = """([width, height]) => {
  const video = document.querySelector("#video"), canvas = document.querySelector("#vnc canvas");
  const webrtc = document.documentElement.dataset.transport === "webrtc";
  const [w, h] = webrtc ? [video.videoWidth, video.videoHeight] : [canvas?.width, canvas?.height];
  return w === width && h === height;
}"""


async def stage_px(viewer: Viewer) -> tuple[int, int]:
    width, height = await viewer.page.evaluate(STAGE_PX)
    return width, height


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="fe2e-", dir="/tmp") as run_dir:
        state = tmp_path_factory.mktemp("state")
        settings = Settings(port=0, driver="process", state_dir=state, cache_dir=state, run_dir=Path(run_dir))
        async with serving(settings) as running:
            yield Gateway(running, running.url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", headless=True, args=CHROMIUM_FLAGS
        )
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(gateway: Gateway, browser: Browser) -> AsyncIterator[Desk]:
    session = await gateway.manager.create()
    await session.wait_ready()
    async with AsyncExitStack() as pages:
        yield Desk(gateway, session, browser, pages)
    await gateway.manager.destroy(session.id)


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_control_is_asked_for_and_given(desk: Desk, first: Transport, second: Transport) -> None:
    ann = await desk.controlling(first)
    ben = await desk.watching(second)
    await desk.only_types(ann, ben)

    await ann.page.keyboard.down("Shift")
    await desk.until_keys_down(1)
    await ben.page.click("#deed")
    await ann.page.wait_for_selector("#ask >> text=Viewer 2 asks for control")
    await ann.screenshot(f"control-asked-{first}")
    await ann.page.click("#grant")
    await ben.controls()
    await ann.controls("other")
    await desk.until_keys_down(0)
    await ann.page.keyboard.up("Shift")
    await desk.only_types(ben, ann)

    await ann.page.click("#deed")
    await ben.page.click("#deny")
    await ann.page.wait_for_selector("#who >> text=/^Viewer 2 controls$/")
    await ben.page.click("#deed")
    await ben.controls("nobody")
    await ann.page.click("#deed >> text=Take control")
    await ann.controls()
    await desk.only_types(ann, ben)


@pytest.mark.parametrize("transport", BOTH)
async def test_a_view_token_cannot_ask_and_types_nothing(desk: Desk, transport: Transport) -> None:
    ann = await desk.controlling(transport)
    watcher = await desk.watching(transport, "view")
    assert await watcher.page.is_hidden("#deed")
    await desk.only_types(ann, watcher)


@pytest.mark.parametrize("transport", BOTH)
async def test_a_reload_keeps_control_and_leaving_gives_it_up(desk: Desk, transport: Transport) -> None:
    ann = await desk.controlling(transport)
    ben = await desk.watching(transport)
    await ann.page.reload()
    await ann.controls()
    assert await ben.page.evaluate("document.documentElement.dataset.control") == "other"
    await desk.only_types(ann, ben)
    await ann.page.context.close()
    await ben.controls()


@pytest.mark.parametrize("transport", BOTH)
async def test_the_display_follows_the_controllers_window(desk: Desk, transport: Transport) -> None:
    ann = await desk.controlling(transport)
    ben = await desk.watching("novnc" if transport == "webrtc" else "webrtc")
    assert await ben.page.is_hidden("#fit")
    await ann.page.click("#fit")
    await desk.until_size(await stage_px(ann), ann, ben)
    await ann.page.set_viewport_size({"width": 901, "height": 655})
    assert (await stage_px(ann))[0] == 900
    await desk.until_size(await stage_px(ann), ann, ben)
    await ann.screenshot(f"resized-{transport}")
    # A watcher's window counts for nothing, and one that reloads asks for nothing else.
    await ben.page.set_viewport_size({"width": 700, "height": 500})
    await ann.page.reload()
    await ann.controls()
    await ann.page.set_viewport_size({"width": 1500, "height": 950})
    await desk.until_size(await stage_px(ann), ann, ben)

    # The new controller's window counts once it wants that.
    await ben.page.click("#deed")
    await ann.page.click("#grant")
    await ben.controls()
    await ben.page.click("#fit")
    await desk.until_size(await stage_px(ben), ann, ben)
