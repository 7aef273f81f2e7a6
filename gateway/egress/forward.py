"""One plain HTTP request of the guest, passed on, and its answer passed back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from gateway.egress.http1 import Answer, Inbound, Outbound
from gateway.egress.limits import Times
from gateway.egress.streams import READ_BYTES, End, Meter, end_all
from gateway.egress.upstream import Way
from gateway.errors import UpstreamAuthFailed, UpstreamCut, UpstreamSlow

__all__ = ["Forward"]


class Forward:
    """A connection of its own to the upstream: nothing of one request can reach another's.

    Args:
        inbound: the guest's request; no CONNECT.
        guest: where it came from.
        way: where it goes; the caller closes both.
        up, down: meter what comes from the guest and from outside.
        times: of the stages.
        doubt: called at a 401, which some proxies send in place of 407: raises UpstreamAuthFailed if it is theirs
            and not the target's.
    """

    def __init__(
        self,
        inbound: Inbound,
        guest: End,
        way: Way,
        up: Meter,
        down: Meter,
        times: Times,
        doubt: Callable[[], Awaitable[None]],
    ) -> None:
        self.started = False
        """The guest has the answer's head, or a part of it."""
        self._inbound = inbound
        self._guest = guest
        self._far = way.end
        self._up = up
        self._down = down
        self._times = times
        self._doubt = doubt
        self._outbound = Outbound(inbound.request, absolute=way.absolute, authorization=way.authorization)
        self._asks_proxy = way.absolute
        self._loop = asyncio.get_running_loop()
        self._deadline: asyncio.Timeout

    @property
    def blames_exit(self) -> bool:
        """Whether a failure is the exit's: it spoke for itself, and had not yet passed on what the target says."""
        return self._asks_proxy and not self.started

    async def run(self) -> None:
        """Returns once the guest has the whole answer.

        Raises:
            EgressError: it has not; a page may be shown unless ``started``.
            ConnectionError: the guest has gone.
        """
        tasks: set[asyncio.Task[None]] = set()
        try:
            async with asyncio.timeout(self._times.answer_s) as self._deadline:
                sending = asyncio.create_task(self._send())
                answering = asyncio.create_task(self._answer())
                tasks = {sending, answering}
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if not answering.done():
                    sending.result()
                await answering
        except TimeoutError:
            raise UpstreamSlow("the answer did not come, or stopped, for too long") from None
        finally:
            await end_all(tasks)

    def _moved(self) -> None:
        patience_s = self._times.idle_s if self.started else self._times.answer_s
        self._deadline.reschedule(self._loop.time() + patience_s)

    async def _send(self) -> None:
        # An upstream that closes early may have said why: who reads its answer will see.
        await self._write_far(self._outbound.head())
        while (count := self._inbound.wants()) > 0:
            data = await self._guest.reader.read(count)
            await self._up(len(data))
            self._moved()
            if body := self._inbound.receive(data):
                await self._write_far(self._outbound.body(body))
        await self._write_far(self._outbound.end())

    async def _write_far(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self._far.writer.write(data)
            await self._far.writer.drain()

    async def _answer(self) -> None:
        while True:
            try:
                data = await self._far.reader.read(READ_BYTES)
            except OSError:
                raise UpstreamCut("the connection broke before the answer was complete") from None
            await self._down(len(data))
            for part in self._outbound.receive(data):
                if part is None:
                    self._guest.writer.write(self._inbound.end())
                    await self._guest.writer.drain()
                    return
                known = await self._head(part) if isinstance(part, Answer) else self._inbound.body(part)
                self._guest.writer.write(known)
            if not data:
                raise UpstreamCut("the connection ended before the answer was complete")
            await self._guest.writer.drain()
            self._moved()

    async def _head(self, answer: Answer) -> bytes:
        if self._asks_proxy and answer.status == 407:
            # Whoever sits at the desktop has nothing to do with the gateway's password, and must not be asked for it.
            raise UpstreamAuthFailed("the upstream does not take the user name and password")
        if self._asks_proxy and answer.status == 401:
            await self._doubt()
        self.started = self.started or not answer.informational
        return self._inbound.answer(answer)
