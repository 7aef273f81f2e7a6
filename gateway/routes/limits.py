"""How much a caller may send, all in one place. A test tries each at its limit and one beyond."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.routes.quiet import LOGGER

__all__ = [
    "BODY_GRACE_S",
    "KEEPALIVE_S",
    "MAX_BODY_BYTES",
    "MAX_HEADERS",
    "MAX_HEADER_BYTES",
    "MAX_JSON_BYTES",
    "MAX_LINE_BYTES",
    "MAX_MESSAGE_BYTES",
    "MAX_SDP_BYTES",
    "MIN_BODY_BYTES_PER_S",
    "SERVER",
]

MAX_LINE_BYTES = 8190
"""The request line (414 in name; aiohttp answers 400), and with it the URL."""
MAX_HEADER_BYTES = 8190
"""One header's value. The largest is a viewer token among WebSocket subprotocols, about 4 KiB with 16 origins."""
MAX_HEADERS = 64
"""In one request. Chromium sends about 20, reverse proxies add a few."""
MAX_BODY_BYTES = 64 * 1024
"""A body that is read whole, of any kind; an upload and the clipboard have limits of their own."""
MAX_SDP_BYTES = 64 * 1024
"""An offer of Chromium with audio and video has 6 KiB."""
MAX_JSON_BYTES = 16 * 1024
MAX_MESSAGE_BYTES = 1 << 20
"""A WebSocket message of a viewer; the largest is pasted text."""

BODY_GRACE_S = 15.0
"""How long a body may keep its reader waiting, in all, before its rate counts."""
MIN_BODY_BYTES_PER_S = 1024
"""Below it a body is given up (408)."""
KEEPALIVE_S = 75.0
"""Between a connection's requests, the next one's head included. Above the 60 s that nginx and Caddy keep theirs."""

LINGER_S = 5.0
"""For the rest of a body after an early answer, which its sender would else not see."""

SERVER: Mapping[str, Any] = {
    "keepalive_timeout": KEEPALIVE_S,
    "max_line_size": MAX_LINE_BYTES,
    "max_field_size": MAX_HEADER_BYTES,
    "max_headers": MAX_HEADERS,
    "lingering_time": LINGER_S,
    "logger": LOGGER,
}
"""Those that aiohttp holds: arguments of its AppRunner."""
