"""The gateway's end of the agent link, against bytes on a socketpair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.errors import GuestError, LinkClosed, LinkError, LinkTimeout
from gateway.vm.link import HELLO_RETRY_S, StreamLink
from guest_agent.protocol.link import MAX_LINE_BYTES
from guest_agent.protocol.rpc import NOT_READY, Failure, LineDecoder, Notification, Request, Result, encode


class Guest:
    """The far end, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._decoder = LineDecoder()
        self._waiting: list[Request] = []

    async def request(self) -> Request:
        while not self._waiting:
            data = await self.reader.read(65536)
            assert data, "the gateway closed the link"
            for message in self._decoder.feed(data):
                assert isinstance(message, Request), message
                self._waiting.append(message)
        return self._waiting.pop(0)

    def send(self, message: Result | Failure | Notification | Request) -> None:
        self.writer.write(encode(message))


@pytest.fixture
async def ends() -> AsyncIterator[tuple[StreamLink, Guest]]:
    ours, theirs = socket.socketpair()
    link = StreamLink(*await asyncio.open_connection(sock=ours), name="k3x9a2bq", max_events=4, max_pending=3)
    guest = Guest(*await asyncio.open_connection(sock=theirs))
    link.start()
    yield link, guest
    await link.close()
    guest.writer.close()


async def test_a_call_gets_its_own_answer(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    first = asyncio.create_task(link.call("exec", {"argv": ["one"]}))
    one = await guest.request()
    second = asyncio.create_task(link.call("exec", {"argv": ["two"]}))
    two = await guest.request()
    assert one.id != two.id
    guest.send(Result(two.id, {"code": 2}))
    guest.send(Result(one.id, {"code": 1}))
    assert (await first, await second) == ({"code": 1}, {"code": 2})


async def test_a_refusal_keeps_its_code(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    call = asyncio.create_task(link.call("offer", {}))
    guest.send(Failure((await guest.request()).id, NOT_READY, "no agent runs"))
    with pytest.raises(GuestError, match="no agent runs") as caught:
        await call
    assert caught.value.code == NOT_READY


async def test_a_late_answer_is_counted_and_disturbs_nobody(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    with pytest.raises(LinkTimeout, match="did not answer bye"):
        await link.call("bye", {}, timeout_s=0.01)
    guest.send(Result((await guest.request()).id, {}))
    call = asyncio.create_task(link.call("exec", {}))
    guest.send(Result((await guest.request()).id, {"code": 0}))
    assert await call == {"code": 0}
    assert link.counters.stale_answers == 1


async def test_hello_is_repeated_with_one_id_until_answered(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    hello = asyncio.create_task(link.hello(20 * HELLO_RETRY_S))
    lost, again = await guest.request(), await guest.request()
    assert lost == again
    guest.send(Result(again.id, {"protocol": 1}))
    guest.send(Result(lost.id, {"protocol": 1}))
    assert await hello == {"protocol": 1}


async def test_a_guests_own_hello_is_answered_without_waiting_for_the_next_turn(
    ends: tuple[StreamLink, Guest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.vm.link.HELLO_RETRY_S", 3600.0)
    link, guest = ends
    hello = asyncio.create_task(link.hello(3600.0))
    await guest.request()
    guest.send(Notification("hello", {"protocol": 1}))
    guest.send(Result((await guest.request()).id, {"protocol": 1}))
    assert await hello == {"protocol": 1}


async def test_a_silent_guest_is_a_timeout_with_a_hint(ends: tuple[StreamLink, Guest]) -> None:
    link, _ = ends
    with pytest.raises(LinkTimeout) as caught:
        await link.hello(0.01)
    assert "serial log" in caught.value.hint


async def test_noise_is_counted_and_skipped(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    guest.writer.write(b"\x00\xff garbage\n[]\n{}\n" + b"x" * (MAX_LINE_BYTES + 2) + b"\n")
    guest.send(Request(7, "shutdown-host", {}))
    guest.send(Notification("agent", {"state": "up"}))
    event = await link.events.get()
    assert (event.method, event.params) == ("agent", {"state": "up"})
    assert link.counters.bad_lines == 5


async def test_a_flood_of_events_drops_the_oldest(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    for number in range(10):
        guest.send(Notification("desktop", {"n": number}))
    call = asyncio.create_task(link.call("exec", {}))
    guest.send(Result((await guest.request()).id, {}))
    await call  # Its answer comes after them, so they have all been read.
    assert [link.events.get_nowait().params["n"] for _ in range(4)] == [6, 7, 8, 9]
    assert link.events.empty()
    assert link.counters.events_dropped == 6


async def test_the_end_of_the_stream_ends_every_call(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    calls = [asyncio.create_task(link.call("exec", {})), asyncio.create_task(link.hello(60.0))]
    await guest.request()
    await guest.request()
    guest.writer.close()
    for call in calls:
        with pytest.raises(LinkClosed):
            await call
    with pytest.raises(LinkClosed):
        await link.call("exec", {})


async def test_close_ends_calls_and_may_be_repeated(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    call = asyncio.create_task(link.call("exec", {}))
    await guest.request()
    await link.close()
    await link.close()
    with pytest.raises(LinkClosed):
        await call


async def test_too_much_is_refused_before_it_is_sent(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    with pytest.raises(LinkError, match="at most"):
        await link.call("exec", {"stdin": "x" * MAX_LINE_BYTES})
    calls = [asyncio.create_task(link.call("exec", {})) for _ in range(3)]
    for _ in calls:
        await guest.request()
    with pytest.raises(LinkError, match="3 requests"):
        await link.call("exec", {})
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    call = asyncio.create_task(link.call("exec", {}))
    guest.send(Result((await guest.request()).id, {}))
    assert await call == {}


async def test_a_cancelled_call_is_cancelled(ends: tuple[StreamLink, Guest]) -> None:
    link, guest = ends
    call = asyncio.create_task(link.call("exec", {}))
    await guest.request()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
