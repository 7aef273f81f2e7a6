"""One viewer's end of the shared stream: what aiortc's sender pulls frames from.

A frame slot, not a queue: the media thread makes no frame before the last one was taken, so a second frame only
arrives when this viewer is stuck. It is then dropped, and since every frame builds on the one before, so is all that
follows until the next keyframe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from guest_agent.h264 import EncodedFrame
from guest_agent.videocodec import Codec, PayloadTypes

__all__ = ["ScreenTrack"]


class ScreenTrack(MediaStreamTrack):
    """Args:
    on_idle: the sender has sent what it took and waits for more. The first call means that it is ready to send.
    on_stop: no more frames will be taken.

    ``on_sent``, where somebody sets it, is called with each frame whose last packet has been handed to the socket.
    """

    kind = "video"

    def __init__(self, on_idle: Callable[[ScreenTrack], None], on_stop: Callable[[ScreenTrack], None]) -> None:
        super().__init__()
        self._on_idle = on_idle
        self._on_stop = on_stop
        self._frame: EncodedFrame | None = None
        self._sending: EncodedFrame | None = None
        self.on_sent: Callable[[EncodedFrame], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.codecs: tuple[Codec, ...] = (Codec.H264,)
        """What the viewer decodes, first what its stream begins with; known before the first pull."""
        self.payload_types: Mapping[Codec, PayloadTypes] = {}
        """Of each codec, for the sender."""
        self.needs_key = True
        """Frames are dropped until a keyframe comes."""
        self._pulling = False
        self.frames = 0
        self.dropped = 0

    @property
    def idle(self) -> bool:
        """The sender has sent all there was and waits."""
        return self._pulling and self._frame is None

    @property
    def pending(self) -> bool:
        """A frame waits for the sender."""
        return self._frame is not None

    def settle(self, payload_types: Mapping[Codec, PayloadTypes]) -> None:
        """What was negotiated."""
        self.codecs, self.payload_types = tuple(payload_types), payload_types

    def restart(self) -> None:
        """The next frame is of another encode."""
        self._frame = None
        self.needs_key = True

    def offer(self, frame: EncodedFrame) -> bool:
        """Hand over the next frame of the stream. False: dropped, this viewer needs a keyframe."""
        if self._frame is not None:
            self._frame = None
            self.needs_key = True
            self.dropped += 1
        if self.needs_key and not frame.key:
            self.dropped += 1
            return False
        self.needs_key = False
        self._frame = frame
        self.frames += 1
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        return True

    async def recv(self) -> EncodedFrame:  # type: ignore[override]
        """The next frame, for the sender (videosender.py).

        Raises MediaStreamError once stopped and nothing else: any other exception would end the sender without a
        word, and the video would stand still for ever.
        """
        while self._frame is None:
            if self.readyState != "live":
                raise MediaStreamError
            self._pulling = True
            self._waiter = asyncio.get_running_loop().create_future()
            self._on_idle(self)
            try:
                await self._waiter
            finally:
                self._pulling = False
                self._waiter = None
        self._sending, self._frame = self._frame, None
        return self._sending

    def all_sent(self) -> None:
        """The last packet of the frame that ``recv`` gave went to the socket."""
        sent, self._sending = self._sending, None
        if sent is not None and self.on_sent is not None:
            self.on_sent(sent)

    def stop(self) -> None:
        """Idempotent."""
        if self.readyState != "live":
            return
        super().stop()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._on_stop(self)
