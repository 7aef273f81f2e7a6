"""The gateway's end of the agent link: JSON-RPC over a byte stream.

The stream is QEMU's chardev socket (virtio-serial in the guest), or a plain unix socket for the development
driver. It says nothing about the guest: it is open before the guest has booted and stays open when its agent
dies. Only an answer is a sign of life, so :meth:`StreamLink.hello` repeats its request until one comes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import GuestError, LinkClosed, LinkError, LinkTimeout
from gateway.vm.driver import AgentLink, GuestEvent
from guest_agent.protocol.link import MAX_LINE_BYTES
from guest_agent.protocol.plainjson import one_line
from guest_agent.protocol.rpc import BadLine, Failure, LineDecoder, Notification, Request, Result, encode

__all__ = ["LinkCounters", "StreamLink"]

logger = logging.getLogger(__name__)

READ_BYTES = 64 * 1024
HELLO_RETRY_S = 0.5
HELLO_ID = 0
"""Every hello carries it, so that an answer to any repetition is the answer."""


@dataclass(slots=True)
class LinkCounters:
    """What the link threw away, since it was opened."""

    bad_lines: int = 0
    stale_answers: int = 0
    events_dropped: int = 0


class StreamLink:
    """An :class:`~gateway.vm.driver.AgentLink` on a pair of streams. Call :meth:`start` before anything else.

    Args:
        name: of the VM, for the log.
        max_events: size of ``events``; the oldest is dropped and counted when it is full.
        max_pending: requests that may be unanswered at once; one more is refused with LinkError.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        name: str,
        max_events: int = 256,
        max_pending: int = 64,
    ) -> None:
        self.events: asyncio.Queue[GuestEvent] = asyncio.Queue(max_events)
        self.counters = LinkCounters()
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done at the first answer to hello, cancelled when the link ends without one."""
        self._reader = reader
        self._writer = writer
        self._name = name
        self._max_pending = max_pending
        self._pending: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._last_id = HELLO_ID
        self._closed = False
        self._guest_said_hello = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._read(), name=f"link-{self._name}")

    async def hello(self, timeout_s: float) -> Mapping[str, Any]:
        """Ask until answered; see AgentLink."""
        line = encode(Request(HELLO_ID, "hello", {}))
        waiter = self._expect(HELLO_ID)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._guest_said_hello.clear()
                    # The newline ends whatever half line the guest's port may have kept from an earlier write.
                    await self._send(b"\n" + line)
                    # A guest that has just opened its port says so, and then need not wait for the next turn.
                    await self._answered_or_hello(waiter)
                    if waiter.done():
                        answer = waiter.result()
                        if not self.greeted.done():
                            self.greeted.set_result(None)
                        return answer
        except TimeoutError as exc:
            raise LinkTimeout(
                f"the guest did not answer within {timeout_s:g} s",
                hint="its serial log shows how far it booted",
            ) from exc
        finally:
            self._forget(HELLO_ID)

    async def call(self, method: str, params: Mapping[str, Any], *, timeout_s: float = 10.0) -> Mapping[str, Any]:
        """One request; see AgentLink."""
        self._last_id += 1
        ident = self._last_id
        line = encode(Request(ident, method, params))
        if len(line) > MAX_LINE_BYTES:
            raise LinkError(f"{method} takes {len(line)} bytes, the link carries at most {MAX_LINE_BYTES}")
        if len(self._pending) >= self._max_pending:
            raise LinkError(f"{self._max_pending} requests to the guest are unanswered")
        waiter = self._expect(ident)
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(line)
                return await waiter
        except TimeoutError as exc:
            raise LinkTimeout(f"the guest did not answer {method} within {timeout_s:g} s") from exc
        finally:
            self._forget(ident)

    async def close(self) -> None:
        """Stop reading and drop the stream. Idempotent; unanswered requests end with LinkClosed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        self._end()
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _expect(self, ident: int) -> asyncio.Future[Mapping[str, Any]]:
        if self._closed:
            raise LinkClosed("the link to the guest is closed")
        if ident in self._pending:
            raise LinkError("a hello is already being waited for")
        waiter: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[ident] = waiter
        return waiter

    def _forget(self, ident: int) -> None:
        waiter = self._pending.pop(ident, None)
        if waiter is not None and waiter.done() and not waiter.cancelled():
            waiter.exception()  # The caller left by another way; an unread exception would be logged as lost.

    async def _answered_or_hello(self, waiter: asyncio.Future[Mapping[str, Any]]) -> None:
        notified = asyncio.create_task(self._guest_said_hello.wait(), name=f"link-{self._name}-hello")
        try:
            both: set[asyncio.Future[Any]] = {waiter, notified}
            await asyncio.wait(both, timeout=HELLO_RETRY_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            notified.cancel()
            await asyncio.wait({notified})

    async def _send(self, line: bytes) -> None:
        try:
            self._writer.write(line)
            await self._writer.drain()
        except OSError as exc:
            raise LinkClosed("the link to the guest is closed") from exc

    async def _read(self) -> None:
        decoder = LineDecoder()
        try:
            while data := await self._reader.read(READ_BYTES):
                for message in decoder.feed(data):
                    self._take(message)
        except OSError as exc:
            logger.debug("! %s link: %s", self._name, exc)
        finally:
            self._end()

    def _take(self, message: Request | Notification | Result | Failure | BadLine) -> None:
        match message:
            case Result(ident, result):
                self._answer(ident, result)
            case Failure(ident, code, text):
                self._answer(ident, GuestError(f"the guest refused: {one_line(text)}", code=code))
            case Notification(method, params):
                if method == "hello":
                    self._guest_said_hello.set()
                self._publish(GuestEvent(method, params))
            case Request() | BadLine():
                # The guest has nothing to ask the gateway for.
                self.counters.bad_lines += 1

    def _answer(self, ident: int, answer: Mapping[str, Any] | GuestError) -> None:
        waiter = self._pending.get(ident)
        if waiter is None or waiter.done():
            self.counters.stale_answers += 1
        elif isinstance(answer, GuestError):
            waiter.set_exception(answer)
        else:
            waiter.set_result(answer)

    def _publish(self, event: GuestEvent) -> None:
        # Bounded, oldest dropped: a newer state notification makes an older one worthless.
        if self.events.full():
            self.events.get_nowait()
            self.counters.events_dropped += 1
        self.events.put_nowait(event)

    def _end(self) -> None:
        self._closed = True
        self.greeted.cancel()
        for waiter in self._pending.values():
            if not waiter.done():
                waiter.set_exception(LinkClosed("the guest's port went away"))


_: type[AgentLink] = StreamLink
