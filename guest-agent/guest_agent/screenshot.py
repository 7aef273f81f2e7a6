"""A picture of the display as a PNG or a JPEG, made smaller if wanted. Blocking; call it in a thread."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import numpy as np
from av.video.reformatter import ColorRange, Interpolation
from numpy.typing import NDArray

from guest_agent.capture import Resized, Screen
from guest_agent.errors import DisplayError
from guest_agent.rects import Rect

__all__ = ["MIN_WIDTH_PX", "Kind", "Shot", "encode", "shoot"]

Kind = Literal["png", "jpeg"]
MIN_WIDTH_PX = 16
JPEG_QSCALE = 4
"""1 is best, 31 worst: text of a quarter-size desktop is still told apart at 4."""
_TRIES = 3
"""Of grabbing a display that is being resized."""


@dataclass(frozen=True, slots=True)
class Shot:
    digest: str
    """Of the pixels: 32 hex digits; the same for the same picture of the same kind and size."""
    width_px: int
    height_px: int
    data: bytes
    """Empty when the caller knew it already."""


def shoot(display: str, kind: Kind, width_px: int, known: str) -> Shot:
    """Grab the whole display. Raises DisplayError."""
    screen = Screen(display)
    try:
        for _ in range(_TRIES):
            try:
                pixels = screen.grab(Rect(0, 0, screen.width_px, screen.height_px))
            except Resized:
                screen.poll()
                continue
            return encode(pixels, kind, width_px, known)
        raise DisplayError("the display changes its size all the time")
    finally:
        screen.close()


def encode(pixels: NDArray[np.uint8], kind: Kind, width_px: int, known: str) -> Shot:
    """
    Args:
        pixels: (height, width, 4) in B, G, R, unused order; swscale.OVERREAD_BYTES of the same memory follow them.
        width_px: at most as wide, with the height in proportion; 0 leaves it as it is.
        known: a digest that need not be encoded again.
    """
    height, width = pixels.shape[:2]
    # JPEG halves the colours' sides, so all of them are even.
    wide = min(max(width_px, MIN_WIDTH_PX), width) // 2 * 2 if width_px else width
    high = max(2, round(height * wide / width) // 2 * 2) if width_px else height
    frame = av.VideoFrame.from_numpy_buffer(pixels, format="bgra").reformat(
        wide, high, format="rgb24", interpolation=Interpolation.AREA
    )
    rgb = frame.to_ndarray()
    digest = hashlib.blake2b(rgb.tobytes(), digest_size=16, person=kind.encode()).hexdigest()
    return Shot(digest, wide, high, b"" if digest == known else _encoded(frame, kind))


def _encoded(frame: av.VideoFrame, kind: Kind) -> bytes:
    codec = av.CodecContext.create("png" if kind == "png" else "mjpeg", "w")
    codec.width, codec.height = frame.width, frame.height
    codec.pix_fmt = "rgb24" if kind == "png" else "yuvj420p"
    codec.thread_count = 1
    codec.time_base = Fraction(1)
    if kind == "jpeg":
        codec.qmin = codec.qmax = JPEG_QSCALE
        frame = frame.reformat(format="yuvj420p", dst_color_range=ColorRange.JPEG)
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
