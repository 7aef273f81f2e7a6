"""What the windows under the viewer's hands are known to have read. Pure.

A client reads its events in order. So a window's answer to a ping (EWMH _NET_WM_PING) says that its connection has
read everything sent before: all that was typed, and every change of the keyboard map. One program may have several
connections (Chromium's own, and that of its toolkit, which translates keys for it), so one window of each is asked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

__all__ = ["Pings"]

MAX_OUTSTANDING = 8
MAX_WINDOWS = 64


@dataclass(slots=True)
class _Ping:
    serial: int
    """The last thing done before it."""
    windows: set[int]
    """Still to answer."""


class Pings:
    """``serial`` counts strokes and bindings, in the order in which the server got them."""

    def __init__(self) -> None:
        self.consumed = 0
        """Strokes up to here have been read by whoever they went to."""
        self.sent_serial = 0
        self._outstanding: dict[int, _Ping] = {}
        self._seen: dict[int, int] = {}
        self._mute: set[int] = set()
        self._last_windows: frozenset[int] = frozenset()
        self._token = 0

    def send(self, windows: Collection[int], serial: int) -> tuple[int, frozenset[int]]:
        """Make a ping of the windows that have the focus, and of those asked before: strokes since then may have
        gone to either. Returns its token and whom to ask."""
        asked = (frozenset(windows) | self._last_windows) - self._mute
        self._last_windows = frozenset(windows)
        self.sent_serial = serial
        self._token += 1
        if asked:
            if len(self._outstanding) >= MAX_OUTSTANDING:
                # A later ping tells all that an earlier one could.
                del self._outstanding[next(iter(self._outstanding))]
            self._outstanding[self._token] = _Ping(serial, set(asked))
        return self._token, asked

    def pong(self, window: int, token: int | None) -> bool:
        """A window answered (others' pings have other tokens), or is gone (None). True when that tells anything."""
        if token is not None and token not in self._outstanding:
            return False
        self._mute.discard(window)
        for key in [key for key in self._outstanding if token is None or key <= token]:
            ping = self._outstanding[key]
            ping.windows.discard(window)
            if token is not None:
                self._saw(window, ping.serial)
            if not ping.windows:
                self.consumed = max(self.consumed, ping.serial)
                del self._outstanding[key]
        return True

    def has_seen(self, windows: Collection[int], serial: int) -> bool:
        """Have all of them that answer at all read what ``serial`` stands for?"""
        return all(self._seen.get(window, 0) >= serial for window in windows if window not in self._mute)

    def asked(self, windows: Collection[int], serial: int) -> bool:
        """Is there a ping under way that will tell?"""
        wanted = {w for w in windows if w not in self._mute and self._seen.get(w, 0) < serial}
        return any(ping.serial >= serial and wanted <= ping.windows for ping in self._outstanding.values())

    @property
    def waiting(self) -> bool:
        return bool(self._outstanding)

    def give_up(self, serial: int) -> None:
        """Nobody answered: wait for those no more until they do, and take all as read."""
        for ping in self._outstanding.values():
            self._mute |= ping.windows
        self._outstanding.clear()
        self.consumed = serial

    def _saw(self, window: int, serial: int) -> None:
        self._seen[window] = max(serial, self._seen.pop(window, 0))
        if len(self._seen) > MAX_WINDOWS:
            del self._seen[next(iter(self._seen))]
