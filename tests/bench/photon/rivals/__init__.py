"""Other servers that show an X display in a page, run as well as they can be on one machine."""

from __future__ import annotations

from tests.bench.photon.rivals.novnc import novnc
from tests.bench.photon.rivals.selkies import selkies_webrtc, selkies_websocket

__all__ = ["novnc", "selkies_webrtc", "selkies_websocket"]
