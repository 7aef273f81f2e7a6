"""What a viewer can decode."""

from __future__ import annotations

from enum import Enum

__all__ = ["Codec"]


class Codec(Enum):
    """By MIME type, as in an SDP description."""

    H264 = "video/H264"
    VP8 = "video/VP8"
