"""One product in one page: presses at random moments, and what motion costs."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page

from tests.bench.photon.products import Product
from tests.bench.photon.results import Cost, Presses
from tests.bench.photon.target import CELL, PATCH

__all__ = ["cost_of", "playing", "press", "server_cpu_s"]

LIMIT_MS = 2000
"""A press that showed nothing by then is counted as missed."""
PAUSE_S = (0.18, 0.42)
"""Between presses; what refines the picture afterwards has begun by then in some and not in others."""
SCRIPT = (Path(__file__).parent / "page.js").read_text()
KEEP_PEERS = """
window.photonPeers = [];
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...args) { super(...args); window.photonPeers.push(this); }
};"""
"""So that their statistics can be read."""
KEYFRAMES = """async () => {
  let keyframes = 0;
  for (const peer of window.photonPeers) {
    for (const one of (await peer.getStats()).values()) keyframes += one.keyFramesDecoded ?? 0;
  }
  return keyframes;
}"""
_TICKS = os.sysconf("SC_CLK_TCK")


def server_cpu_s(pid: int) -> float:
    """Processor time of a process and all below it, ended ones included where their parent waited."""
    total = 0
    for one in _family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        total += sum(int(fields[at]) for at in range(11, 15))
    return total / _TICKS


def _family(pid: int) -> Iterable[int]:
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except FileNotFoundError:
        return
    for child in children:
        yield from _family(int(child))


@asynccontextmanager
async def playing(browser: Browser, product: Product, size_px: tuple[int, int]) -> AsyncIterator[Page]:
    """A page of a profile of its own in which the product shows the display pixel for pixel."""
    # Room for the product's own bar.
    context = await browser.new_context(viewport={"width": size_px[0], "height": size_px[1] + 100})
    await context.add_init_script(KEEP_PEERS)
    try:
        page = await context.new_page()
        await page.goto(product.url)
        await product.play(page)
        yield page
    finally:
        await context.close()


async def press(page: Page, product: Product, kind: str, count: int, dice: random.Random) -> Presses:
    """``count`` presses at uniformly random moments."""
    place = PATCH if kind == "click" else CELL
    x, y = place[0] + place[2] / 2, place[1] + place[3] / 2
    await page.evaluate(_script(product), {"x": x, "y": y})
    left, top, width, height = await page.evaluate(
        f"(() => {{ const r = {product.picture}.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; }})()"
    )
    await page.mouse.move(left + width * x, top + height * y)
    found = Presses()
    loop = asyncio.get_running_loop()
    cpu_s, started = server_cpu_s(product.pid), loop.time()
    for at in range(count + 1):
        await asyncio.sleep(dice.uniform(*PAUSE_S))
        expecting = asyncio.create_task(page.evaluate(f"photon.expect({LIMIT_MS})"))
        await asyncio.sleep(0.02)  # The page listens before the press comes.
        await (page.mouse.down() if kind == "click" else page.keyboard.down("a"))
        ms = await expecting
        await (page.mouse.up() if kind == "click" else page.keyboard.up("a"))
        if at == 0:
            continue  # It opens a path: caches, focus.
        if ms is None:
            found.missed += 1
        else:
            found.ms.append(ms)
    found.cpu_s, found.elapsed_s = server_cpu_s(product.pid) - cpu_s, loop.time() - started
    await page.evaluate("photon.on = false")
    return found


async def cost_of(page: Page, product: Product, seconds: float) -> Cost:
    """What happens during the next seconds."""
    # Frames are counted by a pixel that changes: presses' own script, at a place that moves.
    await page.evaluate(_script(product), {"x": 0.5, "y": 0.5})
    loop = asyncio.get_running_loop()
    keyframes = await page.evaluate(KEYFRAMES)
    cpu_s, started, came = server_cpu_s(product.pid), loop.time(), loopback_bytes()
    frames = await page.evaluate("photon.frames")
    await asyncio.sleep(seconds)
    frames = await page.evaluate("photon.frames") - frames
    cost = Cost(server_cpu_s(product.pid) - cpu_s, loop.time() - started, loopback_bytes() - came, frames)
    cost.keyframes = await page.evaluate(KEYFRAMES) - keyframes
    await page.evaluate("photon.on = false")
    return cost


def _script(product: Product) -> str:
    # Put in, and not evaluated in the page: a good page's policy forbids that.
    return SCRIPT.replace("PICTURE;", f"{product.picture};")


def loopback_bytes() -> int:
    return int(Path("/sys/class/net/lo/statistics/rx_bytes").read_text())
