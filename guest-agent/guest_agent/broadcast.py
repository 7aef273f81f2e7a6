"""One encode for all viewers: frames from the media thread out to every track, and the gate that lets one frame be in
flight. Everything here runs on the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from guest_agent.h264 import EncodedFrame
from guest_agent.rate import RUNGS_BPS, Brake, choose_rung
from guest_agent.track import ScreenTrack

__all__ = ["Broadcast", "Source"]


class Source(Protocol):
    """What the media thread takes from the loop. No call blocks."""

    def watch(self, on: bool) -> None: ...
    def want_key(self) -> None: ...
    def taken(self) -> None: ...
    def set_rate(self, max_bps: int) -> None: ...


class Broadcast:
    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._tracks: dict[ScreenTrack, Brake] = {}
        """Tracks whose sender has asked for a frame; the ones still connecting are not here."""
        self._in_flight = False
        self._rung_bps = RUNGS_BPS[0]
        self._rung_at = float("-inf")
        self.frames = 0
        self.keyframes = 0
        self.bytes = 0
        self.dropped = 0
        self.key_requests = 0
        self.reports = 0
        self.lossy_reports = 0
        self.rung_changes = 0

    @property
    def rung_bps(self) -> int:
        return self._rung_bps

    def track(self) -> ScreenTrack:
        """A track for a new viewer. It counts as watching from its sender's first pull."""
        return ScreenTrack(self._idle, self._stopped)

    def deliver(self, frame: EncodedFrame) -> None:
        """A frame from the media thread."""
        now = self._clock()
        self.frames += 1
        self.keyframes += frame.key
        self.bytes += frame.size_bytes
        self._in_flight = True
        for track in tuple(self._tracks):
            if not track.offer(frame, now):
                self.dropped += 1
                self._source.want_key()
        self._settle()

    def want_key(self) -> None:
        """A viewer lost the picture (PLI, FIR)."""
        self.key_requests += 1
        self._source.want_key()

    def on_estimate(self, track: ScreenTrack, estimate_bps: int) -> None:
        """A viewer's estimate of its path."""
        if track in self._tracks:
            self._tracks[track].on_estimate(estimate_bps, self._clock())

    def on_loss(self, track: ScreenTrack, fraction: float) -> None:
        """A viewer's report, about once a second: this fraction of the packets did not reach it."""
        brake = self._tracks.get(track)
        if brake is None:
            return
        self.reports += 1
        self.lossy_reports += fraction > 0
        now = self._clock()
        brake.on_loss(fraction, track.sent_bps(now), now)
        ceilings = [b.ceiling_bps(now) for b in self._tracks.values()]
        self._set_rung(choose_rung(self._rung_bps, self._rung_at, ceilings, now))

    def _idle(self, track: ScreenTrack) -> None:
        if track not in self._tracks:
            self._tracks[track] = Brake()
            if len(self._tracks) == 1:
                self._source.watch(True)
            else:
                self._source.want_key()
        self._settle()

    def _stopped(self, track: ScreenTrack) -> None:
        if self._tracks.pop(track, None) is not None and not self._tracks:
            self._source.watch(False)
            self._set_rung(RUNGS_BPS[0])
        self._settle()

    def _set_rung(self, rung_bps: int) -> None:
        if rung_bps == self._rung_bps:
            return
        self._rung_bps, self._rung_at = rung_bps, self._clock()
        self.rung_changes += 1
        self._source.set_rate(rung_bps)

    def _settle(self) -> None:
        """Let the next frame be made once every sender waits for it."""
        if self._in_flight and all(track.idle for track in self._tracks):
            self._in_flight = False
            self._source.taken()
