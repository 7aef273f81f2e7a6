"""Viewers by ICE-TCP (RFC 6544): the same datagrams, framed on a connection that the browser opened.

Whoever accepts connections hands them over by :meth:`TcpSide.take`. The first frame has to be a binding request
that the admission table lets in; after that the connection is one more client address of its peer. Nothing is
ever retried or stored for long: a datagram that finds the connection's buffer full is dropped, as a router would.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping as ReadOnly
from itertools import count

from gateway.errors import FramingError
from gateway.relay.flows import BURST, Flow, Flows, Traffic
from gateway.relay.framing import HEADER_BYTES, Deframer, put_header
from gateway.relay.table import Mapping

__all__ = ["FIRST_REQUEST_S", "MAX_OUT_BYTES", "MAX_STRANGERS", "TcpSide"]

MAX_STRANGERS = 128
"""Connections without a valid request yet; the oldest gives way to a new one."""
FIRST_REQUEST_S = 5.0
"""A browser sends its first check at once."""
READ_BYTES = 16 << 10
"""Read from one connection before the loop sees to the others."""
MAX_OUT_BYTES = 256 << 10
"""Frames of one viewer that wait for the kernel. More than a picture, and a second of a 2 Mb/s path: what waits
longer is worth less than the next picture, and the sender's rate control sees drops sooner than delay."""
UNSENT_BYTES = 64 << 10
"""What the kernel keeps before it sends it: enough for a round of the loop. Its own buffer grows to megabytes."""


class _Connection:
    """A viewer's connection, from its first byte on."""

    __slots__ = ("deframer", "flow", "number", "out", "sock", "timer", "writing")

    def __init__(self, number: int, sock: socket.socket) -> None:
        self.number = number
        self.sock = sock
        self.deframer = Deframer()
        self.flow: _TcpFlow | None = None
        """None until it is admitted."""
        self.out = bytearray()
        """Whole frames that wait, and the rest of one that the kernel took a part of."""
        self.writing = False
        """The loop says when the kernel takes more."""
        self.timer: asyncio.TimerHandle | None = None


class _TcpFlow(Flow):
    __slots__ = ("connection", "side")

    def __init__(self, side: TcpSide, mapping: Mapping, connection: _Connection) -> None:
        super().__init__(mapping, side.traffic)
        self.side = side
        self.connection = connection

    def read_inner(self, inner: socket.socket) -> None:
        self.side.read_inner(self.connection, inner)

    def ended(self) -> None:
        self.side.drop(self.connection)


class TcpSide:
    """All viewers by TCP. All methods belong to the event loop's thread and raise nothing.

    Args:
        flows: where admitted connections are mappings beside those by UDP.
        max_strangers: connections that have not been admitted yet.
        first_request_s: how long one may take to be.
    """

    def __init__(
        self, flows: Flows, *, max_strangers: int = MAX_STRANGERS, first_request_s: float = FIRST_REQUEST_S
    ) -> None:
        self._flows = flows
        self._max_strangers = max_strangers
        self._first_request_s = first_request_s
        self._loop = asyncio.get_running_loop()
        self._numbers = count(1)
        self._connections: dict[int, _Connection] = {}
        self._strangers: dict[int, _Connection] = {}
        """Oldest first."""
        self._in = memoryview(bytearray(READ_BYTES))
        self._frame = bytearray(HEADER_BYTES + 65535)
        self._frame_view = memoryview(self._frame)
        self._datagram = self._frame_view[HEADER_BYTES:]
        self.traffic = Traffic()
        self._counts = dict.fromkeys(
            ["accepted", "not_admitted", "too_late", "crowded_out", "bad_frame", "buffer_full"], 0
        )

    def counters(self) -> ReadOnly[str, int]:
        """Connections by what became of them, datagrams dropped because a viewer was slow; since start.

        ``tcp_connections`` is how many there are now.
        """
        return {
            "tcp_connections": len(self._connections),
            "tcp_accepted": self._counts["accepted"],
            **{
                f"tcp_closed_{reason}": self._counts[reason]
                for reason in ("not_admitted", "too_late", "crowded_out", "bad_frame")
            },
            "dropped_tcp_buffer_full": self._counts["buffer_full"],
        }

    def take(self, sock: socket.socket) -> None:
        """Own a connection whose first bytes, still unread, may be a viewer's."""
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        except OSError:
            sock.close()
            return
        if len(self._strangers) >= self._max_strangers:
            self._close_stranger(next(iter(self._strangers.values())), "crowded_out")
        connection = _Connection(next(self._numbers), sock)
        self._connections[connection.number] = self._strangers[connection.number] = connection
        self._counts["accepted"] += 1
        connection.timer = self._loop.call_later(self._first_request_s, self._close_stranger, connection, "too_late")
        self._loop.add_reader(sock, self._read, connection)

    def close(self) -> None:
        """Close every connection. Idempotent."""
        for connection in list(self._connections.values()):
            self._close(connection)

    def _read(self, connection: _Connection) -> None:
        """A viewer has sent something, or has gone."""
        try:
            size = connection.sock.recv_into(self._in)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._close(connection)
            return
        now = self._loop.time()
        try:
            frames = connection.deframer.feed(self._in[:size])
        except FramingError:
            self._counts["bad_frame"] += 1
            self._close(connection)
            return
        for frame in frames:
            flow = connection.flow or self._admit(connection, frame, now)
            if flow is None:
                return
            flow.mapping.last_rcvd_s = now
            self._flows.to_guest(flow, frame)

    def _admit(self, connection: _Connection, frame: bytes, now: float) -> _TcpFlow | None:
        """Judge a connection by its first frame. It is never judged again: unlike a UDP port behind a NAT, it
        cannot become another client's."""
        mapping = self._flows.judge(("tcp", connection.number), frame, now)
        if mapping is None:
            self._close_stranger(connection, "not_admitted")
            return None
        self._know(connection)
        flow = connection.flow = _TcpFlow(self, mapping, connection)
        self._flows.begin(flow)
        return flow

    def read_inner(self, connection: _Connection, inner: socket.socket) -> None:
        """Hot path: one guest to one viewer. What is there goes to the kernel in one piece."""
        frame, view, datagram, receive = self._frame, self._frame_view, self._datagram, inner.recv_into
        out = connection.out
        packets = sent_bytes = 0
        for _ in range(BURST):
            try:
                size = receive(datagram)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                self._flows.counts["guest_refused"] += 1
                continue
            except OSError:
                self._flows.counts["read_failed"] += 1
                break
            if len(out) + HEADER_BYTES + size > MAX_OUT_BYTES:
                self._counts["buffer_full"] += 1
                continue
            put_header(frame, size)
            out += view[: HEADER_BYTES + size]
            packets += 1
            sent_bytes += size
        self.traffic.packets_to_viewer += packets
        self.traffic.bytes_to_viewer += sent_bytes
        if out and not connection.writing:
            self._write(connection)

    def _write(self, connection: _Connection) -> None:
        try:
            sent = connection.sock.send(connection.out)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(connection)
            return
        del connection.out[:sent]
        if connection.out and not connection.writing:
            connection.writing = True
            self._loop.add_writer(connection.sock, self._write, connection)
        elif not connection.out and connection.writing:
            connection.writing = False
            self._loop.remove_writer(connection.sock)

    def _close_stranger(self, connection: _Connection, reason: str) -> None:
        self._counts[reason] += 1
        self.drop(connection)

    def _close(self, connection: _Connection) -> None:
        if connection.flow is not None:
            self._flows.forget(connection.flow)
        else:
            self.drop(connection)

    def _know(self, connection: _Connection) -> None:
        """It is no stranger any more: admitted, or closed."""
        self._strangers.pop(connection.number, None)
        if connection.timer is not None:
            connection.timer.cancel()
            connection.timer = None

    def drop(self, connection: _Connection) -> None:
        """Close a connection that has no mapping, or no longer. Idempotent."""
        if self._connections.pop(connection.number, None) is None:
            return
        self._know(connection)
        self._loop.remove_reader(connection.sock)
        self._loop.remove_writer(connection.sock)
        connection.sock.close()
        connection.out.clear()
