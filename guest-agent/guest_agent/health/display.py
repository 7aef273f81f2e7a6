"""Asks the X server, the window manager and Chromium whether they answer; nothing of it is drawn.

The window manager by _NET_REQUEST_FRAME_EXTENTS for a window that is never mapped, Chromium by _NET_WM_PING (both
EWMH 1.5). The X server by answering all that: whoever calls look() must not wait for it without a limit.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import xcffib
import xcffib.xproto as xp

from guest_agent.errors import DisplayError

__all__ = ["Display", "Seen"]

_xcb: Any = xcffib
"""It carries no types."""
ATOMS = (
    "WM_PROTOCOLS",
    "_NET_CLIENT_LIST",
    "_NET_FRAME_EXTENTS",
    "_NET_REQUEST_FRAME_EXTENTS",
    "_NET_SUPPORTED",
    "_NET_SUPPORTING_WM_CHECK",
    "_NET_WM_PID",
    "_NET_WM_PING",
)
ANSWER_S = 1.5
RGB = 0x00FFFFFF
MAX_WINDOWS = 64
MAX_LONGS = 64
MAX_SUPPORTED = 256
BLACK_ROWS = 16
"""Rows of the picture that are looked at for whether all of it is black."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What answered; None: there is none, or it is not one that can be asked."""

    wm: bool | None
    chromium: bool | None
    chromium_pid: int | None
    black: bool | None
    """None: not looked at."""


class Display:
    """One connection. All of it raises DisplayError when the server is gone.

    Args:
        name: ":1".
    """

    def __init__(self, name: str) -> None:
        try:
            self._conn = _xcb.connect(display=name)
            self._core = self._conn.core
            screen = self._conn.get_setup().roots[self._conn.pref_screen]
            self._root = int(screen.root)
            asked = {name: self._core.InternAtom(False, len(name), name) for name in ATOMS}
            self._atom = {name: int(cookie.reply().atom) for name, cookie in asked.items()}
            self._window = int(self._conn.generate_id())
            mask = xp.CW.OverrideRedirect | xp.CW.EventMask
            self._core.CreateWindow(0, self._window, self._root, -8, -8, 1, 1, 0, xp.WindowClass.InputOutput, 0,
                                    mask, [1, xp.EventMask.PropertyChange])  # fmt: skip
            self._conn.flush()
        except (xcffib.XcffibException, OSError) as exc:
            raise DisplayError(f"no X server at {name}", hint="is it running?") from exc

    def close(self) -> None:
        self._conn.disconnect()

    def look(self, *, full: bool = True, ours: Callable[[int], bool] = lambda pid: True) -> Seen:
        """Ask all of them, and wait for their answers for ANSWER_S at most.

        Args:
            full: look at the picture too.
            ours: whether a Chromium with this pid is to be asked; a person may have started another.
        """
        try:
            return self._look(full, ours)
        except (xcffib.ConnectionException, OSError) as exc:
            raise DisplayError("the X server is gone") from exc

    def _look(self, full: bool, ours: Callable[[int], bool]) -> Seen:
        wm_asked = self._ask_wm()
        window, pid = self._find_chromium(ours)
        stamp = time.monotonic_ns() & 0xFFFFFFFF
        if window is not None:
            # For their answers alone: they come to the root window.
            self._listen(xp.EventMask.SubstructureNotify)
            ping = self._message(window, "WM_PROTOCOLS", self._atom["_NET_WM_PING"], stamp, window)
            self._core.SendEvent(False, window, xp.EventMask.NoEvent, ping)
        wm, chromium = self._wait(wm_asked, window is not None, stamp)
        if window is not None:
            self._listen(xp.EventMask.NoEvent)
        black = self._is_black() if full else None
        return Seen(wm if wm_asked else None, chromium if window is not None else None, pid, black)

    def _ask_wm(self) -> bool:
        if not self._longs(self._root, "_NET_SUPPORTING_WM_CHECK", xp.Atom.WINDOW):
            return False
        supported = self._longs(self._root, "_NET_SUPPORTED", xp.Atom.ATOM, MAX_SUPPORTED)
        if self._atom["_NET_REQUEST_FRAME_EXTENTS"] not in supported:
            return False
        self._core.DeleteProperty(self._window, self._atom["_NET_FRAME_EXTENTS"])
        self._drain()
        to_wm = xp.EventMask.SubstructureNotify | xp.EventMask.SubstructureRedirect
        self._core.SendEvent(False, self._root, to_wm, self._message(self._window, "_NET_REQUEST_FRAME_EXTENTS"))
        return True

    def _find_chromium(self, ours: Callable[[int], bool]) -> tuple[int | None, int | None]:
        for window in self._longs(self._root, "_NET_CLIENT_LIST", xp.Atom.WINDOW, MAX_WINDOWS):
            try:
                named = self._core.GetProperty(False, window, xp.Atom.WM_CLASS, xp.Atom.STRING, 0, MAX_LONGS).reply()
                if b"chromium" not in bytes(named.value.buf()).lower():
                    continue
                protocols = self._longs(window, "WM_PROTOCOLS", xp.Atom.ATOM)
                pids = self._longs(window, "_NET_WM_PID", xp.Atom.CARDINAL)
            except xcffib.Error:
                continue  # It went away meanwhile.
            if self._atom["_NET_WM_PING"] in protocols and pids and ours(pids[0]):
                return window, pids[0]
        return None, None

    def _wait(self, wm_asked: bool, pinged: bool, stamp: int) -> tuple[bool, bool]:
        wm, pong, until = not wm_asked, not pinged, time.monotonic() + ANSWER_S
        self._conn.flush()
        while not (wm and pong) and (left_s := until - time.monotonic()) > 0:
            event = self._poll()
            if event is None:
                select.select([self._conn.get_file_descriptor()], [], [], left_s)
            elif isinstance(event, xp.PropertyNotifyEvent):
                extents = event.window == self._window and event.atom == self._atom["_NET_FRAME_EXTENTS"]
                wm |= extents and event.state == xp.Property.NewValue
            elif isinstance(event, xp.ClientMessageEvent) and event.window == self._root:
                pong |= list(event.data.data32[:2]) == [self._atom["_NET_WM_PING"], stamp]
        return wm, pong

    def _is_black(self) -> bool:
        size = self._core.GetGeometry(self._root).reply()
        rows = [size.height * row // BLACK_ROWS for row in range(BLACK_ROWS)]
        asked = [self._core.GetImage(xp.ImageFormat.ZPixmap, self._root, 0, y, size.width, 1, RGB) for y in rows]
        try:
            return not any(any(bytes(cookie.reply().data.buf())) for cookie in asked)
        except xcffib.Error:
            return False  # Its size has changed meanwhile.

    def _longs(self, window: int, name: str, kind: int, most: int = MAX_LONGS) -> list[int]:
        reply = self._core.GetProperty(False, window, self._atom[name], kind, 0, most).reply()
        return list(reply.value.to_atoms()) if reply.format == 32 else []

    def _listen(self, mask: int) -> None:
        self._core.ChangeWindowAttributes(self._root, xp.CW.EventMask, [mask])

    def _message(self, window: int, kind: str, *data: int) -> bytes:
        """A ClientMessage event, of 32 bytes."""
        words = [*data, *[0] * (5 - len(data))]
        return struct.pack("=BBHII5I", 33, 32, 0, window, self._atom[kind], *words)

    def _drain(self) -> None:
        while self._poll() is not None:
            pass

    def _poll(self) -> Any:
        while True:
            try:
                return self._conn.poll_for_event()
            except xcffib.Error:
                continue  # Of a window that went away.
