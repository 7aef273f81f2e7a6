"""BGRX pixels into one persistent YUV picture, only where they changed.

BT.601's matrix, limited range: what VP8 means, which has no flags for others (RFC 6386 9.2), and what browsers take
untagged WebRTC for; H.264 says so (tag). libyuv does the work, or swscale where there is none.
"""

from __future__ import annotations

import numpy as np
from av.video.codeccontext import VideoCodecContext
from numpy.typing import NDArray

from guest_agent.libyuv import libyuv
from guest_agent.rects import Rect
from guest_agent.swscale import Swscale
from guest_agent.yuv import Converter, Planes

__all__ = ["Picture", "tag"]

_LIMITED_RANGE = 1
_BT709, _BT601 = 1, 6
"""ITU-T H.273 8. Only the matrix is BT.601's: a desktop's primaries are sRGB's, which are BT.709's."""


def tag(codec: VideoCodecContext) -> None:
    """Have an encoder that is not open yet write down which colours these are."""
    codec.color_range = _LIMITED_RANGE
    codec.color_primaries = codec.color_trc = _BT709
    codec.colorspace = _BT601


class Picture:
    """A picture of width_px x height_px, both even: yuv420p, or yuv444p with ``full_chroma``.

    ``array`` is (height * 3 / 2, width) uint8: the Y plane and below it U and V, each of half width and height;
    with full chroma (height * 3, width): three planes of one size. ``threads`` may be used for large rectangles.
    ``converter`` is the best that there is unless given.
    """

    def __init__(
        self, width_px: int, height_px: int, *, full_chroma: bool = False, converter: Converter | None = None
    ) -> None:
        self.width_px, self.height_px = width_px, height_px
        self.full_chroma = full_chroma
        self.threads = 1
        self.converter = converter or libyuv() or Swscale()
        self._shifts = (0, 0, 0) if full_chroma else (0, 1, 1)
        self.array, self._planes = _black(width_px, height_px, self._shifts)
        self._halved: tuple[NDArray[np.uint8], Planes] | None = None

    def update(self, rect: Rect, pixels: NDArray[np.uint8]) -> None:
        """Convert ``pixels`` (rect.height, rect.width, 4) into place. Edges of ``rect`` are even.

        swscale.OVERREAD_BYTES behind them may be read too: at the end of a mapping they must be there.
        """
        y, u, v = (
            plane[
                rect.y >> shift : (rect.y + rect.height) >> shift,
                rect.x >> shift : (rect.x + rect.width) >> shift,
            ]
            for plane, shift in zip(self._planes, self._shifts, strict=True)
        )
        self.converter.convert(pixels, (y, u, v), self.threads)

    def i420(self) -> NDArray[np.uint8]:
        """As yuv420p, whatever it is; valid until the next call."""
        if not self.full_chroma:
            return self.array
        if self._halved is None:
            self._halved = _black(self.width_px, self.height_px, (0, 1, 1))
        array, (luma, u, v) = self._halved
        luma[:] = self._planes[0]
        u[:], v[:] = (plane[::2, ::2] for plane in self._planes[1:])
        return array


def _black(width_px: int, height_px: int, shifts: tuple[int, int, int]) -> tuple[NDArray[np.uint8], Planes]:
    """A black picture whose planes are smaller by ``shifts`` each way: the whole, and Y, U and V as views into it."""
    sizes = [(height_px >> shift, width_px >> shift) for shift in shifts]
    bounds = np.cumsum([height * width for height, width in sizes])
    flat = np.full(bounds[2], 128, dtype=np.uint8)
    y, u, v = (part.reshape(size) for part, size in zip(np.split(flat, bounds[:2]), sizes, strict=True))
    y[:] = 16
    return flat.reshape(-1, width_px), (y, u, v)
