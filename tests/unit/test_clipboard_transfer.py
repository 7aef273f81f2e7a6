"""Clipboards in chunks: whatever a viewer sends, in whatever order, the limits hold and what arrives is whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.clipboard.content import BadContent, Content, Kind, Limits
from guest_agent.clipboard.transfer import Arrived, Receiver, Refused, Sender
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

LIMITS = Limits(text=100, png=200)
PNG = b"\x89PNG\r\n\x1a\n"

ids = st.integers(0, 3)
messages = st.lists(
    st.one_of(
        st.builds(ClipboardOffer, id=ids, kind=st.integers(0, 4), size=st.integers(0, 300)),
        st.builds(ClipboardChunk, id=ids, data=st.binary(max_size=120) | st.just(PNG)),
        st.builds(ClipboardCancel, id=ids),
    ),
    max_size=60,
)


def feed(receiver: Receiver, *given: Message) -> list[Arrived | Refused]:
    return [found for message in given if (found := receiver.receive(message)) is not None]


@given(messages)
def test_whatever_comes_the_limits_hold_and_what_arrives_was_sent(given: list[Message]) -> None:
    receiver = Receiver(LIMITS)
    sent: dict[int, bytes] = {}
    sizes: dict[int, int] = {}
    for message in given:
        if isinstance(message, ClipboardOffer):
            sent, sizes = {message.id: b""}, {message.id: message.size}
        if isinstance(message, ClipboardChunk) and message.id in sent:
            sent[message.id] += message.data
        found = receiver.receive(message)
        if isinstance(found, Arrived):
            assert len(found.content.data) <= LIMITS.of(found.content.kind)
            assert found.content == Content.checked(found.content.kind, sent[found.id], LIMITS)
            assert len(sent[found.id]) == sizes[found.id]
            sent = {}
        assert len(receiver._data) <= max(LIMITS.text, LIMITS.png)


@given(st.binary(max_size=3 * MAX_CHUNK_BYTES), st.sampled_from(Kind))
def test_what_is_cut_up_comes_together_again(data: bytes, kind: Kind) -> None:
    content = Content(kind, PNG + data if kind is Kind.PNG else data.hex().encode())
    sender, receiver = Sender(), Receiver()
    sender.offer(content)
    found: list[Arrived | Refused] = []
    while (message := sender.next()) is not None:
        match message:
            case GuestClipboardOffer(ident, code, size):
                found += feed(receiver, ClipboardOffer(ident, code, size))
            case GuestClipboardChunk(ident, part):
                assert len(part) <= MAX_CHUNK_BYTES
                found += feed(receiver, ClipboardChunk(ident, part))
            case _:
                raise AssertionError(message)
    assert found == [Arrived(1, content)]


def test_a_newer_offer_replaces_the_older_and_its_late_chunks_are_dropped() -> None:
    receiver = Receiver()
    found = feed(
        receiver,
        ClipboardOffer(1, 1, 4), ClipboardChunk(1, b"ab"), ClipboardOffer(2, 1, 2), ClipboardChunk(1, b"cd"),
        ClipboardChunk(2, b"xy"), ClipboardChunk(2, b"late"),
    )  # fmt: skip
    assert found == [Arrived(2, Content.of_text("xy"))]
    assert receiver.dropped == 2


@pytest.mark.parametrize(
    "given",
    [
        [ClipboardOffer(1, 1, 101)],
        [ClipboardOffer(1, 2, 201)],
        [ClipboardOffer(1, 2, 0xFFFFFFFF)],
        [ClipboardOffer(1, 0, 1)],
        [ClipboardOffer(1, 9, 1)],
        [ClipboardOffer(1, 1, 2), ClipboardChunk(1, b"abc")],
        [ClipboardOffer(1, 1, 2), ClipboardChunk(1, b"\xff\xfe")],
        [ClipboardOffer(1, 2, 3), ClipboardChunk(1, b"GIF")],
        [ClipboardOffer(1, 2, 0)],
    ],
)
def test_what_is_refused(given: list[Message]) -> None:
    receiver = Receiver(LIMITS)
    found = feed(receiver, *given)
    assert [type(one) for one in found] == [Refused]
    assert feed(receiver, ClipboardChunk(1, b"more")) == []


def test_a_cancelled_one_never_arrives() -> None:
    assert feed(Receiver(), ClipboardOffer(1, 1, 2), ClipboardCancel(1), ClipboardChunk(1, b"ab")) == []
    wrong = feed(Receiver(), ClipboardOffer(1, 1, 2), ClipboardCancel(2), ClipboardChunk(1, b"ab"))
    assert wrong == [Arrived(1, Content.of_text("ab"))]


def test_the_senders_newest_replaces_what_is_under_way() -> None:
    sender = Sender()
    sender.offer(Content.of_text("x" * 3 * MAX_CHUNK_BYTES))
    assert sender.next() == GuestClipboardOffer(1, 1, 3 * MAX_CHUNK_BYTES)
    assert isinstance(sender.next(), GuestClipboardChunk)
    sender.offer(Content.of_text("new"))
    assert [sender.next() for _ in range(4)] == [
        GuestClipboardCancel(1),
        GuestClipboardOffer(2, 1, 3),
        GuestClipboardChunk(2, b"new"),
        None,
    ]
    sender.offer(Content.of_text("x" * 3 * MAX_CHUNK_BYTES))
    assert isinstance(sender.next(), GuestClipboardOffer)
    sender.refused(2)
    assert isinstance(sender.next(), GuestClipboardChunk)
    sender.refused(3)
    assert sender.next() is None


def test_line_ends_are_the_desktops_and_contents_differ_by_kind() -> None:
    assert Content.checked(Kind.TEXT, b"a\r\nb\rc\n").data == b"a\nb\rc\n"
    assert Content(Kind.TEXT, PNG).digest != Content(Kind.PNG, PNG).digest
    with pytest.raises(BadContent):
        Content.checked(Kind.TEXT, b"x" * 101, LIMITS)
