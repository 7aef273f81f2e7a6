"""The dashboard on a real gateway with real desktops: what a person does there, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from gateway.sessions.lifecycle import State
from tests.e2e.guest import eventually
from tests.x11.desktops import Desktop
from tests.x11.shown import browser, desktop

__all__ = ["browser", "desktop"]

pytestmark = [pytest.mark.page, pytest.mark.timeout(170), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(desktop: Desktop, browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = await context.new_page()
    await page.goto(desktop.serving.url)
    await page.fill("#key", desktop.serving.services.keys.api_key)
    await page.click("#login button")
    await page.wait_for_selector(row(desktop))
    yield page
    await context.close()


def row(desktop: Desktop) -> str:
    return f'.session[data-id="{desktop.session.id}"]'


async def test_it_shows_what_each_desktop_shows_now(desktop: Desktop, page: Page) -> None:
    """A picture of the real display, which changes with it."""
    picture = page.locator(f"{row(desktop)} .thumb img")
    await picture.wait_for()
    size = await picture.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])")
    assert size == [640, 360]
    before = await picture.get_attribute("src")
    viewer = await page.context.new_page()
    await viewer.goto(desktop.viewer_url())
    await viewer.wait_for_selector('html[data-control="me"][data-painted="true"]', state="attached", timeout=60_000)
    await viewer.keyboard.type("seq 99\n")
    await viewer.close()
    await page.bring_to_front()

    async def another() -> bool | None:
        return await picture.get_attribute("src") != before or None

    await eventually(another, "another picture", 30)


async def test_it_shows_the_host(page: Page) -> None:
    host = page.locator("#host")
    await host.wait_for()
    text = await host.inner_text()
    assert "1 of " in text
    assert "GiB" in text
    # The process driver isolates nothing, and the page says so.
    assert "not isolated" in text


async def test_timings_tell_the_stages(desktop: Desktop, page: Page) -> None:
    await page.click(f"{row(desktop)} summary")
    stages = await page.locator(f"{row(desktop)} .stages li").all_inner_texts()
    assert len(stages) >= len(desktop.session.view().timings)
    assert any("Desktop ready" in stage and "s" in stage for stage in stages)


async def test_a_link_to_share_opens_the_desktop_for_looking(desktop: Desktop, browser: Browser, page: Page) -> None:
    await page.click(f"{row(desktop)} .actions [aria-expanded]")
    await page.click(f'{row(desktop)} [data-action="shareView"]')
    await page.wait_for_selector("#notice:visible")
    assert await page.inner_text("#notice") == "The view-only link is in your clipboard."
    link = await page.evaluate("navigator.clipboard.readText()")
    other = await browser.new_page()
    await other.goto(link)
    await other.wait_for_selector('html[data-role="view"][data-painted="true"]', state="attached", timeout=60_000)
    await other.context.close()


async def test_a_limit_is_extended_and_taken_away(desktop: Desktop, page: Page) -> None:
    async with desktop.http.patch(desktop.url(), json={"ttl_s": 1800}) as answer:
        assert answer.status == 200
    await page.click(f'{row(desktop)} [data-action="extend"]')
    await page.locator("#notice", has_text="now ends at").wait_for()
    ends_at = desktop.session.view().ends_at
    assert ends_at is not None
    assert abs(ends_at - datetime.now(UTC) - timedelta(minutes=90)) < timedelta(minutes=1)
    await page.click(f'{row(desktop)} [data-action="unlimit"]')
    await page.locator("#notice", has_text="no limit").wait_for()
    assert desktop.session.view().ends_at is None
    await page.locator(f'{row(desktop)} [data-action="extend"]').wait_for(state="hidden")


async def test_what_cannot_be_done_is_said(desktop: Desktop, page: Page) -> None:
    """The process driver keeps no desktop."""
    await page.click(f'{row(desktop)} [data-action="save"]')
    await page.fill("dialog input", "Not A Name")
    await page.click("dialog [type=submit]")
    assert await page.is_visible("dialog")
    await page.fill("dialog input", "mine")
    await page.click("dialog [type=submit]")
    await page.wait_for_selector("#notice.bad:visible")
    assert await page.get_attribute("#notice", "role") == "alert"


async def test_a_desktop_is_made_watched_and_destroyed(desktop: Desktop, page: Page) -> None:
    manager = desktop.serving.services.manager
    before = {session.id for session in manager.list()}
    await page.select_option("#ttl", "3600")
    async with page.context.expect_page() as opening:
        await page.click("#create-button")
    viewer = await opening.value
    await viewer.wait_for_url("**/s/*")
    (made,) = [session for session in manager.list() if session.id not in before]
    assert f"/s/{made.id}" in viewer.url
    assert made.view().ends_at is not None
    await viewer.close()
    await page.bring_to_front()
    card = page.locator(f'.session[data-id="{made.id}"]')
    await card.wait_for()
    async with asyncio.timeout(100):
        await made.wait_ready()
    await card.locator(".state[data-state=ready]").wait_for()
    await card.locator(".actions [aria-expanded]").click()
    await card.locator('[data-action="destroy"]').click()
    # Escape says no.
    await page.wait_for_selector("dialog[open]")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("dialog", state="detached")
    assert made.state is State.READY
    await card.locator('[data-action="destroy"]').click()
    await page.click("dialog .danger")
    await card.wait_for(state="detached", timeout=30_000)
    assert made.id not in {session.id for session in manager.list()}


async def test_the_language_and_the_colours_are_kept(page: Page) -> None:
    await page.get_by_role("button", name="Deutsch").click()
    await page.wait_for_selector("html[lang=de]")
    assert await page.inner_text("#create-button") == "Neuer Desktop"
    await page.get_by_role("button", name="Dunkel").click()
    await page.reload()
    await page.wait_for_selector("html[lang=de]")
    assert await page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "dark"
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 21, 27)"
