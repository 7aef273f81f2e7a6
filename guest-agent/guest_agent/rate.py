"""What the rate of a stream may be, and the brake for a viewer that sends no transport-wide feedback. Pure: time is
an argument, in seconds, monotonic.

Without that feedback (congestion.py) two signals come back. Loss (RFC 3550 6.4.2) is evidence: the path is full. The
receiver's estimate (REMB, draft-alvestrand-rmcat-remb-03) is none: it grows only with what is sent, so for a desktop
that is mostly still it stays at a tenth of a megabit on an empty gigabit link (seen with Chromium). It only says
where to brake to, once there is loss.
"""

from __future__ import annotations

import math

__all__ = ["MAX_BPS", "MIN_BPS", "Brake"]

MAX_BPS = 20_000_000
"""Where every viewer starts: a full page of dense text fits into a tenth of a second of it."""
MIN_BPS = 300_000
"""With less there is no desktop to speak of."""

_LOSS = 0.02
"""Less is noise, or a radio link that loses packets at any rate."""
_QUIET_BPS = 300_000
"""Who sends so little loses nothing by its rate."""
_BACK_OFF = 0.85
_AT_MOST = 0.5
_FRESH_S = 3.0
_REGAIN_PER_S = 1.08


class Brake:
    """One viewer's ceiling."""

    def __init__(self) -> None:
        self._ceiling_bps = float(MAX_BPS)
        self._at = 0.0
        self._estimate_bps = 0
        self._estimated_at = float("-inf")

    def on_estimate(self, estimate_bps: int, now: float) -> None:
        """A REMB."""
        self._estimate_bps, self._estimated_at = estimate_bps, now

    def on_loss(self, fraction: float, sent_bps: float, now: float) -> None:
        """A receiver report: this fraction was lost while ``sent_bps`` went out during the last second."""
        if fraction <= _LOSS or sent_bps <= _QUIET_BPS:
            return
        target = sent_bps * (1 - fraction / 2)
        if now <= self._estimated_at + _FRESH_S:
            target = min(target, max(self._estimate_bps * _BACK_OFF, sent_bps * _AT_MOST))
        self._ceiling_bps = min(self.ceiling_bps(now), max(target, float(MIN_BPS)))
        self._at = now

    def ceiling_bps(self, now: float) -> float:
        """Rises by itself: what was braked for may be over."""
        regained = min(120.0, max(0.0, now - self._at))
        return min(float(MAX_BPS), self._ceiling_bps * math.pow(_REGAIN_PER_S, regained))
