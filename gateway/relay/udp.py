"""The public UDP port: opaque datagrams between viewers and guests.

One socket for each address family outside, one socket for each client address inside the VM's network. Both
are read by add_reader in bounded bursts: a datagram of a known client costs a dict lookup and a send.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.relay.flows import BURST, Flow, Flows, Traffic
from gateway.relay.sockets import bind_public, raise_buffers
from gateway.relay.stun import COOKIE, FIRST_BYTE_AFTER_STUN, HEADER_BYTES
from gateway.relay.table import Mapping

__all__ = ["UdpSide"]

PUBLIC_BUFFER_BYTES = 4 << 20


@dataclass(slots=True, eq=False)
class _Public:
    """A public socket and the flows of the clients heard on it."""

    number: int
    sock: socket.socket
    flows: dict[tuple[Any, ...], _UdpFlow] = field(default_factory=dict)
    """By what recvfrom gives."""


class _UdpFlow(Flow):
    __slots__ = ("client", "public", "side")

    def __init__(self, side: UdpSide, mapping: Mapping, public: _Public, client: tuple[Any, ...]) -> None:
        super().__init__(mapping, side.traffic)
        self.side = side
        self.public = public
        """Where the client was heard, and so where it is answered from."""
        self.client = client

    def read_inner(self, inner: socket.socket) -> None:
        self.side.read_inner(self, inner)

    def ended(self) -> None:
        if self.public.flows.get(self.client) is self:
            del self.public.flows[self.client]


class UdpSide:
    """Viewers by UDP, on one port of ``public``, whose sockets it owns. Raises nothing later on."""

    def __init__(self, public: Sequence[socket.socket], flows: Flows) -> None:
        self._public = [_Public(number, sock) for number, sock in enumerate(public)]
        self._flows = flows
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray(65536)
        self._view = memoryview(self._buffer)
        self.port: int = public[0].getsockname()[1]
        self.traffic = Traffic()
        for public_socket in self._public:
            self._loop.add_reader(public_socket.sock, self._read_public, public_socket)

    @staticmethod
    def bind(port: int, bind: Sequence[str]) -> list[socket.socket]:
        """The sockets to make one of; see :meth:`gateway.relay.relay.Relay.open`."""
        sockets = bind_public(port, bind)
        for sock in sockets:
            raise_buffers(sock, PUBLIC_BUFFER_BYTES)
        return sockets

    def stop(self) -> None:
        """Read no more. Idempotent."""
        for public in self._public:
            self._loop.remove_reader(public.sock)

    def close(self) -> None:
        """Close the public port, after the flows. Idempotent."""
        for public in self._public:
            public.sock.close()
        self._public.clear()

    def _read_public(self, public: _Public) -> None:
        """Hot path: viewers to guests."""
        flows, buffer, view, receive = public.flows, self._buffer, self._view, public.sock.recvfrom_into
        now = self._loop.time()
        packets = sent_bytes = junk = 0
        for _ in range(BURST):
            try:
                size, client = receive(buffer)
            except BlockingIOError:
                break
            except OSError:
                self._flows.counts["read_failed"] += 1
                break
            flow: _UdpFlow | None = flows.get(client)
            if flow is None or buffer[0] < FIRST_BYTE_AFTER_STUN:
                if flow is None and (
                    buffer[0] >= FIRST_BYTE_AFTER_STUN or size < HEADER_BYTES or buffer[4:8] != COOKIE
                ):
                    # A flood of it takes time from viewers: no more than this look.
                    junk += 1
                    continue
                flow = self._judge(public, client, view[:size], now)
                if flow is None:
                    continue
            flow.mapping.last_rcvd_s = now
            inner = flow.inner
            if inner is None:
                self._flows.wait(flow, bytes(view[:size]))
                continue
            try:
                inner.send(view[:size])
            except OSError as exc:
                self._flows.count_send_error(exc)
                continue
            packets += 1
            sent_bytes += size
        self.traffic.packets_to_guest += packets
        self.traffic.bytes_to_guest += sent_bytes
        if junk:
            self._flows.drop_junk(junk)

    def read_inner(self, flow: _UdpFlow, inner: socket.socket) -> None:
        """Hot path: one guest to one viewer."""
        buffer, view, receive, send = self._buffer, self._view, inner.recv_into, flow.public.sock.sendto
        client = flow.client
        packets = sent_bytes = 0
        for _ in range(BURST):
            try:
                size = receive(buffer)
            except BlockingIOError:
                break
            except ConnectionRefusedError:
                self._flows.counts["guest_refused"] += 1
                continue
            except OSError:
                self._flows.counts["read_failed"] += 1
                break
            try:
                send(view[:size], client)
            except OSError as exc:
                self._flows.count_send_error(exc)
                continue
            packets += 1
            sent_bytes += size
        self.traffic.packets_to_viewer += packets
        self.traffic.bytes_to_viewer += sent_bytes

    def _judge(self, public: _Public, client: tuple[Any, ...], data: memoryview, now: float) -> _UdpFlow | None:
        mapping = self._flows.judge((public.number, *client), data, now)
        if mapping is None:
            return None
        flow = public.flows.get(client)
        if flow is None:
            flow = public.flows[client] = _UdpFlow(self, mapping, public, client)
            self._flows.begin(flow)
        return flow
