"""Who holds what. Pure: messages and time in, ops out.

Several viewers may hold something at once, though one controls at a time (media.py and the gateway see to that). A
key or button goes up when the last of them that holds it lets go: by its own release, by ReleaseAll, by a Held that
does not name it, when the viewer is gone, or when its lease ends, which any of its messages on ``input`` renews.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from guest_agent.input.keysyms import IGNORED, canonical, keysym_of
from guest_agent.input.ops import ButtonDown, ButtonUp, KeyDown, KeyTap, KeyUp, Op, PointTo
from guest_agent.protocol.messages import MAX_HELD, Button, Held, Key, Message, Move, ReleaseAll, Text, Wheel

__all__ = ["BUTTONS", "LEASE_S", "InputCounters", "InputState"]

LEASE_S = 2.0
BUTTONS = frozenset({1, 2, 3, 8, 9})
"""X buttons a viewer may press; 4 to 7 are the wheel, which has its own message."""
NOTCH = 120
MAX_NOTCHES = 20
"""Most wheel clicks one message makes; a flick on a touchpad asks for hundreds."""
SEQ_BITS = 32


@dataclass(slots=True)
class InputCounters:
    """Since start."""

    messages: int = 0
    stale_moves: int = 0
    """Moves that arrived after something the viewer did later."""
    refused: int = 0
    """Presses of unknown buttons, of keysym 0, or over MAX_HELD."""
    leases_ended: int = 0


@dataclass(slots=True)
class _Viewer:
    keysyms: dict[int, None] = field(default_factory=dict)
    buttons: dict[int, None] = field(default_factory=dict)
    seq: int | None = None
    lease_deadline: float = 0.0
    wheel_x: int = 0
    wheel_y: int = 0

    @property
    def holds(self) -> bool:
        return bool(self.keysyms or self.buttons)


class InputState:
    def __init__(self, lease_s: float = LEASE_S) -> None:
        self._lease_s = lease_s
        self._viewers: dict[str, _Viewer] = {}
        self.counters = InputCounters()

    def apply(self, peer: str, message: Message, now: float) -> list[Op]:
        """What one message of ``input`` or ``pointer`` does. Other messages do nothing."""
        viewer = self._viewers.setdefault(peer, _Viewer())
        self.counters.messages += 1
        if isinstance(message, Move):
            return self._move(viewer, message)
        viewer.lease_deadline = now + self._lease_s
        match message:
            case Key(seq, keysym, down):
                self._saw(viewer, seq)
                return self._key(viewer, canonical(keysym), down)
            case Button(seq, button, down, x, y):
                self._saw(viewer, seq)
                return [PointTo(x, y), *self._button(viewer, button, down)]
            case Wheel(seq, dx, dy, x, y):
                self._saw(viewer, seq)
                return [PointTo(x, y), *self._wheel(viewer, dx, dy)]
            case Text(seq, text):
                self._saw(viewer, seq)
                return [KeyTap(typed) for char in text if (typed := keysym_of(char)) is not None]
            case ReleaseAll(seq):
                self._saw(viewer, seq)
                return self._release(viewer, viewer.keysyms, viewer.buttons)
            case Held(seq, buttons, keysyms):
                self._saw(viewer, seq)
                named = {canonical(keysym) for keysym in keysyms}
                return self._release(
                    viewer,
                    [keysym for keysym in viewer.keysyms if keysym not in named],
                    [button for button in viewer.buttons if not buttons >> button & 1],
                )
            case _:
                return []

    def release(self, peer: str) -> list[Op]:
        """The viewer controls no more; it may come back, and its old moves stay old."""
        viewer = self._viewers.get(peer)
        return self._release(viewer, viewer.keysyms, viewer.buttons) if viewer is not None else []

    def gone(self, peer: str) -> list[Op]:
        """The viewer can send nothing any more."""
        viewer = self._viewers.pop(peer, None)
        return self._release(viewer, viewer.keysyms, viewer.buttons) if viewer is not None else []

    def deadline(self) -> float | None:
        """When :meth:`expire` has something to do, unless a message comes first."""
        return min((v.lease_deadline for v in self._viewers.values() if v.holds), default=None)

    def expire(self, now: float) -> list[Op]:
        """Release what viewers hold that have been silent for a lease."""
        ops: list[Op] = []
        for viewer in self._viewers.values():
            if viewer.holds and viewer.lease_deadline <= now:
                self.counters.leases_ended += 1
                ops += self._release(viewer, viewer.keysyms, viewer.buttons)
        return ops

    def _saw(self, viewer: _Viewer, seq: int) -> None:
        # `input` is ordered, so its numbers only grow; a Move may have overtaken them.
        if viewer.seq is None or _newer(seq, viewer.seq):
            viewer.seq = seq

    def _move(self, viewer: _Viewer, move: Move) -> list[Op]:
        if viewer.seq is not None and not _newer(move.seq, viewer.seq):
            self.counters.stale_moves += 1
            return []
        viewer.seq = move.seq
        return [PointTo(move.x, move.y)]

    def _key(self, viewer: _Viewer, keysym: int, down: bool) -> list[Op]:
        if keysym in IGNORED:
            return []
        if not down:
            return self._release(viewer, [keysym] if keysym in viewer.keysyms else [], [])
        if keysym == 0 or (keysym not in viewer.keysyms and len(viewer.keysyms) >= MAX_HELD):
            self.counters.refused += 1
            return []
        viewer.keysyms[keysym] = None
        return [KeyDown(keysym)]

    def _button(self, viewer: _Viewer, button: int, down: bool) -> list[Op]:
        if not down:
            return self._release(viewer, [], [button] if button in viewer.buttons else [])
        if button not in BUTTONS:
            self.counters.refused += 1
            return []
        if any(button in other.buttons for other in self._viewers.values()):
            viewer.buttons[button] = None
            return []
        viewer.buttons[button] = None
        return [ButtonDown(button)]

    def _release(self, viewer: _Viewer, keysyms: Iterable[int], buttons: Iterable[int]) -> list[Op]:
        """Let go, latest first, what no other viewer holds."""
        ops: list[Op] = []
        for keysym in reversed(list(keysyms)):
            del viewer.keysyms[keysym]
            if not any(keysym in other.keysyms for other in self._viewers.values()):
                ops.append(KeyUp(keysym))
        for button in reversed(list(buttons)):
            del viewer.buttons[button]
            if not any(button in other.buttons for other in self._viewers.values()):
                ops.append(ButtonUp(button))
        return ops

    def _wheel(self, viewer: _Viewer, dx: int, dy: int) -> list[Op]:
        # Buttons 4 up, 5 down, 6 left, 7 right (X.Org's convention).
        viewer.wheel_x, across = _notches(viewer.wheel_x, dx)
        viewer.wheel_y, along = _notches(viewer.wheel_y, dy)
        ops: list[Op] = []
        for button, clicks in ((5 if along > 0 else 4, along), (7 if across > 0 else 6, across)):
            for _ in range(min(abs(clicks), MAX_NOTCHES)):
                ops += [ButtonDown(button), ButtonUp(button)]
        return ops


def _newer(seq: int, than: int) -> bool:
    """Serial number arithmetic (RFC 1982 3.2)."""
    return 0 < (seq - than) % (1 << SEQ_BITS) < 1 << (SEQ_BITS - 1)


def _notches(carried: int, moved: int) -> tuple[int, int]:
    """(what is carried on, whole notches); turning back drops what was carried."""
    total = moved if carried * moved < 0 else carried + moved
    whole = int(total / NOTCH)
    return total - whole * NOTCH, whole
