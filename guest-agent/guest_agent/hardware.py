"""H.264 encoders of graphics cards, where the machine has one that works.

Whether one works is tried once in a process, by encoding a picture, and only where there is a device at all, so a
machine without one pays nothing. ``FENSTER_ENCODER=software`` forbids it.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from guest_agent.avoptions import LiveOptions
from guest_agent.convert import tag
from guest_agent.errors import EncoderError
from guest_agent.h264 import packetize

__all__ = ["HardwareEncoder", "find_hardware", "hardware_encoder"]

logger = logging.getLogger(__name__)

_SETTING = "FENSTER_ENCODER"
_CLOCK_HZ = 90_000
_BUFFER_S = 0.1
_TRIED_PX = (640, 368)

_OPTIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    "h264_nvenc": (
        "/dev/nvidia[0-9]*",
        "yuv420p",
        {"preset": "p1", "tune": "ull", "zerolatency": "1", "delay": "0", "rc": "cbr", "forced-idr": "1"},
    ),
    "h264_qsv": (
        "/dev/dri/renderD*",
        "nv12",
        {"preset": "veryfast", "async_depth": "1", "low_delay_brc": "1", "forced_idr": "1"},
    ),
}
"""By preference: FFmpeg's name, the device it needs, its picture format, and its options for no delay."""


class HardwareEncoder:
    """One open encoder, as encode.Encoder.

    Raises EncoderError.
    """

    def __init__(self, name: str, width_px: int, height_px: int, *, max_bps: int, fps: int) -> None:
        _, pixels, options = _OPTIONS[name]
        try:
            codec = av.CodecContext.create(name, "w")
            assert isinstance(codec, VideoCodecContext)
            codec.width, codec.height = width_px, height_px
            codec.pix_fmt = pixels
            codec.framerate = Fraction(fps)
            codec.time_base = Fraction(1, _CLOCK_HZ)
            codec.bit_rate = max_bps
            codec.max_b_frames = 0
            tag(codec)
            codec.profile = "Baseline"
            sizes = {"maxrate": str(max_bps), "bufsize": str(int(max_bps * _BUFFER_S)), "g": "1000000"}
            codec.options = {**options, **sizes}
            codec.open()
        except (av.FFmpegError, ValueError) as exc:
            raise EncoderError(f"{name} does not open: {exc}") from exc
        self._codec = codec
        self._live = LiveOptions(codec)
        self._fps = fps
        self._started = False
        self.max_bps = max_bps

    def retune(self, max_bps: int) -> bool:
        """Another rate from the next picture on. False: this takes another encoder."""
        rates = {"b": max_bps, "maxrate": max_bps, "bufsize": int(max_bps * _BUFFER_S)}
        if not all(self._live.set(name, value) for name, value in rates.items()):
            return False
        self.max_bps = max_bps
        return True

    def encode(self, picture: NDArray[np.uint8], pts_90k: int, *, key: bool) -> tuple[bytes, bool]:
        """One picture (yuv420p array) to an Annex B access unit; it, and whether it is a keyframe."""
        frame = av.VideoFrame.from_numpy_buffer(picture, format="yuv420p")
        frame.pts = pts_90k
        frame.time_base = Fraction(1, _CLOCK_HZ)
        frame.pict_type = PictureType.I if key or not self._started else PictureType.NONE
        try:
            packets = self._codec.encode(frame)
        except av.FFmpegError as exc:
            raise EncoderError(f"{self._codec.name} failed: {exc}") from exc
        if not packets:
            raise EncoderError(f"{self._codec.name} kept a picture back")
        self._started = True
        return b"".join(bytes(packet) for packet in packets), any(packet.is_keyframe for packet in packets)

    def cut(self, size_bytes: int) -> bool:
        """The rate kept a picture of this size from being better."""
        return size_bytes * 8 * self._fps > self.max_bps / 2

    def packetize(self, unit: bytes) -> list[bytes]:
        return packetize(unit)


def find_hardware(present: Callable[[str], bool], works: Callable[[str], bool], setting: str) -> str | None:
    """The encoder to use: the first whose device is there and that works; None is x264."""
    if setting == "software":
        return None
    return next((name for name, (device, *_) in _OPTIONS.items() if present(device) and works(name)), None)


@cache
def hardware_encoder() -> str | None:
    """What :func:`find_hardware` says of this machine; tried once."""
    found = find_hardware(lambda device: bool(glob.glob(device)), _works, os.environ.get(_SETTING, ""))
    logger.info("= encoder: %s", found or "libx264")
    return found


def _works(name: str) -> bool:
    width, height = _TRIED_PX
    try:
        encoder = HardwareEncoder(name, width, height, max_bps=2_000_000, fps=30)
        _, key = encoder.encode(np.full((height * 3 // 2, width), 128, np.uint8), 0, key=True)
    except EncoderError as exc:
        logger.info("= %s is no use here: %s", name, exc)
        return False
    return key
