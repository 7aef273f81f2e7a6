"""Frames from the media thread out to every viewer, and what comes back: who can take the next frame, who needs a
keyframe, how fast each path is. Everything here runs on the loop.

At most two encodes go out (rungs.py), each with one frame in flight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from guest_agent.h264 import EncodedFrame
from guest_agent.path import Path
from guest_agent.rate import MAX_BPS
from guest_agent.rungs import LAG, MAIN, Rungs
from guest_agent.track import ScreenTrack
from guest_agent.videocodec import Codec

__all__ = ["Broadcast", "Source", "Stream"]

_STEP = 0.05
"""The encoder hears of no smaller change of its rate."""
_PAYLOAD_SHARE = 0.93
"""Of a rate, what is picture: the rest is headers."""
_STILL_S = 0.5
"""A screen that has sent nothing for so long is still."""
_KEY_OLD_S = 1.0
_ONCE_S = 2.5
"""A viewer that asks again so soon after a plain frame has lost the picture after all."""


class Source(Protocol):
    """What the media thread takes from the loop. No call blocks. ``rung`` is MAIN or LAG."""

    def watch(self, on: bool, rung: int = MAIN) -> None: ...
    def want_key(self, rung: int = MAIN) -> None: ...
    def want_repeat(self, rung: int = MAIN) -> None: ...
    def taken(self, rung: int = MAIN) -> None: ...
    def set_rate(self, max_bps: int, rung: int = MAIN) -> None: ...
    def set_codec(self, codec: Codec, rung: int = MAIN) -> None: ...


@dataclass(eq=False, slots=True)
class Stream:
    """One viewer's share."""

    track: ScreenTrack
    path: Path
    crisp: bool = False
    """Asks for full chroma."""
    keyed_at: float = float("-inf")
    """When its last keyframe went out."""
    repeated_at: float = float("-inf")


class Broadcast:
    def __init__(self, source: Source, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._streams: list[Stream] = []
        """Those whose sender has asked for a frame; the ones still connecting are not here."""
        self._rungs: Rungs[Stream] = Rungs()
        self._in_flight = [False, False]
        self._sent_at = [float("-inf"), float("-inf")]
        self._rates_bps = [MAX_BPS, MAX_BPS]
        self._codecs = [Codec.H264, Codec.H264]
        self._lagging = False
        self.frames = 0
        self.keyframes = 0
        self.bytes = 0
        self.dropped = 0
        self.key_requests = 0
        self.still_requests = 0
        self.rung_changes = 0

    @property
    def rung_bps(self) -> int:
        """The rate of the leaders' encode."""
        return self._rates_bps[MAIN]

    def stream(self) -> Stream:
        """For a new viewer. It counts as watching from its sender's first pull."""
        track = ScreenTrack(lambda _: self._idle(stream), lambda _: self._stopped(stream))
        stream = Stream(track, Path(self._clock, self._paths_changed))
        return stream

    def lead(self, stream: Stream | None) -> None:
        """The desktop is for this one from now on: it controls. None: nobody does, or one who is not among these."""
        if stream is self._rungs.leader:
            return
        self._rungs.leader = stream
        self._paths_changed()
        self._settle_both()

    def deliver(self, frame: EncodedFrame) -> None:
        """A frame from the media thread."""
        now = self._clock()
        rung = frame.rung
        self.frames += 1
        self.keyframes += frame.key
        self.bytes += frame.size_bytes
        self._in_flight[rung] = True
        self._sent_at[rung] = now
        for stream in self._on(rung):
            self._offer(stream, frame, now)
        self._settle(rung)

    def want_key(self, stream: Stream) -> None:
        """A viewer lost the picture (PLI, FIR), or thinks so because nothing came."""
        self.key_requests += 1
        if stream not in self._streams:
            return
        rung = self._rungs.rung(stream)
        if self._is_still(stream, rung):
            self.still_requests += 1
            stream.repeated_at = self._clock()
            self._source.want_repeat(rung)
        else:
            self._source.want_key(rung)

    def want_crisp(self, stream: Stream, on: bool) -> None:
        """A viewer asks for full chroma, or no longer does. Who does not lead asks in vain."""
        stream.crisp = on
        if stream in self._streams:
            self._rungs.ask(stream, crisp=on)
            self._paths_changed()

    def counters(self) -> dict[str, int]:
        """Of the leaders' path, of the slowest where there are several; of both encodes."""
        every = [stream.path for stream in self._streams]
        leading = [stream.path for stream in self._rungs.leaders()]
        path = min(leading, key=lambda path: path.target_bps, default=None)
        return {
            "rung_bps": self._rates_bps[MAIN],
            "rung_changes": self.rung_changes,
            "lag_bps": self._rates_bps[LAG] if self._lagging else 0,
            "crisp": int(self._codecs[MAIN].full_chroma),
            "lag_viewers": len(self._rungs.on(LAG)),
            "path_target_bps": int(path.target_bps) if path else 0,
            "path_brakes": path.brakes if path else 0,
            "path_seen_bps": int(path.seen_bps) if path else 0,
            "path_loss_permille": int(path.loss * 1000) if path else 0,
            "path_rtt_us": int(path.rtt_s * 1e6) if path else 0,
            "path_queue_us": int(path.queue_s * 1e6) if path else 0,
            "pacer_wait_us": int(path.waited_s * 1e6) if path else 0,
            "transport_feedbacks": sum(path.feedbacks for path in every),
            "malformed_feedbacks": sum(path.malformed for path in every),
            "receiver_reports": sum(path.reports for path in every),
            "lossy_reports": sum(path.lossy_reports for path in every),
            "repeated_packets": sum(path.repeats for path in every),
        }

    def _on(self, rung: int) -> list[Stream]:
        return [stream for stream in self._streams if self._rungs.rung(stream) == rung]

    def _offer(self, stream: Stream, frame: EncodedFrame, now: float) -> None:
        track = stream.track
        if frame.codec not in track.codecs:
            # Made before its rung changed to what this viewer decodes.
            return
        if track.pending and frame.rung == MAIN and self._rungs.behind(stream, now):
            self.dropped += 1
            self._moved([stream])
            self._paths_changed()
        elif not track.offer(frame):
            self.dropped += 1
            self._source.want_key(frame.rung)
        elif frame.key:
            stream.keyed_at = now

    def _is_still(self, stream: Stream, rung: int) -> bool:
        now = self._clock()
        return (
            not stream.track.needs_key
            and now >= self._sent_at[rung] + _STILL_S
            and now >= stream.keyed_at + _KEY_OLD_S
            and now >= stream.repeated_at + _ONCE_S
            and stream.path.lossless()
        )

    def _idle(self, stream: Stream) -> None:
        if stream not in self._streams:
            self._streams.append(stream)
            self._rungs.add(stream, codecs=stream.track.codecs, crisp=stream.crisp)
            self._paths_changed()
            if len(self._streams) == 1:
                self._source.watch(True)
            elif self._rungs.rung(stream) == MAIN:
                self._source.want_key(MAIN)
        self._settle(self._rungs.rung(stream))

    def _stopped(self, stream: Stream) -> None:
        if stream not in self._streams:
            return
        self._streams.remove(stream)
        self._rungs.remove(stream)
        self._paths_changed()
        if not self._streams:
            self._source.watch(False)
        self._settle_both()

    def _paths_changed(self) -> None:
        """Some path carries more or less than before, or somebody came or went."""
        targets = {stream: stream.path.target_bps for stream in self._streams}
        moved = self._rungs.update(targets, self._clock())
        for rung in (MAIN, LAG):
            if self._codecs[rung] is not self._rungs.codec(rung):
                self._codecs[rung] = self._rungs.codec(rung)
                self._source.set_codec(self._codecs[rung], rung)
        self._set_rate(MAIN, self._rungs.rates_bps[MAIN])
        if self._rungs.on(LAG):
            self._set_rate(LAG, self._rungs.rates_bps[LAG])
        self._moved(moved)

    def _moved(self, streams: list[Stream]) -> None:
        """These change their rung, and understand nothing of the new one before a keyframe."""
        for stream in streams:
            self.rung_changes += 1
            stream.track.restart()
            self._source.want_key(self._rungs.rung(stream))
        lagging = bool(self._rungs.on(LAG))
        if lagging != self._lagging:
            self._lagging = lagging
            self._source.watch(lagging, LAG)

    def _set_rate(self, rung: int, rate_bps: float) -> None:
        wanted = MAX_BPS if rate_bps >= MAX_BPS else int(rate_bps * _PAYLOAD_SHARE)
        present = self._rates_bps[rung]
        if wanted != present and (wanted == MAX_BPS or abs(wanted - present) > present * _STEP):
            self._rates_bps[rung] = wanted
            self._source.set_rate(wanted, rung)

    def _settle_both(self) -> None:
        for rung in (MAIN, LAG):
            self._settle(rung)

    def _settle(self, rung: int) -> None:
        """Let the next frame be made once every sender that it is made for waits for it."""
        if self._in_flight[rung] and all(stream.track.idle for stream in self._rungs.waits_for(rung)):
            self._in_flight[rung] = False
            self._source.taken(rung)
