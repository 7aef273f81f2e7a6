"""Which windows are on the screen, told whenever that changes.

A window manager keeps the list of the windows it manages in _NET_CLIENT_LIST on the root window (EWMH 1.5), so
this waits for that property to change and otherwise sleeps. A thread of its own: each look is a few round trips
to a server that may be busy.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
from collections.abc import Callable
from typing import Any

import xcffib
import xcffib.xproto as xp

from guest_agent.errors import DisplayError

__all__ = ["MAX_WINDOWS", "WindowWatcher"]

_xcb: Any = xcffib
"""It carries no types."""
logger = logging.getLogger(__name__)

MAX_WINDOWS = 64
MAX_CLASS_LONGS = 64
CLOSE_S = 5.0


class WindowWatcher:
    """Args:
        display: ":1".
        on_change: called on the thread with the WM_CLASS classes of the mapped windows, oldest window first.

    Raises DisplayError.
    """

    def __init__(self, display: str, on_change: Callable[[list[str]], object]) -> None:
        try:
            self._conn = _xcb.connect(display=display)
        except xcffib.XcffibException as exc:
            raise DisplayError(f"no X server at {display}", hint="is it running?") from exc
        self._core = self._conn.core
        self._on_change = on_change
        setup = self._conn.get_setup()
        self._root: int = setup.roots[self._conn.pref_screen].root
        self._client_list = self._atom("_NET_CLIENT_LIST")
        self._told: list[str] | None = None
        self._watched: set[int] = set()
        self._stop_r, self._stop_w = os.pipe2(os.O_CLOEXEC)
        self._core.ChangeWindowAttributes(self._root, xp.CW.EventMask, [xp.EventMask.PropertyChange])
        self._thread = threading.Thread(target=self._run, name="windows", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread. Idempotent."""
        with contextlib.suppress(OSError):
            os.write(self._stop_w, b"x")
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            self._look()
            while True:
                self._conn.flush()
                if not self._drain():
                    ready, _, _ = select.select([self._stop_r, self._conn.get_file_descriptor()], [], [])
                    if self._stop_r in ready:
                        self._conn.disconnect()
                        return
                    continue
                self._look()
        except (xcffib.ConnectionException, OSError):
            # The input worker says so too, and the agent ends.
            logger.debug("! the X server is gone")

    def _drain(self) -> bool:
        """Take all events; was one of them worth a look?"""
        worth = False
        while True:
            try:
                event = self._conn.poll_for_event()
            except xcffib.Error:
                continue  # A window that went away meanwhile.
            if event is None:
                return worth
            if isinstance(event, xp.PropertyNotifyEvent):
                worth |= event.atom == self._client_list
            elif isinstance(event, (xp.MapNotifyEvent, xp.UnmapNotifyEvent)):
                worth = True

    def _look(self) -> None:
        classes = []
        for window in self._clients():
            with contextlib.suppress(xcffib.Error):
                classes += self._class_if_mapped(window)
        if classes != self._told:
            self._told = classes
            self._on_change(classes)

    def _clients(self) -> list[int]:
        reply = self._core.GetProperty(False, self._root, self._client_list, xp.Atom.WINDOW, 0, MAX_WINDOWS).reply()
        windows = list(reply.value.to_atoms())
        for window in set(windows) - self._watched:
            self._core.ChangeWindowAttributes(window, xp.CW.EventMask, [xp.EventMask.StructureNotify])
        self._watched = set(windows)
        return windows

    def _class_if_mapped(self, window: int) -> list[str]:
        attributes = self._core.GetWindowAttributes(window)
        prop = self._core.GetProperty(False, window, xp.Atom.WM_CLASS, xp.Atom.STRING, 0, MAX_CLASS_LONGS)
        # Not viewable either while its frame is not mapped yet, of which no event would tell.
        mapped = attributes.reply().map_state != xp.MapState.Unmapped
        # WM_CLASS is instance NUL class NUL (ICCCM 4.1.2.5).
        names = bytes(prop.reply().value.buf()).split(b"\0")
        return [names[1].decode("latin-1")] if mapped and len(names) > 1 else []

    def _atom(self, name: str) -> int:
        return int(self._core.InternAtom(False, len(name), name).reply().atom)
