"""A hundred thousand messages of viewers that mean ill or are broken, all the way to the keys of a modelled X server.

Random bytes, valid messages, valid ones with bytes changed, and old ones again; from viewers of both roles that come
and go. The whole way is real: channels.py, the codec, who holds what, the bounded queue, the injector.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Callable, Iterable

import pytest

from guest_agent.channels import ChannelCounters, Inbox
from guest_agent.input.ops import Op
from guest_agent.input.sink import XInputSink
from guest_agent.ports import Role
from guest_agent.protocol import codec
from guest_agent.protocol.messages import MESSAGES, Channel, Direction, Key, Message, wire_fields
from guest_agent.taken import TakenKeys
from tests.unit.test_input_injector import Desk, Server
from tests.unit.test_taken import Clock

MESSAGES_SENT = 100_000
TO_AGENT = [message for message in MESSAGES.values() if message.direction is Direction.TO_AGENT]
PEERS = {"p1": Role.CONTROL, "p2": Role.CONTROL, "p3": Role.VIEW}
SIZES = {"u8": 8, "u16": 16, "u32": 32}
MOST_BLOCKS = 6_000
"""Objects that may have come to be between the middle and the end; what one message leaves behind would be 50,000."""


def valid(rng: random.Random) -> Message:
    """Any message to the agent, with any values, of which few are used often."""
    kind = rng.choice(TO_AGENT)
    make: dict[str, Callable[[], object]] = {
        "bool": lambda: rng.random() < 0.6,
        "i16": lambda: rng.randint(-400, 400),
        "text": lambda: "".join(rng.choices("abжß漢😀\n", k=rng.randint(0, 12))),
        "u32s": lambda: tuple(rng.choices((0x61, 0x62, 0xFFE1), k=rng.randint(0, 3))),
        **{name: lambda bits=bits: _number(rng, bits) for name, bits in SIZES.items()},  # type: ignore[misc]
    }
    return kind(**{name: make.get(kind_of, lambda: b"")() for name, kind_of in wire_fields(kind)})


def _number(rng: random.Random, bits: int) -> int:
    if rng.random() < 0.5:
        return rng.choice((1, 2, 3, 8, 0x61, 0x62)) & (1 << bits) - 1
    if bits == 32 and rng.random() < 0.5:
        return 0x01000000 + rng.randrange(0x3000)
    return rng.getrandbits(bits)


def changed(rng: random.Random, data: bytes) -> bytes:
    """A valid message with something wrong."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(3):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del out[at : at + rng.randint(1, 4)]
            case _:
                out[at:at] = rng.randbytes(rng.randint(1, 4))
    return bytes(out)


def stream(rng: random.Random, count: int) -> Iterable[tuple[Channel, object]]:
    """What comes in, and on which channel."""
    old: list[bytes] = [codec.encode(valid(rng)) for _ in range(500)]
    channels = list(Channel)
    for number in range(count):
        choice = rng.random()
        if choice < 0.2:
            yield rng.choice(channels), rng.choice((rng.randbytes(rng.randint(0, 60)), "text", None, 7))
        elif choice < 0.45:
            message = valid(rng)
            old[number % len(old)] = data = codec.encode(message)
            yield message.channel, data
        elif choice < 0.75:
            yield rng.choice(channels), changed(rng, rng.choice(old))
        else:
            data = rng.choice(old)
            yield MESSAGES[data[0]].channel, data


class Worker:
    """worker.InputWorker without its thread: what is pushed is carried out now and then."""

    def __init__(self) -> None:
        self.desk = Desk(Server(spares=40))

    def push(self, ops: Iterable[Op]) -> None:
        self.desk.queue.push(ops)

    def work(self) -> None:
        desk, server = self.desk, self.desk.server
        for _ in range(30):
            deadline = desk.step()
            server.client_reads(200)
            server.toolkit_reads(200)
            if deadline is None and not desk.queue.head():
                break
            desk.now += 0.05
        server.log.clear()
        server.points.clear()
        server.read.clear()


@pytest.mark.timeout(180)
async def test_a_hundred_thousand_messages_leave_nothing_behind() -> None:
    rng = random.Random(20)
    worker, counters = Worker(), ChannelCounters()
    sink = XInputSink(worker)
    answers = 0

    def send(data: bytes) -> bool:
        nonlocal answers
        answers += 1
        return bool(answers % 3)

    taken = TakenKeys(Clock().call_later, lambda message: None)

    def inbox(peer: str) -> Inbox:
        return Inbox(peer, PEERS[peer], sink, send, lambda: (1280, 720), counters, lambda: True, taken)

    inboxes = {peer: inbox(peer) for peer in PEERS}
    blocks = most_queued = 0
    for number, (channel, data) in enumerate(stream(rng, MESSAGES_SENT)):
        peer = rng.choice(list(PEERS))
        inboxes[peer].receive(channel, data)
        if number % 200 == 0:
            worker.work()
            most_queued = max(most_queued, len(worker.desk.queue))
        if number % 5000 == 0:
            await asyncio.sleep(0)
            sink.peer_gone(peer)
            inboxes[peer] = inbox(peer)
        if number == MESSAGES_SENT // 2:
            blocks = sys.getallocatedblocks()
    grown = sys.getallocatedblocks() - blocks
    assert counters.messages + counters.malformed == MESSAGES_SENT
    assert counters.messages > MESSAGES_SENT / 4
    assert counters.malformed > MESSAGES_SENT / 4
    assert counters.view_dropped > MESSAGES_SENT / 20
    assert worker.desk.injector.counters.strokes > 10_000, "much of it was typed"
    assert most_queued <= worker.desk.queue.limit + 2 * len(PEERS) * 40
    assert grown < MOST_BLOCKS

    for peer in PEERS:
        sink.peer_gone(peer)
    worker.desk.settle(200, 200)
    assert worker.desk.server.down == set(), "nothing stays held"
    assert worker.desk.injector._buttons == set()
    assert sink.state.deadline() is None

    fresh = inbox("p1")
    worker.desk.server.read.clear()
    for down in (True, False):
        fresh.receive(Channel.INPUT, codec.encode(Key(1, 0x61, down)))
    worker.desk.settle()
    assert worker.desk.server.read == ["a"], "and the next viewer types"
    sink.peer_gone("p1")
    sink.close()
