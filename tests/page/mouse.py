"""A person's mouse, by XTEST, and what their screen shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import xcffib
import xcffib.xproto as xp
import xcffib.xtest
from numpy.typing import NDArray

__all__ = ["Mouse", "pixels_of"]

_xcb: Any = xcffib
PRESS, RELEASE, MOTION = 4, 5, 6
WHEEL_UP, WHEEL_DOWN = 4, 5


class Mouse:
    def __init__(self, display: str) -> None:
        self._conn = _xcb.connect(display=display)
        self._root = self._conn.get_setup().roots[self._conn.pref_screen].root
        self._xtest = self._conn(xcffib.xtest.key)

    def move(self, x_px: int, y_px: int) -> None:
        self._fake(MOTION, 0, x_px, y_px)

    def click(self, button: int = 1) -> None:
        """Press and release, where the pointer is. The wheel's notches are buttons too."""
        self._fake(PRESS, button)
        self._fake(RELEASE, button)

    def close(self) -> None:
        self._conn.disconnect()

    def _fake(self, kind: int, detail: int, x_px: int = 0, y_px: int = 0) -> None:
        self._xtest.FakeInput(kind, detail, xp.Time.CurrentTime, self._root, x_px, y_px, 0)
        self._conn.core.GetInputFocus().reply()


def pixels_of(display: str) -> NDArray[np.uint8]:
    """The whole screen now: height, width, RGB. No pointer is in it."""
    conn = _xcb.connect(display=display)
    try:
        root = conn.get_setup().roots[conn.pref_screen].root
        size = conn.core.GetGeometry(root).reply()
        reply = conn.core.GetImage(xp.ImageFormat.ZPixmap, root, 0, 0, size.width, size.height, 0xFFFFFF).reply()
        bgrx = np.frombuffer(reply.data.buf(), np.uint8).reshape(size.height, size.width, 4)
        return bgrx[:, :, 2::-1].copy()
    finally:
        conn.disconnect()
