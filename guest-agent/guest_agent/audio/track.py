"""One viewer's end of the sound: what aiortc's sender pulls packets from.

A short queue, since senders take packets one by one while the loop may be busy with a frame of video; full, it drops
the oldest, which would be heard too late anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from guest_agent.audio.opus import SoundPacket

__all__ = ["MAX_WAITING", "SoundTrack"]

MAX_WAITING = 10
"""Packets: 100 ms."""


class SoundTrack(MediaStreamTrack):
    """Args:
    on_listen: this viewer wants to hear, or no longer does.
    """

    kind = "audio"

    def __init__(self, on_listen: Callable[[SoundTrack, bool], None]) -> None:
        super().__init__()
        self._on_listen = on_listen
        self._queue: deque[SoundPacket] = deque(maxlen=MAX_WAITING)
        self._waiter: asyncio.Future[None] | None = None
        self.listening = False

    def listen(self, on: bool) -> None:
        """Off, nothing is sent; what waits is dropped. Idempotent."""
        if on == self.listening or self.readyState != "live":
            return
        self.listening = on
        self._queue.clear()
        self._on_listen(self, on)

    def offer(self, packet: SoundPacket) -> bool:
        """Hand over the next packet of the stream. False: another one was dropped for it."""
        full = len(self._queue) == MAX_WAITING
        self._queue.append(packet)
        self._wake()
        return not full

    async def recv(self) -> SoundPacket:  # type: ignore[override]
        """The next packet. aiortc hands whatever this returns to the encoder's ``pack`` (rtp.py).

        Raises MediaStreamError once stopped and nothing else (see ScreenTrack.recv).
        """
        while not self._queue:
            if self.readyState != "live":
                raise MediaStreamError
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._queue.popleft()

    def stop(self) -> None:
        """Idempotent."""
        if self.readyState != "live":
            return
        self.listen(False)
        super().stop()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
