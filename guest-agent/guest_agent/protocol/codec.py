"""Bytes to messages and back, driven by the table in messages.py. Pure.

Errors: :class:`Malformed` (and its subclass :class:`Unknown` for a type byte nobody defined). The caller
counts and drops; nothing else is disturbed.
"""

from __future__ import annotations

import struct
from typing import Any

from guest_agent.protocol.messages import (
    MAX_BLOB_BYTES,
    MAX_CHUNK_BYTES,
    MAX_HELD,
    MAX_TEXT_BYTES,
    MESSAGES,
    Channel,
    Direction,
    Message,
    wire_fields,
)

__all__ = ["Malformed", "Unknown", "decode", "encode"]

_FIXED = {"u8": ">B", "u16": ">H", "u32": ">I", "i16": ">h"}
_PLANS = {code: (m, wire_fields(m)) for code, m in MESSAGES.items()}


class Malformed(ValueError):
    """The bytes are not a message: too short, too long, out of range, not UTF-8, or on the wrong channel."""


class Unknown(Malformed):
    """No message has this type byte."""


def encode(message: Message) -> bytes:
    """Serialise. Raises Malformed when a value does not fit its field."""
    out = bytearray([message.code])
    for name, kind in wire_fields(type(message)):
        _put(out, kind, getattr(message, name))
    return bytes(out)


def decode(data: bytes, channel: Channel, direction: Direction) -> Message:
    """Parse one message that arrived on ``channel``. Raises Malformed or Unknown."""
    if not data:
        raise Malformed("empty message")
    plan = _PLANS.get(data[0])
    if plan is None:
        raise Unknown(f"type 0x{data[0]:02x}")
    cls, wanted = plan
    if cls.channel is not channel or cls.direction is not direction:
        raise Malformed(f"{cls.__name__} does not belong on {channel.value} {direction.value}")
    values: dict[str, Any] = {}
    at = 1
    try:
        for name, kind in wanted:
            values[name], at = _take(data, at, kind)
    except (struct.error, IndexError) as exc:
        raise Malformed(f"{cls.__name__} of {len(data)} bytes is cut short") from exc
    if at != len(data):
        raise Malformed(f"{cls.__name__} has {len(data) - at} bytes too many")
    return cls(**values)


def _put(out: bytearray, kind: str, value: Any) -> None:
    try:
        if kind == "bool":
            out.append(1 if value else 0)
        elif kind == "text":
            raw = value.encode()
            if len(raw) > MAX_TEXT_BYTES:
                raise Malformed(f"text of {len(raw)} bytes, at most {MAX_TEXT_BYTES}")
            out += struct.pack(">H", len(raw)) + raw
        elif kind == "bytes":
            if len(value) > MAX_CHUNK_BYTES:
                raise Malformed(f"{len(value)} bytes, at most {MAX_CHUNK_BYTES}")
            out += value
        elif kind == "blob":
            if len(value) > MAX_BLOB_BYTES:
                raise Malformed(f"blob of {len(value)} bytes, at most {MAX_BLOB_BYTES}")
            out += struct.pack(">H", len(value)) + value
        elif kind == "u32s":
            if len(value) > MAX_HELD:
                raise Malformed(f"{len(value)} keysyms, at most {MAX_HELD}")
            out += struct.pack(f">B{len(value)}I", len(value), *value)
        else:
            out += struct.pack(_FIXED[kind], value)
    except (struct.error, UnicodeError) as exc:
        raise Malformed(f"{value!r} does not fit {kind}") from exc


def _take(data: bytes, at: int, kind: str) -> tuple[Any, int]:
    if kind == "bool":
        if data[at] > 1:
            raise Malformed(f"bool is {data[at]}")
        return bool(data[at]), at + 1
    if kind == "text":
        (size,) = struct.unpack_from(">H", data, at)
        raw = data[at + 2 : at + 2 + size]
        if size > MAX_TEXT_BYTES or len(raw) != size:
            raise Malformed(f"text of {size} bytes, {len(raw)} there, at most {MAX_TEXT_BYTES}")
        try:
            return raw.decode(), at + 2 + size
        except UnicodeDecodeError as exc:
            raise Malformed("text is not UTF-8") from exc
    if kind == "bytes":
        if len(data) - at > MAX_CHUNK_BYTES:
            raise Malformed(f"{len(data) - at} bytes, at most {MAX_CHUNK_BYTES}")
        return data[at:], len(data)
    if kind == "blob":
        (size,) = struct.unpack_from(">H", data, at)
        raw = data[at + 2 : at + 2 + size]
        if size > MAX_BLOB_BYTES or len(raw) != size:
            raise Malformed(f"blob of {size} bytes, {len(raw)} there, at most {MAX_BLOB_BYTES}")
        return raw, at + 2 + size
    if kind == "u32s":
        count = data[at]
        if count > MAX_HELD:
            raise Malformed(f"{count} keysyms, at most {MAX_HELD}")
        return struct.unpack_from(f">{count}I", data, at + 1), at + 1 + 4 * count
    fmt = _FIXED[kind]
    (value,) = struct.unpack_from(fmt, data, at)
    return value, at + struct.calcsize(fmt)
