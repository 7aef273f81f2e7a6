"""The fan-out of states, and waiting."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gateway.errors import CapacityError, NetnsError, VncError
from gateway.sessions.updates import Updates
from gateway.sessions.waiting import rfb_banner, together


async def test_a_watcher_gets_the_latest_first_and_then_each() -> None:
    updates = Updates(0)
    updates.publish(1)
    with updates.watch() as watcher:
        updates.publish(2)
        updates.end()
        assert [await watcher.get() for _ in range(4)] == [1, 2, None, None]


async def test_a_slow_watcher_loses_the_oldest_and_keeps_the_latest() -> None:
    updates = Updates(0, max_items=3)
    with updates.watch() as watcher:
        for item in range(1, 10):
            updates.publish(item)
        updates.end()
        assert [await watcher.get() for _ in range(4)] == [7, 8, 9, None]


async def test_a_waiting_watcher_is_woken() -> None:
    updates = Updates(0)
    with updates.watch() as watcher:
        await watcher.get()
        waiting = asyncio.create_task(watcher.get())
        await asyncio.sleep(0)
        updates.publish(1)
        assert await waiting == 1
        waiting = asyncio.create_task(watcher.get())
        await asyncio.sleep(0)
        updates.end()
        assert await waiting is None


async def test_a_late_watcher_of_an_ended_session_gets_its_end() -> None:
    updates = Updates("stopped")
    updates.end()
    with updates.watch() as watcher:
        assert [await watcher.get(), await watcher.get()] == ["stopped", None]


async def test_watchers_are_counted_and_let_go() -> None:
    updates = Updates(0, max_watchers=2)
    with updates.watch(), updates.watch(), pytest.raises(CapacityError), updates.watch():
        raise AssertionError("a third watcher was let in")
    with updates.watch(), updates.watch():
        pass


async def test_together_ends_when_all_have() -> None:
    done: list[int] = []

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        done.append(number)

    await together(work(1), work(2))
    assert done == [1, 2]


async def test_together_raises_the_first_error_and_cancels_the_others() -> None:
    cancelled = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def fail() -> None:
        raise NetnsError("gone")

    with pytest.raises(NetnsError, match="gone"):
        await together(forever(), fail())
    assert cancelled.is_set()


async def test_together_passes_its_own_cancellation_on() -> None:
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    async def forever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    task = asyncio.create_task(together(forever()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


class Server:
    """dial() that refuses, hangs up, or answers, in the order given."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.dials = 0

    async def dial(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        answer = self.answers[min(self.dials, len(self.answers) - 1)]
        self.dials += 1
        if answer is None:
            raise NetnsError(f"port {port} refused")
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(answer)
        return await asyncio.open_connection(sock=ours)


async def test_a_banner_is_waited_for_through_refusals_and_hang_ups() -> None:
    server = Server(None, b"", b"RFB 003", b"HTTP/1.1 400", b"RFB 003.008\n")
    assert await rfb_banner(server.dial, 5901, timeout_s=20, first_pause_s=0) == b"RFB 003.008\n"
    assert server.dials == 5


async def test_no_banner_in_time_says_what_was_seen() -> None:
    server = Server(None)
    with pytest.raises(VncError) as caught:
        await rfb_banner(server.dial, 5901, timeout_s=0.05, first_pause_s=0.01)
    assert "port 5901 refused" in caught.value.message
    assert caught.value.hint
