"""What the X server is to do, and the bounded queue of it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

__all__ = ["ButtonDown", "ButtonUp", "KeyDown", "KeyTap", "KeyUp", "Op", "OpQueue", "PointTo"]


@dataclass(frozen=True, slots=True)
class KeyDown:
    """Press; of a key that is down already, a repeat."""

    keysym: int


@dataclass(frozen=True, slots=True)
class KeyUp:
    keysym: int


@dataclass(frozen=True, slots=True)
class KeyTap:
    """Press and release."""

    keysym: int


@dataclass(frozen=True, slots=True)
class PointTo:
    """Move the pointer; fractions of the display as on the wire (protocol/messages.py)."""

    x: int
    y: int


@dataclass(frozen=True, slots=True)
class ButtonDown:
    button: int


@dataclass(frozen=True, slots=True)
class ButtonUp:
    button: int


Op = KeyDown | KeyUp | KeyTap | PointTo | ButtonDown | ButtonUp


class OpQueue:
    """Ops in order.

    Size ``limit``. A move right behind a move replaces it. When full, whatever presses or moves is dropped and
    counted; releases always enter, so nothing stays down (there are never more of them than things held).
    """

    def __init__(self, limit: int = 4096) -> None:
        self.limit = limit
        self.dropped = 0
        self.coalesced = 0
        self._ops: deque[Op] = deque()

    def __len__(self) -> int:
        return len(self._ops)

    def push(self, ops: Iterable[Op]) -> None:
        for op in ops:
            if isinstance(op, PointTo) and self._ops and isinstance(self._ops[-1], PointTo):
                self._ops[-1] = op
                self.coalesced += 1
            elif len(self._ops) >= self.limit and not isinstance(op, KeyUp | ButtonUp):
                self.dropped += 1
            else:
                self._ops.append(op)

    def head(self) -> Op | None:
        return self._ops[0] if self._ops else None

    def pop(self) -> Op:
        return self._ops.popleft()

    def take(self) -> list[Op]:
        """All of them."""
        ops = list(self._ops)
        self._ops.clear()
        return ops

    def ahead(self, count: int) -> Iterable[Op]:
        """The next ``count`` ops, not taken."""
        return islice(self._ops, count)
