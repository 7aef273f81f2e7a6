"""A window that answers each press by turning a patch from black to white and back, so that latency can be seen.

``python -m guest_agent.marker :1`` puts it over everything in the middle of the display and prints JSON lines. The
first says where it is, in px: ``{"display": [width, height], "patch": [x, y, width, height], "strip": [...]}``. Then
comes one for each press, on the clock of times.py: ``{"seen_us", "drawn_us"}``, when its event was read and when what
it changes was handed to the X server. ``m`` on standard input has the strip change its grey at 60 Hz, ``r`` stops it;
at its end the window goes.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from dataclasses import dataclass
from typing import Any

import xcffib
import xcffib.xproto as xp

from guest_agent.times import now_us

__all__ = ["MOVE", "PATCH_PX", "REST", "STRIP_PX", "TICK_S", "Marker", "Rect", "main", "place"]

_xcb: Any = xcffib
_RECT: Any = xp.RECTANGLE

PATCH_PX = (192, 192)
STRIP_PX = (192, 48)
"""Width and height; the strip is below the patch."""
TICK_S = 1 / 60
MOVE, REST = b"m", b"r"
"""What standard input says; one byte each, so that none comes in halves."""
GREYS = (0x000000, 0x555555, 0xAAAAAA, 0xFFFFFF)
"""The strip goes through all of them, so that a picture that is left out does not look like none."""
BLACK, WHITE = GREYS[0], GREYS[-1]


@dataclass(frozen=True, slots=True)
class Rect:
    """In px of the display."""

    x: int
    y: int
    width: int
    height: int

    def as_list(self) -> list[int]:
        return [self.x, self.y, self.width, self.height]


def place(width_px: int, height_px: int) -> tuple[Rect, Rect]:
    """Patch and strip on a display of that size: together in its middle. Pure."""
    x = (width_px - PATCH_PX[0]) // 2
    y = (height_px - PATCH_PX[1] - STRIP_PX[1]) // 2
    return Rect(x, y, *PATCH_PX), Rect(x, y + PATCH_PX[1], *STRIP_PX)


class Marker:
    """The window, mapped and with the focus. Raises xcffib.ConnectionException when there is no such display."""

    def __init__(self, display: str) -> None:
        self._conn = _xcb.connect(display)
        core, screen = self._conn.core, self._conn.setup.roots[self._conn.pref_screen]
        size = core.GetGeometry(screen.root).reply()
        self.display_px = (size.width, size.height)
        self.patch, self.strip = place(size.width, size.height)
        self.moving = False
        self._colours = {self.patch: BLACK, self.strip: BLACK}
        self._step = 0
        self._focus = core.GetInputFocus().reply()
        self._window = self._conn.generate_id()
        # The display's own depth and no window manager: nothing decorates, moves or covers it.
        core.CreateWindow(
            0, self._window, screen.root, self.patch.x, self.patch.y, self.patch.width,
            self.patch.height + self.strip.height, 0, xp.WindowClass.InputOutput, 0,
            xp.CW.BackPixel | xp.CW.OverrideRedirect | xp.CW.EventMask,
            [BLACK, 1, xp.EventMask.ButtonPress | xp.EventMask.KeyPress | xp.EventMask.Exposure],
        )  # fmt: skip
        self._gc = self._conn.generate_id()
        core.CreateGC(self._gc, self._window, xp.GC.Foreground, [BLACK])
        core.MapWindow(self._window)
        core.ConfigureWindow(self._window, xp.ConfigWindow.StackMode, [xp.StackMode.Above])
        core.SetInputFocus(xp.InputFocus.PointerRoot, self._window, xp.Time.CurrentTime)
        core.GetInputFocus().reply()

    def fileno(self) -> int:
        fd: int = self._conn.get_file_descriptor()
        return fd

    def handle(self) -> list[dict[str, int]]:
        """Answer what the server told; a line for each press. Raises xcffib.ConnectionException when it is gone."""
        flips = []
        while (event := self._conn.poll_for_event()) is not None:
            if isinstance(event, xp.KeyPressEvent | xp.ButtonPressEvent):
                seen_us = now_us()
                self._turn(self.patch, BLACK if self._colours[self.patch] else WHITE)
                flips.append({"seen_us": seen_us, "drawn_us": now_us()})
            elif isinstance(event, xp.ExposeEvent):
                self._draw(self.patch)
                self._draw(self.strip)
                self._conn.flush()
        return flips

    def tick(self) -> None:
        """One step of what moves."""
        self._step += 1
        self._turn(self.strip, GREYS[self._step % len(GREYS)])

    def close(self) -> None:
        """Take the window away and give the focus back to whoever had it."""
        self._conn.core.DestroyWindow(self._window)
        self._conn.core.SetInputFocus(self._focus.revert_to, self._focus.focus, xp.Time.CurrentTime)
        self._conn.core.GetInputFocus().reply()
        self._conn.disconnect()

    def _turn(self, place: Rect, colour: int) -> None:
        self._colours[place] = colour
        self._draw(place)
        self._conn.flush()

    def _draw(self, place: Rect) -> None:
        self._conn.core.ChangeGC(self._gc, xp.GC.Foreground, [self._colours[place]])
        rect = _RECT.synthetic(place.x - self.patch.x, place.y - self.patch.y, place.width, place.height)
        self._conn.core.PolyFillRectangle(self._window, self._gc, 1, [rect])


def main(display: str) -> int:
    """Serve until standard input ends. Returns the exit status."""
    marker = Marker(display)
    _say({"display": marker.display_px, "patch": marker.patch.as_list(), "strip": marker.strip.as_list()})
    stdin, due = sys.stdin.fileno(), 0.0
    while True:
        timeout_s = max(0.0, due - time.monotonic()) if marker.moving else None
        readable, _, _ = select.select([marker, stdin], [], [], timeout_s)
        if stdin in readable:
            said = os.read(stdin, 64)
            if not said:
                marker.close()
                return 0
            # The newest counts.
            marker.moving, due = said.endswith(MOVE), time.monotonic()
        for flip in marker.handle():
            _say(flip)
        if marker.moving and time.monotonic() >= due:
            marker.tick()
            # Late ticks are left out, not made up for.
            due = max(due + TICK_S, time.monotonic())


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
