"""JSON-RPC in lines: any cut of the bytes gives the same messages, and no bytes raise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.protocol.rpc import (
    BadLine,
    Failure,
    Incoming,
    LineDecoder,
    Notification,
    Request,
    Result,
    encode,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
PARAMS = st.dictionaries(st.text(max_size=6), JSON, max_size=4)
IDS = st.integers(0, 2**53)
MESSAGES = st.one_of(
    st.builds(Request, IDS, st.text(max_size=10), PARAMS),
    st.builds(Notification, st.text(max_size=10), PARAMS),
    st.builds(Result, IDS, PARAMS),
    st.builds(Failure, IDS, st.integers(-40000, 0), st.text(max_size=20)),
)


@given(st.lists(MESSAGES, max_size=6))
def test_one_byte_at_a_time_or_all_at_once(messages: list[Any]) -> None:
    raw = b"".join(encode(message) for message in messages)
    slow, fast = LineDecoder(), LineDecoder()
    bytewise: list[Incoming] = []
    for at in range(len(raw)):
        bytewise += slow.feed(raw[at : at + 1])
    assert bytewise == messages
    assert fast.feed(raw) == messages


@given(st.binary(max_size=200), MESSAGES)
def test_rubbish_ends_with_its_line(rubbish: bytes, message: Any) -> None:
    decoder = LineDecoder()
    decoder.feed(rubbish + b"\n")
    assert decoder.feed(encode(message)) == [message]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"7",
        b'{"id":1,"method":"x"}',
        b'{"jsonrpc":"1.0","id":1,"method":"x"}',
        b'{"jsonrpc":"2.0","id":"1","method":"x"}',
        b'{"jsonrpc":"2.0","id":true,"method":"x"}',
        b'{"jsonrpc":"2.0","id":1,"method":7}',
        b'{"jsonrpc":"2.0","id":1,"method":"x","params":[1]}',
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","id":1}',
        b'{"jsonrpc":"2.0","id":1,"result":3}',
        b'{"jsonrpc":"2.0","id":1,"error":"x"}',
        b'{"jsonrpc":"2.0","id":1,"error":{"code":"x"}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda line: line[:40].decode("latin-1"),
)
def test_what_is_no_message_is_a_bad_line(line: bytes) -> None:
    match LineDecoder().feed(line + b"\n"):
        case [BadLine(why)]:
            assert why
        case other:
            raise AssertionError(other)


def test_empty_lines_are_nothing() -> None:
    assert LineDecoder().feed(b"\n \n\r\n") == []


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_an_endless_line_is_thrown_away_and_told_once(chunk: int) -> None:
    decoder = LineDecoder(max_bytes=50)
    raw = b"x" * 500 + b"\n" + encode(Notification("hello", {}))
    found: list[Incoming] = []
    for at in range(0, len(raw), chunk):
        found += decoder.feed(raw[at : at + chunk])
    assert [type(message) for message in found] == [BadLine, Notification]


def test_params_default_to_none_given() -> None:
    assert LineDecoder().feed(b'{"jsonrpc":"2.0","id":3,"method":"hello"}\n') == [Request(3, "hello", {})]
