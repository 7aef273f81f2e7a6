"""VP8 for a viewer that offers no H.264: libvpx by PyAV, and its RTP payloads (RFC 7741).

Scrolled text takes libvpx several times the bits of x264 at the same time spent, so this is the second choice.
``cpu-used`` -8 is realtime mode without its adaptive part, which on a busy machine takes twice as long (measured).
"""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from guest_agent.errors import EncoderError
from guest_agent.h264 import MAX_PAYLOAD_BYTES

__all__ = ["Vp8Encoder", "packetize_vp8"]

_CLOCK_HZ = 90_000
_BUFFER_MS = 100
_DOWN, _UP = 0.75, 1.6
"""FFmpeg's libvpx takes no other rate once it is open, and another encoder starts with a keyframe: a change that
stays between these parts is left to the pacer."""
_START = 0x10
"""S: this payload starts a partition; with partition index 0, a frame (RFC 7741 4.2)."""


class Vp8Encoder:
    """One open encoder, as encode.Encoder.

    Raises EncoderError.
    """

    def __init__(self, width_px: int, height_px: int, *, max_bps: int, threads: int, fps: int) -> None:
        try:
            codec = av.CodecContext.create("libvpx", "w")
            assert isinstance(codec, VideoCodecContext)
            codec.width, codec.height = width_px, height_px
            codec.pix_fmt = "yuv420p"
            codec.framerate = Fraction(fps)
            codec.time_base = Fraction(1, _CLOCK_HZ)
            codec.thread_count = threads
            codec.bit_rate = max_bps
            codec.qmin, codec.qmax = 4, 63
            codec.options = {
                "deadline": "realtime",
                "cpu-used": "-8",
                "lag-in-frames": "0",
                "noise-sensitivity": "0",
                "error-resilient": "0",
                "static-thresh": "1",
                "g": "1000000",
                "maxrate": str(max_bps),
                "minrate": str(max_bps),
                "bufsize": str(max_bps * _BUFFER_MS // 1000),
                "rc_init_occupancy": str(max_bps * _BUFFER_MS // 2000),
                "undershoot-pct": "95",
            }
            codec.open()
        except (av.FFmpegError, ValueError) as exc:
            raise EncoderError(
                f"libvpx does not open for {width_px}x{height_px}: {exc}", hint="is libvpx in this PyAV build?"
            ) from exc
        self._codec = codec
        self._shape = (height_px * 3 // 2, width_px)
        self._fps = fps
        self._started = False
        self.max_bps = max_bps

    def retune(self, max_bps: int) -> bool:
        """Another rate. False: this takes another encoder."""
        return self.max_bps * _DOWN < max_bps < self.max_bps * _UP

    def encode(self, picture: NDArray[np.uint8], pts_90k: int, *, key: bool) -> tuple[bytes, bool]:
        """One picture (yuv420p array) to one frame; it, and whether it is a keyframe. pts_90k must rise."""
        if picture.shape != self._shape:
            raise EncoderError(f"a picture of {picture.shape}, the encoder takes {self._shape}")
        frame = av.VideoFrame.from_numpy_buffer(picture, format="yuv420p")
        frame.pts = pts_90k
        frame.time_base = Fraction(1, _CLOCK_HZ)
        frame.pict_type = PictureType.I if key or not self._started else PictureType.NONE
        try:
            packets = self._codec.encode(frame)
        except av.FFmpegError as exc:
            raise EncoderError(f"libvpx failed: {exc}") from exc
        self._started = True
        return b"".join(bytes(packet) for packet in packets), any(packet.is_keyframe for packet in packets)

    def cut(self, size_bytes: int) -> bool:
        """The rate kept a picture of this size from being better."""
        return size_bytes * 8 * self._fps > self.max_bps / 2

    def packetize(self, unit: bytes) -> list[bytes]:
        return packetize_vp8(unit)


def packetize_vp8(unit: bytes, max_bytes: int = MAX_PAYLOAD_BYTES) -> list[bytes]:
    """RTP payloads of one frame, of nearly equal size and none over ``max_bytes``; none of an empty frame."""
    if not unit:
        return []
    count = -(-len(unit) // (max_bytes - 1))
    share = -(-len(unit) // count)
    return [bytes([_START if at == 0 else 0]) + unit[at : at + share] for at in range(0, len(unit), share)]
