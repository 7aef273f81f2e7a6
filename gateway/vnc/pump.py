"""The bytes of one noVNC viewer: WebSocket to x11vnc and back, through the client-message filter.

Nothing is queued in between: each direction reads, then writes and waits until the other side took it, so a
slow tab stops x11vnc by TCP itself, and a stuck x11vnc stops the tab. Heartbeats are the WebSocket's own, and those
of a page that promises them, which may then hold keys no longer than a lease without one (lease.py).
A key press waits for no other byte: TCP_NODELAY is set here, since asyncio leaves sockets it did not make alone.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from enum import Enum
from socket import AF_INET, AF_INET6, IPPROTO_TCP, TCP_NODELAY
from typing import Protocol

from gateway.errors import VncError
from gateway.vnc.handshake import log_in, welcome
from gateway.vnc.lease import LEASE_S, Lease
from gateway.vnc.rfb import ClientFilter, Role

__all__ = ["CHUNK_BYTES", "Ended", "InputSwitch", "Report", "ViewerSocket", "serve"]

logger = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
"""Most bytes in one WebSocket message to the viewer."""
LAST_WORDS_S = 1.0
"""How long what a viewer sent before it left may take to reach x11vnc; it may be in the middle of a word."""


class ViewerSocket(Protocol):
    """A WebSocket that carries binary messages, already accepted."""

    async def receive(self) -> bytes | None:
        """The next binary message; None when the viewer has gone, however it went. Never raises for that.

        Cancelling it loses no message.
        """

    async def send(self, data: bytes) -> None:
        """One binary message; returns when the transport has room again. Raises ConnectionError when gone."""

    async def close(self, code: int, reason: str) -> None:
        """Close with an RFC 6455 code. Idempotent."""


class Ended(Enum):
    """Who ended a pump, with the WebSocket close code (RFC 6455 7.4.1) that goes to the viewer."""

    VIEWER = 1000
    SERVER = 1012
    """x11vnc went away; systemd starts it again, so the viewer may come back."""
    MALFORMED = 1002
    """The viewer sent what is not RFB."""
    REFUSED = 1011
    """x11vnc refused the password or spoke nonsense."""
    CANCELLED = 1001
    """The session ended, or the gateway."""


@dataclass(slots=True)
class Report:
    """What a pump did. Filled as it runs, complete when :func:`serve` has returned."""

    ended: Ended = Ended.CANCELLED
    reason: str = ""
    bytes_to_guest: int = 0
    bytes_to_viewer: int = 0
    messages_dropped: int = 0
    """Client messages that may not reach the desktop."""
    leases_ended: int = 0
    """How often a viewer went silent with something held."""


class InputSwitch:
    """Turns a viewer's input on and off, before and while its pump runs. Off at first."""

    def __init__(self) -> None:
        self._on = False
        self._client: ClientFilter | None = None
        self._writer: asyncio.StreamWriter | None = None

    def turn(self, on: bool) -> None:
        """What is held when it goes off is released at once."""
        self._on = on
        if self._client is None or self._writer is None:
            return
        messages = self._client.control(on)
        # Few and small; a viewer that holds something has been through the handshake.
        if messages and not self._writer.transport.is_closing():
            self._writer.write(messages)

    def connect(self, client: ClientFilter, writer: asyncio.StreamWriter) -> None:
        """Called by the pump."""
        self._client, self._writer = client, writer
        self.turn(self._on)


async def serve(
    socket: ViewerSocket,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    role: Role,
    password: str,
    switch: InputSwitch | None = None,
    handshake_timeout_s: float = 10.0,
    release_timeout_s: float = 2.0,
    lease_s: float = LEASE_S,
    report: Report | None = None,
) -> Report:
    """Carry one viewer until either side ends; then let go of what it holds and close both.

    Args:
        socket: the viewer.
        reader, writer: a fresh connection to x11vnc (``dataplane.dial(vm_id, VNC_PORT)``); owned from here on.
        role: ``view`` types, clicks and pastes nothing.
        password: the session's VNC password, for x11vnc only.
        switch: whether the control role controls now; it does when None.
        lease_s: how long a viewer that sends heartbeats may hold something without one.
        report: one to fill while it runs, for whoever wants to watch the counters.

    Returns the report; errors of either side are in it and in the close code, never raised. Cancelling is
    heard at once and raised again after held keys were released and both sides closed.
    """
    report = report if report is not None else Report()
    _set_nodelay(writer)
    client = ClientFilter(role)
    if switch is not None:
        switch.connect(client, writer)
    try:
        try:
            async with asyncio.timeout(handshake_timeout_s):
                await log_in(reader, writer, password)
        except (VncError, OSError, EOFError, TimeoutError) as exc:
            _end(report, Ended.REFUSED, _why(exc) or "x11vnc did not answer in time.")
            return report
        try:
            async with asyncio.timeout(handshake_timeout_s):
                first = await welcome(socket, writer)
        except (VncError, TimeoutError) as exc:
            _end(report, Ended.MALFORMED, _why(exc) or "The viewer did not answer in time.")
            return report
        except (OSError, EOFError) as exc:
            _end(report, Ended.VIEWER, _why(exc))
            return report
        await _pump(socket, reader, writer, client, Lease(client, lease_s), first, report)
        return report
    finally:
        report.messages_dropped = client.dropped
        try:
            await _release(writer, client, report, release_timeout_s)
        finally:
            _hang_up(writer)
            await socket.close(report.ended.value, report.reason)


def _set_nodelay(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock.family in (AF_INET, AF_INET6):
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)


def _end(report: Report, ended: Ended, reason: str) -> None:
    # A close frame has room for 123 bytes (RFC 6455 5.5), and x11vnc's own words may be in here.
    report.ended, report.reason = ended, reason.encode()[:120].decode("utf-8", "ignore")


def _why(exc: Exception) -> str:
    return exc.message if isinstance(exc, VncError) else str(exc)


async def _pump(
    socket: ViewerSocket,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    client: ClientFilter,
    lease: Lease,
    first: bytes,
    report: Report,
) -> None:
    """Both directions until one ends; the other is cancelled and awaited."""
    writer.transport.set_write_buffer_limits(high=CHUNK_BYTES)
    tasks = [
        asyncio.create_task(_to_guest(socket, writer, client, lease, first, report), name="vnc to guest"),
        asyncio.create_task(_to_viewer(socket, reader, report), name="vnc to viewer"),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        ended, reason = next(task for task in tasks if task in done).result()
        if ended is Ended.VIEWER:
            await asyncio.wait(tasks[:1], timeout=LAST_WORDS_S)
        _end(report, ended, reason)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _to_guest(
    socket: ViewerSocket,
    writer: asyncio.StreamWriter,
    client: ClientFilter,
    lease: Lease,
    first: bytes,
    report: Report,
) -> tuple[Ended, str]:
    data: bytes | None = first
    while data is not None:
        allowed = client.feed(data)
        if allowed:
            report.bytes_to_guest += len(allowed)
            try:
                writer.write(allowed)
                await writer.drain()
            except OSError as exc:
                return Ended.SERVER, f"x11vnc went away: {exc}"
        report.messages_dropped = client.dropped
        if client.failure is not None:
            return Ended.MALFORMED, client.failure.message
        data = await _receive(socket, writer, lease, report)
    return Ended.VIEWER, "The viewer left."


async def _receive(socket: ViewerSocket, writer: asyncio.StreamWriter, lease: Lease, report: Report) -> bytes | None:
    """The next message. What is held when a lease ends is released meanwhile.

    What has come already counts as heard, however long x11vnc kept us from reading it.
    """
    now = asyncio.get_running_loop().time
    while True:
        try:
            async with asyncio.timeout_at(lease.deadline()):
                data = await socket.receive()
        except TimeoutError:
            messages = lease.expire(now())
            report.leases_ended = lease.ended
            report.bytes_to_guest += len(messages)
            # Few and small: x11vnc took all that came before.
            writer.write(messages)
            continue
        if data is not None:
            lease.heard(data, now())
        return data


async def _to_viewer(socket: ViewerSocket, reader: asyncio.StreamReader, report: Report) -> tuple[Ended, str]:
    while True:
        try:
            data = await reader.read(CHUNK_BYTES)
        except OSError as exc:
            return Ended.SERVER, f"x11vnc went away: {exc}"
        if not data:
            return Ended.SERVER, "x11vnc closed the connection."
        try:
            await socket.send(data)
        except OSError as exc:
            return Ended.VIEWER, f"The viewer went away: {exc}"
        report.bytes_to_viewer += len(data)


async def _release(writer: asyncio.StreamWriter, client: ClientFilter, report: Report, timeout_s: float) -> None:
    """Nothing stays held for a viewer that has gone; an x11vnc that takes nothing is not waited for."""
    messages = client.release_all()
    if not messages or writer.transport.is_closing():
        return
    # drain() then means that the kernel has it all.
    writer.transport.set_write_buffer_limits(high=0)
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(messages)
            await writer.drain()
    except (OSError, TimeoutError) as exc:
        logger.warning("held keys could not be released: %s", exc)
        return
    report.bytes_to_guest += len(messages)


def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Close; but what a stuck x11vnc has not taken by now is dropped, where close() would keep it for ever."""
    if writer.transport.get_write_buffer_size():
        writer.transport.abort()
    else:
        writer.close()
