"""What a viewer page went through, by the page's own record of it, and the table that a run prints."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict

from playwright.async_api import Page

from tests.page.wire import Wire, processes

__all__ = ["RECORD", "Timeline", "Times"]

RECORD = """
  window.seen = [];
  new MutationObserver(() => {
    const { path, picture } = document.documentElement.dataset;
    const last = window.seen.at(-1);
    if (last?.path !== path || last?.picture !== picture) window.seen.push({ at: Date.now() / 1000, path, picture });
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ['data-path', 'data-picture'] });
"""
"""An init script. The page sets `data-picture` when a frame was painted, not when one was due."""


class Times:
    """Durations in s by what was measured."""

    def __init__(self) -> None:
        self._found: dict[str, list[float]] = defaultdict(list)

    def add(self, what: str, took_s: float) -> None:
        self._found[what].append(took_s)

    def table(self) -> str:
        width = max((len(what) for what in self._found), default=0)
        rows = [f"{'':{width}}    n  median     max"]
        for what, found in self._found.items():
            rows.append(f"{what:{width}} {len(found):4} {statistics.median(found):5.2f} s {max(found):5.2f} s")
        return "\n".join(rows)


class Timeline:
    """Waits for what one page shows."""

    def __init__(self, page: Page, times: Times) -> None:
        self._page = page
        self._times = times
        self._wire = Wire(page)

    async def live(self, path: str, since: float, what: str, within_s: float = 30.0) -> None:
        """Wait until the page shows a live picture by ``path``, reached after ``since`` (time.time()), and note how
        long that took as ``what``, if it has a name."""
        script = """([path, since]) => {
          const last = window.seen.at(-1);
          return last?.path === path && last.picture === 'live' && last.at >= since ? last.at : null;
        }"""
        try:
            found = await self._page.wait_for_function(script, arg=[path, since], timeout=within_s * 1000)
        except Exception as error:
            error.add_note(f"{time.time() - since:.1f} s later; seen: {await self._page.evaluate('window.seen')}")
            error.add_note(f"{self._wire}\n{processes('x11vnc')}")
            raise
        if what:
            self.note(what, float(await found.json_value()) - since)

    def note(self, what: str, took_s: float) -> None:
        self._times.add(what, took_s)

    async def frozen(self, within_s: float = 20.0) -> None:
        """Wait until the page has noticed that nothing comes."""
        await self._page.wait_for_selector('html[data-picture="frozen"]', state="attached", timeout=within_s * 1000)

    async def paths(self) -> list[str]:
        """The paths of live pictures so far, in their order."""
        live = (
            "window.seen.filter(({ path, picture }) => picture === 'live' && path !== 'none').map(({ path }) => path)"
        )
        seen = await self._page.evaluate(live)
        return [path for at, path in enumerate(seen) if at == 0 or seen[at - 1] != path]

    async def gaps(self) -> int:
        """How often a picture was noticed to be interrupted."""
        return int(await self._page.evaluate("window.seen.filter(({ picture }) => picture === 'frozen').length"))
