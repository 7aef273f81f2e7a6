"""Other servers that show an X display in a page, run as well as they can be on one machine."""

from __future__ import annotations

from tests.bench.photon.rivals.novnc import novnc

__all__ = ["novnc"]
