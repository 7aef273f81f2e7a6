"""An X client that draws on a window over the whole screen, for capture tests and benchmarks."""

from __future__ import annotations

from typing import Any

import xcffib
import xcffib.xproto

__all__ = ["Painter"]

_xcb: Any = xcffib
_RECT: Any = xcffib.xproto.RECTANGLE
_CW = xcffib.xproto.CW
_GC = xcffib.xproto.GC


class Painter:
    """One override-redirect window; every call reaches the server before it returns."""

    def __init__(self, display: str) -> None:
        self.conn = _xcb.connect(display)
        screen = self.conn.setup.roots[self.conn.pref_screen]
        geometry = self.conn.core.GetGeometry(screen.root).reply()
        self.width_px, self.height_px = geometry.width, geometry.height
        self.window = self.conn.generate_id()
        self.conn.core.CreateWindow(
            24, self.window, screen.root, 0, 0, self.width_px, self.height_px, 0, 1, screen.root_visual,
            _CW.BackPixel | _CW.OverrideRedirect, [0x202020, 1],
        )  # fmt: skip
        self.gc = self.conn.generate_id()
        self.conn.core.CreateGC(self.gc, self.window, _GC.Foreground, [0])
        self.conn.core.MapWindow(self.window)
        self._sync()

    def fill(self, x: int, y: int, width: int, height: int, colour: int) -> None:
        """One rectangle in 0xRRGGBB."""
        self.conn.core.ChangeGC(self.gc, _GC.Foreground, [colour])
        self.conn.core.PolyFillRectangle(self.window, self.gc, 1, [_RECT.synthetic(x, y, width, height)])
        self._sync()

    def page(self, seed: int) -> None:
        """Something like a page of text: rows of short strokes, different for each seed."""
        strokes = [
            _RECT.synthetic(8 + (i * 37 + seed * 13) % (self.width_px - 24), 16 + row * 17, 5, 9)
            for row in range(self.height_px // 17 - 2)
            for i in range(60)
        ]
        self.conn.core.ChangeGC(self.gc, _GC.Foreground, [0x202020])
        whole = _RECT.synthetic(0, 0, self.width_px, self.height_px)
        self.conn.core.PolyFillRectangle(self.window, self.gc, 1, [whole])
        self.conn.core.ChangeGC(self.gc, _GC.Foreground, [0xE0E0E0])
        self.conn.core.PolyFillRectangle(self.window, self.gc, len(strokes), strokes)
        self._sync()

    def scroll(self, rows_px: int) -> None:
        """What is shown goes up by so much, and what leaves at the top comes in at the bottom."""
        height, core = self.height_px - rows_px, self.conn.core
        top = self.conn.generate_id()
        core.CreatePixmap(24, top, self.window, self.width_px, rows_px)
        core.CopyArea(self.window, top, self.gc, 0, 0, 0, 0, self.width_px, rows_px)
        core.CopyArea(self.window, self.window, self.gc, 0, rows_px, 0, 0, self.width_px, height)
        core.CopyArea(top, self.window, self.gc, 0, 0, 0, height, self.width_px, rows_px)
        core.FreePixmap(top)
        self._sync()

    def close(self) -> None:
        self.conn.disconnect()

    def _sync(self) -> None:
        self.conn.core.GetInputFocus().reply()
