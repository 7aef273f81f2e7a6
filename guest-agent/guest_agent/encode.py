"""x264 by PyAV, set up for a desktop: no delay, no keyframe unless asked, text kept sharp.

A desktop moves by whole pixels. So motion is searched widely (umh), which finds scrolled text, and only at whole
pixels (subme 0), which spares the half-pixel planes of every picture: on a click 3.0 ms against 4.4 with hex and
subme 2 on a busy host, and 4.0 against 14.2 KiB for scrolled text at equal quality (720p). Capped CRF: constant
quality, and a VBV that bounds what one picture may weigh. No B-frames, no lookahead, slices for threads.

With full chroma (4:4:4) text keeps its colours: a coloured terminal reaches the browser at 44 dB instead of 25, and a
typed character takes 1.5 to 2 times as long (3.7 against 2.5 ms at 720p). Text scrolled by an odd number of rows is a
fraction of the bytes, since colours too then move by whole pixels.
"""

from __future__ import annotations

import os
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from numpy.typing import NDArray

from guest_agent.avoptions import LiveOptions
from guest_agent.cadence import Cadence
from guest_agent.convert import tag
from guest_agent.errors import EncoderError
from guest_agent.h264 import packetize

__all__ = ["CLOCK_HZ", "Encoder", "default_threads"]

CLOCK_HZ = 90_000
_CRF = 22
_CHROMA_QP_OFFSET_444 = -6
"""A terminal's colours come out at 43 dB, and at 39 without, for a quarter more bytes."""
_VBV_FPS = 30
"""x264 refills the VBV once per picture, whatever the clock says (zerolatency forces constant frame rate): for 30
pictures a second at first, and then for as many as there are (cadence.py)."""
_VBV_S = 0.1
"""The largest picture in seconds of the rate: 250 KB at 20 Mb/s, a full page of dense text as a keyframe."""


def default_threads(*, slow: bool = False) -> int:
    """One core stays free for the desktop itself, except where a picture takes so long that no core is spared."""
    return max(1, min(4, len(os.sched_getaffinity(0)) - (not slow)))


class Encoder:
    """One open encoder. Another size is another Encoder, and starts with a keyframe.

    Args:
        width_px, height_px: even.
        max_bps: the cap of the rate, in bits a second.
        fps: how many pictures a second share it at first.
        full_chroma: 4:4:4 (High 4:4:4 Predictive) instead of 4:2:0 (Baseline).

    Raises EncoderError.
    """

    def __init__(
        self,
        width_px: int,
        height_px: int,
        *,
        max_bps: int,
        threads: int,
        fps: int = _VBV_FPS,
        full_chroma: bool = False,
    ) -> None:
        parameters = {
            "me": "umh",
            "subme": "0",
            "merange": "64",
            "keyint": "infinite",
            "scenecut": "0",
            "sliced-threads": "1",
        }
        if full_chroma:
            parameters["chroma-qp-offset"] = str(_CHROMA_QP_OFFSET_444)
        try:
            codec = av.CodecContext.create("libx264", "w")
            assert isinstance(codec, VideoCodecContext)
            codec.width, codec.height = width_px, height_px
            codec.pix_fmt = "yuv444p" if full_chroma else "yuv420p"
            codec.framerate = Fraction(fps)
            codec.time_base = Fraction(1, CLOCK_HZ)
            codec.thread_count = threads
            tag(codec)
            if not full_chroma:
                codec.profile = "Baseline"
            codec.options = {
                "preset": "ultrafast",
                "tune": "zerolatency",
                "crf": str(_CRF),
                "forced-idr": "1",
                "maxrate": str(max_bps),
                "bufsize": str(int(max_bps * _VBV_S)),
                "x264-params": ":".join(f"{name}={value}" for name, value in parameters.items()),
            }
            codec.open()
        except (av.FFmpegError, ValueError) as exc:
            raise EncoderError(
                f"x264 does not open for {width_px}x{height_px}: {exc}", hint="is libx264 in this PyAV build?"
            ) from exc
        self._codec = codec
        self._live = LiveOptions(codec)
        self._opened_fps = fps
        self._cadence = Cadence(fps)
        self._shape = (height_px * 3 if full_chroma else height_px * 3 // 2, width_px)
        self._frame_444 = av.VideoFrame(width_px, height_px, "yuv444p") if full_chroma else None
        self.max_bps = max_bps
        self._started = False

    def retune(self, max_bps: int) -> bool:
        """Another cap from the next picture on, without a keyframe. False: this takes another Encoder."""
        refill_bps = int(max_bps * self._opened_fps / self._cadence.fps)
        if not self._live.set("maxrate", refill_bps) or not self._live.set("bufsize", int(max_bps * _VBV_S)):
            return False
        self.max_bps = max_bps
        return True

    def cut(self, size_bytes: int) -> bool:
        """The rate kept a picture of this size from being better."""
        return size_bytes * 8 * self._cadence.fps > self.max_bps / 2

    def packetize(self, unit: bytes) -> list[bytes]:
        """The RTP payloads of an access unit."""
        return packetize(unit)

    def _frame(self, picture: NDArray[np.uint8]) -> av.VideoFrame:
        if self._frame_444 is None:
            return av.VideoFrame.from_numpy_buffer(picture, format="yuv420p")
        # PyAV lends no array as yuv444p. x264 keeps no reference to what it was given.
        for plane, source in zip(self._frame_444.planes, np.split(picture, 3), strict=True):
            rows = np.frombuffer(cast("bytes", plane), dtype=np.uint8).reshape(-1, plane.line_size)
            rows[: plane.height, : plane.width] = source
        return self._frame_444

    def encode(self, picture: NDArray[np.uint8], pts_90k: int, *, key: bool) -> tuple[bytes, bool]:
        """One picture (array as convert.Picture has it) to an Annex B access unit.

        Returns it and whether it is a keyframe (IDR with its parameter sets). pts_90k must rise.
        """
        if picture.shape != self._shape:
            # PyAV would scale it without a word.
            raise EncoderError(f"a picture of {picture.shape}, the encoder takes {self._shape}")
        frame = self._frame(picture)
        frame.pts = pts_90k
        frame.time_base = Fraction(1, CLOCK_HZ)
        key = key or not self._started
        frame.pict_type = PictureType.I if key else PictureType.NONE
        if self._cadence.picture(pts_90k):
            self.retune(self.max_bps)
        try:
            packets = self._codec.encode(frame)
        except av.FFmpegError as exc:
            raise EncoderError(f"x264 failed: {exc}") from exc
        if not packets:
            raise EncoderError("x264 kept a picture back")
        self._started = True
        return b"".join(bytes(packet) for packet in packets), any(packet.is_keyframe for packet in packets)
