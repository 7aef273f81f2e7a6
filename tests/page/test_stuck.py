"""A page that can say nothing any more holds nothing: its keys and buttons go up within the lease, and no socket
closes for that. What the desktop takes for held is asked of its X server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from gateway.vnc.lease import LEASE_S
from tests.e2e.guest import eventually
from tests.e2e.viewer import Viewer
from tests.page.conftest import DISPLAY_PX, Show
from tests.x11.conftest import XServer
from tests.x11.desk import KeyWindow, Terminal

pytestmark = [pytest.mark.page, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

HERE = (500, 300)
SOON_S = 1.5
"""From the end of the lease to the X server's word of it, on a busy machine."""


@pytest.fixture
def window(screen: XServer, terminal: Terminal) -> Iterator[KeyWindow]:
    with contextlib.closing(KeyWindow(screen.display, DISPLAY_PX)) as window:
        yield window


@pytest_asyncio.fixture(loop_scope="module")
async def held(viewer: Viewer, window: KeyWindow) -> AsyncIterator[None]:
    """Shift, a letter and the mouse's button are down, and stay down as long as the page says so."""
    await viewer.controls()
    await viewer.move(*HERE)
    await viewer.page.keyboard.down("Shift")
    await viewer.page.keyboard.down("x")
    await viewer.page.mouse.down()

    async def down() -> bool | None:
        return (len(window.keys_down()), window.buttons_down()) == (2, {1}) or None

    await eventually(down, "two keys and a button held")
    yield
    await let_go(viewer)


async def let_go(viewer: Viewer) -> None:
    await viewer.page.mouse.up()
    await viewer.page.keyboard.up("x")
    await viewer.page.keyboard.up("Shift")


async def up(window: KeyWindow) -> float:
    """Seconds until nothing is held."""
    began = time.monotonic()

    async def nothing() -> bool | None:
        return not (window.keys_down() or window.buttons_down()) or None

    await eventually(nothing, "everything released", LEASE_S + SOON_S)
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def frozen(browser: Browser) -> AsyncIterator[None]:
    """No page of this browser runs; the browser itself answers pings for them. (Of a page in sight Chromium's own
    Page.setWebLifecycleState freezes nothing.)
    """
    cdp = await browser.new_browser_cdp_session()
    processes = (await cdp.send("SystemInfo.getProcessInfo"))["processInfo"]
    renderers = [process["id"] for process in processes if process["type"] == "renderer"]
    assert renderers
    for pid in renderers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in renderers:
            os.kill(pid, signal.SIGCONT)


async def types(viewer: Viewer, window: KeyWindow) -> None:
    """Another key than those before, alone."""

    def heard() -> list[tuple[str, int, bool]]:
        while (event := window.keys(1)[0])[1] != ord("q"):
            pass
        return [event, *window.keys(1)]

    await viewer.page.keyboard.press("q")
    assert await asyncio.to_thread(heard) == [("press", ord("q"), False), ("release", ord("q"), False)]


@pytest.mark.usefixtures("held")
async def test_what_is_held_stays_down_while_the_page_lives(window: KeyWindow) -> None:
    until = time.monotonic() + 2 * LEASE_S

    async def long_enough() -> bool | None:
        assert (len(window.keys_down()), window.buttons_down()) == (2, {1})
        return time.monotonic() >= until or None

    await eventually(long_enough, "two leases", 3 * LEASE_S)


@pytest.mark.usefixtures("held")
async def test_a_page_that_is_frozen_holds_nothing(viewer: Viewer, browser: Browser, window: KeyWindow) -> None:
    async with frozen(browser):
        print(f"\nfrozen: everything up after {await up(window):.2f} s")
    await let_go(viewer)
    await types(viewer, window)


@pytest.mark.usefixtures("held")
async def test_a_page_that_is_cut_off_holds_nothing(show: Show, viewer: Viewer, window: KeyWindow) -> None:
    with show.host.cut_off():
        print(f"\ncut off: everything up after {await up(window):.2f} s")
    await let_go(viewer)
    await types(viewer, window)
    assert await viewer.page.get_attribute("html", "data-transport") == show.transport
