"""The window that every product shows: it answers a press with a changed pixel, scrolls text, or plays an animation.

``python -m tests.bench.photon.target :7``, or with how many steps of motion a second behind it. Commands come as
lines on standard input, each answered by a line: ``scroll``, ``animate``, ``stop``. Presses need no command: a button
turns PATCH, a key turns CELL, from black to white and back, in the very moment in which the server tells of it.
"""

from __future__ import annotations

import os
import select
import sys
import time
from typing import Any

import xcffib
import xcffib.xproto as xp

__all__ = ["CELL", "PATCH", "STEPS_PER_S", "main"]

_xcb: Any = xcffib
_RECT: Any = xp.RECTANGLE

PATCH = (0.4, 0.35, 0.16, 0.28)
"""x, y, width, height as fractions of the display: about 200 px square at 720p."""
CELL = (0.2, 0.5, 0.01, 0.03)
"""The same: about as large as a character."""
STEPS_PER_S = 60.0
LINE_PX = 18
SCROLL_PX = 48
"""A wheel notch in most programs, here for every step."""
BLACK, WHITE, PAPER, INK = 0x000000, 0xFFFFFF, 0xF4F4F0, 0x202428
WORDS = b"the quick brown fox jumps over the lazy dog 0123456789 {}[]()<>;:,. "


class Target:
    def __init__(self, display: str) -> None:
        self._conn = _xcb.connect(display)
        screen = self._conn.setup.roots[self._conn.pref_screen]
        size = self._conn.core.GetGeometry(screen.root).reply()
        self._width_px, self._height_px = size.width, size.height
        self._window = self._conn.generate_id()
        mask = xp.EventMask.ButtonPress | xp.EventMask.KeyPress | xp.EventMask.Exposure
        self._conn.core.CreateWindow(
            24, self._window, screen.root, 0, 0, size.width, size.height, 0, xp.WindowClass.InputOutput,
            screen.root_visual, xp.CW.BackPixel | xp.CW.OverrideRedirect | xp.CW.EventMask, [PAPER, 1, mask],
        )  # fmt: skip
        self._gc, self._text = self._conn.generate_id(), self._conn.generate_id()
        self._conn.core.CreateGC(self._gc, self._window, xp.GC.Foreground | xp.GC.GraphicsExposures, [BLACK, 0])
        font = self._conn.generate_id()
        self._conn.core.OpenFont(font, 5, "fixed")
        self._conn.core.CreateGC(
            self._text, self._window, xp.GC.Foreground | xp.GC.Background | xp.GC.Font, [INK, PAPER, font]
        )
        self._conn.core.MapWindow(self._window)
        self._colours = {PATCH: BLACK, CELL: BLACK}
        self._motion: str | None = None
        self._step = 0
        self._sprites = self._make_sprites(screen.root)
        self.draw()
        self._conn.core.SetInputFocus(xp.InputFocus.PointerRoot, self._window, xp.Time.CurrentTime)
        self._conn.core.GetInputFocus().reply()

    def fileno(self) -> int:
        fd: int = self._conn.get_file_descriptor()
        return fd

    @property
    def moving(self) -> bool:
        return self._motion is not None

    def motion(self, what: str | None) -> None:
        """ "scroll", "animate", or None: the window as it was at first."""
        self._motion = what
        if what is None:
            self.draw()

    def draw(self) -> None:
        """Everything, in a picture that a desktop could be: text around both places."""
        self._fill((0, 0, 1, 1), PAPER)
        for row in range(self._height_px // LINE_PX):
            self._line(row * LINE_PX, row)
        for place, colour in self._colours.items():
            self._fill(place, colour)
        self._conn.core.GetInputFocus().reply()

    def handle(self) -> None:
        """Answer what the server told."""
        while (event := self._conn.poll_for_event()) is not None:
            if isinstance(event, xp.KeyPressEvent):  # A button's event is a kind of it in xcffib.
                self._turn(CELL if event.response_type & 0x7F == 2 else PATCH)
            elif isinstance(event, xp.ButtonPressEvent):
                self._turn(PATCH)
        self._conn.flush()

    def tick(self) -> None:
        """One step of the motion."""
        self._step += 1
        core = self._conn.core
        if self._motion == "scroll":
            left = self._height_px - SCROLL_PX
            core.CopyArea(self._window, self._window, self._gc, 0, SCROLL_PX, 0, 0, self._width_px, left)
            self._fill((0, left / self._height_px, 1, SCROLL_PX / self._height_px), PAPER)
            for at in range(0, SCROLL_PX, LINE_PX):
                self._line(left + at, self._step * 3 + at)
        elif self._motion == "animate":
            width, height = self._width_px // 3, self._height_px // 3
            sprite = self._sprites[self._step // 2 % len(self._sprites)]
            core.CopyArea(sprite, self._window, self._gc, 0, 0, width, height, width, height)
        self._conn.flush()

    def _turn(self, place: tuple[float, float, float, float]) -> None:
        self._colours[place] ^= WHITE
        self._fill(place, self._colours[place])
        self._conn.flush()

    def _fill(self, place: tuple[float, float, float, float], colour: int) -> None:
        x, y, width, height = place
        rect = _RECT.synthetic(
            int(x * self._width_px),
            int(y * self._height_px),
            int(width * self._width_px),
            int(height * self._height_px),
        )
        self._conn.core.ChangeGC(self._gc, xp.GC.Foreground, [colour])
        self._conn.core.PolyFillRectangle(self._window, self._gc, 1, [rect])

    def _line(self, y_px: int, seed: int) -> None:
        start = seed * 7 % len(WORDS)
        text = (WORDS[start:] + WORDS * 4)[: min(250, self._width_px // 6 - 4)]
        self._conn.core.ImageText8(len(text), self._window, self._text, 8, y_px + 13, text)

    def _make_sprites(self, root: int) -> list[int]:
        """Pictures with soft gradients that change everywhere, as a video does."""
        width, height = self._width_px // 3, self._height_px // 3
        found = []
        for phase in range(12):
            pixmap = self._conn.generate_id()
            self._conn.core.CreatePixmap(24, pixmap, root, width, height)
            for band in range(0, height, 4):
                value = (band * 2 + phase * 21) % 256
                self._conn.core.ChangeGC(self._gc, xp.GC.Foreground, [value << 16 | (255 - value) << 8 | phase * 20])
                self._conn.core.PolyFillRectangle(pixmap, self._gc, 1, [_RECT.synthetic(0, band, width, 4)])
            self._conn.core.ChangeGC(self._gc, xp.GC.Foreground, [WHITE])
            ball = _RECT.synthetic(width * phase // 12, height // 3, width // 8, height // 4)
            self._conn.core.PolyFillRectangle(pixmap, self._gc, 1, [ball])
            found.append(pixmap)
        return found


def main(display: str, steps_per_s: float = STEPS_PER_S) -> None:
    target = Target(display)
    step_s = 1 / steps_per_s
    print("ready", flush=True)
    due = time.monotonic()
    while True:
        timeout_s = max(0.0, due - time.monotonic()) if target.moving else None
        readable, _, _ = select.select([target, sys.stdin.fileno()], [], [], timeout_s)
        if sys.stdin.fileno() in readable:
            command = os.read(sys.stdin.fileno(), 64).decode().strip()
            if not command:
                return
            target.motion(None if command == "stop" else command)
            due = time.monotonic()
            print("ok", flush=True)
        target.handle()
        if target.moving and time.monotonic() >= due:
            target.tick()
            due = max(due + step_s, time.monotonic())


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:]))
