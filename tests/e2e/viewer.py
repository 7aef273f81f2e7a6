"""The viewer page as a person uses it: open, look, click, type."""

from __future__ import annotations

import asyncio
from io import BytesIO
from pathlib import Path
from typing import Literal

from playwright.async_api import CDPSession, Page, TimeoutError

__all__ = ["PIN_BAR", "SAME_VIEWER", "Transport", "Viewer"]

Transport = Literal["webrtc", "novnc"]

PIN_BAR = "localStorage.setItem('fenster.bar', 'pinned')"
"""The bar beside the picture, where it can be clicked at any time; as a person pins it."""
SAME_VIEWER = """(() => {
  const sid = /^\\/(?:s|embed)\\/([^/]+)$/.exec(location.pathname)?.[1];
  if (sid === undefined) return;
  try { sessionStorage.setItem(`fenster.viewer.${sid}`, 'a'.repeat(32)); } catch { /* No storage in this frame. */ }
})()"""
"""An init script: the page is the viewer that the page before was, as after a reload. Else control is kept for that
one for some seconds (gateway/sessions/control.py: RETURN_S)."""
RESULTS = Path(__file__).resolve().parents[2] / "test-results"


class Viewer:
    def __init__(self, page: Page, cdp: CDPSession, display_px: tuple[int, int]) -> None:
        self.page = page
        self._cdp = cdp
        self._display_px = display_px

    @classmethod
    async def open(cls, page: Page, url: str, transport: Transport, display_px: tuple[int, int]) -> Viewer:
        """Load the page, its bar pinned, and wait until it has painted its first frame over ``transport``."""
        await page.add_init_script(PIN_BAR)
        await page.goto(url)
        try:
            await page.wait_for_selector(
                f'html[data-transport="{transport}"][data-painted="true"]', state="attached", timeout=60_000
            )
        except TimeoutError as error:
            RESULTS.mkdir(exist_ok=True)
            await page.screenshot(path=RESULTS / f"no-{transport}.png")
            said = await page.evaluate("() => [{ ...document.documentElement.dataset }, document.body.innerText]")
            raise AssertionError(f"no picture by {transport}; the page says {said}") from error
        return cls(page, await page.context.new_cdp_session(page), display_px)

    async def controls(self, who: str = "me") -> None:
        """Wait until the page says that this is who controls: me, other or nobody."""
        await self.page.wait_for_selector(f'html[data-control="{who}"]', state="attached", timeout=30_000)

    async def click(self, x_px: int, y_px: int) -> None:
        """Click a place of the guest's display, through whatever shows it."""
        x, y = await self.on_page(x_px, y_px)
        await self.page.mouse.move(x, y)
        await self.page.mouse.click(x, y)

    async def move(self, x_px: int, y_px: int) -> None:
        """Move the mouse over a place of the guest's display."""
        await self.page.mouse.move(*await self.on_page(x_px, y_px))

    async def on_page(self, x_px: int, y_px: int) -> tuple[float, float]:
        """Where a pixel of the guest's display is, in client px."""
        box = await self.page.evaluate(
            """() => {
              const shown = [...document.querySelectorAll('video, canvas')]
                .map((e) => [e, e.getBoundingClientRect()])
                .filter(([e, r]) => r.width > 0 && getComputedStyle(e).visibility !== 'hidden')
                .sort((a, b) => b[1].width * b[1].height - a[1].width * a[1].height)[0][1];
              return [shown.x, shown.y, shown.width, shown.height];
            }"""
        )
        left, top, width, height = box
        # The display is letterboxed into its element, centred.
        scale = min(width / self._display_px[0], height / self._display_px[1])
        left += (width - self._display_px[0] * scale) / 2
        top += (height - self._display_px[1] * scale) / 2
        return left + (x_px + 0.5) * scale, top + (y_px + 0.5) * scale

    async def type(self, text: str, per_second: float = 50.0) -> None:
        """Press and release a key for every character, as a keyboard of any layout sends them."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for index, character in enumerate(text):
            await asyncio.sleep(max(0.0, start + index / per_second - loop.time()))
            await self._stroke(character)

    async def _stroke(self, character: str) -> None:
        if character == "\n":
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
        else:
            key = {"key": character, "code": "KeyQ", "text": character}
        await self._cdp.send("Input.dispatchKeyEvent", {"type": "keyDown", **key})
        await self._cdp.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": key["key"], "code": key["code"]})

    async def chord(self, keys: str) -> None:
        await self.page.keyboard.press(keys)

    async def screenshot(self, name: str) -> bytes:
        """A PNG of what the person sees; also kept under test-results/."""
        RESULTS.mkdir(exist_ok=True)
        return await self.page.screenshot(path=RESULTS / f"{name}.png")

    async def pixels(self, name: str, rect: tuple[int, int, int, int]) -> list[tuple[int, int, int]]:
        """Every fourth pixel of a rectangle (x, y, width, height in guest px) of the screenshot, as RGB."""
        import av

        with av.open(BytesIO(await self.screenshot(name)), "r", format="png_pipe") as container:
            image = next(container.decode(video=0)).to_ndarray(format="rgb24")
        x, y, width, height = rect
        left, top = await self.on_page(x, y)
        right, bottom = await self.on_page(x + width - 1, y + height - 1)
        part = image[int(top) : int(bottom) + 1 : 4, int(left) : int(right) + 1 : 4].reshape(-1, 3)
        return [(int(r), int(g), int(b)) for r, g, b in part]
