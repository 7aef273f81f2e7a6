"""The pointer's picture as X tells it (XFixes GetCursorImage) made ready for a browser. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from guest_agent.protocol.messages import MAX_BLOB_BYTES

__all__ = ["HIDDEN", "MAX_SIDE_PX", "CursorImage", "cursor_image"]

MAX_SIDE_PX = 128
"""Browsers show no larger cursor."""


@dataclass(frozen=True, slots=True)
class CursorImage:
    """Equal ones look equal."""

    hot_x: int
    hot_y: int
    png: bytes
    """Empty: nothing to see."""


HIDDEN = CursorImage(0, 0, b"")


def cursor_image(argb: bytes, size_px: tuple[int, int], hot_px: tuple[int, int]) -> CursorImage:
    """A cursor as a PNG of at most MAX_SIDE_PX a side and MAX_BLOB_BYTES; one that is too large is made smaller by a
    whole factor.

    Args:
        argb: 32 bits a pixel, alpha in the highest, the others multiplied by it, in this machine's byte order.
        size_px: width and height.
        hot_px: the point of it that points.
    """
    width, height = size_px
    pixels = np.frombuffer(argb, np.uint32).reshape(height, width)
    if not (pixels >> 24).any():
        return HIDDEN
    factor = -(-max(size_px) // MAX_SIDE_PX)
    while True:
        rgba = _straight(_shrunk(pixels, factor))
        png = _png(rgba)
        if len(png) <= MAX_BLOB_BYTES:
            x, y = (min(max(hot // factor, 0), side - 1) for hot, side in zip(hot_px, rgba.shape[1::-1], strict=True))
            return CursorImage(x, y, png)
        factor += 1


def _shrunk(pixels: NDArray[np.uint32], factor: int) -> NDArray[np.float32]:
    """Red, green, blue and alpha, each the mean over squares of ``factor`` px."""
    channels = np.stack([pixels >> shift & 0xFF for shift in (16, 8, 0, 24)], axis=-1).astype(np.float32)
    if factor == 1:
        return channels
    height, width = (-(-side // factor) for side in pixels.shape)
    padded = np.zeros((height * factor, width * factor, 4), np.float32)
    padded[: pixels.shape[0], : pixels.shape[1]] = channels
    means: NDArray[np.float32] = padded.reshape(height, factor, width, factor, 4).mean(axis=(1, 3))
    return means


def _straight(rgba: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colours no longer multiplied by alpha, as PNG has them (PNG 3rd edition, 12.3)."""
    alpha = rgba[..., 3:]
    colours = np.divide(rgba[..., :3] * 255, alpha, out=np.zeros_like(rgba[..., :3]), where=alpha > 0)
    rounded: NDArray[np.uint8] = np.clip(np.rint(np.concatenate([colours, alpha], axis=-1)), 0, 255).astype(np.uint8)
    return rounded


def _png(rgba: NDArray[np.uint8]) -> bytes:
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
    codec = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "rgba"
    codec.thread_count = 1
    codec.time_base = Fraction(1)
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])
