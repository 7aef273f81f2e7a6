"""What a viewer can decode."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Codec", "PayloadTypes"]


class Codec(Enum):
    """By MIME type, as in an SDP description."""

    H264 = "video/H264"
    H264_444 = "video/H264 4:4:4"
    """High 4:4:4 Predictive: a colour for every pixel, where the others have one for four."""
    VP8 = "video/VP8"

    @property
    def full_chroma(self) -> bool:
        return self is Codec.H264_444


@dataclass(frozen=True, slots=True)
class PayloadTypes:
    """Under which numbers a codec's packets go out (RFC 3550 5.1)."""

    media: int
    repair: int | None = None
    """Of repetitions (RFC 4588); None repeats packets as they were."""
