"""A clipboard in chunks, each way of one viewer's channel. Pure: messages in, messages and contents out.

One transfer at a time in each direction. A newer one replaces the older, which nobody wants any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from guest_agent.clipboard.content import LIMITS, BadContent, Content, Kind, Limits
from guest_agent.protocol.messages import (
    MAX_CHUNK_BYTES,
    ClipboardCancel,
    ClipboardChunk,
    ClipboardOffer,
    GuestClipboardCancel,
    GuestClipboardChunk,
    GuestClipboardOffer,
    Message,
)

__all__ = ["Arrived", "Receiver", "Refused", "Sender"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """All of it is there."""

    id: int
    content: Content


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing more of it is taken."""

    id: int
    why: str


class Receiver:
    """Puts a viewer's chunks together. Holds at most the larger of the limits."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.dropped = 0
        """Chunks of no transfer: of one that was refused, replaced or cancelled, or never offered."""
        self._limits = limits
        self._id: int | None = None
        self._kind = Kind.TEXT
        self._size = 0
        self._data = bytearray()

    def receive(self, message: Message) -> Arrived | Refused | None:
        """Take a ClipboardOffer, ClipboardChunk or ClipboardCancel."""
        match message:
            case ClipboardOffer(ident, kind, size):
                return self._offer(ident, kind, size)
            case ClipboardChunk(ident, data):
                return self._chunk(ident, data)
            case ClipboardCancel(ident) if ident == self._id:
                self.forget()
        return None

    def forget(self) -> None:
        """Drop what is under way."""
        self._id = None
        self._data = bytearray()

    def _offer(self, ident: int, kind: int, size: int) -> Arrived | Refused | None:
        self.forget()
        try:
            self._kind = Kind(kind)
        except ValueError:
            return Refused(ident, f"kind {kind}")
        if size > self._limits.of(self._kind):
            return Refused(ident, f"{size} bytes, at most {self._limits.of(self._kind)}")
        self._id, self._size = ident, size
        return self._finish(ident) if size == 0 else None

    def _chunk(self, ident: int, data: bytes) -> Arrived | Refused | None:
        if ident != self._id:
            self.dropped += 1
            return None
        if len(self._data) + len(data) > self._size:
            self.forget()
            return Refused(ident, f"more than the {self._size} bytes that were offered")
        self._data += data
        return self._finish(ident) if len(self._data) == self._size else None

    def _finish(self, ident: int) -> Arrived | Refused:
        data = bytes(self._data)
        self.forget()
        try:
            return Arrived(ident, Content.checked(self._kind, data, self._limits))
        except BadContent as exc:
            return Refused(ident, str(exc))


class Sender:
    """Cuts the guest's clipboard up. ``next`` gives what to send whenever the channel has room."""

    def __init__(self) -> None:
        self._last_id = 0
        self._messages: Iterator[Message] = iter(())
        self._under_way: int | None = None
        self._waiting: list[Message] = []

    def offer(self, content: Content) -> None:
        """Send this from now on, instead of what is under way."""
        self.cancel()
        self._last_id = (self._last_id + 1) & 0xFFFFFFFF
        self._under_way = self._last_id
        self._messages = self._cut(self._last_id, content)

    def cancel(self) -> None:
        """Stop, and tell the viewer where it has begun."""
        if self._under_way is not None:
            self._waiting = [GuestClipboardCancel(self._under_way)]
        self._under_way = None
        self._messages = iter(())

    def refused(self, ident: int) -> None:
        """The viewer wants no more of it."""
        if ident == self._under_way:
            self._under_way = None
            self._messages = iter(())

    def next(self) -> Message | None:
        """The next message; None when there is nothing to send."""
        if self._waiting:
            return self._waiting.pop()
        return next(self._messages, None)

    def _cut(self, ident: int, content: Content) -> Iterator[Message]:
        yield GuestClipboardOffer(ident, content.kind, len(content.data))
        for at in range(0, len(content.data), MAX_CHUNK_BYTES):
            yield GuestClipboardChunk(ident, content.data[at : at + MAX_CHUNK_BYTES])
        self._under_way = None
