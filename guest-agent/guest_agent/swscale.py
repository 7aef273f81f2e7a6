"""BGRX to YUV by PyAV's swscale: what converts where there is no libyuv.

A context for a new size costs more than converting a few text rows, so contexts are kept per size.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from guest_agent.yuv import Planes

__all__ = ["OVERREAD_BYTES", "Swscale"]

OVERREAD_BYTES = 256
"""It reads whole vectors: up to this many bytes behind the last pixel must be readable, whatever they hold."""

_THREADS_FROM_PX = 128 * 1024
"""Less is done sooner than a second thread wakes up."""
_CONTEXTS = 24
"""Kept converters; the least recently used goes."""


class Swscale:
    """For one thread. A colour of 4:2:0 is the mean of two pixels of the even row."""

    name = "swscale"
    core_us_per_mpx = 1_000

    def __init__(self) -> None:
        self._contexts: OrderedDict[tuple[int, int], VideoReformatter] = OrderedDict()

    def convert(self, pixels: NDArray[np.uint8], planes: Planes, threads: int) -> None:
        height, width = planes[0].shape
        frame = self._context(width, height).reformat(
            av.VideoFrame.from_numpy_buffer(pixels, format="bgra"),
            format="yuv444p" if planes[1].shape == planes[0].shape else "yuv420p",
            dst_colorspace=Colorspace.ITU601,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.POINT,
            threads=threads if width * height >= _THREADS_FROM_PX else 1,
        )
        for made, plane in zip(frame.planes, planes, strict=True):
            rows = np.frombuffer(cast("bytes", made), dtype=np.uint8).reshape(-1, made.line_size)
            plane[:] = rows[: plane.shape[0], : plane.shape[1]]

    def _context(self, width: int, height: int) -> VideoReformatter:
        context = self._contexts.pop((width, height), None) or VideoReformatter()
        self._contexts[width, height] = context
        if len(self._contexts) > _CONTEXTS:
            self._contexts.popitem(last=False)
        return context
