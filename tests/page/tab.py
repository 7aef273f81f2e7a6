"""A tab that Playwright does not hold in sight: it can lie behind another, and is hidden then.

Playwright emulates the focus of its pages, and such a page is never hidden. So this one is opened in the browser's
own context, which Playwright leaves alone, and is spoken to by messages (Chrome DevTools Protocol, Target domain).
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, CDPSession

__all__ = ["Tab"]

ANSWER_S = 20.0


class Tab:
    """Has those of Playwright's methods by which tests.e2e.viewer.Viewer looks, clicks and types."""

    def __init__(self, browser: CDPSession, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        browser.on("Target.receivedMessageFromTarget", self._hear)

    @classmethod
    async def open(cls, browser: Browser, url: str, size_px: tuple[int, int], script: str = "") -> Tab:
        """In front of the others. ``script`` runs before the page's own."""
        cdp = await browser.new_browser_cdp_session()
        target = (await cdp.send("Target.createTarget", {"url": "about:blank"}))["targetId"]
        attached = await cdp.send("Target.attachToTarget", {"targetId": target, "flatten": False})
        tab = cls(cdp, target, attached["sessionId"])
        metrics = {"width": size_px[0], "height": size_px[1], "deviceScaleFactor": 1, "mobile": False}
        await tab.send("Emulation.setDeviceMetricsOverride", metrics)
        await tab.send("Page.enable")
        await tab.send("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        await tab.send("Page.navigate", {"url": url})
        return tab

    async def front(self) -> None:
        """Before all others of its window."""
        await self._browser.send("Target.activateTarget", {"targetId": self._target})

    async def close(self) -> None:
        await self._browser.send("Target.closeTarget", {"targetId": self._target})
        await self._browser.detach()

    async def send(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """A command to the tab; its result."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = json.dumps({"id": number, "method": method, "params": params or {}})
        await self._browser.send("Target.sendMessageToTarget", {"sessionId": self._session, "message": message})
        async with asyncio.timeout(ANSWER_S):
            told = await answer
        assert "result" in told, told
        result: dict[str, Any] = told["result"]
        return result

    async def evaluate(self, script: str) -> Any:
        """The value of an expression, or of a function without arguments."""
        script = f"({script})()" if script.lstrip().startswith("() =>") else script
        told = await self.send(
            "Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True}
        )
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def screenshot(self, path: Path) -> bytes:
        """A PNG of what is in sight; also written to ``path``."""
        picture = base64.b64decode((await self.send("Page.captureScreenshot", {"format": "png"}))["data"])
        await asyncio.to_thread(path.write_bytes, picture)
        return picture

    def _hear(self, event: Mapping[str, Any]) -> None:
        if event["sessionId"] != self._session:
            return
        message = json.loads(event["message"])
        waiting = self._waiting.pop(message.get("id", 0), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
