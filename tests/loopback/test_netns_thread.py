"""The namespace thread: order, exceptions, cancellation, and that it never stands in the host's network."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator

import pytest

from gateway.errors import NetnsError
from gateway.netns.thread import THIS_THREADS_NETNS, NamespaceThread


@pytest.fixture
async def thread() -> AsyncIterator[NamespaceThread]:
    made = NamespaceThread()
    await made.start()
    yield made
    await made.close()


def _where() -> str:
    return os.readlink(THIS_THREADS_NETNS)


def _nothing(result: object) -> None:
    pass


async def test_a_job_runs_inside_and_the_caller_stays_outside(thread: NamespaceThread) -> None:
    host = _where()
    namespace = await thread.create()
    try:
        inside = await thread.run(namespace, _where, _nothing)
        assert inside == os.readlink(f"/proc/self/fd/{namespace}")
        assert inside != host
        assert _where() == host
    finally:
        os.close(namespace)


async def test_between_jobs_it_stands_in_an_empty_namespace(thread: NamespaceThread) -> None:
    namespace = await thread.create()
    tid = await thread.run(namespace, threading.get_native_id, _nothing)
    standing = os.readlink(f"/proc/self/task/{tid}/ns/net")
    assert standing not in (_where(), os.readlink(f"/proc/self/fd/{namespace}"))
    os.close(namespace)


async def test_an_exception_passes_through_and_the_thread_goes_on(thread: NamespaceThread) -> None:
    namespace = await thread.create()
    with pytest.raises(ZeroDivisionError):
        await thread.run(namespace, lambda: 1 // 0, _nothing)
    assert await thread.run(namespace, lambda: 7, _nothing) == 7
    os.close(namespace)


async def test_a_result_that_nobody_takes_is_discarded(thread: NamespaceThread) -> None:
    namespace = await thread.create()
    running, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    discarded: list[str] = []

    def job() -> str:
        loop.call_soon_threadsafe(running.set)
        go_on.wait()
        return "result"

    task = asyncio.create_task(thread.run(namespace, job, discarded.append))
    await running.wait()
    os.close(namespace)  # The owner may; the job has its own.
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await thread.close()
    assert discarded == ["result"]


async def test_a_job_that_was_cancelled_in_the_queue_never_runs(thread: NamespaceThread) -> None:
    namespace = await thread.create()
    running, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    ran: list[str] = []

    def first() -> None:
        loop.call_soon_threadsafe(running.set)
        go_on.wait()

    holding = asyncio.create_task(thread.run(namespace, first, _nothing))
    await running.wait()
    queued = asyncio.create_task(thread.run(namespace, lambda: ran.append("second"), _nothing))
    await asyncio.sleep(0)
    queued.cancel()
    await asyncio.wait({queued})
    go_on.set()
    await holding
    await thread.close()
    assert ran == []
    os.close(namespace)


async def test_closed_it_refuses(thread: NamespaceThread) -> None:
    namespace = await thread.create()
    await thread.close()
    await thread.close()
    with pytest.raises(NetnsError, match="not running"):
        await thread.run(namespace, _where, _nothing)
    os.close(namespace)
