"""x11vnc's -pipeinput lines into ops. Pure.

``Keysym <client> <down> <keysym> <name> <hint>`` and ``Pointer <client> <x> <y> <mask> <hint>``; ``#`` begins a
comment, and a negative client may only watch (x11vnc(1), -pipeinput).
"""

from __future__ import annotations

from guest_agent.input.ops import Op
from guest_agent.input.state import InputState
from guest_agent.protocol.messages import Button, Key, Message, Move, Wheel

__all__ = ["VncInput"]

NOTCH = 120
WHEEL = {4: (0, -NOTCH), 5: (0, NOTCH), 6: (-NOTCH, 0), 7: (NOTCH, 0)}
MASK_BITS = 16
MAX_CLIENTS = 64
FULL = 65536


class VncInput:
    """``bad_lines`` counts what was neither."""

    def __init__(self) -> None:
        # No heartbeat comes this way: the gateway releases what a viewer held when its socket goes.
        self._state = InputState(lease_s=float("inf"))
        self._masks: dict[str, int] = {}
        self._seq = 0
        self.bad_lines = 0

    def line(self, line: str, size_px: tuple[int, int]) -> list[Op]:
        """Ops of one line on a display of that size."""
        words = line.split()
        if not words or words[0].startswith("#"):
            return []
        try:
            numbers = [int(word) for word in words[1:5] if word.lstrip("-").isdigit()]
            match words[0], numbers:
                case "Keysym", [client, (0 | 1) as down, keysym, *_]:
                    return self._do(client, [Key(self._next(), keysym, bool(down))])
                case "Pointer", [client, x, y, mask]:
                    return self._pointer(client, _place(x, y, size_px), mask)
                case _:
                    pass
        except ValueError:
            pass
        self.bad_lines += 1
        return []

    def _pointer(self, client: int, place: tuple[int, int], mask: int) -> list[Op]:
        name = str(client)
        before = self._masks.pop(name, 0)
        self._masks[name] = mask
        if len(self._masks) > MAX_CLIENTS:
            del self._masks[next(iter(self._masks))]
        messages: list[Message] = [Move(self._next(), *place)]
        for bit in range(MASK_BITS):
            if (before ^ mask) >> bit & 1:
                messages += self._button(bit + 1, bool(mask >> bit & 1), place)
        return self._do(client, messages)

    def _button(self, button: int, down: bool, place: tuple[int, int]) -> list[Message]:
        if button not in WHEEL:
            return [Button(self._next(), button, down, *place)]
        return [Wheel(self._next(), *WHEEL[button], *place)] if down else []

    def _do(self, client: int, messages: list[Message]) -> list[Op]:
        if client < 0:
            return []
        return [op for message in messages for op in self._state.apply(str(client), message, 0.0)]

    def _next(self) -> int:
        self._seq = (self._seq + 1) % (1 << 32)
        return self._seq


def _place(x: int, y: int, size_px: tuple[int, int]) -> tuple[int, int]:
    """Pixels to fractions of the display, as a viewer sends them (protocol/messages.py)."""
    fractions = [(2 * at + 1) * FULL // (2 * max(1, side)) for at, side in zip((x, y), size_px, strict=True)]
    return min(max(fractions[0], 0), FULL - 1), min(max(fractions[1], 0), FULL - 1)
