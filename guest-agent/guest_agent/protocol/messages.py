"""Data-channel messages between the viewer and the agent.

A message is one type byte and then its fields, big-endian, in the order they stand here. Data channels
keep message boundaries, so there is no length field. Four channels (created by the viewer):

========== =============================== =============================================
channel    reliability                     carries
========== =============================== =============================================
``input``  ordered, reliable               keys, buttons, wheel, text, release-all, held
``pointer``unordered, no retransmissions   moves; an older seq than the last is dropped
``clipboard`` ordered, reliable            clipboards, in chunks
``control``ordered, reliable               hello, size, cursor, ping and pong, stats
========== =============================== =============================================

Positions are u16 fractions of the display: ``floor((px + 0.5) * 65536 / size_px)`` on the way out,
``floor(value * size_px / 65536)`` on the way in, so a resize in flight cannot misplace a click.

The clipboard's messages are in clipboard.py, what a message is made of in wire.py.
``python -m guest_agent.protocol.codegen`` writes the TypeScript table; vectors.json is run by both sides.
A new field is a new type byte, or a new VERSION.
"""

from __future__ import annotations

from dataclasses import dataclass

from guest_agent.protocol.clipboard import (
    MAX_CHUNK_BYTES,
    ClipboardAck,
    ClipboardCancel,
    ClipboardChunk,
    ClipboardOffer,
    ClipboardWays,
    GuestClipboardAck,
    GuestClipboardCancel,
    GuestClipboardChunk,
    GuestClipboardOffer,
)
from guest_agent.protocol.wire import Channel, Direction, Message, wire, wire_fields

__all__ = [
    "MAX_CHUNK_BYTES",
    "MESSAGES",
    "VERSION",
    "Audio",
    "Button",
    "Channel",
    "ClipboardAck",
    "ClipboardCancel",
    "ClipboardChunk",
    "ClipboardOffer",
    "ClipboardWays",
    "Control",
    "Crisp",
    "Cursor",
    "Direction",
    "FrameTimes",
    "GuestClipboardAck",
    "GuestClipboardCancel",
    "GuestClipboardChunk",
    "GuestClipboardOffer",
    "Held",
    "Hello",
    "Instant",
    "IsCrisp",
    "Key",
    "Message",
    "Move",
    "Ping",
    "Pointer",
    "Pong",
    "ReleaseAll",
    "Size",
    "Taken",
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
    seq: int = wire("u32")
    x: int = wire("u16")
    y: int = wire("u16")


@dataclass(frozen=True, slots=True)
class Key(_Input):
    """A key went down or up, named by its X keysym (X11 protocol, appendix A).

    Down while it is down is a repeat: the viewer's keyboard repeats, the guest's X server does not.
    """

    code = 0x02
    seq: int = wire("u32")
    keysym: int = wire("u32")
    down: bool = wire("bool")


@dataclass(frozen=True, slots=True)
class Button(_Input):
    """A button (1 left, 2 middle, 3 right, 8 back, 9 forward) at its own place."""

    code = 0x03
    seq: int = wire("u32")
    button: int = wire("u8")
    down: bool = wire("bool")
    x: int = wire("u16")
    y: int = wire("u16")


@dataclass(frozen=True, slots=True)
class Wheel(_Input):
    """Scroll by 1/120 notches: positive dx right, positive dy down."""

    code = 0x04
    seq: int = wire("u32")
    dx: int = wire("i16")
    dy: int = wire("i16")
    x: int = wire("u16")
    y: int = wire("u16")


@dataclass(frozen=True, slots=True)
class Text(_Input):
    """Composed text (IME, on-screen keyboard), at most 1,024 bytes of UTF-8; typed as keysyms."""

    code = 0x05
    seq: int = wire("u32")
    text: str = wire("text")


@dataclass(frozen=True, slots=True)
class ReleaseAll(_Input):
    """Nothing is held any more: the viewer lost the focus, or has control back (Control)."""

    code = 0x06
    seq: int = wire("u32")


@dataclass(frozen=True, slots=True)
class Held(_Input):
    """Heartbeat every 500 ms while anything is held: keysyms and buttons still down.

    What the agent holds and this does not name is released; 2 s without one releases everything.
    """

    code = 0x07
    seq: int = wire("u32")
    buttons: int = wire("u32")
    """Bit n is button n."""
    keysyms: tuple[int, ...] = wire("u32s")


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """First message of a viewer on ``control``."""

    code = 0x20
    channel = Channel.CONTROL
    direction = Direction.TO_AGENT
    version: int = wire("u16")


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Asks for a Pong; ``stamp`` is the viewer's own and comes back unread."""

    code = 0x21
    channel = Channel.CONTROL
    direction = Direction.TO_AGENT
    stamp: int = wire("u32")


@dataclass(frozen=True, slots=True)
class WantTimes(Message):
    """Send FrameTimes from now on, or no more; answered by an Instant, so that clocks can be joined."""

    code = 0x22
    channel = Channel.CONTROL
    direction = Direction.TO_AGENT
    on: bool = wire("bool")
    stamp: int = wire("u32")
    """The viewer's own; comes back unread."""


@dataclass(frozen=True, slots=True)
class Audio(Message):
    """The viewer wants to hear the desktop, or no longer does. Nothing is sent before the first; any role may ask."""

    code = 0x26
    channel = Channel.CONTROL
    direction = Direction.TO_AGENT
    on: bool = wire("bool")


@dataclass(frozen=True, slots=True)
class Crisp(Message):
    """The viewer asks for a picture with full chroma (4:4:4), or no longer does; answered by IsCrisp if it comes.

    Only where the answer to its offer has H.264 High 4:4:4 Predictive, and only of those whose role is to control.
    """

    code = 0x27
    channel = Channel.CONTROL
    direction = Direction.TO_AGENT
    on: bool = wire("bool")


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """Answer to Hello: the agent's version, whether this viewer's role is to control, and the display in px."""

    code = 0x80
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    version: int = wire("u16")
    controls: bool = wire("bool")
    width: int = wire("u16")
    height: int = wire("u16")


@dataclass(frozen=True, slots=True)
class Pong(Message):
    code = 0x81
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    stamp: int = wire("u32")


@dataclass(frozen=True, slots=True)
class Size(Message):
    """The display is now this large, in px."""

    code = 0x82
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    width: int = wire("u16")
    height: int = wire("u16")


@dataclass(frozen=True, slots=True)
class Control(Message):
    """Whether this viewer's input counts now; said after Welcome and whenever anything about control changes.

    Who else controls or asks for it, the gateway tells (control of a session). Who hears that its input counts again
    says ReleaseAll before all else: keys by this connection that come before it were sent unknowing and do not count.
    """

    code = 0x84
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    controls: bool = wire("bool")


@dataclass(frozen=True, slots=True)
class Cursor(Message):
    """The pointer's shape from now on. It is never in the video.

    A shape comes with its image once and is kept in its slot; without one it is what the slot holds. Slot 0 holds
    nothing: the pointer is hidden.
    """

    code = 0x83
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    slot: int = wire("u8")
    x: int = wire("u8")
    """The hotspot in px of the image, and y."""
    y: int = wire("u8")
    image: bytes = wire("blob")
    """PNG, at most 128 px wide and high; or empty."""


@dataclass(frozen=True, slots=True)
class Pointer(Message):
    """Where the pointer stands, to a viewer who does not move it."""

    code = 0x87
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    x: int = wire("u16")
    y: int = wire("u16")


@dataclass(frozen=True, slots=True)
class IsCrisp(Message):
    """Whether this viewer's picture has full chroma from now on. It has none at first, and may change unasked."""

    code = 0x88
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    on: bool = wire("bool")


@dataclass(frozen=True, slots=True)
class Taken(Message):
    """The last Key, Text or ReleaseAll of this viewer that counted, by any of its connections; 0 when there was none.

    Said while it types, and before the Control by which its input counts. A page numbers its input across its
    connections and from a random start, and says again what came after this and was lost with a connection.
    """

    code = 0x89
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    seq: int = wire("u32")


@dataclass(frozen=True, slots=True)
class FrameTimes(Message):
    """When a frame came to be: instants of the agent's clock in us, which wraps (times.FrameStamps says of what)."""

    code = 0x8A
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    rtp: int = wire("u32")
    """The frame's RTP timestamp, as requestVideoFrameCallback names it."""
    seq: int = wire("u32")
    """Of the last input that reached the X server before the frame was grabbed."""
    received: int = wire("u32")
    injected: int = wire("u32")
    damaged: int = wire("u32")
    captured: int = wire("u32")
    encoded: int = wire("u32")
    sent: int = wire("u32")


@dataclass(frozen=True, slots=True)
class Instant(Message):
    """Answer to WantTimes: what the clock of FrameTimes said."""

    code = 0x8B
    channel = Channel.CONTROL
    direction = Direction.TO_VIEWER
    stamp: int = wire("u32")
    at: int = wire("u32")


MESSAGES: dict[int, type[Message]] = {
    m.code: m
    for m in (
        *(Move, Key, Button, Wheel, Text, ReleaseAll, Held),
        *(Hello, Ping, WantTimes, Audio, Crisp),
        *(Welcome, Pong, Size, Control, Cursor, Pointer, IsCrisp, Taken, FrameTimes, Instant),
        *(ClipboardOffer, ClipboardChunk, ClipboardCancel, ClipboardAck),
        *(GuestClipboardOffer, GuestClipboardChunk, GuestClipboardCancel, GuestClipboardAck, ClipboardWays),
    )
}
