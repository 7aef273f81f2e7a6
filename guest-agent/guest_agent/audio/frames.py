"""Recorded bytes into 10 ms frames that are never old and never silence. Pure: bytes and the time in, frames out.

A recorder does not always deliver evenly: after a pause (a machine that stood still, a busy processor) it delivers
all that came meanwhile at once. Played, that would be heard late for ever after; so what is more than real time is
dropped, oldest first, and time that brought nothing is a gap in the timestamps.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHANNELS", "FRAME_BYTES", "FRAME_SAMPLES", "RATE_HZ", "Cutter", "Gate", "SoundFrame"]

RATE_HZ = 48_000
CHANNELS = 2
FRAME_SAMPLES = 480
"""Per channel: 10 ms."""
FRAME_BYTES = FRAME_SAMPLES * CHANNELS * 2
"""Interleaved signed 16-bit little-endian."""

_MAX_AHEAD_SAMPLES = 6 * FRAME_SAMPLES
"""How far a burst may run ahead of the clock before frames are dropped: the recorder's ordinary unevenness."""
_MAX_BEHIND_SAMPLES = 10 * FRAME_SAMPLES
"""Time without sound beyond this is a gap."""
_HANGOVER_FRAMES = 20
_SILENT = bytes(FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class SoundFrame:
    pts: int
    """Samples of 1/48,000 s since the cutter's origin."""
    pcm: bytes
    """FRAME_BYTES of it."""


class Cutter:
    """Args:
    origin_s: the time that has pts 0; of the same clock as ``now_s``.
    """

    def __init__(self, origin_s: float) -> None:
        self._origin_s = origin_s
        self._rest = b""
        self._next_pts = 0
        self.dropped = 0
        """Frames that came faster than real time."""
        self.gaps = 0

    def feed(self, data: bytes, now_s: float) -> list[SoundFrame]:
        """The whole frames that are there now, with rising timestamps."""
        data = self._rest + data
        count = len(data) // FRAME_BYTES
        self._rest = data[count * FRAME_BYTES :]
        if count == 0:
            return []
        clock = int((now_s - self._origin_s) * RATE_HZ)
        end = self._next_pts + count * FRAME_SAMPLES
        keep = count
        if end < clock - _MAX_BEHIND_SAMPLES:
            self.gaps += self._next_pts > 0
            keep = min(count, _MAX_AHEAD_SAMPLES // FRAME_SAMPLES)
            self._next_pts = max(self._next_pts, clock - keep * FRAME_SAMPLES)
        elif end > clock + _MAX_AHEAD_SAMPLES:
            # All the way back to the clock: at the bound, the next unevenness would cost a frame again.
            keep = min(count, max(0, (clock - self._next_pts) // FRAME_SAMPLES))
        self.dropped += count - keep
        frames = []
        for at in range(count - keep, count):
            frames.append(SoundFrame(self._next_pts, data[at * FRAME_BYTES : (at + 1) * FRAME_BYTES]))
            self._next_pts += FRAME_SAMPLES
        return frames

    def restart(self) -> None:
        """The recorder is another one: half a frame of the old is worth nothing."""
        self._rest = b""


class Gate:
    """Lets sound through, and the first 200 ms of silence: an idle desktop is not encoded and not sent.

    A sink that nobody plays to gives exact zeros. The silence that passes empties the viewer's jitter buffer.
    """

    def __init__(self) -> None:
        self._zeros = _HANGOVER_FRAMES
        self.skipped = 0

    def passes(self, pcm: bytes) -> bool:
        if pcm != _SILENT:
            self._zeros = 0
            return True
        if self._zeros < _HANGOVER_FRAMES:
            self._zeros += 1
            return True
        self.skipped += 1
        return False
