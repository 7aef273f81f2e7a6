"""H.264 access units from RTP packets, at once with their last packet. Pure.

aiortc's own receiver gives a frame out when the next one begins, which on a quiet desktop is a long time.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Assembler", "Unit"]

MAX_WAITING = 512
"""Packets behind a gap; one more, and what is missing will not come any more."""
_SEQUENCES = 1 << 16
_SPS = 7
"""NAL unit type (H.264 table 7-1); every keyframe begins with one."""


@dataclass(frozen=True, slots=True)
class Unit:
    timestamp: int
    data: bytes
    """Annex B."""


class Assembler:
    def __init__(self) -> None:
        self.gave_up = 0
        """Gaps that were not filled."""
        self._waiting: dict[int, tuple[int, bool, bytes]] = {}
        self._next: int | None = None
        self._unit = bytearray()
        self._needs_key = True

    def add(self, sequence: int, timestamp: int, marker: bool, data: bytes) -> list[Unit]:
        """The units that this packet completes, in order; none builds on one that was lost.

        Args:
            data: its payload as Annex B; an end of a NAL unit has no start code.
        """
        if self._next is None:
            self._next = sequence
        if (sequence - self._next) % _SEQUENCES >= _SEQUENCES // 2:
            return []  # Older than what went out: a retransmission that nobody needs.
        self._waiting[sequence] = (timestamp, marker, data)
        units = self._take()
        if len(self._waiting) > MAX_WAITING:
            self.gave_up += 1
            self._waiting.clear()
            self._unit.clear()
            self._next, self._needs_key = None, True
        return units

    def _take(self) -> list[Unit]:
        units = []
        while self._next is not None and self._next in self._waiting:
            timestamp, marker, data = self._waiting.pop(self._next)
            self._next = (self._next + 1) % _SEQUENCES
            self._unit += data
            if not marker:
                continue
            whole = bytes(self._unit)
            self._unit.clear()
            self._needs_key = self._needs_key and not (len(whole) > 4 and whole[4] & 0x1F == _SPS)
            if not self._needs_key:
                units.append(Unit(timestamp, whole))
        return units
