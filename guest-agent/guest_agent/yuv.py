"""What turns BGRX pixels into YUV planes: BT.601's matrix, limited range (convert.py says why)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Converter", "Planes"]

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]
"""Y, U and V, each (height, width): views into larger planes, perhaps. U and V are of half the sides (4:2:0) or of
Y's size (4:4:4)."""


class Converter(Protocol):
    name: str
    core_us_per_mpx: int
    """How long an ordinary core takes for a megapixel of 4:2:0, about."""

    def convert(self, pixels: NDArray[np.uint8], planes: Planes, threads: int) -> None:
        """``pixels`` (height, width, 4), contiguous, both sides even, into ``planes``. ``threads`` may be used.

        swscale.OVERREAD_BYTES behind the pixels may be read too: at the end of a mapping they must be there.
        """
