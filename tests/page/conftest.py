"""A desktop that a test can look into, shown by the gateway in a real browser; no VM.

The desktop is a window manager and a terminal on an Xorg of the test's own, which the process driver serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from gateway.sessions.session import Session
from gateway.settings import Settings
from gateway.tokens import Role
from tests.e2e.browser_host import GATEWAY_IP, BrowserHost, chromium
from tests.e2e.gateway import Gateway, running_gateway
from tests.e2e.viewer import SAME_VIEWER, Transport, Viewer
from tests.x11.conftest import XServer, start_xorg
from tests.x11.desk import Programs, Terminal

DISPLAY_PX = (1280, 720)
VIEWPORT = {"width": 1280, "height": 780}


@dataclass
class Show:
    """A session and the way that its viewers take."""

    gateway: Gateway
    session: Session
    transport: Transport
    host: BrowserHost

    async def open(
        self, browser: Browser, role: Role = "control", *, touch: bool = False, returns: bool = False
    ) -> Viewer:
        """A page of its own context that has painted.

        Args:
            returns: it is the one that left (SAME_VIEWER), and has control at once.
        """
        context = await browser.new_context(viewport=VIEWPORT, has_touch=touch)  # type: ignore[arg-type]
        page = await context.new_page()
        if returns:
            await page.add_init_script(SAME_VIEWER)
        url = self.gateway.viewer_url(self.session.id, role)
        return await Viewer.open(page, url, self.transport, DISPLAY_PX)


@pytest.fixture(scope="module")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[XServer]:
    """The guest's X server."""
    yield from start_xorg(tmp_path_factory.mktemp("x"), DISPLAY_PX)


@pytest.fixture(scope="module")
def programs(screen: XServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    programs = Programs(screen, tmp_path_factory.mktemp("home"))
    yield programs
    programs.close()


@pytest.fixture(scope="module")
def terminal(programs: Programs) -> Iterator[Terminal]:
    """xfce4-terminal, with the focus."""
    programs.window_manager()
    with contextlib.closing(Terminal(programs)) as terminal:
        yield terminal


@pytest.fixture(scope="module")
def browser_host() -> Iterator[BrowserHost]:
    with contextlib.closing(BrowserHost()) as host:
        yield host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    screen: XServer, browser_host: BrowserHost, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="fpage-", dir="/tmp") as run_dir:  # short: socket paths end at 108 bytes
        settings = Settings(
            insecure_http=True,
            host=GATEWAY_IP,
            port=0,
            driver="process",
            process_display=screen.display,
            display=DISPLAY_PX,
            state_dir=tmp_path_factory.mktemp("state"),
            run_dir=Path(run_dir),
        )
        async with running_gateway(settings) as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(gateway: Gateway) -> AsyncIterator[Session]:
    session = await gateway.manager.create()
    async with asyncio.timeout(60):
        await session.wait_ready()
    yield session
    await gateway.manager.destroy(session.id)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["webrtc", "novnc"])
async def show(
    request: pytest.FixtureRequest, browser_host: BrowserHost, gateway: Gateway, session: Session
) -> AsyncIterator[Show]:
    if request.param == "novnc":
        browser_host.drop_media()
    else:
        browser_host.pass_udp()
    yield Show(gateway, session, request.param, browser_host)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(show: Show) -> AsyncIterator[Browser]:
    async with chromium(show.host, show.gateway.origin) as browser:
        yield browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def viewer(show: Show, browser: Browser) -> AsyncIterator[Viewer]:
    """The controller's page."""
    viewer = await show.open(browser, returns=True)
    await viewer.controls()
    yield viewer
    await viewer.page.context.close()
