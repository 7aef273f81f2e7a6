"""Asking the clipboard's owner for what it has (ICCCM 2.4): its targets, then one of them, in parts if large."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import xcffib.xproto as xp

from guest_agent.clipboard.content import BadContent, Content, Kind, Limits
from guest_agent.clipboard.wire import XWire

__all__ = ["Reading"]

PATIENCE_S = 5.0
"""An owner that does nothing for so long will not any more."""
MAX_PARTS = 4096
"""An owner that never comes to its end is left alone then."""
_TARGETS = (
    # Text first: a spreadsheet offers both, and means the text. STRING is Latin-1 (ICCCM 2.7.1).
    ("UTF8_STRING", Kind.TEXT),
    ("text/plain;charset=utf-8", Kind.TEXT),
    ("STRING", Kind.TEXT),
    ("image/png", Kind.PNG),
)


class Reading:
    """One owner's content at a time; a newer owner ends the reading of an older."""

    def __init__(self, wire: XWire, limits: Limits) -> None:
        self.deadline: float | None = None
        """When :meth:`expire` is due."""
        self._wire = wire
        self._limits = limits
        self._atoms = {**wire.atoms, "STRING": int(xp.Atom.STRING)}
        # Not always the same: an owner that was given up may still write.
        self._properties = itertools.cycle([wire.atoms[f"FENSTER_SELECTION_{number}"] for number in range(4)])
        self._property = 0
        self._time = 0
        self._target = 0
        self._kind: Kind | None = None
        self._parts: bytearray | None = None
        self._parts_left = 0
        self._too_large = False
        self._latin = False

    def begin(self, time: int, now: float) -> None:
        """Ask who owns the clipboard since the server's ``time``."""
        self.deadline = now + PATIENCE_S
        self._time, self._kind, self._parts = time, None, None
        self._ask(self._wire.atoms["TARGETS"], now)

    def stop(self) -> None:
        self.deadline = None
        self._property = 0
        self._parts = None

    def expire(self, now: float) -> None:
        if self.deadline is not None and now >= self.deadline:
            self.stop()

    def notified(self, event: Any, now: float) -> Content | None:
        """A SelectionNotify: the owner has answered. Gives the content when it is all there."""
        if self.deadline is None or event.target != self._target or event.time != self._time:
            return None
        if event.property != self._property:
            self.stop()  # It has nothing.
            return None
        if self._kind is None:
            self._choose(now)
            return None
        most = self._limits.of(self._kind)
        found = self._wire.take_property(self._property, most)
        if found is None or found[1] is None:
            self.stop()
            return None
        value = found[1]
        if found[0] != self._wire.atoms["INCR"]:
            return self._finish(value)
        # Its deletion has asked for the first part (ICCCM 2.7.2).
        self._parts, self._parts_left = bytearray(), MAX_PARTS
        self._too_large = len(value) >= 4 and struct.unpack_from("=I", value)[0] > most
        self.deadline = now + PATIENCE_S
        return None

    def written(self, event: Any, now: float) -> Content | None:
        """A PropertyNotify of our window: a part has come. Gives the content with the last, which is empty."""
        if self._parts is None or event.atom != self._property or event.state != xp.Property.NewValue:
            return None
        assert self._kind is not None
        most = self._limits.of(self._kind)
        found = self._wire.take_property(self._property, most)
        self._parts_left -= 1
        if found is None or not self._parts_left:
            self.stop()
            return None
        part = found[1]
        if part == b"":
            parts = bytes(self._parts)
            if not self._too_large:
                return self._finish(parts)
            self.stop()
            return None
        # What is too large is taken to its end all the same: simple owners serve nobody else before.
        if part is None or len(self._parts) + len(part) > most:
            self._too_large = True
        if part is None or self._too_large:
            self._parts.clear()
        else:
            self._parts += part
        self.deadline = now + PATIENCE_S
        return None

    def _choose(self, now: float) -> None:
        found = self._wire.take_property(self._property, 64 * 1024)
        if found is None or found[1] is None:
            self.stop()
            return
        count = len(found[1]) // 4
        offered = set(struct.unpack_from(f"={count}I", found[1]))
        for name, kind in _TARGETS:
            if self._atoms[name] in offered:
                self._kind, self._latin = kind, name == "STRING"
                self._ask(self._atoms[name], now)
                return
        self.stop()

    def _ask(self, target: int, now: float) -> None:
        self._target, self._property = target, next(self._properties)
        self._wire.core.DeleteProperty(self._wire.window, self._property)
        self._wire.core.ConvertSelection(
            self._wire.window, self._wire.atoms["CLIPBOARD"], target, self._property, self._time
        )
        self.deadline = now + PATIENCE_S

    def _finish(self, data: bytes) -> Content | None:
        kind = self._kind
        self.stop()
        if kind is None:
            return None
        try:
            return Content.checked(kind, data.decode("latin-1").encode() if self._latin else data, self._limits)
        except BadContent:
            return None
