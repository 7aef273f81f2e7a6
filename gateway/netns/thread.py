"""The one thread that enters network namespaces.

A namespace belongs to a thread (setns(2)), and what a thread opens or starts while inside keeps that namespace for
life. So one thread does all of it and never comes back to the host's network: between jobs it stands in an empty
namespace of its own, where a forgotten job could reach nothing, and so that no closed namespace is kept alive by it.

Jobs are short: nothing waits for the network here (a socket is connected by the event loop, after it was born).
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from gateway.errors import NetnsError

__all__ = ["NamespaceThread"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
"""sched.h; os.unshare and os.setns came with Python 3.12."""
THIS_THREADS_NETNS = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)

_Job = tuple[Callable[[], Any], "Future[Any]"]


class NamespaceThread:
    """Runs jobs inside namespaces, one after the other. Start it once; close it after the last namespace."""

    def __init__(self) -> None:
        # Unbounded, but every entry is awaited by a coroutine of ours: sessions are what bounds it.
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._void_fd = -1

    async def start(self) -> None:
        """Start the thread in its empty namespace.

        Raises:
            NetnsError: no right to make namespaces, or no /proc.
        """
        self._thread = threading.Thread(target=self._loop, name="netns", daemon=True)
        self._thread.start()
        try:
            self._void_fd = await self._submit(_unshare, os.close)
        except OSError as exc:
            await self.close()
            raise _no_namespace(exc) from exc

    async def close(self) -> None:
        """Run what was submitted, then end the thread. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._jobs.put(None)
        await asyncio.to_thread(thread.join)
        if self._void_fd >= 0:
            os.close(self._void_fd)
            self._void_fd = -1

    async def create(self) -> int:
        """Make a namespace without a name and return the fd that holds it. Raises NetnsError."""

        def job() -> int:
            try:
                return _unshare()
            finally:
                _setns(self._void_fd)

        try:
            return await self._submit(job, os.close)
        except OSError as exc:
            raise _no_namespace(exc) from exc

    async def run(self, namespace_fd: int, job: Callable[[], T], discard: Callable[[T], object]) -> T:
        """Run ``job`` inside the namespace and return what it returns; its exceptions pass through.

        Args:
            discard: undoes the result (closes, kills) when the caller was cancelled and nobody takes it.

        Raises:
            NetnsError: the thread is not running.
        """

        # A copy, closed when the job has ended (which may be after its caller was cancelled): the owner may close
        # its own at any time, and the job must neither break nor enter a reused number.
        fd = os.dup(namespace_fd)

        def inside() -> T:
            _setns(fd)
            try:
                return job()
            finally:
                _setns(self._void_fd)

        return await self._submit(inside, discard, lambda: os.close(fd))

    async def _submit(
        self, job: Callable[[], T], discard: Callable[[T], object], release: Callable[[], object] = lambda: None
    ) -> T:
        future: Future[T] = Future()
        future.add_done_callback(lambda _: release())
        if self._thread is None:
            future.cancel()
            raise NetnsError("the namespace thread is not running")
        self._jobs.put((job, future))
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            if not future.cancel():
                future.add_done_callback(lambda done: _discard(done, discard))
            raise

    def _loop(self) -> None:
        while (entry := self._jobs.get()) is not None:
            job, future = entry
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = job()
            except BaseException as exc:
                future.set_exception(exc)
            else:
                future.set_result(result)
            # An idle thread must not keep the last job's objects alive.
            del entry, job, future


def _discard(done: Future[T], discard: Callable[[T], object]) -> None:
    if done.exception() is None:
        discard(done.result())


def _unshare() -> int:
    if _libc.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return os.open(THIS_THREADS_NETNS, os.O_RDONLY | os.O_CLOEXEC)


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _no_namespace(exc: OSError) -> NetnsError:
    hints = {
        errno.EPERM: "run as root, or allow unprivileged user namespaces",
        errno.ENOSPC: "raise user.max_net_namespaces with sysctl",
    }
    return NetnsError(f"cannot make a network namespace: {exc.strerror}", hint=hints.get(exc.errno or 0, ""))
