"""How many bits a second one path carries, from transport-wide feedback. Pure: time is an argument.

Like Google congestion control (draft-ietf-rmcat-gcc-02): a queue that grows is the first signal, loss the second, and
the rate goes down by a factor and comes up slowly. Two things differ, because a desktop is still most of the time and
then sends a burst:

- A signal alone never brakes. The rate goes to what the bottleneck was seen to let through; where nothing had to
  queue, the delay was not this stream's doing (a processor that was busy elsewhere looks the same).
- The rate never rises without evidence, and does not sink for want of it. Evidence is a frame of several packets
  (delivery.py), so one burst of scrolling shows more than seconds of typing.
"""

from __future__ import annotations

from collections.abc import Sequence

from guest_agent.delivery import LOSS_S, Delivery
from guest_agent.rate import MAX_BPS, MIN_BPS
from guest_agent.trendline import Trend, Trendline
from guest_agent.twcc import Arrival

__all__ = ["Congestion"]

_BACK_OFF = 0.85
_GROWING_S = 0.03
"""A growing queue counts from here on: less is how machines and radio links are."""
_STANDING_S = 0.12
"""So much waiting counts whether it grows or not."""
_STANDING_PACKETS = 3
_STANDING_ONCE_S, _STANDING_LONG_S = 0.15, 1.0
"""Seen once, it may have been a machine that was busy elsewhere. After the longer time it does not matter whether the
path lets packets out evenly (Wi-Fi does not)."""
_CLEAR_S = 0.03
"""A queue shorter than this is none: the rate may rise."""
_DRAIN = 0.6
"""Of the rate, while a queue has to be emptied."""
_HOLD_S = 0.4
"""After a brake, until what was sent before is through."""
_LOSS, _HEAVY_LOSS, _HEAVY_PACKETS = 0.02, 0.10, 10
_LEAP_PER_S, _FAST_PER_S, _STEADY_PER_S, _CAREFUL_PER_S = 1.5, 0.6, 0.08, 0.04
"""Growth: very far below what was seen to pass, far below it, near it, and near where the path was full of late."""
_VERY_FAR, _FAR = 4.0, 1.3
_REMEMBER_S = 15.0
_PLAINLY_MORE = 1.5
"""The path has plainly changed since it was full."""
_MARGIN = 0.9
_IN_USE = 0.7
_SILENCE = 0.7
_SILENCE_S = 0.7
_SILENCE_EVERY_S = 0.5
_SILENCE_BYTES = 10_000


class Congestion:
    def __init__(self) -> None:
        self.target_bps = float(MAX_BPS)
        """What the stream may take."""
        self.delivery = Delivery()
        self.loss = 0.0
        self.brakes = 0
        self._trend = Trendline()
        self._told_at: float | None = None
        self._braked_at = float("-inf")
        self._standing_since: float | None = None
        self._full_bps = 0.0
        self._full_at = float("-inf")
        self._silent_at = float("-inf")

    @property
    def queueing(self) -> bool:
        """There is a queue in the path to empty."""
        return self.delivery.queue_s > _STANDING_S / 2 and self._full_at > float("-inf")

    def send_bps(self) -> float:
        """What may go out now: less than the target while a queue has to be emptied."""
        return self.target_bps * (_DRAIN if self.queueing else 1.0)

    def on_feedback(self, arrivals: Sequence[Arrival], now: float) -> None:
        """What one message told (twcc.SendHistory.take)."""
        elapsed_s = 0.0 if self._told_at is None else min(now - self._told_at, 0.3)
        self._told_at = now
        for packet in arrivals:
            if packet.arrived_s is not None:
                self._trend.add(packet.sent_s, packet.arrived_s)
        delivery = self.delivery
        delivery.add(arrivals, now)
        self.loss = delivery.loss()
        growing = self._trend.trend is Trend.GROWING and delivery.queue_s > _GROWING_S
        standing = delivery.queue_s > _STANDING_S and delivery.queued_packets >= _STANDING_PACKETS
        stood_s = self._stood_s(standing, now)
        if stood_s >= _STANDING_LONG_S:
            self._brake(_BACK_OFF, delivery.sustained_bps(), now)
        elif growing or stood_s >= _STANDING_ONCE_S:
            self._brake(_BACK_OFF, delivery.bottleneck_bps(), now)
        elif self._loses_much() and now >= self._braked_at + LOSS_S:
            self._brake(1 - self.loss / 2, delivery.bottleneck_bps(), now)
        elif self.loss <= _LOSS and delivery.queue_s < _CLEAR_S and now >= self._braked_at + self._hold_s():
            self._grow(elapsed_s, now)

    def on_waiting(self, unacknowledged_bytes: int, now: float) -> bool:
        """Nothing is told while much is on its way: the path has shrunk so far that nothing comes through.

        True: the target is lower now.
        """
        if self._told_at is None or unacknowledged_bytes < _SILENCE_BYTES:
            return False
        if now < self._told_at + _SILENCE_S + self.delivery.rtt_s or now < self._silent_at + _SILENCE_EVERY_S:
            return False
        self._silent_at = now
        self._lower(self.target_bps * _SILENCE, now)
        return True

    def _stood_s(self, standing: bool, now: float) -> float:
        """For how long there has been a standing queue."""
        if not standing:
            self._standing_since = None
            return 0.0
        self._standing_since = now if self._standing_since is None else self._standing_since
        return now - self._standing_since

    def _loses_much(self) -> bool:
        return self.loss > _HEAVY_LOSS and self.delivery.lost_packets() >= _HEAVY_PACKETS

    def _hold_s(self) -> float:
        return _HOLD_S + self.delivery.rtt_s

    def _brake(self, factor: float, passed_bps: float | None, now: float) -> None:
        arrived_bps = self.delivery.arrived_bps()
        if passed_bps is None and arrived_bps > _IN_USE * self.target_bps:
            passed_bps = arrived_bps
        if passed_bps is None or now < self._braked_at + self._hold_s() / 2:
            return
        if passed_bps * factor < self.target_bps:
            self._full_bps, self._full_at = passed_bps, now
            self._lower(passed_bps * factor, now)

    def _lower(self, bps: float, now: float) -> None:
        self.target_bps = max(float(MIN_BPS), bps)
        self._braked_at = now
        self.brakes += 1

    def _grow(self, elapsed_s: float, now: float) -> None:
        delivery = self.delivery
        seen_bps = max(delivery.train_bps(now), delivery.arrived_bps() * _FAR)
        limit_bps = min(seen_bps * _MARGIN, float(MAX_BPS))
        if limit_bps <= self.target_bps:
            return
        near_full = now < self._full_at + _REMEMBER_S and self.target_bps > self._full_bps * _MARGIN
        if near_full and seen_bps < self._full_bps * _PLAINLY_MORE:
            per_s = _CAREFUL_PER_S
        else:
            above = seen_bps / self.target_bps
            per_s = _LEAP_PER_S if above > _VERY_FAR else _FAST_PER_S if above > _FAR else _STEADY_PER_S
        self.target_bps = min(self.target_bps * (1 + per_s * elapsed_s), limit_bps)
