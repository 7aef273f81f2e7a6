"""Data channels over a real aiortc pair: messages in, answers out, and whatever else a viewer may send."""

from __future__ import annotations

import asyncio
import random

from guest_agent.cursor_image import HIDDEN, CursorImage
from guest_agent.cursor_share import CursorBoard
from guest_agent.ports import PeerState
from guest_agent.protocol.messages import (
    VERSION,
    Button,
    Channel,
    Control,
    Cursor,
    Hello,
    Key,
    Move,
    Ping,
    Pointer,
    Pong,
    ReleaseAll,
    Size,
    Taken,
    Text,
    Welcome,
)
from tests.loopback.media_viewer import SIZE_PX, Agent, Viewer
from tests.unit.test_fuzz_channels import stream

GARBAGE: list[bytes | str] = [
    b"",
    b"\x00",
    b"\xff" * 40,
    b"\x02",
    b"\x02\x00\x00\x00\x01\x00\x00\x00\x61\x07",
    b"\x02\x00\x00\x00\x01\x00\x00\x00\x61\x01extra",
    b"\x05\x00\x00\x00\x01\x00\x04\xff\xfe\xff\xfe",
    b"\x07\x00\x00\x00\x01\x00\x00\x00\x00\xff",
    b"\x80\x00\x01\x01\x05\x00\x02\xd0",
    random.Random(7).randbytes(8000),
    "",
    '{"key": "a"}',
]


async def test_input_reaches_the_sink_in_order() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        sent = [Key(1, 0x61, True), Key(2, 0x61, False), Button(3, 1, True, 10, 20), Text(4, "жъ漢"), ReleaseAll(5)]
        for message in sent:
            viewer.send(Channel.INPUT, message)
        await agent.sink.count(len(sent))
        assert agent.sink.messages == [("p1", message) for message in sent]
        viewer.send(Channel.POINTER, Move(6, 1, 2))
        await agent.sink.count(len(sent) + 1)
        assert agent.sink.messages[-1] == ("p1", Move(6, 1, 2))


async def test_hello_ping_and_size() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        viewer.send(Channel.CONTROL, Hello(VERSION))
        assert await viewer.receive() == Welcome(VERSION, True, *SIZE_PX)
        assert await viewer.receive() == Taken(0)
        assert await viewer.receive() == Control(True)
        viewer.send(Channel.CONTROL, Ping(123456))
        assert await viewer.receive() == Pong(123456)
        agent.source.on_size(1920, 1080)
        assert await viewer.receive() == Size(1920, 1080)
        assert agent.sink.messages == []


async def test_the_pointer_is_told_after_the_welcome() -> None:
    board = CursorBoard(asyncio.get_running_loop().call_later)
    board.show(CursorImage(3, 4, b"arrow"))
    async with Agent(cursors=board) as agent, Viewer() as viewer, Viewer() as watcher:
        await viewer.join(agent)
        await watcher.join(agent, "p2", "view")
        for each, controls in ((viewer, True), (watcher, False)):
            each.send(Channel.CONTROL, Hello(VERSION))
            assert await each.receive() == Welcome(VERSION, controls, *SIZE_PX)
            if controls:
                assert await each.receive() == Taken(0)
            assert await each.receive() == Control(controls)
            assert await each.receive() == Cursor(1, 3, 4, b"arrow")
        board.point(5, 6)
        board.show(HIDDEN)
        assert [await watcher.receive(), await watcher.receive()] == [Pointer(5, 6), Cursor(0, 0, 0, b"")]
        assert await viewer.receive() == Cursor(0, 0, 0, b"")


async def test_garbage_is_counted_and_leaves_everything_as_it_was() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        for label in ("input", "control", "pointer"):
            for item in GARBAGE:
                viewer.channels[label].send(item)
        # Ordered channels answer after all of theirs; the pointer channel's may still be on the way.
        viewer.send(Channel.INPUT, Key(1, 0x61, True))
        viewer.send(Channel.CONTROL, Ping(7))
        await agent.sink.count(1)
        assert await viewer.receive() == Pong(7)
        assert agent.sink.messages == [("p1", Key(1, 0x61, True))]
        assert agent.hub.counters()["malformed"] >= 2 * len(GARBAGE)
        assert agent.hub.counters()["viewers"] == 1
        assert not viewer.lost.is_set()
        assert [e.state for e in agent.events] == [PeerState.CONNECTED]


async def test_a_valid_message_on_the_wrong_channel_is_dropped() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        viewer.send(Channel.CONTROL, Key(1, 0x61, True))
        viewer.send(Channel.INPUT, Ping(1))
        viewer.send(Channel.INPUT, Move(2, 1, 1))
        viewer.send(Channel.CONTROL, Ping(2))
        viewer.send(Channel.INPUT, Key(3, 0x62, True))
        assert await viewer.receive() == Pong(2)
        await agent.sink.count(1)
        assert agent.sink.messages == [("p1", Key(3, 0x62, True))]
        assert agent.hub.counters()["malformed"] == 3


async def test_a_view_role_types_nothing() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent, role="view")
        viewer.send(Channel.INPUT, Key(1, 0x61, True))
        viewer.send(Channel.INPUT, Text(2, "rm -rf"))
        viewer.send(Channel.INPUT, Button(3, 1, True, 0, 0))
        viewer.send(Channel.CONTROL, Hello(VERSION))
        assert await viewer.receive() == Welcome(VERSION, False, *SIZE_PX)
        assert await viewer.receive() == Control(False)
        # The two channels are ordered only within themselves: a full round trip on each.
        viewer.channels["input"].send("end")
        async with asyncio.timeout(10):
            while not agent.hub.counters()["malformed"]:
                viewer.send(Channel.CONTROL, Ping(1))
                await viewer.receive()
        assert agent.sink.messages == []
        assert agent.hub.counters()["view_dropped"] == 3


async def test_a_sink_that_raises_closes_nothing() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        agent.sink.raising = True
        viewer.send(Channel.INPUT, Key(1, 0x61, True))
        viewer.send(Channel.CONTROL, Ping(1))
        assert await viewer.receive() == Pong(1)
        agent.sink.raising = False
        viewer.send(Channel.INPUT, Key(2, 0x61, False))
        await agent.sink.count(1)
        assert agent.sink.messages[-1] == ("p1", Key(2, 0x61, False))


async def test_unknown_and_doubled_channels_are_closed() -> None:
    async with Agent() as agent, Viewer(channels=("input", "control", "gamepad")) as viewer:
        await viewer.join(agent)
        assert await asyncio.wait_for(viewer.closed_channels.get(), 10) == "gamepad"
        assert agent.hub.counters()["unknown_channels"] == 1
        viewer.send(Channel.CONTROL, Ping(1))
        assert await viewer.receive() == Pong(1)


async def test_a_viewer_that_never_reads_costs_no_memory() -> None:
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        control = next(iter(agent.hub._peers.values()))._channels[Channel.CONTROL]
        control._addBufferedAmount(1_000_000)
        viewer.send(Channel.CONTROL, Ping(1))
        viewer.send(Channel.INPUT, Key(1, 0x61, True))
        await agent.sink.count(1)
        async with asyncio.timeout(10):
            while not agent.hub.counters()["unsent"]:
                viewer.send(Channel.INPUT, Key(1, 0x61, True))
                await agent.sink.count(len(agent.sink.messages) + 1)
        assert viewer.inbox.empty()


async def test_only_the_one_who_controls_types_and_both_are_told() -> None:
    async with Agent() as agent, Viewer() as ann, Viewer() as ben:
        await ann.join(agent, "ann")
        await ben.join(agent, "ben", control=False)
        ann.send(Channel.INPUT, Key(1, 0x61, True))
        await agent.sink.count(1)
        ben.send(Channel.INPUT, Key(1, 0x62, True))
        ben.send(Channel.CONTROL, Hello(VERSION))
        assert await ben.receive() == Welcome(VERSION, True, *SIZE_PX)
        assert await ben.receive() == Control(False)

        assert await ann.receive() == Taken(1)
        agent.hub.control("ben", "ben")
        assert agent.sink.released == ["ann"]
        assert [await ben.receive(), await ben.receive()] == [Taken(0), Control(True)]
        assert await ann.receive() == Control(False)
        ann.send(Channel.INPUT, Key(2, 0x61, False))
        await agent.counted("gated", 2)
        ben.send(Channel.INPUT, Key(2, 0x62, True))
        assert await ben.receive() == Taken(2)
        assert agent.sink.messages == [("ann", Key(1, 0x61, True)), ("ben", Key(2, 0x62, True))]

        # Said again, it is news of something else about control, and takes nothing away.
        agent.hub.control("ben", "ben")
        assert [await ben.receive(), await ben.receive()] == [Taken(2), Control(True)]
        assert agent.sink.released == ["ann"]
        agent.hub.control(None)
        assert agent.sink.released == ["ann", "ben"]
        assert await ben.receive() == Control(False)


async def test_a_page_hears_by_its_next_connection_how_far_its_keys_have_come() -> None:
    async with Agent() as agent, Viewer() as first, Viewer() as second:
        agent.hub.control("first", "ann")
        await first.join(agent, "first", control=False)
        await second.join(agent, "second", control=False)
        first.send(Channel.INPUT, Key(70, 0x61, True))
        first.send(Channel.INPUT, Key(71, 0x61, False))
        await agent.sink.count(2)
        agent.hub.control("second", "ann")
        first.send(Channel.INPUT, Key(72, 0x62, True))
        await agent.counted("gated", 1)
        assert [await second.receive(), await second.receive()] == [Taken(71), Control(True)]


async def test_thousands_of_wild_messages_end_neither_connection_nor_input() -> None:
    """The same as tests/unit/test_fuzz_channels.py, through real SCTP: fewer, since each is a datagram or two."""
    rng = random.Random(4)
    async with Agent() as agent, Viewer() as viewer:
        await viewer.join(agent)
        for number, (channel, data) in enumerate(stream(rng, 3000)):
            if isinstance(data, bytes | str) and data and channel.value in viewer.channels:
                viewer.channels[channel.value].send(data)
            if number % 100 == 0:
                viewer.send(Channel.CONTROL, Ping(number))
                while await viewer.receive() != Pong(number):
                    pass
        viewer.send(Channel.INPUT, Key(9, 0x7A, True))
        async with asyncio.timeout(20):
            while ("p1", Key(9, 0x7A, True)) not in agent.sink.messages[-3:]:
                await agent.sink.count(len(agent.sink.messages) + 1)
        assert [event.state for event in agent.events] == [PeerState.CONNECTED]
        assert agent.hub.counters()["malformed"] > 500
