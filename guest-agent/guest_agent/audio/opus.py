"""Opus (RFC 6716) by libopus: 10 ms stereo frames without look-ahead, each a packet at once."""

from __future__ import annotations

import fractions
from dataclasses import dataclass

import av

from guest_agent.audio.frames import FRAME_SAMPLES, RATE_HZ, SoundFrame
from guest_agent.errors import EncoderError

__all__ = ["BIT_RATE_BPS", "OpusEncoder", "SoundPacket"]

BIT_RATE_BPS = 96_000
"""Stereo music at 10 ms frames, transparent to most listeners (RFC 7587 3.1.1 names 64 to 128 kb/s)."""
_OPTIONS = {
    # CELT alone: 2.5 ms of delay where "audio" and "voip" have 6.5. It has neither in-band FEC nor DTX, which are
    # SILK's; what a lost packet leaves is 10 ms of concealment, and silence is left out by frames.Gate.
    "application": "lowdelay",
    "frame_duration": "10",
    "vbr": "constrained",
    # A quarter less work than at the greatest effort: the guest's processor may be emulated.
    "compression_level": "5",
}


@dataclass(frozen=True, slots=True)
class SoundPacket:
    """One RTP payload (RFC 7587 4.2)."""

    payload: bytes
    pts: int
    """In 1/48,000 s."""


class OpusEncoder:
    """Raises EncoderError when libopus refuses."""

    def __init__(self) -> None:
        try:
            codec = av.CodecContext.create("libopus", "w")
            codec.sample_rate = RATE_HZ
            codec.layout = "stereo"
            codec.format = "s16"
            codec.time_base = fractions.Fraction(1, RATE_HZ)
            codec.bit_rate = BIT_RATE_BPS
            codec.options = _OPTIONS
            codec.open()
        except (av.FFmpegError, ValueError) as exc:
            raise EncoderError(f"libopus does not open: {exc}") from exc
        self._codec = codec
        self._frame = av.AudioFrame(format="s16", layout="stereo", samples=FRAME_SAMPLES)
        self._frame.sample_rate = RATE_HZ
        self._encoded = 0

    def encode(self, frame: SoundFrame) -> SoundPacket:
        # libopus counts samples and takes a gap for a mistake; the packet's own time is the frame's.
        self._frame.pts = self._encoded * FRAME_SAMPLES
        self._frame.planes[0].update(frame.pcm)
        try:
            packets = self._codec.encode(self._frame)
        except av.FFmpegError as exc:
            raise EncoderError(f"libopus failed: {exc}") from exc
        if len(packets) != 1:
            raise EncoderError(f"libopus made {len(packets)} packets of one frame")
        self._encoded += 1
        return SoundPacket(bytes(packets[0]), frame.pts)
