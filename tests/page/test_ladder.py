"""The ladder under faults of the network: UDP, TCP, noVNC and back, seen by pixels and by what the terminal reads.

Recovery times are printed (pytest -s) and not asserted: the machine that runs this decides about them too.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Request

from gateway.sessions.session import Session
from tests.e2e.browser_host import BrowserHost, chromium
from tests.e2e.gateway import Gateway
from tests.e2e.guest import eventually
from tests.e2e.viewer import Viewer
from tests.page.conftest import DISPLAY_PX, VIEWPORT
from tests.page.timeline import RECORD, Timeline, Times
from tests.x11.conftest import XServer
from tests.x11.desk import Terminal
from tests.x11.painter import Painter

pytestmark = [pytest.mark.page, pytest.mark.timeout(200), pytest.mark.asyncio(loop_scope="module")]

ROUNDS = 3
PATCH = (200, 200, 80, 40)
COLOURS = itertools.cycle([0xE02020, 0x20A020, 0x2040E0, 0xC0A020, 0x20B0B0])
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

    async def sees(self, colour: int) -> bool | None:
        wanted = (colour >> 16, colour >> 8 & 0xFF, colour & 0xFF)
        pixels = await self.viewer.pixels("ladder", PATCH)
        near = [p for p in pixels if all(abs(a - b) < 40 for a, b in zip(p, wanted, strict=True))]
        return len(near) == len(pixels) or None

    async def works(self) -> None:
        """The guest's screen is seen, and what is typed arrives, without a click and without a reload."""
        colour = next(COLOURS)
        self._painter.fill(0, 0, *DISPLAY_PX, colour)
        await eventually(lambda: self.sees(colour), f"a screen of {colour:06x}", 20)
        word = next(WORDS)
        await self.viewer.type(word, 30)
        assert await asyncio.to_thread(self._terminal.read, len(word)) == word
        assert await self.page.evaluate("[window.mark, document.activeElement.id]") == ["kept", "keys"]


@pytest.fixture(scope="module")
def times() -> Iterator[Times]:
    times = Times()
    yield times
    print(f"\n{times.table()}")


@pytest.fixture
def painter(screen: XServer) -> Iterator[Painter]:
    with contextlib.closing(Painter(screen.display)) as painter:
        yield painter


@pytest_asyncio.fixture(loop_scope="module")
async def browser(browser_host: BrowserHost, gateway: Gateway) -> AsyncIterator[Browser]:
    browser_host.pass_udp()
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
        since = time.time()
        url = self._gateway.viewer_url(self._session.id, "control")
        viewer = await Viewer.open(page, url, "novnc" if path == "ws" else "webrtc", DISPLAY_PX)
        desk = Desk(viewer, self._painter, self._terminal, Timeline(page, self._times))
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


@pytest.mark.parametrize(("fault", "path"), [("pass_udp", "udp"), ("drop_udp", "tcp"), ("drop_media", "ws")])
async def test_a_page_opens_by_the_best_path_there_is(
    browser_host: BrowserHost, opened: Opener, fault: str, path: str
) -> None:
    getattr(browser_host, fault)()
    for _ in range(ROUNDS):
        async with opened(path, f"opened by {path}") as desk:
            await desk.works()


@pytest.mark.parametrize(("fault", "path"), [("drop_udp", "tcp"), ("drop_media", "ws")])
async def test_the_next_rung_takes_over_and_the_best_comes_back(
    browser_host: BrowserHost, opened: Opener, fault: str, path: str
) -> None:
    for _ in range(ROUNDS):
        browser_host.pass_udp()
        async with opened("udp", "opened by udp") as desk:
            await desk.works()
            since = time.time()
            getattr(browser_host, fault)()
            await desk.timeline.live(path, since, f"udp dropped, to {path}")
            await desk.works()
            since = time.time()
            browser_host.pass_udp()
            await desk.timeline.live("udp", since, f"all restored, from {path} to udp", 60)
            await desk.works()


async def test_a_network_that_was_away_brings_the_picture_back(browser_host: BrowserHost, opened: Opener) -> None:
    for outage_s in (3, 8, 3):
        browser_host.pass_udp()
        async with opened("udp", "opened by udp") as desk:
            await desk.works()
            browser_host.drop_all()
            await desk.timeline.frozen()
            await asyncio.sleep(outage_s)  # The outage itself.
            since = time.time()
            browser_host.pass_udp()
            await desk.timeline.live("udp", since, "network away for some seconds, to live")
            await desk.works()
            assert len(desk.offers) == 0, "it came back by a new connection"


async def test_novnc_comes_back_when_the_network_does(browser_host: BrowserHost, opened: Opener) -> None:
    browser_host.drop_media()
    async with opened("ws", "opened by ws") as desk:
        await desk.works()
        browser_host.drop_all()
        await desk.timeline.frozen()
        since = time.time()
        browser_host.drop_media()
        await desk.timeline.live("ws", since, "noVNC: network away for some seconds, to live")
        await desk.works()


async def test_a_killed_agent_is_followed_by_the_next(
    browser_host: BrowserHost, opened: Opener, session: Session
) -> None:
    browser_host.pass_udp()
    for _ in range(ROUNDS):
        async with opened("udp", "opened by udp") as desk:
            await desk.works()
            since = time.time()
            os.kill(await agent_pid(session), signal.SIGKILL)
            await desk.timeline.live("udp", since, "agent killed, to udp")
            await desk.works()
            assert await desk.page.get_attribute("html", "data-control") == "me"


async def agent_pid(session: Session) -> int:
    """The agent's process as this namespace knows it."""
    inside = (await session.link.call("hello", {}))["agent"]["pid"]
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = status.read_text()
            numbers = next(line.split()[1:] for line in text.splitlines() if line.startswith("NSpid:"))
            same = len(numbers) > 1 and int(numbers[-1]) == inside
            if same and os.getpid() in _ancestors(int(status.parent.name)):
                return int(status.parent.name)
    raise AssertionError(f"no process {inside} in the guest")


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid


async def test_two_tabs_do_not_fight(browser_host: BrowserHost, browser: Browser, opened: Opener) -> None:
    browser_host.pass_udp()
    context = await browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
    async with opened("udp", "opened by udp", context) as first:
        await first.viewer.controls("me")
        async with opened("udp", "opened by udp", context) as second:
            await second.viewer.controls("other")
            await first.works()
            await second.page.click("#deed")
            await first.page.click("#grant")
            await second.viewer.controls("me")
            await first.viewer.controls("other")
            await second.works()
            assert (await first.timeline.paths(), await second.timeline.paths()) == (["udp"], ["udp"])
        # Who is left is not left without.
        await first.viewer.controls("me")
        await first.works()
        assert await first.timeline.paths() == ["udp"]
    await context.close()


@pytest.mark.slow
async def test_a_tab_that_was_frozen_for_90_s_goes_on(browser_host: BrowserHost, opened: Opener) -> None:
    """What a browser does to tabs in the background: no script of the page runs."""
    browser_host.pass_udp()
    async with opened("udp", "opened by udp") as desk:
        await desk.works()
        cdp = await desk.page.context.new_cdp_session(desk.page)
        await cdp.send("Page.setWebLifecycleState", {"state": "frozen"})
        await asyncio.sleep(90)
        since = time.time()
        await cdp.send("Page.setWebLifecycleState", {"state": "active"})
        await desk.works()
        await desk.timeline.live("udp", 0.0, "")
        desk.timeline.note("tab frozen for 90 s, to seen and typed", time.time() - since)
        assert await desk.page.get_attribute("html", "data-control") == "me"


@pytest.mark.parametrize(
    ("fault", "path", "verdict"),
    [
        ("pass_udp", "udp", "Video comes the fastest way, by UDP."),
        ("drop_udp", "tcp", "This network lets no UDP through, so video comes by TCP"),
        ("drop_media", "ws", "This network lets no video through, neither by UDP nor by TCP"),
    ],
)
async def test_the_panel_says_what_gets_through(
    browser_host: BrowserHost, opened: Opener, session: Session, fault: str, path: str, verdict: str
) -> None:
    getattr(browser_host, fault)()
    async with opened(path, f"opened by {path}") as desk:
        await desk.page.click("#connection")
        await desk.page.click("text=Test again")
        await desk.page.wait_for_function("() => !document.querySelector('#connection-panel button').disabled")
        said = await desk.page.text_content("#verdict")
        assert said is not None and said.startswith(verdict), await desk.page.inner_text("#connection-panel")
        await desk.page.keyboard.press("Escape")
        await desk.page.evaluate("document.activeElement.blur()")
        await desk.viewer.click(*PATCH[:2])
        await desk.works()
        # The test's own peers have left.
        await eventually(lambda: one_viewer(session), "one viewer", 10)


async def one_viewer(session: Session) -> bool | None:
    return session.viewers == 1 or None
