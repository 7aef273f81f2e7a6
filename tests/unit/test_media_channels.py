"""Inbox: any bytes on any channel, in either role."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_agent.channels import ChannelCounters, Inbox
from guest_agent.ports import Role
from guest_agent.protocol import codec
from guest_agent.protocol.messages import (
    MESSAGES,
    VERSION,
    Audio,
    Channel,
    Control,
    Crisp,
    Direction,
    Hello,
    IsCrisp,
    Key,
    Message,
    Ping,
    Pong,
    ReleaseAll,
    Taken,
    Text,
    Welcome,
)
from guest_agent.taken import TakenKeys
from tests.unit.test_taken import Clock


class Sink:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.listens: list[bool] = []
        self.wishes: list[bool] = []

    def handle(self, peer: str, message: Message) -> None:
        self.messages.append(message)

    def release(self, peer: str) -> None:
        raise AssertionError("not the inbox's to say")

    def peer_gone(self, peer: str) -> None:
        raise AssertionError("not the inbox's to say")


def make(
    role: Role, *, reads: bool = True, controls: bool = True, counts: Callable[[], bool] | None = None
) -> tuple[Inbox, Sink, list[bytes], ChannelCounters]:
    sink, sent, counters = Sink(), list[bytes](), ChannelCounters()

    def send(data: bytes) -> bool:
        sent.append(data)
        return reads

    inbox = Inbox(
        "p",
        role,
        sink,
        send,
        lambda: (800, 600),
        counters,
        counts or (lambda: controls),
        TakenKeys(Clock().call_later, lambda message: None),
        listen=sink.listens.append,
        want_crisp=sink.wishes.append,
    )
    return inbox, sink, sent, counters


DATA = st.one_of(
    st.binary(max_size=64),
    st.text(max_size=20),
    st.builds(lambda code, rest: bytes([code]) + rest, st.sampled_from(sorted(MESSAGES)), st.binary(max_size=40)),
)


@given(st.sampled_from(list(Channel)), DATA, st.sampled_from(list(Role)), st.booleans())
def test_whatever_comes_is_counted_once_and_nothing_raises(
    channel: Channel, data: object, role: Role, controls: bool
) -> None:
    inbox, sink, sent, counters = make(role, controls=controls)
    inbox.receive(channel, data)
    assert counters.messages + counters.malformed == 1
    answers = min(len(sent), 1)  # Hello has two, and three to whom controls.
    taken = len(sink.messages) + len(sink.listens) + len(sink.wishes)
    assert taken + answers + counters.view_dropped + counters.gated == counters.messages
    assert not sink.messages or (role is Role.CONTROL and controls)
    for message in sink.messages:
        assert message.channel is channel
        assert message.direction is Direction.TO_AGENT


def test_unsent_answers_are_counted() -> None:
    inbox, _, sent, counters = make(Role.CONTROL, reads=False)
    inbox.receive(Channel.CONTROL, codec.encode(Ping(3)))
    assert sent == [codec.encode(Pong(3))]
    assert counters.unsent == 1


@pytest.mark.parametrize("role", Role)
def test_any_viewer_may_listen(role: Role) -> None:
    inbox, sink, sent, _ = make(role)
    for on in (True, False):
        inbox.receive(Channel.CONTROL, codec.encode(Audio(on)))
    assert (sink.listens, sink.messages, sent) == ([True, False], [], [])


def test_a_wish_for_a_crisp_picture_is_passed_on_and_its_coming_told() -> None:
    inbox, sink, sent, _ = make(Role.CONTROL)
    inbox.receive(Channel.CONTROL, codec.encode(Crisp(True)))
    assert (sink.wishes, sent) == ([True], [])
    inbox.crisp_changed(True)
    assert sent == [codec.encode(IsCrisp(True))]


def test_a_viewer_may_look_but_not_touch() -> None:
    inbox, sink, _, counters = make(Role.VIEW)
    inbox.receive(Channel.INPUT, codec.encode(Key(1, 0x61, True)))
    assert sink.messages == []
    assert counters.view_dropped == 1


def test_one_who_may_control_and_does_not_types_nothing() -> None:
    inbox, sink, sent, counters = make(Role.CONTROL, controls=False)
    inbox.receive(Channel.INPUT, codec.encode(Key(1, 0x61, True)))
    assert sink.messages == []
    assert (counters.gated, counters.view_dropped) == (1, 0)
    inbox.control_changed()
    assert sent == [codec.encode(Control(False))]


def test_who_gets_control_hears_first_how_far_its_keys_have_come() -> None:
    inbox, _, sent, _ = make(Role.CONTROL)
    inbox.receive(Channel.INPUT, codec.encode(Key(41, 0x61, True)))
    inbox.control_changed()
    assert sent == [codec.encode(Taken(41)), codec.encode(Control(True))]


def test_keys_sent_before_one_heard_of_its_return_to_control_are_left_to_be_said_again() -> None:
    counts = [True]
    inbox, sink, sent, counters = make(Role.CONTROL, counts=lambda: counts[-1])
    inbox.control_changed()
    for each in (False, True):
        counts.append(each)
        inbox.control_changed()
    for message in (Key(1, 0x61, True), Text(2, "x"), ReleaseAll(3), Key(4, 0x61, True)):
        inbox.receive(Channel.INPUT, codec.encode(message))
    assert sink.messages == [ReleaseAll(3), Key(4, 0x61, True)]
    assert counters.gated == 2
    assert sent[-2:] == [codec.encode(Taken(0)), codec.encode(Control(True))]


def test_who_has_not_heard_that_it_lost_control_goes_on() -> None:
    counts = [True]
    inbox, sink, _, _ = make(Role.CONTROL, reads=False, counts=lambda: counts[-1])
    for each in (True, False, True):
        counts.append(each)
        inbox.control_changed()
    inbox.receive(Channel.INPUT, codec.encode(Key(1, 0x61, True)))
    assert sink.messages == [Key(1, 0x61, True)]


def test_the_role_is_not_the_gateways_to_change() -> None:
    """Named as the one who controls, a view role still does not."""
    inbox, sink, sent, _ = make(Role.VIEW, controls=True)
    inbox.receive(Channel.INPUT, codec.encode(Key(1, 0x61, True)))
    inbox.receive(Channel.CONTROL, codec.encode(Hello(VERSION)))
    assert sink.messages == []
    assert sent == [codec.encode(Welcome(VERSION, False, 800, 600)), codec.encode(Control(False))]
