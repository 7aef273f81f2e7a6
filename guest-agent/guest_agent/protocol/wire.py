"""What data-channel messages are made of: fields and their wire forms, channels, directions."""

from __future__ import annotations

from dataclasses import field, fields
from enum import Enum
from typing import Any, ClassVar

__all__ = ["Channel", "Direction", "Message", "wire", "wire_fields"]


class Channel(Enum):
    INPUT = "input"
    POINTER = "pointer"
    CONTROL = "control"
    CLIPBOARD = "clipboard"


class Direction(Enum):
    TO_AGENT = "to-agent"
    TO_VIEWER = "to-viewer"


def wire(kind: str) -> Any:
    """A field's wire form: u8, u16, u32, i16, bool (u8, 0 or 1), text (u16 byte length + UTF-8),
    u32s (u8 count + u32 each), blob (u16 byte length + bytes), bytes (the rest of the message)."""
    return field(metadata={"wire": kind})


class Message:
    """Base of all messages; ``code`` is the type byte."""

    __slots__ = ()
    code: ClassVar[int]
    channel: ClassVar[Channel]
    direction: ClassVar[Direction]


def wire_fields(message: type[Message]) -> list[tuple[str, str]]:
    """Field names and wire kinds, in wire order."""
    return [(f.name, f.metadata["wire"]) for f in fields(message)]  # type: ignore[arg-type]
