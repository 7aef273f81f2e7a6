"""Every state of both pages: accessible (axe-core), within its window, and without an error of its own.

With FENSTER_SCREENSHOTS naming a folder, the pictures of web/screenshots are made anew there (make screenshots).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.e2e.guest import Guest, eventually
from tests.page.studio import SCENES, Scene, Studio
from tests.x11.desktops import Desktop
from tests.x11.shown import browser, desktop

__all__ = ["browser", "desktop"]

pytestmark = [pytest.mark.page, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

FOLDER = os.environ.get("FENSTER_SCREENSHOTS", "")
AXE = Path(__file__).resolve().parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
RUN_AXE = """async () => {
  const { violations } = await axe.run(document, { resultTypes: ['violations'] });
  return violations.map(({ id, help, nodes }) => [id, help, nodes.map(({ target, failureSummary }) => [target, failureSummary])]);
}"""  # noqa: E501
CUT_OFF = """() => [...document.querySelectorAll('button, input, select, textarea:not(#keys)')]
  .filter((e) => e.checkVisibility({ visibilityProperty: true }))
  .filter((e) => e.getBoundingClientRect().left < 0 || e.getBoundingClientRect().right > innerWidth)
  .map((e) => e.outerHTML.slice(0, 80))"""
"""Controls that are partly beyond the window's sides."""
MAX_BYTES = 150_000
PROMPT = (
    "PS1='\\w \\$ '; cd; clear; grep -E '^(PRETTY_NAME|VERSION_ID)' /etc/os-release; node --version; git --version"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def typed(desktop: Desktop, browser: Browser) -> None:
    """Something to see on the desktop."""
    page = await Studio(desktop, browser).watched()
    await page.wait_for_selector('html[data-control="me"]', state="attached")
    rect = await Guest(desktop.session.link).window("xfce4-terminal")
    assert rect is not None
    await page.keyboard.type(PROMPT + "; touch .drawn\n")

    async def drawn() -> bool | None:
        return (await desktop.run("ls -a $HOME")).split().count(".drawn") == 1 or None

    # A page that is closed at once takes the keys along that it has not sent.
    await eventually(drawn, "all of it typed")
    await page.context.close()


async def violations(page: Page) -> list[Any]:
    await page.evaluate(AXE.read_text())
    found: list[Any] = await page.evaluate(RUN_AXE)
    return found


@pytest.mark.parametrize("scene", SCENES, ids=[scene.id for scene in SCENES])
async def test_a_state(desktop: Desktop, browser: Browser, typed: None, scene: Scene) -> None:
    studio = Studio(desktop, browser, scene.size, scene.dark, scene.language, pictured=FOLDER != "" and scene.kept)
    contexts = set(browser.contexts)
    try:
        page = await scene.make(studio)
        assert await violations(page) == []
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= scene.size[0], f"{width} px wide in a window of {scene.size[0]}"
        assert await page.evaluate(CUT_OFF) == []
        assert studio.mistakes == []
        await keep(page, scene)
    finally:
        for context in set(browser.contexts) - contexts:
            await context.close()


async def keep(page: Page, scene: Scene) -> None:
    if FOLDER == "" or not scene.kept:
        return
    picture = await page.screenshot(path=Path(FOLDER) / f"{scene.name}.png")
    assert len(picture) <= MAX_BYTES, f"{scene.name} has {len(picture)} bytes"
