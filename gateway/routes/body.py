"""Bodies, as fast as their senders must be: who sends a byte a minute holds nothing here for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from gateway.errors import TooSlow
from gateway.routes.limits import BODY_GRACE_S, MIN_BODY_BYTES_PER_S

__all__ = ["Pace", "chunks", "read_body"]


class Pace:
    """How long a sender may still be waited for. What counts is time spent waiting, not that of a slow taker.

    It earns time by what it sends, and never has more than it had at first.
    """

    def __init__(self, grace_s: float = BODY_GRACE_S, min_bytes_per_s: float = MIN_BODY_BYTES_PER_S) -> None:
        self._left_s = self._grace_s = grace_s
        self._min_bytes_per_s = min_bytes_per_s

    @property
    def left_s(self) -> float:
        return max(0.0, self._left_s)

    def got(self, count: int, waited_s: float) -> None:
        """So many bytes came, after so long."""
        self._left_s = min(self._grace_s, self._left_s + count / self._min_bytes_per_s - waited_s)


async def chunks(request: web.Request, size: int) -> AsyncIterator[bytes]:
    """The body's parts as they come, of at most ``size`` bytes. Raises TooSlow."""
    pace, clock = Pace(), asyncio.get_running_loop().time
    while True:
        began = clock()
        try:
            async with asyncio.timeout(pace.left_s):
                part = await request.content.read(size)
        except TimeoutError:
            _hang_up(request)
            raise TooSlow(f"the body comes with less than {MIN_BODY_BYTES_PER_S} bytes a second") from None
        if not part:
            return
        pace.got(len(part), clock() - began)
        yield part


async def read_body(request: web.Request) -> bytes:
    """All of it; the application's client_max_size bounds it. Raises TooSlow."""
    try:
        async with asyncio.timeout(BODY_GRACE_S):
            return await request.read()
    except TimeoutError:
        _hang_up(request)
        raise TooSlow("the body does not come") from None


def _hang_up(request: web.Request) -> None:
    # Its rest would be waited for after the answer.
    request.protocol.keep_alive(False)
