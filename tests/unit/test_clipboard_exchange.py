"""Who gets and sets the desktop's clipboard, with a scripted desktop and scripted channels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.errors import BadRequest, Forbidden, TooLarge
from gateway.guest_stream import asking
from guest_agent.clipboard.content import Content, Kind, Limits, Ways
from guest_agent.clipboard.exchange import ClipboardExchange
from guest_agent.clipboard.service import ClipboardService
from guest_agent.ports import Role
from guest_agent.protocol import codec
from guest_agent.protocol.messages import (
    MAX_CHUNK_BYTES,
    Channel,
    ClipboardAck,
    ClipboardChunk,
    ClipboardOffer,
    ClipboardWays,
    Direction,
    GuestClipboardAck,
    GuestClipboardChunk,
    GuestClipboardOffer,
    Message,
)


class Desktop:
    def __init__(self) -> None:
        self.owned: list[Content] = []
        self.following: list[bool] = []
        self.taken = True

    def own(self, content: Content, done: Callable[[bool], object]) -> None:
        self.owned.append(content)
        done(self.taken)

    def follow(self, on: bool) -> None:
        self.following.append(on)


class Line:
    """A data channel that keeps each message until it is told that it has gone."""

    def __init__(self) -> None:
        self.readyState = "open"
        self.bufferedAmount = 0
        self.sent: list[Message] = []
        self.slow = False

    def send(self, data: bytes) -> None:
        self.sent.append(codec.decode(data, Channel.CLIPBOARD, Direction.TO_VIEWER))
        self.bufferedAmount = len(data) if self.slow else 0

    def taken(self) -> list[Message]:
        sent, self.sent = self.sent, []
        return sent


@pytest.fixture
async def exchange() -> ClipboardExchange:
    return ClipboardExchange(Limits(text=100_000, png=1000))


@pytest.fixture
async def desktop(exchange: ClipboardExchange) -> Desktop:
    desktop = Desktop()
    exchange.join(desktop)
    exchange.allow(Ways(True, True))
    return desktop


def say(exchange: ClipboardExchange, peer: str, *messages: Message) -> None:
    for message in messages:
        exchange.receive(peer, codec.encode(message))


def joined(exchange: ClipboardExchange, peer: str = "p", role: Role = Role.CONTROL) -> Line:
    line = Line()
    exchange.opened(peer, role, line)
    return line


HELLO = Content.of_text("hello")
OFFER = (ClipboardOffer(5, 1, 5), ClipboardChunk(5, b"hello"))


async def test_a_controllers_clipboard_is_the_desktops_and_it_hears_when(
    exchange: ClipboardExchange, desktop: Desktop
) -> None:
    line = joined(exchange)
    say(exchange, "p", *OFFER)
    assert desktop.owned == [HELLO]
    assert line.taken() == [ClipboardWays(True, True), GuestClipboardAck(5, True)]
    desktop.taken = False
    say(exchange, "p", *OFFER)
    assert line.taken() == [GuestClipboardAck(5, False)]


async def test_what_is_copied_goes_to_controllers_and_not_back_to_where_it_came_from(
    exchange: ClipboardExchange, desktop: Desktop
) -> None:
    line, other, watcher = joined(exchange), joined(exchange, "q"), joined(exchange, "w", Role.VIEW)
    for one in (line, other, watcher):
        one.taken()
    exchange.copied(HELLO, True)
    assert line.taken() == other.taken() == [GuestClipboardOffer(1, 1, 5), GuestClipboardChunk(1, b"hello")]
    say(exchange, "p", ClipboardOffer(6, 1, 3), ClipboardChunk(6, b"abc"))
    # A clipboard manager takes over what the viewer sent.
    exchange.copied(Content.of_text("abc"), True)
    assert line.taken() == [GuestClipboardAck(6, True)]
    assert other.taken() == []
    exchange.copied(HELLO, True)
    exchange.copied(Content.of_text("abc"), True)
    assert [type(m) for m in line.taken()] == [GuestClipboardOffer, GuestClipboardChunk] * 2
    assert watcher.taken() == []


async def test_a_viewer_who_may_only_look_gets_none_and_sets_none(
    exchange: ClipboardExchange, desktop: Desktop
) -> None:
    line = joined(exchange, role=Role.VIEW)
    say(exchange, "p", *OFFER)
    exchange.copied(HELLO, True)
    assert line.taken() == [ClipboardWays(False, False), GuestClipboardAck(5, False)]
    assert desktop.owned == []


@pytest.mark.parametrize("policy", ["off", "to_guest", "to_viewer", "both", "nonsense"])
async def test_the_sessions_switch(exchange: ClipboardExchange, desktop: Desktop, policy: str) -> None:
    exchange.allow(Ways.of_policy(policy))
    up, down = policy in ("to_guest", "both"), policy in ("to_viewer", "both")
    line = joined(exchange)
    assert line.taken() == [ClipboardWays(up, down)]
    say(exchange, "p", *OFFER)
    assert line.taken() == [GuestClipboardAck(5, up)]
    exchange.copied(Content.of_text("theirs"), True)
    assert bool(line.taken()) is down
    assert desktop.following[-1] is down
    assert bool(desktop.owned) is up


async def test_a_switch_that_is_turned_cuts_off_what_is_under_way(
    exchange: ClipboardExchange, desktop: Desktop
) -> None:
    line = joined(exchange)
    line.slow = True
    line.taken()
    exchange.copied(Content.of_text("x" * 3 * MAX_CHUNK_BYTES), True)
    line.bufferedAmount = 0
    exchange.writable("p")
    say(exchange, "p", OFFER[0])
    exchange.allow(Ways())
    say(exchange, "p", OFFER[1])
    exchange.allow(Ways(True, True))
    say(exchange, "p", OFFER[1])
    assert desktop.owned == []
    assert exchange.latest is None
    line.taken()
    line.bufferedAmount = 0
    for _ in range(5):
        exchange.writable("p")
        line.bufferedAmount = 0
    assert not [m for m in line.taken() if isinstance(m, GuestClipboardChunk)]


async def test_one_chunk_waits_in_the_channel_and_no_more(exchange: ClipboardExchange, desktop: Desktop) -> None:
    line = joined(exchange)
    line.slow = True
    line.taken()
    line.bufferedAmount = 0
    exchange.copied(Content.of_text("x" * 2 * MAX_CHUNK_BYTES), True)
    counts = []
    for _ in range(5):
        counts.append(len(line.taken()))
        line.bufferedAmount = 0
        exchange.writable("p")
    assert counts == [1, 1, 1, 0, 0]


async def test_a_viewer_that_refuses_gets_no_more_of_it(exchange: ClipboardExchange, desktop: Desktop) -> None:
    line = joined(exchange)
    line.slow = True
    line.taken()
    line.bufferedAmount = 0
    exchange.copied(Content.of_text("x" * 3 * MAX_CHUNK_BYTES), True)
    say(exchange, "p", ClipboardAck(1, False))
    line.bufferedAmount = 0
    exchange.writable("p")
    assert line.taken() == [GuestClipboardOffer(1, 1, 3 * MAX_CHUNK_BYTES)]


async def test_nonsense_and_strangers_disturb_nothing(exchange: ClipboardExchange, desktop: Desktop) -> None:
    line = joined(exchange)
    line.taken()
    for data in (b"", b"\x00", b"\x30", "text", None, codec.encode(ClipboardWays(True, True))):
        exchange.receive("p", data)
    exchange.receive("nobody", codec.encode(OFFER[0]))
    exchange.writable("nobody")
    exchange.closed("nobody", line)
    assert exchange.counters.malformed == 6
    say(exchange, "p", *OFFER)
    assert line.taken() == [GuestClipboardAck(5, True)]
    exchange.closed("p", Line())
    exchange.copied(Content.of_text("still there"), True)
    assert line.taken()
    exchange.closed("p", line)
    exchange.copied(HELLO, True)
    assert line.taken() == []


async def test_before_there_is_a_desktop_nothing_can_be_pasted(exchange: ClipboardExchange) -> None:
    exchange.allow(Ways(True, True))
    line = joined(exchange)
    say(exchange, "p", *OFFER)
    assert line.taken()[-1] == GuestClipboardAck(5, False)


@pytest.fixture
async def port(exchange: ClipboardExchange, desktop: Desktop) -> AsyncIterator[int]:
    service = ClipboardService(exchange, "127.0.0.1", 0)
    await service.start()
    yield service.port
    await service.close()


async def dial(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def get(port: int, known: str = "", wait_s: float = 0) -> tuple[dict[str, Any], bytes]:
    async with asking(dial, port, op="get", known=known, wait_s=wait_s) as guest:
        length = guest.answer.get("length", 0)
        return dict(guest.answer), b"".join([part async for part in guest.body(length)])


async def put(port: int, kind: str, data: bytes) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield data

    async with asking(dial, port, op="put", kind=kind, length=len(data)) as guest:
        await guest.send(body())


async def test_the_gateway_gets_and_puts_it(exchange: ClipboardExchange, desktop: Desktop, port: int) -> None:
    assert await get(port) == ({}, b"")
    exchange.copied(HELLO, True)
    answer, data = await get(port)
    assert (answer["kind"], answer["digest"], data) == ("text", HELLO.digest, b"hello")
    assert (await get(port, known=HELLO.digest))[1] == b""
    await put(port, "text", b"from outside")
    assert desktop.owned == [Content.of_text("from outside")]
    assert (await get(port))[1] == b"from outside"
    picture = b"\x89PNG\r\n\x1a\n" + bytes(50)
    await put(port, "png", picture)
    assert desktop.owned[-1] == Content(Kind.PNG, picture)


async def test_who_waits_for_it_gets_it_when_it_changes(
    exchange: ClipboardExchange, desktop: Desktop, port: int
) -> None:
    exchange.copied(HELLO, True)
    waiting = asyncio.create_task(get(port, known=HELLO.digest, wait_s=20))
    async with asyncio.timeout(10):
        while not exchange._changed._waiters:  # noqa: ASYNC110
            await asyncio.sleep(0)
    exchange.copied(Content.of_text("new"), True)
    assert (await waiting)[1] == b"new"


async def test_the_switch_holds_there_too(exchange: ClipboardExchange, desktop: Desktop, port: int) -> None:
    exchange.allow(Ways())
    with pytest.raises(Forbidden):
        await get(port)
    with pytest.raises(Forbidden):
        await put(port, "text", b"x")
    exchange.allow(Ways(True, True))
    with pytest.raises(TooLarge):
        await put(port, "png", bytes(9 << 20))
    with pytest.raises(BadRequest):
        await put(port, "png", b"no picture")
    with pytest.raises(BadRequest):
        await put(port, "gif", b"GIF")
    assert desktop.owned == []
