"""HTTP's connections: how many one address may have, and how long each may take to say what it wants.

A slow loris opens many connections and sends each request a byte at a time. Here a connection has ``head_s`` for its
first request's head (aiohttp's keep-alive limit bounds the later ones); of those that have not come so far, the
oldest gives way to a new one when there are too many; and one address has so many connections and no more. What is
sent to a reader that takes nothing is given up by the kernel after ``unread_s``. Media is the relay's, and untouched.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping

from gateway.edge.places import Places

__all__ = ["HEAD_S", "MAX_HEADLESS", "UNREAD_S", "HttpConnections"]

HEAD_S = 10.0
MAX_HEADLESS = 256
"""Connections that have not sent a request's whole head yet."""
UNREAD_S = 60.0
"""How long a reader may take nothing of what was sent."""


class HttpConnections:
    """Makes the protocols of HTTP's connections.

    Args:
        head_s, max_headless, unread_s: see above.
        places: counts them by address; the demux looks at it before it accepts one.
    """

    def __init__(
        self,
        *,
        head_s: float = HEAD_S,
        max_headless: int = MAX_HEADLESS,
        unread_s: float = UNREAD_S,
        places: Places | None = None,
    ) -> None:
        self._inner: Callable[[], asyncio.Protocol] = asyncio.Protocol
        self._places = places if places is not None else Places()
        self._head_s = head_s
        self._max_headless = max_headless
        self._unread_s = unread_s
        self._headless: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        """Oldest first, each with its time limit."""
        self._counts = dict.fromkeys(["head_too_late", "head_crowded_out"], 0)

    def counters(self) -> Mapping[str, int]:
        """Connections ended before their first request, since start; ``headless`` is how many may yet be."""
        return {**self._counts, "headless": len(self._headless)}

    def serve_by(self, inner: Callable[[], asyncio.Protocol]) -> None:
        """Whose protocols are within; before the first connection."""
        self._inner = inner

    def __call__(self) -> asyncio.Protocol:
        return _Connection(self, self._inner())

    def head_is_here(self, transport: asyncio.BaseTransport) -> None:
        """A connection has sent what it wants. Idempotent."""
        deadline = self._headless.pop(transport, None)
        if deadline is not None:
            deadline.cancel()

    def made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the connection, as is lost()."""
        self._places.take(_address(transport))
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._unread_s * 1000))
        if len(self._headless) >= self._max_headless:
            self._end(next(iter(self._headless)), "head_crowded_out")
        loop = asyncio.get_running_loop()
        self._headless[transport] = loop.call_later(self._head_s, self._end, transport, "head_too_late")

    def lost(self, transport: asyncio.BaseTransport) -> None:
        self.head_is_here(transport)
        self._places.give_back(_address(transport))

    def _end(self, transport: asyncio.BaseTransport, reason: str) -> None:
        self.head_is_here(transport)
        self._counts[reason] += 1
        assert isinstance(transport, asyncio.WriteTransport)
        transport.abort()


class _Connection(asyncio.Protocol):
    """Passes everything on to the protocol within."""

    def __init__(self, owner: HttpConnections, inner: asyncio.Protocol) -> None:
        self._owner = owner
        self._transport: asyncio.BaseTransport | None = None
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]
        self._inner = inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._owner.made(transport)
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._owner.lost(self._transport)
        self._inner.connection_lost(exc)


def _address(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""
