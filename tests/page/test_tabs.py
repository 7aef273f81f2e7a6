"""Tabs as people have them: behind another, twice, closed, left and come back to."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import cast

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

from gateway.sessions.control import RETURN_S
from gateway.sessions.session import Session
from tests.e2e.browser_host import CHROMIUM_FLAGS, BrowserHost
from tests.e2e.gateway import Gateway
from tests.e2e.guest import eventually
from tests.e2e.viewer import PIN_BAR, SAME_VIEWER, Viewer
from tests.page.conftest import DISPLAY_PX, VIEWPORT
from tests.page.disturbed import Opener, browser, opened, painter, times, works
from tests.page.tab import Tab
from tests.page.test_ladder import zygote_pid
from tests.page.timeline import RECORD, Times
from tests.x11.desk import Terminal
from tests.x11.painter import Painter

__all__ = ["browser", "opened", "painter", "times"]

pytestmark = [pytest.mark.page, pytest.mark.timeout(170), pytest.mark.asyncio(loop_scope="module")]

SIZE_PX = (VIEWPORT["width"], VIEWPORT["height"])
SOON_S = 10.0
"""For what should be at once, on a busy machine."""
PAINTED = 'html[data-painted="true"]'
OFFERS = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/whep')).length"


@pytest.mark.parametrize("hidden_s", [20, pytest.param(90, marks=pytest.mark.slow)])
async def test_a_tab_behind_another_goes_on_when_it_is_seen_again(
    browser_host: BrowserHost, browser: Browser, gateway: Gateway, session: Session, painter: Painter,
    terminal: Terminal, times: Times, hidden_s: float,
) -> None:  # fmt: skip
    browser_host.pass_udp()
    script = ";".join((RECORD, PIN_BAR, SAME_VIEWER, "window.mark = 'kept'"))
    tab = await Tab.open(browser, gateway.viewer_url(session.id, "control"), SIZE_PX, script)
    viewer = Viewer(cast(Page, tab), cast(CDPSession, tab), DISPLAY_PX)

    async def controls() -> bool | None:
        shown = await tab.evaluate("({ ...document.documentElement?.dataset })")
        return (shown.get("picture"), shown.get("control")) == ("live", "me") or None

    async def hidden() -> bool | None:
        return await tab.evaluate("document.visibilityState") == "hidden" or None

    await eventually(controls, "a picture and control", 60)
    await works(viewer, painter, terminal)
    offers = await tab.evaluate(OFFERS)
    other = await Tab.open(browser, "about:blank", SIZE_PX)
    await eventually(hidden, "the tab hidden", 10)
    painter.fill(0, 0, *DISPLAY_PX, 0x808080)
    await asyncio.sleep(hidden_s)  # What is tested.
    assert await hidden()
    since = time.time()
    await tab.front()
    await works(viewer, painter, terminal)
    times.add(f"tab hidden for {hidden_s} s, to seen and typed", time.time() - since)
    assert await controls()
    assert await tab.evaluate("[window.mark, document.activeElement.id]") == ["kept", "keys"]
    assert await tab.evaluate(OFFERS) == offers, "it came back by a new connection"
    await other.close()
    await tab.close()


async def test_a_duplicated_tab_is_a_viewer_of_its_own(
    browser_host: BrowserHost, browser: Browser, opened: Opener, session: Session
) -> None:
    """Its storage is a copy, token and all."""
    browser_host.pass_udp()
    context = await browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
    async with opened("udp", "opened by udp", context) as first:
        await first.viewer.controls()
        async with context.expect_page() as opening:
            await first.page.evaluate("void open(location.href)")
        second = await opening.value
        await second.wait_for_selector(f'{PAINTED}[data-control="other"]', state="attached", timeout=60_000)
        names = [viewer.name for viewer in session.view().control.viewers]
        assert len(set(names)) == 2
        assert session.view().control.controller == names[0]
        await first.works()
        # Each reload is the same viewer again.
        await second.reload()
        await second.wait_for_selector(f'{PAINTED}[data-control="other"]', state="attached", timeout=60_000)
        await first.works()

        async def same() -> bool | None:
            return [viewer.name for viewer in session.view().control.viewers] == names or None

        await eventually(same, f"the viewers {names}", SOON_S)
        await second.close()
        await first.works()
        assert (await first.timeline.paths(), first.offers) == (["udp"], [])
    await context.close()


async def test_the_newer_of_two_tabs_with_one_id_controls_and_the_older_does_after_it(
    browser_host: BrowserHost, browser: Browser, opened: Opener, session: Session
) -> None:
    """Neither fights for what the other has."""
    browser_host.pass_udp()
    async with opened("udp", "opened by udp") as first, opened("udp", "opened by udp") as second:
        await second.viewer.controls()
        await first.viewer.controls("other")
        assert len(session.view().control.viewers) == 1
        await second.works()
        await second.page.close()
        await first.viewer.controls()
        await first.works()
        assert (await first.timeline.paths(), first.offers) == (["udp"], [])


async def control_is_free(session: Session) -> None:
    async def free() -> bool | None:
        return session.view().control.controller is None or None

    try:
        await eventually(free, "control free", RETURN_S + SOON_S)
    except AssertionError as error:
        error.add_note(f"{session.view().control}")
        raise
    assert not session.view().control.viewers


@pytest.mark.parametrize("fault", ["pass_udp", "drop_media"])
async def test_who_closes_the_tab_is_gone_at_once(
    browser_host: BrowserHost, opened: Opener, session: Session, fault: str
) -> None:
    """Else control would wait for who never comes back until ICE has missed it, 30 s (RFC 7675 5.1)."""
    getattr(browser_host, fault)()
    path = "udp" if fault == "pass_udp" else "ws"
    for leave in ("close", "navigate"):
        async with opened(path, f"opened by {path}") as desk:
            await desk.works()
            await (desk.page.close() if leave == "close" else desk.page.goto("about:blank"))

            async def gone() -> bool | None:
                return not session.view().control.viewers or None

            await eventually(gone, "the viewer gone", SOON_S)
            await control_is_free(session)


async def test_who_leaves_while_it_connects_is_gone_too(
    browser_host: BrowserHost, browser: Browser, gateway: Gateway, session: Session
) -> None:
    """Nobody but the gateway knows of a peer whose answer came too late."""
    browser_host.pass_udp()
    page = await browser.new_page()
    zygote = await zygote_pid(session)
    os.kill(zygote, signal.SIGSTOP)
    try:
        async with page.expect_request("**/whep"):
            await page.goto(gateway.viewer_url(session.id, "control"))

        async def offered() -> bool | None:
            return bool(session.view().control.viewers) or None

        await eventually(offered, "the offer at the gateway")
        async with page.expect_event("requestfailed", lambda request: "/whep" in request.url):
            await page.goto("about:blank")
    finally:
        os.kill(zygote, signal.SIGCONT)
    await control_is_free(session)
    await page.context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def remembering(browser_host: BrowserHost, gateway: Gateway) -> AsyncIterator[BrowserContext]:
    """A browser that keeps the pages that were left, as people's do."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(browser_host.launcher),
            args=[*CHROMIUM_FLAGS, f"--unsafely-treat-insecure-origin-as-secure={gateway.origin}"],
            ignore_default_args=["--disable-back-forward-cache"],
        )
        yield await browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
        await browser.close()


async def test_who_comes_back_to_a_page_that_was_left_has_picture_and_control(
    browser_host: BrowserHost, remembering: BrowserContext, gateway: Gateway, session: Session, painter: Painter,
    terminal: Terminal,
) -> None:  # fmt: skip
    browser_host.pass_udp()
    page = await remembering.new_page()
    viewer = await Viewer.open(page, gateway.viewer_url(session.id, "control"), "webrtc", DISPLAY_PX)
    await viewer.controls()
    await page.evaluate("window.mark = 'kept'")
    await page.goto(f"{gateway.origin}/healthz")

    async def gone() -> bool | None:
        return not session.view().control.viewers or None

    await eventually(gone, "the viewer gone", SOON_S)
    # Playwright's own go_back() waits for a load that does not come.
    await page.evaluate("() => { setTimeout(() => history.back()); }")
    await page.wait_for_selector(f'{PAINTED}[data-control="me"]', state="attached", timeout=30_000)
    assert await page.evaluate("window.mark") == "kept", "it was loaded anew"
    await works(viewer, painter, terminal)
