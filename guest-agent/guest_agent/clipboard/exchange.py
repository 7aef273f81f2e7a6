"""Between the viewers' clipboards and the desktop's, on the agent's loop.

Whoever controls gets what is copied in the guest and may have what it copied pasted there. The guest's content goes
out when it is copied, never by itself when a viewer comes: nobody's clipboard is overwritten by opening a page. What
came from a viewer is not sent back to one, whoever owns the selection by now.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from guest_agent.clipboard.content import LIMITS, Content, Limits, Ways
from guest_agent.clipboard.transfer import Arrived, Receiver, Refused, Sender
from guest_agent.ports import ClipboardChannel, ClipboardSink, Role
from guest_agent.protocol import codec
from guest_agent.protocol.messages import (
    Channel,
    ClipboardAck,
    ClipboardOffer,
    ClipboardWays,
    Direction,
    GuestClipboardAck,
    Message,
)

__all__ = ["ClipboardCounters", "ClipboardExchange", "Selection"]

logger = logging.getLogger(__name__)


class Selection(Protocol):
    """The desktop's side (selection.SelectionWorker), as seen from the loop. Neither call blocks."""

    def own(self, content: Content, done: Callable[[bool], object]) -> None:
        """Have programs paste this. ``done`` is told, on the loop, once they can, or that they cannot."""

    def follow(self, on: bool) -> None:
        """Read what programs copy, or leave it alone."""


@dataclass(slots=True)
class ClipboardCounters:
    """Since start."""

    to_guest: int = 0
    to_viewers: int = 0
    refused: int = 0
    malformed: int = 0


@dataclass(eq=False, slots=True)
class _Line:
    """One viewer's channel."""

    peer: str
    role: Role
    channel: ClipboardChannel
    receiver: Receiver
    sender: Sender


class ClipboardExchange:
    """Made on the running loop; :meth:`join` gives it the desktop's side.

    Args:
        limits: what is larger is not copied.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.counters = ClipboardCounters()
        self.latest: Content | None = None
        """What programs of the guest would paste now, as far as it is known here."""
        self.ways = Ways()
        self._limits = limits
        self._selection: Selection | None = None
        self._from_viewer = ""
        self._lines: dict[str, _Line] = {}
        self._changed = asyncio.Event()

    def join(self, selection: Selection) -> None:
        """The desktop is there."""
        self._selection = selection
        selection.follow(self.ways.to_viewer)

    # What the session's owner decides.

    def allow(self, ways: Ways) -> None:
        """Which ways may be copied from now on; what is under way another way is dropped."""
        if ways == self.ways:
            return
        logger.info("= clipboard %s", ways)
        self.ways = ways
        if not ways.to_viewer:
            self.latest = None
        if self._selection is not None:
            self._selection.follow(ways.to_viewer)
        for line in self._lines.values():
            if not ways.to_guest:
                line.receiver.forget()
            if not ways.to_viewer:
                line.sender.cancel()
            self._tell_ways(line)

    def _ways_of(self, line: _Line) -> Ways:
        # The one place that says who controls.
        return self.ways if line.role is Role.CONTROL else Ways()

    # What the viewers do (ports.ClipboardSink).

    def opened(self, peer: str, role: Role, channel: ClipboardChannel) -> None:
        line = self._lines[peer] = _Line(peer, role, channel, Receiver(self._limits), Sender())
        self._tell_ways(line)

    def closed(self, peer: str, channel: ClipboardChannel) -> None:
        line = self._lines.get(peer)
        # A peer of the same name may have come meanwhile.
        if line is not None and line.channel is channel:
            del self._lines[peer]

    def receive(self, peer: str, data: object) -> None:
        line = self._lines.get(peer)
        if line is None:
            return
        try:
            message = codec.decode(data if isinstance(data, bytes) else b"", Channel.CLIPBOARD, Direction.TO_AGENT)
        except codec.Malformed:
            self.counters.malformed += 1
            return
        if isinstance(message, ClipboardAck):
            if not message.taken:
                line.sender.refused(message.id)
            return
        if not self._ways_of(line).to_guest:
            self.counters.refused += 1
            if isinstance(message, ClipboardOffer):
                self._send(line, GuestClipboardAck(message.id, False))
            return
        match line.receiver.receive(message):
            case Arrived(ident, content):
                self._take(content, lambda taken: self._send(line, GuestClipboardAck(ident, taken)))
            case Refused(ident, why):
                self.counters.refused += 1
                logger.info("x a clipboard of %s: %s", peer, why)
                self._send(line, GuestClipboardAck(ident, False))
            case None:
                pass

    def writable(self, peer: str) -> None:
        if (line := self._lines.get(peer)) is not None:
            self._push(line)

    # What the guest does.

    def copied(self, content: Content, fresh: bool) -> None:
        """A program of the guest owns this; ``fresh``: it was copied just now."""
        if not self.ways.to_viewer:
            return
        self.latest = content
        self._tell_waiters()
        if not fresh or content.digest == self._from_viewer:
            return
        self._from_viewer = ""
        self.counters.to_viewers += 1
        for line in self._lines.values():
            if self._ways_of(line).to_viewer:
                line.sender.offer(content)
                self._push(line)

    # What the gateway asks for, for those who watch by noVNC.

    async def put(self, content: Content) -> bool:
        """Have programs paste this; whether they can."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def tell(taken: bool) -> None:
            if not done.done():
                done.set_result(taken)

        self._take(content, tell)
        return await done

    async def get(self, known: str, wait_s: float) -> Content | None:
        """The guest's content, waited for as long as it is the one that is ``known`` (its digest)."""
        try:
            async with asyncio.timeout(wait_s):
                while self.latest is None or self.latest.digest == known:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return self.latest

    def _take(self, content: Content, done: Callable[[bool], object]) -> None:
        if self._selection is None:
            done(False)
            return
        self.counters.to_guest += 1
        self._from_viewer = content.digest
        if self.ways.to_viewer:
            self.latest = content
            self._tell_waiters()
        self._selection.own(content, done)

    def _tell_waiters(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _tell_ways(self, line: _Line) -> None:
        ways = self._ways_of(line)
        self._send(line, ClipboardWays(ways.to_guest, ways.to_viewer))

    def _push(self, line: _Line) -> None:
        """Send as long as nothing waits in the channel; ``writable`` comes when it is empty again."""
        while line.channel.readyState == "open" and line.channel.bufferedAmount == 0:
            message = line.sender.next()
            if message is None:
                return
            self._send(line, message)

    def _send(self, line: _Line, message: Message) -> None:
        if line.channel.readyState == "open" and self._lines.get(line.peer) is line:
            line.channel.send(codec.encode(message))


_: type[ClipboardSink] = ClipboardExchange
