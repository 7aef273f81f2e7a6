"""The messages of the ``clipboard`` channel (messages.py says what a message is)."""

from __future__ import annotations

from dataclasses import dataclass

from guest_agent.protocol.wire import Channel, Direction, Message, wire

__all__ = [
    "MAX_CHUNK_BYTES",
    "ClipboardAck",
    "ClipboardCancel",
    "ClipboardChunk",
    "ClipboardOffer",
    "ClipboardWays",
    "GuestClipboardAck",
    "GuestClipboardCancel",
    "GuestClipboardChunk",
    "GuestClipboardOffer",
]

MAX_CHUNK_BYTES = 16 * 1024
"""Small, since other channels' messages wait behind what is under way on their association."""


class _ToGuest(Message):
    __slots__ = ()
    channel = Channel.CLIPBOARD
    direction = Direction.TO_AGENT


class _FromGuest(Message):
    __slots__ = ()
    channel = Channel.CLIPBOARD
    direction = Direction.TO_VIEWER


@dataclass(frozen=True, slots=True)
class ClipboardOffer(_ToGuest):
    """The viewer's clipboard: ``size`` bytes follow in chunks of the same id. It replaces one that is under way."""

    code = 0x30
    id: int = wire("u32")
    kind: int = wire("u8")
    """1 text (UTF-8), 2 PNG."""
    size: int = wire("u32")


@dataclass(frozen=True, slots=True)
class ClipboardChunk(_ToGuest):
    """The next bytes. The last one ends the transfer, by its size."""

    code = 0x31
    id: int = wire("u32")
    data: bytes = wire("bytes")


@dataclass(frozen=True, slots=True)
class ClipboardCancel(_ToGuest):
    """No more of it will come."""

    code = 0x32
    id: int = wire("u32")


@dataclass(frozen=True, slots=True)
class ClipboardAck(_ToGuest):
    """What the guest sent is there (``taken``), or was refused and needs no more chunks."""

    code = 0x33
    id: int = wire("u32")
    taken: bool = wire("bool")


@dataclass(frozen=True, slots=True)
class GuestClipboardOffer(_FromGuest):
    """As ClipboardOffer, of the guest's clipboard."""

    code = 0x90
    id: int = wire("u32")
    kind: int = wire("u8")
    size: int = wire("u32")


@dataclass(frozen=True, slots=True)
class GuestClipboardChunk(_FromGuest):
    code = 0x91
    id: int = wire("u32")
    data: bytes = wire("bytes")


@dataclass(frozen=True, slots=True)
class GuestClipboardCancel(_FromGuest):
    code = 0x92
    id: int = wire("u32")


@dataclass(frozen=True, slots=True)
class GuestClipboardAck(_FromGuest):
    """The guest's programs can paste what the viewer sent (``taken``), or it was refused."""

    code = 0x93
    id: int = wire("u32")
    taken: bool = wire("bool")


@dataclass(frozen=True, slots=True)
class ClipboardWays(_FromGuest):
    """Which ways this viewer may copy now. First message on the channel; again when that changes."""

    code = 0x94
    to_guest: bool = wire("bool")
    to_viewer: bool = wire("bool")
