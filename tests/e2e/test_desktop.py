"""A person at the viewer page, with a real browser and a real VM between them and the shell prompt.

Every test runs over both transports: WebRTC, and noVNC with UDP dropped by the browser's own packet filter.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections import Counter
from dataclasses import dataclass

import pytest

from tests.e2e.conftest import Desk
from tests.e2e.guest import Guest, Rect, eventually
from tests.e2e.viewer import Viewer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]

page_numbers = itertools.count(1)
MIXED_SEED = 6
LATIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
KANA = "あいうえおかきくけこさしすせそアイウエオカキクケコ"
EMOJI = "😀🚀🎉🐧🔥✅"
SYMBOLS = "!@#$%^&*()-_=+[]{};:,.<>/?|~€£§±×÷≠≤≥→"

PAGE_SERVER = """\
import http.server, pathlib
PAGE = b'''<!doctype html><meta charset="utf-8"><title></title>
<textarea style="position:fixed;inset:0"></textarea>
<script>
  const name = document.title = location.pathname.slice(1);
  const area = document.querySelector('textarea');
  let sending = false, changed = false;
  area.oninput = async () => {
    changed = true;
    if (sending) return;
    sending = true;
    while (changed) {
      changed = false;
      await fetch(`/${name}.value`, {method: 'POST', body: area.value});
    }
    sending = false;
  };
  area.onfocus = () => fetch(`/${name}.focus`, {method: 'POST'});
</script>'''
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header('content-type', 'text/html; charset=utf-8')
        self.end_headers()
        self.wfile.write(PAGE)
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('content-length') or 0))
        pathlib.Path('/tmp' + self.path).write_bytes(body)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *args):
        pass
http.server.HTTPServer(('127.0.0.1', 8000), Handler).serve_forever()
"""


def mixed(count: int) -> str:
    """Characters of every kind in seeded order; no space at either end, where a shell would drop it."""
    dice = random.Random(MIXED_SEED)
    kinds = [LATIN, CYRILLIC, KANA, EMOJI, SYMBOLS]
    return "".join(dice.choice(kinds[index % len(kinds)]) for index in range(count))


def share_near(pixels: list[tuple[int, int, int]], colour: tuple[int, int, int], reach: int = 24) -> float:
    near = sum(all(abs(a - b) <= reach for a, b in zip(pixel, colour, strict=True)) for pixel in pixels)
    return near / max(1, len(pixels))


async def focused(desk: Desk, viewer: Viewer, words: str) -> Rect:
    rect = await eventually(lambda: desk.guest.window(words), f"a {words} window", 60)
    await viewer.click(*rect.centre)
    # What is typed before the window manager has moved the focus goes elsewhere.
    await eventually(lambda: desk.guest.has_focus(words), f"the focus on {words}")
    return rect


async def prompt(desk: Desk, viewer: Viewer) -> None:
    """The terminal has the focus and its shell answers."""
    await focused(desk, viewer, "xfce4-terminal")
    await desk.guest.run("rm", "-f", "/tmp/prompt", "/tmp/out", "/tmp/typed")
    await viewer.type("touch /tmp/prompt\n", 20)
    await eventually(lambda: desk.guest.read("/tmp/prompt"), "the shell's answer")


@dataclass(frozen=True)
class TextPage:
    """A page with one text field, open and focused in the guest's Chromium."""

    guest: Guest
    name: str

    async def value(self) -> str:
        return await self.guest.read(f"/tmp/{self.name}.value") or ""

    async def holds(self, text: str) -> bool | None:
        return (await self.value()) == text or None


async def open_page(desk: Desk, viewer: Viewer) -> TextPage:
    """Serve a page inside the guest and open it in its Chromium, as a tab of its own."""
    guest = desk.guest
    name = f"page{next(page_numbers)}"
    await guest.write("/tmp/page.py", PAGE_SERVER)
    await guest.run("sh", "-c", "fuser -s -n tcp 8000 || setsid -f python3 /tmp/page.py >/dev/null 2>&1")
    await guest.run("sh", "-c", f"setsid -f chromium http://127.0.0.1:8000/{name} >/dev/null 2>&1")
    rect = await eventually(lambda: guest.window(f"{name} - Chromium"), "the page's window", 90)

    async def clicked() -> str | None:
        # Chromium drops what is clicked before it has painted the page.
        await viewer.click(*rect.centre)
        return await guest.read(f"/tmp/{name}.focus")

    await eventually(clicked, "the page's text field", 60)
    return TextPage(guest, name)


async def test_the_desktop_is_on_screen(desk: Desk, viewer: Viewer) -> None:
    """XFCE's terminal and Chromium are where the guest says they are, and look as they do."""
    terminal = await eventually(lambda: desk.guest.window("xfce4-terminal"), "the terminal's window", 60)
    chromium = await eventually(lambda: desk.guest.window("chromium"), "Chromium's window", 60)

    async def painted() -> bool | None:
        dark = await viewer.pixels(f"desktop-{desk.transport}", inside(terminal))
        light = await viewer.pixels(f"desktop-{desk.transport}", inside(chromium))
        background = Counter(dark).most_common(1)[0][0]
        # A terminal is one background with a prompt on it; Chromium's page is light and is not that colour.
        good = share_near(dark, background) > 0.8 and len(set(dark)) > 4 and len(set(light)) > 4
        good = good and share_near(light, background) < 0.2
        return good or None

    await eventually(painted, "both windows on the page's picture", 60)


def inside(rect: Rect) -> tuple[int, int, int, int]:
    """A window without its edges."""
    return rect.x + 8, rect.y + 8, max(8, rect.width - 16), max(8, rect.height - 16)


async def test_typing_reaches_the_terminal(desk: Desk, viewer: Viewer) -> None:
    await prompt(desk, viewer)

    await viewer.type("echo fenster-$((6*7)) > /tmp/out\n", 20)

    async def written() -> str | None:
        return await desk.guest.read("/tmp/out") or None

    assert await eventually(written, "the file") == "fenster-42\n"


async def test_a_terminal_that_was_open_before_the_session_knows_it(desk: Desk, viewer: Viewer) -> None:
    """The desktop ran before anybody asked for it, and its terminal with it."""
    await prompt(desk, viewer)

    await viewer.type("echo $SESSION_ID > /tmp/out\n", 20)

    async def written() -> str | None:
        return await desk.guest.read("/tmp/out") or None

    assert await eventually(written, "the file") == f"{desk.session.id}\n"


async def test_typing_reaches_a_page_in_chromium(desk: Desk, viewer: Viewer) -> None:
    page = await open_page(desk, viewer)

    await viewer.type("Hello from the browser, 6*7=42")

    await eventually(lambda: page.holds("Hello from the browser, 6*7=42"), "the page's value")


async def test_500_mixed_characters_reach_the_terminal_exactly(desk: Desk, viewer: Viewer) -> None:
    text = mixed(500)
    await prompt(desk, viewer)
    await viewer.type("cat > /tmp/typed\n", 20)

    await viewer.type(text + "\n", 50)

    async def whole_line() -> str | None:
        typed = await desk.guest.read("/tmp/typed")
        return typed if typed is not None and typed.endswith("\n") else None

    try:
        assert await eventually(whole_line, "the line in the file", 60) == text + "\n"
    finally:
        await viewer.chord("Control+d")


async def test_500_mixed_characters_reach_chromium_exactly(desk: Desk, viewer: Viewer) -> None:
    text = mixed(500)
    page = await open_page(desk, viewer)

    await viewer.type(text, 50)

    with contextlib.suppress(AssertionError):  # What has come says more than that it was not all.
        await eventually(lambda: page.holds(text), "500 characters in the page", 60)
    assert await page.value() == text


async def test_a_view_token_types_nothing(desk: Desk, viewer: Viewer) -> None:
    """What the watcher types is not there when the controller's own typing is."""
    await prompt(desk, viewer)
    watcher = await desk.watch()
    try:
        rect = await desk.guest.window("xfce4-terminal")
        assert rect is not None
        await watcher.click(*rect.centre)
        await watcher.type("touch /tmp/out\n", 20)
        await viewer.type("touch /tmp/typed\n", 20)
        await eventually(lambda: desk.guest.read("/tmp/typed"), "the controller's file")
        assert await desk.guest.read("/tmp/out") is None
    finally:
        await watcher.page.context.close()
