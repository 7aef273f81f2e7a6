"""One gateway and one VM for a module; for each transport a browser host of its own."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from gateway.sessions.session import Session
from gateway.settings import Settings
from tests.e2e.browser_host import GATEWAY_IP, BrowserHost, chromium
from tests.e2e.gateway import Gateway, running_gateway
from tests.e2e.guest import Guest, eventually
from tests.e2e.viewer import Viewer

Transport = Literal["webrtc", "novnc"]


@dataclass
class Desk:
    """What a test of one transport holds."""

    gateway: Gateway
    session: Session
    transport: Transport
    browser: Browser

    @property
    def guest(self) -> Guest:
        return Guest(self.session.link)

    async def open(self, role: Literal["control", "view"]) -> Viewer:
        context = await self.browser.new_context(viewport={"width": 1280, "height": 780})
        page = await context.new_page()
        url = self.gateway.viewer_url(self.session.id, role)
        try:
            viewer = await Viewer.open(page, url, self.transport, self.session.display_px)
            if role == "control":
                # One that came before it, and has gone, is expected back for a moment.
                await viewer.controls()
            return viewer
        except AssertionError as error:
            error.add_note(f"relay: {dict(self.gateway.serving.services.dataplane.counters())}")
            logs = "journalctl -q -o short-monotonic -n 25; tail -n 25 /var/log/x11vnc.log; top -b -n 1 | head -n 20"
            error.add_note(await self.guest.run("sh", "-c", logs, user=False))
            raise

    async def watch(self) -> Viewer:
        return await self.open("view")


@pytest.fixture(scope="module")
def browser_host() -> Iterator[BrowserHost]:
    with contextlib.closing(BrowserHost()) as host:
        yield host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(browser_host: BrowserHost, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    with tempfile.TemporaryDirectory(prefix="fe2e-", dir="/tmp") as run_dir:  # short: socket paths end at 108 bytes
        state_dir = tmp_path_factory.mktemp("state")
        async with running_gateway(
            Settings(host=GATEWAY_IP, insecure_http=True, port=0, state_dir=state_dir, run_dir=Path(run_dir))
        ) as running:
            yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def session(gateway: Gateway) -> AsyncIterator[Session]:
    """Ready, its desktop complete and its Chromium on the start page: what follows is not about booting."""
    session = await gateway.manager.create()
    async with asyncio.timeout(120):
        await session.wait_ready()
    guest = Guest(session.link)
    await eventually(lambda: guest.window("Fenster - Chromium"), "the start page", 180)
    print(f"\nstages in seconds: {session.timings}")
    yield session
    await gateway.manager.destroy(session.id)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["webrtc", "novnc"])
async def desk(
    request: pytest.FixtureRequest, browser_host: BrowserHost, gateway: Gateway, session: Session
) -> AsyncIterator[Desk]:
    transport: Transport = request.param
    if transport == "novnc":
        browser_host.drop_media()
    else:
        browser_host.pass_udp()
    async with chromium(browser_host, gateway.origin) as browser:
        yield Desk(gateway, session, transport, browser)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def viewer(desk: Desk) -> AsyncIterator[Viewer]:
    """The controller's page, open for the whole module."""
    viewer = await desk.open("control")
    yield viewer
    await viewer.page.context.close()
