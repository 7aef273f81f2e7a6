"""Data-channel messages between the viewer and the agent.

A message is one type byte and then its fields, big-endian, in the order they stand here. Data channels
keep message boundaries, so there is no length field. Three channels (created by the viewer):

========== =============================== =============================================
channel    reliability                     carries
========== =============================== =============================================
``input``  ordered, reliable               keys, buttons, wheel, text, release-all, held
``pointer``unordered, no retransmissions   moves; an older seq than the last is dropped
``control``ordered, reliable               hello, size, cursor, ping and pong, stats
========== =============================== =============================================

Positions are u16 fractions of the display: ``floor((px + 0.5) * 65536 / size_px)`` on the way out,
``floor(value * size_px / 65536)`` on the way in, so a resize in flight cannot misplace a click.

``python -m guest_agent.protocol.codegen`` writes the TypeScript table; vectors.json is run by both sides.
A new field is a new type byte, or a new VERSION.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar

__all__ = [
    "MESSAGES",
    "VERSION",
    "Button",
    "Channel",
    "Cursor",
    "Direction",
    "FrameTimes",
    "Held",
    "Hello",
    "Instant",
    "Key",
    "Message",
    "Move",
    "Ping",
    "Pointer",
    "Pong",
    "ReleaseAll",
    "Size",
    "Text",
    "WantTimes",
    "Welcome",
    "Wheel",
    "wire_fields",
]

VERSION = 1
"""Bumped on an incompatible change. Hello and Welcome carry it."""

MAX_TEXT_BYTES = 1024
MAX_HELD = 32
MAX_BLOB_BYTES = 48 * 1024
CURSOR_SLOTS = 32
"""Cursors that a viewer keeps; slot 0 is no cursor at all."""


class Channel(Enum):
    INPUT = "input"
    POINTER = "pointer"
    CONTROL = "control"


class Direction(Enum):
    TO_AGENT = "to-agent"
    TO_VIEWER = "to-viewer"


def _wire(kind: str) -> Any:
    """A field's wire form: u8, u16, u32, i16, bool (u8, 0 or 1), text (u16 byte length + UTF-8),
    u32s (u8 count + u32 each), blob (u16 byte length + bytes)."""
    return field(metadata={"wire": kind})


class Message:
    """Base of all messages; ``code`` is the type byte."""

    __slots__ = ()
    code: ClassVar[int]
    channel: ClassVar[Channel]
    direction: ClassVar[Direction]


class _Input(Message):
    __slots__ = ()
    channel = Channel.INPUT
    direction = Direction.TO_AGENT


@dataclass(frozen=True, slots=True)
class Move(Message):
    """Pointer moved. The newest wins."""

    code = 0x01
    channel = Channel.POINTER
    direction = Direction.TO_AGENT
    seq: int = _wire("u32")
    x: int = _wire("u16")
    y: int = _wire("u16")


@dataclass(frozen=True, slots=True)
class Key(_Input):
    """A key went down or up, named by its X keysym (X11 protocol, appendix A).

    Down while it is down is a repeat: the viewer's keyboard repeats, the guest's X server does not.
    """

    code = 0x02
    seq: int = _wire("u32")
    keysym: int = _wire("u32")
    down: bool = _wire("bool")


@dataclass(frozen=True, slots=True)
class Button(_Input):
    """A button (1 left, 2 middle, 3 right, 8 back, 9 forward) at its own place."""

    code = 0x03
    seq: int = _wire("u32")
    button: int = _wire("u8")
    down: bool = _wire("bool")
    x: int = _wire("u16")
    y: int = _wire("u16")


@dataclass(frozen=True, slots=True)
class Wheel(_Input):
    """Scroll by 1/120 notches: positive dx right, positive dy down."""

    code = 0x04
    seq: int = _wire("u32")
    dx: int = _wire("i16")
    dy: int = _wire("i16")
    x: int = _wire("u16")
    y: int = _wire("u16")


@dataclass(frozen=True, slots=True)
class Text(_Input):
    """Composed text (IME, on-screen keyboard), at most 1,024 bytes of UTF-8; typed as keysyms."""

    code = 0x05
    seq: int = _wire("u32")
    text: str = _wire("text")


@dataclass(frozen=True, slots=True)
class ReleaseAll(_Input):
    """The viewer lost focus: nothing is held any more."""

    code = 0x06
    seq: int = _wire("u32")


@dataclass(frozen=True, slots=True)
class Held(_Input):
    """Heartbeat every 500 ms while anything is held: keysyms and buttons still down.

    What the agent holds and this does not name is released; 2 s without one releases everything.
    """

    code = 0x07
    seq: int = _wire("u32")
    buttons: int = _wire("u32")
    """Bit n is button n."""
    keysyms: tuple[int, ...] = _wire("u32s")


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First message of a viewer on ``control``."""

    code = 0x20
    channel = Channel.CONTROL
    direction = Direction.TO_AGENT
    version: int = _wire("u16")


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Asks for a Pong; ``stamp`` is the viewer's own and comes back unread."""

    code = 0x21
    channel = Channel.CONTROL
    direction = Direction.TO_AGENT
    stamp: int = _wire("u32")


@dataclass(frozen=True, slots=True)
class WantTimes(Message):
    """Send FrameTimes from now on, or no more; answered by an Instant, so that clocks can be joined."""

    code = 0x22
    channel = Channel.CONTROL
    direction = Direction.TO_AGENT
    on: bool = _wire("bool")
    stamp: int = _wire("u32")
    """The viewer's own; comes back unread."""


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """Answer to Hello: the agent's version, whether this viewer controls, and the display in px."""

    code = 0x80
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    version: int = _wire("u16")
    controls: bool = _wire("bool")
    width: int = _wire("u16")
    height: int = _wire("u16")


@dataclass(frozen=True, slots=True)
class Pong(Message):
    code = 0x81
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    stamp: int = _wire("u32")


@dataclass(frozen=True, slots=True)
class Size(Message):
    """The display is now this large, in px."""

    code = 0x82
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    width: int = _wire("u16")
    height: int = _wire("u16")


@dataclass(frozen=True, slots=True)
class Cursor(Message):
    """The pointer's shape from now on. It is never in the video.

    A shape comes with its image once and is kept in its slot; without one it is what the slot holds. Slot 0 holds
    nothing: the pointer is hidden.
    """

    code = 0x83
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    slot: int = _wire("u8")
    x: int = _wire("u8")
    """The hotspot in px of the image, and y."""
    y: int = _wire("u8")
    image: bytes = _wire("blob")
    """PNG, at most 128 px wide and high; or empty."""


@dataclass(frozen=True, slots=True)
class Pointer(Message):
    """Where the pointer stands, to a viewer who does not move it."""

    code = 0x87
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    x: int = _wire("u16")
    y: int = _wire("u16")


@dataclass(frozen=True, slots=True)
class FrameTimes(Message):
    """When a frame came to be: instants of the agent's clock in us, which wraps (times.FrameStamps says of what)."""

    code = 0x8A
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    rtp: int = _wire("u32")
    """The frame's RTP timestamp, as requestVideoFrameCallback names it."""
    seq: int = _wire("u32")
    """Of the last input that reached the X server before the frame was grabbed."""
    received: int = _wire("u32")
    injected: int = _wire("u32")
    damaged: int = _wire("u32")
    captured: int = _wire("u32")
    encoded: int = _wire("u32")
    sent: int = _wire("u32")


@dataclass(frozen=True, slots=True)
class Instant(Message):
    """Answer to WantTimes: what the clock of FrameTimes said."""

    code = 0x8B
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    stamp: int = _wire("u32")
    at: int = _wire("u32")


MESSAGES: dict[int, type[Message]] = {
    m.code: m
    for m in (
        *(Move, Key, Button, Wheel, Text, ReleaseAll, Held),
        *(Hello, Ping, WantTimes),
        *(Welcome, Pong, Size, Cursor, Pointer, FrameTimes, Instant),
    )
}


def wire_fields(message: type[Message]) -> list[tuple[str, str]]:
    """Field names and wire kinds, in wire order."""
    return [(f.name, f.metadata["wire"]) for f in fields(message)]  # type: ignore[arg-type]
