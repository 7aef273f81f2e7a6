"""What the media half and the rest of the agent know of each other.

The agent's composition root builds a ``MediaHub`` (media.py) and hands it an :class:`InputSink`; nothing
else crosses this border. Everything here is called on the asyncio loop's thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from guest_agent.protocol.messages import Message

__all__ = [
    "ClipboardChannel",
    "ClipboardSink",
    "InputSink",
    "OfferResult",
    "PeerEvent",
    "PeerInfo",
    "PeerState",
    "Role",
]


class Role(Enum):
    CONTROL = "control"
    VIEW = "view"
    """Sees and hears; every input message is counted and dropped."""


class PeerState(Enum):
    CONNECTED = "connected"
    CLOSED = "closed"
    """Final; comes once per peer, whether it was ever connected or not."""


@dataclass(frozen=True, slots=True)
class PeerEvent:
    """A viewer's connection changed (the link's ``peer`` notification)."""

    peer: str
    state: PeerState
    reason: str = ""
    """Why it closed: "bye", "replaced", "connection failed", "agent stopping"."""


@dataclass(frozen=True, slots=True)
class OfferResult:
    """The answer to an offer, with the peer's ICE identity (RFC 8445 5.3) for the gateway's relay."""

    sdp: str
    ufrag: str
    pwd: str
    port: int
    """UDP port of the answer's only candidate."""


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """A live peer, as HELLO_RESULT lists it."""

    peer: str
    ufrag: str
    pwd: str
    port: int


class ClipboardChannel(Protocol):
    """A viewer's data channel, as far as clipboards go over it (aiortc's RTCDataChannel)."""

    @property
    def readyState(self) -> str: ...

    @property
    def bufferedAmount(self) -> int: ...

    def send(self, data: bytes) -> None: ...


class ClipboardSink(Protocol):
    """Where the viewers' clipboards go (clipboard/exchange.py)."""

    def opened(self, peer: str, role: Role, channel: ClipboardChannel) -> None:
        """A viewer listens."""

    def receive(self, peer: str, data: object) -> None:
        """One message of it."""

    def writable(self, peer: str) -> None:
        """Nothing waits in its channel any more."""

    def closed(self, peer: str, channel: ClipboardChannel) -> None:
        """It hears nothing any more."""


class InputSink(Protocol):
    """Where decoded viewer input goes."""

    def handle(self, peer: str, message: Message) -> None:
        """Take one message of the ``input`` or ``pointer`` channel (Move, Key, Button, Wheel, Text, ReleaseAll,
        Held), in order of arrival. Only from peers with the control role. Must not block."""

    def peer_gone(self, peer: str) -> None:
        """The peer can send nothing any more: whatever it held down must go up. Once per peer."""
