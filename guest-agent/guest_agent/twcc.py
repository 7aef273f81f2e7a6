"""Transport-wide congestion control feedback: what was sent, and when it arrived. Pure.

Every packet carries a number of its own (draft-holmer-rmcat-transport-wide-cc-extensions-01); about every 100 ms the
receiver says which of them came, and when by its clock. Only differences of its clock mean anything here.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import error as StructError
from struct import unpack_from

__all__ = ["TRANSPORT_CC_FMT", "TRANSPORT_CC_URI", "Arrival", "Feedback", "MalformedFeedback", "SendHistory", "parse"]

TRANSPORT_CC_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
TRANSPORT_CC_FMT = 15
"""RTCP transport-layer feedback message type (RFC 4585 6.1)."""

_REFERENCE_S = 0.064
_DELTA_S = 0.00025
_REFERENCE_WRAP = 1 << 24
_MAX_STATUSES = 4096
"""A message of 20 bytes may claim 65,535 packets; a second of 20 Mb/s is 2,200."""
_HISTORY = 8192
"""Power of two; older packets are forgotten. Some seconds at any rate that is sent here."""


class MalformedFeedback(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Feedback:
    """One message. ``arrivals`` is (sequence number, seconds since ``reference``, or None where it did not come)."""

    reference: int
    """Of the receiver's clock, in 64 ms, 24 bits."""
    arrivals: list[tuple[int, float | None]]


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of one packet."""

    sent_s: float
    size_bytes: int
    arrived_s: float | None
    """By the receiver's clock. None: not come when the receiver last looked."""
    late: bool = False
    """It was told to be missing before."""


def parse(fci: bytes) -> Feedback:
    """The feedback control information of one message (draft 3.1), without sender and media SSRC.

    Raises MalformedFeedback.
    """
    try:
        base, count, word = unpack_from("!HHL", fci)
    except StructError as exc:
        raise MalformedFeedback("shorter than its header") from exc
    if count > _MAX_STATUSES:
        raise MalformedFeedback(f"{count} packets in one message")
    symbols, at = _symbols(fci, count)
    arrivals: list[tuple[int, float | None]] = []
    ticks = 0
    for offset, symbol in enumerate(symbols):
        seq = base + offset & 0xFFFF
        if symbol == 0:
            arrivals.append((seq, None))
            continue
        size = 1 if symbol == 1 else 2
        if symbol == 3 or at + size > len(fci):
            raise MalformedFeedback("a reserved symbol" if symbol == 3 else "arrival times are missing")
        ticks += fci[at] if symbol == 1 else int.from_bytes(fci[at : at + 2], "big", signed=True)
        at += size
        arrivals.append((seq, ticks * _DELTA_S))
    return Feedback(word >> 8, arrivals)


def _symbols(fci: bytes, count: int) -> tuple[list[int], int]:
    """Status symbols (draft 3.1.1 to 3.1.4) and where they end."""
    symbols: list[int] = []
    at = 8
    while len(symbols) < count:
        if at + 2 > len(fci):
            raise MalformedFeedback("status chunks are missing")
        (chunk,) = unpack_from("!H", fci, at)
        at += 2
        if not chunk & 0x8000:
            run = min(chunk & 0x1FFF, count - len(symbols))
            if run == 0:
                raise MalformedFeedback("an empty run")
            symbols += [chunk >> 13 & 3] * run
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    return symbols[:count], at


class SendHistory:
    """The packets of one transport, by their transport-wide number."""

    def __init__(self) -> None:
        self._next = 0
        self._sent: list[tuple[int, float, int, int] | None] = [None] * _HISTORY
        """Number, send time, size, and the sum of sizes up to and with it."""
        self._missing: set[int] = set()
        self._reference: int | None = None
        self._epoch = 0
        self._total_bytes = self._told_bytes = 0

    @property
    def unacknowledged_bytes(self) -> int:
        """Sent after the newest packet that the receiver has told of: a message that got lost holds up nothing."""
        return self._total_bytes - self._told_bytes

    def sent(self, size_bytes: int, now: float) -> int:
        """Note a packet that goes out now; its number, of 16 bits."""
        seq = self._next
        self._next = seq + 1 & 0xFFFF
        slot = seq % _HISTORY
        forgotten = self._sent[slot]
        if forgotten is not None:
            self._missing.discard(forgotten[0])
        self._total_bytes += size_bytes
        self._sent[slot] = (seq, now, size_bytes, self._total_bytes)
        return seq

    def take(self, feedback: Feedback) -> list[Arrival]:
        """What is new in a message. Numbers that are unknown or were told of before are passed over."""
        origin = self._unwrapped(feedback.reference) * _REFERENCE_S
        told: list[Arrival] = []
        for seq, after_s in feedback.arrivals:
            entry = self._sent[seq % _HISTORY]
            if entry is None or entry[0] != seq:
                continue
            _, sent_s, size, total = entry
            late = seq in self._missing
            if after_s is None:
                if late:
                    continue
                self._missing.add(seq)
            else:
                self._sent[seq % _HISTORY] = None
                self._missing.discard(seq)
            self._told_bytes = max(self._told_bytes, total)
            told.append(Arrival(sent_s, size, None if after_s is None else origin + after_s, late))
        return told

    def _unwrapped(self, reference: int) -> int:
        if self._reference is not None:
            ahead = (reference - self._reference) % _REFERENCE_WRAP
            self._epoch += ahead if ahead < _REFERENCE_WRAP // 2 else ahead - _REFERENCE_WRAP
        self._reference = reference
        return self._epoch
