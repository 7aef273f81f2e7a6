"""The second encode: the same picture for those whose path carries less, or who know another codec.

Part of the media thread. It has a schedule of its own (its own frame in flight, its own keyframes, fewer frames a
second), captures nothing, and takes its turn only when the first encode has nothing to do. Its encoder exists only
while somebody needs it.
"""

from __future__ import annotations

from guest_agent.convert import Picture
from guest_agent.encoders import VideoEncoder, open_encoder
from guest_agent.h264 import EncodedFrame
from guest_agent.rate import MAX_BPS
from guest_agent.rungs import LAG
from guest_agent.schedule import Schedule
from guest_agent.videocodec import Codec

__all__ = ["LAG_FPS", "Lag"]

LAG_FPS = 15


class Lag:
    def __init__(self) -> None:
        self._encoder: VideoEncoder | None = None
        self._codec = Codec.H264
        self._rate_bps = MAX_BPS
        self.schedule = Schedule(LAG_FPS)
        self.frames = 0

    def watch(self, on: bool) -> None:
        """Somebody lags, or nobody does any more."""
        self.schedule.watch(on)
        if not on:
            self._encoder = None

    def set_rate(self, max_bps: int) -> None:
        self._rate_bps = max_bps
        if self._encoder is not None and not self._encoder.retune(max_bps):
            self._encoder = None

    def set_codec(self, codec: Codec) -> None:
        if codec is not self._codec:
            self._codec, self._encoder = codec, None

    def reset(self) -> None:
        """The picture is another, of another size perhaps."""
        self._encoder = None
        self.schedule.damage()

    def step(self, picture: Picture, now: float, pts_90k: int, threads: int) -> EncodedFrame | None:
        """Make one frame if one is due. Raises EncoderError."""
        due = self.schedule.next(now)
        if due is None:
            return None
        action, key = due
        if self._encoder is None:
            self._encoder = open_encoder(
                self._codec,
                picture.width_px,
                picture.height_px,
                max_bps=self._rate_bps,
                threads=threads,
                fps=LAG_FPS,
            )
        unit, is_key = self._encoder.encode(picture.i420(), pts_90k, key=key)
        self.schedule.did(action, is_key, now, cut=self._encoder.cut(len(unit)))
        self.frames += 1
        return EncodedFrame(self._encoder.packetize(unit), pts_90k, is_key, len(unit), codec=self._codec, rung=LAG)
