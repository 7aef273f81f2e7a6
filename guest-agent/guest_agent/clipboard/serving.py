"""Being the clipboard's owner (ICCCM 2.2): answering who wants to paste, in parts where no property holds it all."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import xcffib.xproto as xp

from guest_agent.clipboard.content import Content, Kind
from guest_agent.clipboard.wire import XWire

__all__ = ["Serving"]

_xp: Any = xp
"""It carries no types."""
PART_BYTES = 128 * 1024
PATIENCE_S = 10.0
"""A program that fetches no part for so long has given up, or ended."""
MAX_PARTED = 16
"""Programs that fetch in parts at once."""
_TARGETS = {
    Kind.TEXT: ("UTF8_STRING", "text/plain;charset=utf-8", "text/plain"),
    Kind.PNG: ("image/png",),
}


@dataclass(slots=True)
class _Parted:
    kind: int
    data: bytes
    at: int
    deadline: float


class Serving:
    """What we own is in ``content``; None while somebody else does."""

    def __init__(self, wire: XWire) -> None:
        self.content: Content | None = None
        self._wire = wire
        self._since = 0
        self._parted: dict[tuple[int, int], _Parted] = {}
        """By requestor and property."""

    @property
    def deadline(self) -> float | None:
        """When :meth:`expire` is due."""
        return min((one.deadline for one in self._parted.values()), default=None)

    def own(self, content: Content, time: int) -> bool:
        """Become the owner, at the server's ``time``; whether that came about."""
        clipboard = self._wire.atoms["CLIPBOARD"]
        self._wire.core.SetSelectionOwner(self._wire.window, clipboard, time)
        if self._wire.owner() != self._wire.window:
            return False
        self.content, self._since = content, time
        return True

    def lost(self) -> None:
        """Somebody else owns it (SelectionClear). Who fetches parts gets the rest of them."""
        self.content = None

    def requested(self, event: Any, now: float) -> None:
        """A SelectionRequest."""
        # Programs from before ICCCM name no property and mean the target's (2.2).
        prop = event.property or event.target
        if not self._put(event.requestor, prop, event.target, event.time, now):
            prop = 0
        answer = _xp.SelectionNotifyEvent.synthetic(event.time, event.requestor, event.selection, event.target, prop)
        self._wire.core.SendEvent(False, event.requestor, 0, answer.pack())

    def fetched(self, event: Any, now: float) -> None:
        """A PropertyNotify of another's window: a part was taken, the next is due (2.7.2)."""
        key = (event.window, event.atom)
        parted = self._parted.get(key)
        if parted is None or event.state != xp.Property.Delete:
            return
        part = parted.data[parted.at : parted.at + PART_BYTES]
        self._wire.put_property(*key, parted.kind, 8, len(part), part)
        parted.at += len(part)
        parted.deadline = now + PATIENCE_S
        if not part:
            self._forget(key)

    def expire(self, now: float) -> None:
        for key in [key for key, one in self._parted.items() if one.deadline <= now]:
            self._forget(key)

    def _put(self, window: int, prop: int, target: int, time: int, now: float) -> bool:
        """Whether the answer is in the property."""
        content, atoms = self.content, self._wire.atoms
        # Asked for a time at which it was another's (2.2); time 0 is now.
        if content is None or (time and (time - self._since) & 0xFFFFFFFF >= 1 << 31):
            return False
        targets = [atoms[name] for name in _TARGETS[content.kind]]
        if target == atoms["TARGETS"]:
            every = [target, atoms["TIMESTAMP"], *targets]
            self._wire.put_property(
                window, prop, int(xp.Atom.ATOM), 32, len(every), struct.pack(f"={len(every)}I", *every)
            )
        elif target == atoms["TIMESTAMP"]:
            self._wire.put_property(window, prop, int(xp.Atom.INTEGER), 32, 1, struct.pack("=I", self._since))
        elif target not in targets:
            return False
        elif len(content.data) <= self._wire.max_property_bytes:
            self._wire.put_property(window, prop, target, 8, len(content.data), content.data)
        else:
            return self._part(window, prop, target, content.data, now)
        return True

    def _part(self, window: int, prop: int, target: int, data: bytes, now: float) -> bool:
        if len(self._parted) >= MAX_PARTED:
            return False
        self._wire.core.ChangeWindowAttributes(window, xp.CW.EventMask, [xp.EventMask.PropertyChange])
        self._parted[(window, prop)] = _Parted(target, data, 0, now + PATIENCE_S)
        self._wire.put_property(window, prop, self._wire.atoms["INCR"], 32, 1, struct.pack("=I", len(data)))
        return True

    def _forget(self, key: tuple[int, int]) -> None:
        del self._parted[key]
        if not any(window == key[0] for window, _ in self._parted):
            self._wire.core.ChangeWindowAttributes(key[0], xp.CW.EventMask, [0])
