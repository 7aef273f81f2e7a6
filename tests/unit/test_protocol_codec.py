"""Data-channel messages: the shared vectors, round trips, and the generated TypeScript table."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.protocol import codegen
from guest_agent.protocol.codec import Malformed, Unknown, decode, encode
from guest_agent.protocol.messages import (
    MAX_BLOB_BYTES,
    MAX_CHUNK_BYTES,
    MAX_HELD,
    MAX_TEXT_BYTES,
    MESSAGES,
    Channel,
    ClipboardChunk,
    Cursor,
    Direction,
    GuestClipboardChunk,
    Message,
    Text,
    wire_fields,
)

VECTORS = json.loads((Path(codegen.__file__).parent / "vectors.json").read_text())
BY_NAME = {message.__name__: message for message in MESSAGES.values()}

WIRE = {
    "u8": st.integers(0, 0xFF),
    "u16": st.integers(0, 0xFFFF),
    "u32": st.integers(0, 0xFFFFFFFF),
    "i16": st.integers(-0x8000, 0x7FFF),
    "bool": st.booleans(),
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=MAX_TEXT_BYTES // 4),
    "bytes": st.binary(max_size=200),
    "u32s": st.lists(st.integers(0, 0xFFFFFFFF), max_size=MAX_HELD).map(tuple),
    "blob": st.binary(max_size=300),
}


def anything() -> st.SearchStrategy[Message]:
    return st.one_of(
        [st.builds(cls, **{name: WIRE[kind] for name, kind in wire_fields(cls)}) for cls in MESSAGES.values()]
    )


def fields(message: Message) -> dict[str, Any]:
    values = dataclasses.asdict(message)  # type: ignore[call-overload]
    plain = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}
    return {"type": type(message).__name__, **plain}


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda v: f"{v['message']['type']}-{v['hex'][:20]}")
def test_valid_vectors(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["hex"])
    message = decode(raw, Channel(vector["channel"]), Direction(vector["direction"]))
    assert fields(message) == vector["message"]
    assert encode(message) == raw


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda v: v["why"])
def test_invalid_vectors(vector: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(vector["hex"]), Channel(vector["channel"]), Direction(vector["direction"]))


def test_every_message_has_vectors() -> None:
    assert {vector["message"]["type"] for vector in VECTORS["valid"]} == set(BY_NAME)


@given(anything())
def test_round_trip(message: Message) -> None:
    assert decode(encode(message), message.channel, message.direction) == message


@given(anything(), st.binary(min_size=1, max_size=4))
def test_a_byte_more_or_less_is_malformed(message: Message, surplus: bytes) -> None:
    raw = encode(message)
    if isinstance(message, ClipboardChunk | GuestClipboardChunk):
        # Theirs are the bytes to the end, up to a limit.
        surplus, raw = bytes(MAX_CHUNK_BYTES + 1), raw[:5]
    with pytest.raises(Malformed):
        decode(raw + surplus, message.channel, message.direction)
    with pytest.raises(Malformed):
        decode(raw[:-1], message.channel, message.direction)


@given(st.binary(max_size=64), st.sampled_from(Channel), st.sampled_from(Direction))
def test_any_bytes_are_a_message_or_malformed(raw: bytes, channel: Channel, direction: Direction) -> None:
    try:
        message = decode(raw, channel, direction)
    except Malformed:
        return
    assert encode(message) == raw


@given(anything(), st.sampled_from(Channel), st.sampled_from(Direction))
def test_the_wrong_channel_is_malformed(message: Message, channel: Channel, direction: Direction) -> None:
    if (channel, direction) != (message.channel, message.direction):
        with pytest.raises(Malformed, match="does not belong"):
            decode(encode(message), channel, direction)


def test_an_unknown_type_says_so() -> None:
    with pytest.raises(Unknown, match="0x7f"):
        decode(b"\x7f", Channel.INPUT, Direction.TO_AGENT)


def test_a_blob_that_does_not_fit_is_not_sent() -> None:
    with pytest.raises(Malformed):
        encode(Cursor(1, 0, 0, bytes(MAX_BLOB_BYTES + 1)))
    assert len(encode(Cursor(1, 0, 0, bytes(MAX_BLOB_BYTES)))) == MAX_BLOB_BYTES + 6


@pytest.mark.parametrize("text", ["é" * (MAX_TEXT_BYTES // 2 + 1), "\ud800"])
def test_text_that_does_not_fit_is_not_sent(text: str) -> None:
    with pytest.raises(Malformed):
        encode(Text(1, text))


def test_the_type_bytes_are_unique_and_fixed() -> None:
    """A released type byte never changes its meaning; a new message gets a new one."""
    assert {code: cls.__name__ for code, cls in MESSAGES.items()} == {
        0x01: "Move",
        0x02: "Key",
        0x03: "Button",
        0x04: "Wheel",
        0x05: "Text",
        0x06: "ReleaseAll",
        0x07: "Held",
        0x20: "Hello",
        0x21: "Ping",
        0x22: "WantTimes",
        0x26: "Audio",
        0x27: "Crisp",
        0x80: "Welcome",
        0x81: "Pong",
        0x82: "Size",
        0x84: "Control",
        0x83: "Cursor",
        0x87: "Pointer",
        0x88: "IsCrisp",
        0x89: "Taken",
        0x8A: "FrameTimes",
        0x8B: "Instant",
        0x30: "ClipboardOffer",
        0x31: "ClipboardChunk",
        0x32: "ClipboardCancel",
        0x33: "ClipboardAck",
        0x90: "GuestClipboardOffer",
        0x91: "GuestClipboardChunk",
        0x92: "GuestClipboardCancel",
        0x93: "GuestClipboardAck",
        0x94: "ClipboardWays",
    }


def test_the_typescript_table_is_fresh() -> None:
    assert codegen.TARGET.read_text() == codegen.generate()
