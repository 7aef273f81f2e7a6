"""Every character, exactly, in a real Chromium, whose toolkit reads the keyboard map on a connection of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright

from guest_agent.input.sink import XInputSink
from guest_agent.input.worker import InputWorker
from guest_agent.protocol.messages import Key
from tests.x11.conftest import XServer
from tests.x11.desk import Programs, mixed

pytestmark = [pytest.mark.x11, pytest.mark.timeout(120)]

FIELD = """
<textarea autofocus rows=20 cols=80></textarea>
<script>
  const field = document.querySelector('textarea');
  window.keys = [];
  field.addEventListener('keydown', e => window.keys.push([e.key, e.code, e.keyCode]));
  window.arrived = count => new Promise(done => {
    const look = () => { if (field.value.length >= count) done(field.value); };
    field.addEventListener('input', look);
    setTimeout(() => done(field.value), 40000);
    look();
  });
</script>
"""


@pytest.fixture
def worker(xserver: XServer) -> Iterator[InputWorker]:
    worker = InputWorker(xserver.display, prepare=True)
    worker.start()
    yield worker
    worker.close()


@pytest.fixture
async def page(worker: InputWorker, xserver: XServer, tmp_path: Path) -> AsyncIterator[Page]:
    programs = Programs(xserver, tmp_path)
    await asyncio.to_thread(programs.window_manager)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            headless=False,
            env={**programs.env},
            args=["--no-sandbox", "--disable-gpu", "--no-first-run"],
        )
        page = await browser.new_page()
        await page.set_content(FIELD)
        await page.bring_to_front()
        await asyncio.to_thread(programs.wait_property, "_NET_ACTIVE_WINDOW")
        await page.locator("textarea").click()
        await page.wait_for_function("document.hasFocus()")
        yield page
        await browser.close()
    programs.close()


async def write(sink: XInputSink, text: str, rate_hz: float | None) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    for at, char in enumerate(text, 1):
        keysym = ord(char) if ord(char) < 0x100 else 0x01000000 | ord(char)
        sink.handle("me", Key(2 * at, keysym, True))
        sink.handle("me", Key(2 * at + 1, keysym, False))
        if rate_hz is not None:
            await asyncio.sleep(max(0.0, start + at / rate_hz - loop.time()))


async def arrived(page: Page, text: str) -> str:
    units = len(text.encode("utf-16-le")) // 2
    return str(await page.evaluate("count => window.arrived(count)", units))


@pytest.mark.parametrize("rate_hz", [50, None], ids=["50 a second", "at once"])
async def test_500_mixed_characters(worker: InputWorker, page: Page, rate_hz: float | None) -> None:
    text = mixed(500)
    sink = XInputSink(worker)
    await write(sink, text, rate_hz)
    assert await arrived(page, text) == text
    assert worker.counters.silences == 0
    sink.close()


async def test_no_keycode_leads_away_from_the_page(worker: InputWorker, page: Page) -> None:
    """Every spare keycode types once; none is a key that Chromium acts upon."""
    text = "".join(chr(0x4E00 + at) for at in range(140))
    sink = XInputSink(worker)
    await write(sink, text, None)
    assert await arrived(page, text) == text
    sink.close()


async def test_pages_see_latin_keys_as_a_keyboards(worker: InputWorker, page: Page) -> None:
    """Without Shift held, as a viewer with Caps Lock sends it."""
    sink = XInputSink(worker)
    await write(sink, "aT?é", None)
    assert await arrived(page, "aT?é") == "aT?é"
    keys = [tuple(key) for key in await page.evaluate("window.keys")]
    assert ("a", "KeyA", 65) in keys
    assert ("T", "KeyT", 84) in keys
    assert ("?", "Slash", 191) in keys
    assert "é" in [key for key, _, _ in keys]
    sink.close()
