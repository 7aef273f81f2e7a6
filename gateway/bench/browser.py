"""A browser that has the viewer loaded before a session is asked for, and shows the session.

What is timed is what a person waits for who presses the button on a page that is open. The page asks for the
session itself and goes to it in its tab; the viewer's scripts come from the browser's cache. Every session gets
a cache of its own, so that no run is quicker because of one before it.

The gateway notes "painted" when the viewer reports its first frame, on the same clock as every other stage: the
request's way in is left out and the report's way back counted, about a millisecond each on the loopback.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Error, Page, async_playwright

from gateway.errors import ConfigError, GatewayError

__all__ = ["Chromium", "chromium", "first_line", "launched"]

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_NOBODY = "00000000"
"""The viewer loads for any id; of a session that does not exist it says so, and does nothing more."""
_LOAD_LIMIT_MS = 30_000

# The answer is handed over before the page goes: a navigation starts in a later task than a promise settles.
_ASK = """async (key) => {
  const headers = { Authorization: `Bearer ${key}` };
  const response = await fetch("/v1/sessions", { method: "POST", headers });
  const body = await response.json();
  if (!response.ok) return { error: body.detail ?? response.statusText, hint: body.hint ?? "" };
  location.replace(body.viewer_url);
  return { id: body.id };
}"""
_SAYS = "() => ({ ...document.documentElement.dataset })"


class _Page:
    """A create.ViewerPage."""

    def __init__(self, page: Page, api_key: str) -> None:
        self._page = page
        self._api_key = api_key

    async def ask(self) -> str:
        try:
            answer = await self._page.evaluate(_ASK, self._api_key)
        except Error as exc:
            raise GatewayError(f"the browser could not ask for a session: {first_line(exc)}") from exc
        if "error" in answer:
            raise GatewayError(str(answer["error"]), hint=str(answer["hint"]))
        return str(answer["id"])

    async def says(self) -> Mapping[str, str]:
        try:
            said: dict[str, str] = await self._page.evaluate(_SAYS)
        except Error as exc:
            raise GatewayError(f"the browser's page does not answer: {first_line(exc)}") from exc
        return said


class Chromium:
    """A running browser, for one gateway.

    Args:
        browser: of Playwright.
        origin: the gateway's scheme, address and port.
        api_key: with which pages ask for sessions.
    """

    def __init__(self, browser: Browser, origin: str, api_key: str) -> None:
        self._browser = browser
        self._origin = origin
        self._api_key = api_key

    @property
    def version(self) -> str:
        """Name and number, such as "Chromium 150.0.7871.46"."""
        return f"Chromium {self._browser.version}"

    @asynccontextmanager
    async def page(self) -> AsyncIterator[_Page]:
        """A page of a profile of its own that has run the viewer's scripts.

        Raises:
            GatewayError: the viewer does not load.
        """
        context = await self._browser.new_context()
        try:
            page = await context.new_page()
            try:
                await page.goto(f"{self._origin}/s/{_NOBODY}", timeout=_LOAD_LIMIT_MS)
                await page.wait_for_selector("html[data-painted]", state="attached", timeout=_LOAD_LIMIT_MS)
                await page.wait_for_load_state("networkidle", timeout=_LOAD_LIMIT_MS)
            except Error as exc:
                raise GatewayError(
                    f"the viewer does not load: {first_line(exc)}",
                    hint="build the web client (make web), or try another Chromium with --browser",
                ) from exc
            yield _Page(page, self._api_key)
        finally:
            await context.close()


@asynccontextmanager
async def chromium(executable: Path, origin: str, api_key: str) -> AsyncIterator[Chromium]:
    """Run a headless Chromium with a fresh profile; it is ended on leaving.

    Args:
        executable: the browser's binary.
        origin: of the gateway whose sessions it shows.
        api_key: that gateway's.

    Raises:
        ConfigError: it does not start.
    """
    async with launched(executable) as browser:
        yield Chromium(browser, origin, api_key)


@asynccontextmanager
async def launched(executable: Path) -> AsyncIterator[Browser]:
    """A headless Chromium with a fresh profile; it is ended on leaving. Raises ConfigError: it does not start."""
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(executable_path=executable, headless=True, args=[*_FLAGS])
        except Error as exc:
            raise ConfigError(
                f"{executable} does not start: {first_line(exc)}", hint="name a Chromium's binary with --browser"
            ) from exc
        try:
            yield browser
        finally:
            await browser.close()


def first_line(error: Error) -> str:
    """What Playwright says before its call log."""
    return error.message.partition("\n")[0]
