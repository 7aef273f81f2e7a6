"""Which encoder makes a stream: H.264 by a graphics card or x264, VP8 by libvpx."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from guest_agent.encode import Encoder
from guest_agent.errors import EncoderError
from guest_agent.hardware import HardwareEncoder, hardware_encoder
from guest_agent.videocodec import Codec
from guest_agent.vp8 import Vp8Encoder

__all__ = ["VideoEncoder", "open_encoder"]


class VideoEncoder(Protocol):
    """One open encoder; for another size it takes another, which starts with a keyframe."""

    max_bps: int

    def retune(self, max_bps: int) -> bool:
        """Another rate from the next picture on. False: this takes another encoder."""

    def encode(self, picture: NDArray[np.uint8], pts_90k: int, *, key: bool) -> tuple[bytes, bool]:
        """One picture (array as convert.Picture has it); the frame, and whether it is a keyframe."""

    def cut(self, size_bytes: int) -> bool:
        """The rate kept a picture of this size from being better."""

    def packetize(self, unit: bytes) -> list[bytes]:
        """The RTP payloads of a frame."""


def open_encoder(
    codec: Codec, width_px: int, height_px: int, *, max_bps: int, threads: int, fps: int = 30
) -> VideoEncoder:
    """For a codec with full chroma the pictures have it too. Raises EncoderError."""
    if codec is Codec.VP8:
        return Vp8Encoder(width_px, height_px, max_bps=max_bps, threads=threads, fps=fps)
    if codec.full_chroma:
        return Encoder(width_px, height_px, max_bps=max_bps, threads=threads, fps=fps, full_chroma=True)
    if (name := hardware_encoder()) is not None:
        try:
            return HardwareEncoder(name, width_px, height_px, max_bps=max_bps, fps=fps)
        except EncoderError:
            # A card has so many sessions and no more; x264 has no such limit.
            pass
    return Encoder(width_px, height_px, max_bps=max_bps, threads=threads, fps=fps)
