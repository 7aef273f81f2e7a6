"""A page whose network is disturbed: its desktop is proved by pixels and typing, its times are noted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Request

from gateway.sessions.session import Session
from tests.e2e.browser_host import BrowserHost, chromium
from tests.e2e.gateway import Gateway
from tests.e2e.guest import eventually
from tests.e2e.viewer import SAME_VIEWER, Viewer
from tests.page.conftest import DISPLAY_PX, VIEWPORT
from tests.page.timeline import RECORD, Timeline, Times
from tests.x11.conftest import XServer
from tests.x11.desk import Terminal
from tests.x11.painter import Painter

__all__ = ["PATCH", "Desk", "Opener", "browser", "opened", "painter", "times", "works"]

PATCH = (200, 200, 80, 40)
COLOURS = itertools.cycle([0xE02020, 0x20A020, 0x2040E0, 0xC0A020, 0x20B0B0])
KEYS_HEARD = "document.documentElement.dataset.keys === 'waiting' ? null : true"
WORDS = (f"word{number} " for number in itertools.count())


class Desk:
    """A page, what is on the guest's screen, and what its terminal reads."""

    def __init__(self, viewer: Viewer, painter: Painter, terminal: Terminal, timeline: Timeline) -> None:
        self.viewer = viewer
        self.timeline = timeline
        self.offers: list[str] = []
        self._painter = painter
        self._terminal = terminal
        viewer.page.on("request", self._note)

    @property
    def page(self) -> Page:
        return self.viewer.page

    def _note(self, request: Request) -> None:
        if request.method == "POST" and "/whep" in request.url:
            self.offers.append(request.url)

    async def reads(self, count: int) -> str:
        """The terminal's next characters; fewer when no more come."""
        return await asyncio.to_thread(self._terminal.read, count)

    async def reads_until(self, end: str) -> str:
        """All that the terminal reads, as far as ``end``."""
        text = ""
        while not text.endswith(end):
            more = await self.reads(1)
            assert more != "", f"after {text!r} comes nothing"
            text += more
        return text

    async def works(self) -> str:
        """The guest's screen is seen, and what is typed arrives without a click and without a reload; what it was."""
        try:
            word = await works(self.viewer, self._painter, self._terminal)
        except AssertionError as error:
            error.add_note(f"seen: {await self.page.evaluate('window.seen')}; {self.offers}")
            raise
        assert await self.page.evaluate("[window.mark, document.activeElement.id]") == ["kept", "keys"]
        return word


async def works(viewer: Viewer, painter: Painter, terminal: Terminal) -> str:
    """The guest's screen is seen, and what is typed arrives, without a click; what it was."""
    colour = next(COLOURS)
    painter.fill(0, 0, *DISPLAY_PX, colour)
    await eventually(lambda: sees(viewer, colour), f"a screen of {colour:06x}", 20)
    word = next(WORDS)
    await viewer.type(word, 30)
    read = await asyncio.to_thread(terminal.read, len(word))
    assert read == word, f"{read!r} for {word!r}"
    # noVNC would say again what the agent took and could not say any more (web/src/input/unheard.ts).
    await eventually(lambda: viewer.page.evaluate(KEYS_HEARD), "the agent's word of the keys")
    return word


async def sees(viewer: Viewer, colour: int) -> bool | None:
    wanted = (colour >> 16, colour >> 8 & 0xFF, colour & 0xFF)
    pixels = await viewer.pixels("ladder", PATCH)
    near = [p for p in pixels if all(abs(a - b) < 40 for a, b in zip(p, wanted, strict=True))]
    return len(near) == len(pixels) or None


@pytest.fixture(scope="module")
def times() -> Iterator[Times]:
    times = Times()
    yield times
    print(f"\n{times.table()}")


@pytest.fixture
def painter(screen: XServer) -> Iterator[Painter]:
    with contextlib.closing(Painter(screen.display)) as painter:
        yield painter


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(browser_host: BrowserHost, gateway: Gateway) -> AsyncIterator[Browser]:
    """One for all: what it knows of a network that was disturbed belongs to the context that was in it."""
    async with chromium(browser_host, gateway.origin) as browser:
        yield browser


class Opener:
    def __init__(
        self, browser: Browser, gateway: Gateway, session: Session, painter: Painter, terminal: Terminal, times: Times
    ) -> None:
        self._browser = browser
        self._gateway = gateway
        self._session = session
        self._painter = painter
        self._terminal = terminal
        self._times = times

    @contextlib.asynccontextmanager
    async def __call__(self, path: str, what: str, context: BrowserContext | None = None) -> AsyncIterator[Desk]:
        """A page that shows the desktop by ``path`` and controls it."""
        mine = context or await self._browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
        page = await mine.new_page()
        await page.add_init_script(RECORD)
        if context is None:
            await page.add_init_script(SAME_VIEWER)
        timeline = Timeline(page, self._times)
        since = time.time()
        url = self._gateway.viewer_url(self._session.id, "control")
        viewer = await Viewer.open(page, url, "novnc" if path == "ws" else "webrtc", DISPLAY_PX)
        desk = Desk(viewer, self._painter, self._terminal, timeline)
        try:
            await desk.timeline.live(path, since, what)
            await page.evaluate("window.mark = 'kept'")
            if context is None:
                await viewer.controls()
            yield desk
        finally:
            await page.close()
            if context is None:
                await mine.close()


@pytest.fixture
def opened(
    browser: Browser, gateway: Gateway, session: Session, painter: Painter, terminal: Terminal, times: Times
) -> Opener:
    return Opener(browser, gateway, session, painter, terminal, times)
