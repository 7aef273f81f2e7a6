"""The receiver's half of transport-wide congestion control: what a browser sends about every 100 ms. Pure.

draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1. Stock aiortc has only the older REMB.
"""

from __future__ import annotations

from struct import pack

__all__ = ["FeedbackGenerator"]

_TICK_S = 0.00025
_REFERENCE_S = 0.064
_MAX_STATUSES = 2000


class FeedbackGenerator:
    def __init__(self) -> None:
        self._arrived: dict[int, float] = {}
        self._next: int | None = None
        """The first number that no message has told of, unwrapped."""
        self._count = 0

    def arrived(self, seq: int, now: float) -> None:
        """A packet with this transport-wide number came."""
        if self._next is None:
            self._next = seq
        number = self._next + ((seq - self._next + 0x8000) & 0xFFFF) - 0x8000
        if number >= self._next:
            self._arrived.setdefault(number, now)

    def message(self) -> bytes | None:
        """The feedback control information of the next message; None: nothing came since the last."""
        if not self._arrived or self._next is None:
            return None
        base = self._next
        count = min(max(self._arrived) - base + 1, _MAX_STATUSES)
        told = {n: self._arrived.pop(n) for n in sorted(self._arrived) if n < base + count}
        self._next = base + count
        if not told:
            return None
        reference = int(next(iter(told.values())) / _REFERENCE_S) - 1
        symbols, deltas = self._statuses(told, base, count, reference)
        chunks = b"".join(
            pack("!H", 0xC000 | sum(s << 12 - 2 * i for i, s in enumerate(symbols[at : at + 7])))
            for at in range(0, count, 7)
        )
        self._count = self._count + 1 & 0xFF
        header = pack("!HHL", base & 0xFFFF, count, (reference & 0xFFFFFF) << 8 | self._count)
        fci = header + chunks + deltas
        return fci + bytes(-len(fci) % 4)

    @staticmethod
    def _statuses(told: dict[int, float], base: int, count: int, reference: int) -> tuple[list[int], bytes]:
        symbols, deltas = [], b""
        last = reference * 256
        for number in range(base, base + count):
            if number not in told:
                symbols.append(0)
                continue
            tick = round(told[number] / _TICK_S)
            delta, last = tick - last, tick
            small = 0 <= delta < 256
            symbols.append(1 if small else 2)
            deltas += pack("!B" if small else "!h", delta)
        return symbols, deltas
