"""One viewer's path: what may go out on it and when, from all that comes back.

Everything here runs on the loop; the clock is the loop's. The parts are pure: twcc.py, congestion.py, rate.py (for a
viewer without transport-wide feedback), pacer.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from guest_agent import twcc
from guest_agent.congestion import Congestion
from guest_agent.pacer import Pacer
from guest_agent.rate import MAX_BPS, Brake

__all__ = ["LONGEST_WAIT_S", "Path"]

LONGEST_WAIT_S = 0.8
"""For a frame after the last: of a path that tells nothing any more, only another packet can bring an answer."""
_RATE_WINDOW_S = 1.0
_REPEAT_SHARE, _REPEAT_WINDOW_S = 0.5, 0.5
"""Of the rate: what may go into repetitions. More, and a full path gets fuller by what it loses."""
_REPEAT_BYTES = 6000
_TWIN_LOSS = (0.02, 0.2)
"""Repetitions are doubled where so much is lost without the path being full."""
_CALM_S = 3.0
_FLIGHT_S, _FLIGHT_BYTES = 0.5, 40_000
"""More than this of the rate on its way and untold of: the path does not keep up."""
_FLIGHT_POLL_S = 0.02


class Path:
    """Args:
    clock: seconds, monotonic.
    on_change: the target may have changed. Must not raise.
    """

    def __init__(self, clock: Callable[[], float], on_change: Callable[[], None]) -> None:
        self._clock = clock
        self._on_change = on_change
        self._history = twcc.SendHistory()
        self._congestion = Congestion()
        self._brake = Brake()
        self._pacer = Pacer()
        self._sent: deque[tuple[float, int]] = deque()
        self._sent_bytes = 0
        self._repeated: deque[tuple[float, int]] = deque()
        self._repeated_bytes = 0
        self._lossy_at = float("-inf")
        self.transport_cc = False
        """The viewer sends transport-wide feedback."""
        self.feedbacks = 0
        self.malformed = 0
        self.reports = 0
        self.lossy_reports = 0
        self.repeats = 0
        self.waited_s = 0.0
        """How long the last frame waited in here."""

    def now(self) -> float:
        return self._clock()

    @property
    def target_bps(self) -> float:
        if self.transport_cc:
            return self._congestion.target_bps
        return self._brake.ceiling_bps(self._clock())

    @property
    def loss(self) -> float:
        return self._congestion.loss

    @property
    def brakes(self) -> int:
        """How often the path was found to be full."""
        return self._congestion.brakes

    @property
    def rtt_s(self) -> float:
        return self._congestion.delivery.rtt_s

    @property
    def queue_s(self) -> float:
        return self._congestion.delivery.queue_s

    @property
    def seen_bps(self) -> float:
        """What frames of several packets were lately seen to pass at; 0 where there were none."""
        return self._congestion.delivery.train_bps(self._clock())

    def lossless(self) -> bool:
        """Nothing was reported lost for a while."""
        return self._clock() >= self._lossy_at + _CALM_S

    def on_transport_feedback(self, fci: bytes) -> None:
        """A transport-wide feedback message."""
        now = self._clock()
        try:
            arrivals = self._history.take(twcc.parse(fci))
        except twcc.MalformedFeedback:
            self.malformed += 1
            return
        self.transport_cc = True
        self.feedbacks += 1
        if any(packet.arrived_s is None for packet in arrivals):
            self._lossy_at = now
        if arrivals:
            self._congestion.on_feedback(arrivals, now)
            self._changed(now)

    def on_loss(self, fraction: float) -> None:
        """A receiver report's fraction lost."""
        now = self._clock()
        self.reports += 1
        if fraction > 0:
            self.lossy_reports += 1
            self._lossy_at = now
        if not self.transport_cc:
            self._brake.on_loss(fraction, self.sent_bps(now), now)
            self._changed(now)

    def on_estimate(self, estimate_bps: int) -> None:
        """A REMB."""
        self._brake.on_estimate(estimate_bps, self._clock())

    def sent_bps(self, now: float) -> float:
        """What went to this viewer during the last second."""
        while self._sent and self._sent[0][0] < now - _RATE_WINDOW_S:
            self._sent_bytes -= self._sent.popleft()[1]
        return self._sent_bytes * 8 / _RATE_WINDOW_S

    def sent(self, size_bytes: int) -> int:
        """A packet goes out; its transport-wide number."""
        now = self._clock()
        self._sent.append((now, size_bytes))
        self._sent_bytes += size_bytes
        self._pacer.spend(size_bytes, now)
        return self._history.sent(size_bytes, now)

    def packet_wait_s(self) -> float:
        """How long the next packet of a frame has to wait."""
        return self._pacer.packet_wait_s(self._clock())

    def frame_wait_s(self) -> float:
        """How long the next frame should not be asked for. Ask again after it, for LONGEST_WAIT_S in all."""
        now = self._clock()
        self.sent_bps(now)
        wait_s = self._pacer.frame_wait_s(now)
        if not self.transport_cc:
            return wait_s
        on_its_way = self._history.unacknowledged_bytes
        if self._congestion.on_waiting(on_its_way, now):
            self._changed(now)
        limit = max(_FLIGHT_BYTES, self._congestion.target_bps / 8 * (_FLIGHT_S + self.rtt_s))
        return max(wait_s, _FLIGHT_POLL_S) if on_its_way > limit else wait_s

    def may_repeat(self, size_bytes: int) -> bool:
        """A packet was reported lost: whether the path bears it once more. Counts it if so."""
        now = self._clock()
        while self._repeated and self._repeated[0][0] < now - _REPEAT_WINDOW_S:
            self._repeated_bytes -= self._repeated.popleft()[1]
        if self._repeated_bytes > max(_REPEAT_BYTES, self.target_bps / 8 * _REPEAT_WINDOW_S * _REPEAT_SHARE):
            return False
        self._repeated.append((now, size_bytes))
        self._repeated_bytes += size_bytes
        self.repeats += 1
        return True

    def doubles(self) -> bool:
        """Repetitions should go twice."""
        low, high = _TWIN_LOSS
        return self.transport_cc and low < self.loss < high and not self._congestion.queueing

    def _changed(self, now: float) -> None:
        narrow = self.target_bps < MAX_BPS
        rate_bps = self._congestion.send_bps() if self.transport_cc else self.target_bps
        self._pacer.set_rate(rate_bps if narrow else None, now)
        self._on_change()
