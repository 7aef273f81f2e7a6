"""A person's own machine: an X server with a keyboard of some layout, and a browser in a window on it.

Keys are pressed by where they are; what they mean is decided by the layout, the browser and its input method.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import xcffib
import xcffib.xtest
from playwright.async_api import Browser

from tests.e2e.browser_host import BrowserHost, chromium
from tests.x11.conftest import start_xorg
from tests.x11.desk import Programs

__all__ = ["Keyboard", "own_display", "own_machine"]

_xcb: Any = xcffib
SCREEN_PX = (1400, 900)
PRESS, RELEASE = 2, 3
EVDEV = 8
"""X keycodes are the kernel's key codes and this."""
ROWS = (
    (41, "`"),
    (2, "1234567890-="),
    (16, "qwertyuiop[]"),
    (30, "asdfghjkl;'"),
    (43, "\\"),
    (44, "zxcvbnm,./"),
    (86, "<"),
)
"""First key code of each run, and what a US keyboard's keys there carry (linux/input-event-codes.h)."""
KEYS = {char: first + at for first, chars in ROWS for at, char in enumerate(chars)}
NAMED = {"Space": 57, "Enter": 28, "Caps": 58, "Shift": 42, "AltGr": 100, "Control": 29}
HOLDS = {"S-": "Shift", "G-": "AltGr", "C-": "Control"}


class Keyboard:
    def __init__(self, display: str) -> None:
        self._display = display
        self._conn = _xcb.connect(display=display)
        self._xtest = self._conn(xcffib.xtest.key)

    def layout(self, name: str, variant: str = "") -> None:
        argv = ["setxkbmap", "-display", self._display, "-rules", "evdev", "-model", "pc105", "-layout", name]
        subprocess.run([*argv, "-variant", variant], check=True, stdin=subprocess.DEVNULL, capture_output=True)

    def press(self, strokes: str) -> None:
        """Press and release keys one after the other: "G-q" is AltGr and the key that a US keyboard calls q."""
        for stroke in strokes.split():
            held = []
            while stroke[:2] in HOLDS and len(stroke) > 2:
                held.append(NAMED[HOLDS[stroke[:2]]])
                stroke = stroke[2:]
            key = NAMED[stroke] if stroke in NAMED else KEYS[stroke]
            for code in (*held, key):
                self._fake(PRESS, code)
            for code in (key, *reversed(held)):
                self._fake(RELEASE, code)
        self._conn.core.GetInputFocus().reply()

    def down(self, key: str) -> None:
        self._fake(PRESS, NAMED.get(key) or KEYS[key])
        self._conn.core.GetInputFocus().reply()

    def up(self, key: str) -> None:
        self._fake(RELEASE, NAMED.get(key) or KEYS[key])
        self._conn.core.GetInputFocus().reply()

    def close(self) -> None:
        self._conn.disconnect()

    def _fake(self, kind: int, code: int) -> None:
        self._xtest.FakeInput(kind, code + EVDEV, 0, 0, 0, 0, 0)


@contextmanager
def own_display(
    folder: Path, layout: str, variant: str = "", size_px: tuple[int, int] = SCREEN_PX
) -> Iterator[tuple[Keyboard, Programs]]:
    """The machine without a browser yet: its keyboard has the layout before one starts."""
    server = start_xorg(folder, size_px)
    xserver = next(server)
    programs = Programs(xserver, folder)
    keyboard = Keyboard(xserver.display)
    try:
        keyboard.layout(layout, variant)
        programs.window_manager()
        yield keyboard, programs
    finally:
        keyboard.close()
        programs.close()
        server.close()


@asynccontextmanager
async def own_machine(
    host: BrowserHost, origin: str, folder: Path, layout: str, variant: str = ""
) -> AsyncIterator[tuple[Keyboard, Browser]]:
    """A machine with Chromium."""
    with own_display(folder, layout, variant) as (keyboard, programs):
        async with chromium(host, origin, env=programs.env) as browser:
            yield keyboard, browser
