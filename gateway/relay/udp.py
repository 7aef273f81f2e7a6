"""The public UDP port: opaque datagrams between viewers and guests.

One socket for each address family outside, one socket for each client address inside the VM's network. Both
are read by add_reader in bounded bursts: a datagram of a known client costs a dict lookup and a send.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, field
from typing import Any

from gateway.dataplane import IceCredentials
from gateway.errors import NetnsError
from gateway.relay.sockets import bind_public, raise_buffers
from gateway.relay.stun import FIRST_BYTE_AFTER_STUN
from gateway.relay.table import Mapping, Peer, RelayTable

__all__ = ["OpenSocket", "UdpRelay"]

logger = logging.getLogger(__name__)

OpenSocket = Callable[[], Awaitable[socket.socket]]
"""Gives a non-blocking UDP socket connected to the guest's port; the relay owns it."""

BURST = 64
"""Datagrams read from one socket before the loop sees to the others."""
MAX_WAITING = 4
"""Datagrams kept while a mapping's socket is made (about a millisecond); later ones are dropped, as the
browser repeats its checks."""
INNER_BUFFER_BYTES = 1 << 20
PUBLIC_BUFFER_BYTES = 4 << 20
EXPIRE_EVERY_S = 5.0
CLOSE_TIMEOUT_S = 2.0


@dataclass(slots=True, eq=False)
class _Public:
    """A public socket and the flows of the clients heard on it."""

    number: int
    sock: socket.socket
    flows: dict[tuple[Any, ...], _Flow] = field(default_factory=dict)
    """By what recvfrom gives."""


@dataclass(slots=True, eq=False)
class _Flow:
    """A mapping with its sockets."""

    mapping: Mapping
    public: _Public
    """Where the client was heard, and so where it is answered from."""
    client: tuple[Any, ...]
    inner: socket.socket | None = None
    waiting: list[bytes] = field(default_factory=list)
    """At most MAX_WAITING, oldest kept."""


class UdpRelay:
    """The relay of one public port. Make it with :meth:`open`; all methods belong to the event loop's thread."""

    def __init__(self, public: Sequence[socket.socket], table: RelayTable) -> None:
        self._public = [_Public(number, sock) for number, sock in enumerate(public)]
        self._port: int = public[0].getsockname()[1]
        self._table = table
        self._loop = asyncio.get_running_loop()
        self._openers: dict[Peer, OpenSocket] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._buffer = bytearray(65536)
        self._view = memoryview(self._buffer)
        self._packets_to_guest = self._bytes_to_guest = 0
        self._packets_to_viewer = self._bytes_to_viewer = 0
        self._counts = dict.fromkeys(
            ["send_full", "send_failed", "read_failed", "guest_refused", "waiting_full", "open_failed"], 0
        )
        for public_socket in self._public:
            self._loop.add_reader(public_socket.sock, self._read_public, public_socket)
        self._timer = self._loop.call_later(EXPIRE_EVERY_S, self._sweep_again)

    @classmethod
    async def open(
        cls, port: int, *, bind: Sequence[str] = ("0.0.0.0", "::"), table: RelayTable | None = None
    ) -> UdpRelay:
        """Bind the public port.

        Args:
            port: 0 takes a free one (tests).
            bind: local addresses. Wildcards first; a host with several addresses in one network adds each of
                those it advertises, so that answers leave from the address that was asked.

        Raises ConfigError when the port cannot be had.
        """
        sockets = bind_public(port, bind)
        for sock in sockets:
            raise_buffers(sock, PUBLIC_BUFFER_BYTES)
        return cls(sockets, table if table is not None else RelayTable())

    @property
    def port(self) -> int:
        return self._port

    def admit(self, vm_id: str, ice: IceCredentials, open_socket: OpenSocket) -> None:
        """Let a peer's binding requests open mappings; ``open_socket`` makes their sockets. Raises Conflict."""
        self._openers[self._table.admit(vm_id, ice)] = open_socket

    def revoke(self, vm_id: str, ufrag: str) -> None:
        """Forget a peer and close its mappings. Idempotent."""
        self._close_flows(self._table.revoke(vm_id, ufrag))
        self._prune_openers()

    def revoke_vm(self, vm_id: str) -> None:
        """Forget a VM's peers and close their mappings. Idempotent."""
        self._close_flows(self._table.revoke_vm(vm_id))
        self._prune_openers()

    def counters(self) -> ReadOnly[str, int]:
        """Packets and bytes each way, drops by reason, mappings opened and ended; since start."""
        return {
            "packets_to_guest": self._packets_to_guest,
            "bytes_to_guest": self._bytes_to_guest,
            "packets_to_viewer": self._packets_to_viewer,
            "bytes_to_viewer": self._bytes_to_viewer,
            **{f"dropped_{reason}": count for reason, count in self._counts.items()},
            **self._table.counts,
        }

    async def close(self) -> None:
        """Close every socket. Idempotent."""
        self._timer.cancel()
        self._openers.clear()
        for public in self._public:
            self._loop.remove_reader(public.sock)
            for flow in list(public.flows.values()):
                self._table.forget(flow.mapping)
                self._close_flow(flow)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for public in self._public:
            public.sock.close()
        self._public.clear()

    def _read_public(self, public: _Public) -> None:
        """Hot path: viewers to guests."""
        flows, buffer, view, receive = public.flows, self._buffer, self._view, public.sock.recvfrom_into
        now = self._loop.time()
        packets = sent_bytes = 0
        for _ in range(BURST):
            try:
                size, client = receive(buffer)
            except BlockingIOError:
                break
            except OSError:
                self._counts["read_failed"] += 1
                break
            flow: _Flow | None = flows.get(client)
            if flow is None or buffer[0] < FIRST_BYTE_AFTER_STUN:
                flow = self._judge(public, client, view[:size], now)
                if flow is None:
                    continue
            flow.mapping.last_rcvd_s = now
            inner = flow.inner
            if inner is None:
                self._wait(flow, bytes(view[:size]))
                continue
            try:
                inner.send(view[:size])
            except OSError as exc:
                self._count_send_error(exc)
                continue
            packets += 1
            sent_bytes += size
        self._packets_to_guest += packets
        self._bytes_to_guest += sent_bytes

    def _read_inner(self, flow: _Flow, inner: socket.socket) -> None:
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
                self._counts["guest_refused"] += 1
                continue
            except OSError:
                self._counts["read_failed"] += 1
                break
            try:
                send(view[:size], client)
            except OSError as exc:
                self._count_send_error(exc)
                continue
            packets += 1
            sent_bytes += size
        self._packets_to_viewer += packets
        self._bytes_to_viewer += sent_bytes

    def _count_send_error(self, exc: OSError) -> None:
        """A datagram that cannot go at once is dropped: a late one is worth less than the next."""
        if isinstance(exc, BlockingIOError) or exc.errno == errno.ENOBUFS:
            self._counts["send_full"] += 1
        elif isinstance(exc, ConnectionRefusedError):
            self._counts["guest_refused"] += 1
        else:
            self._counts["send_failed"] += 1

    def _judge(self, public: _Public, client: tuple[Any, ...], data: memoryview, now: float) -> _Flow | None:
        mapping, ended = self._table.judge((public.number, *client), data, now)
        self._close_flows(ended)
        if mapping is None:
            return None
        flow = public.flows.get(client)
        if flow is None:
            flow = public.flows[client] = _Flow(mapping, public, client)
            opener = self._openers[mapping.peer]
            task = self._loop.create_task(self._open(flow, opener), name=f"relay {mapping.peer.vm_id}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return flow

    def _wait(self, flow: _Flow, data: bytes) -> None:
        if len(flow.waiting) < MAX_WAITING:
            flow.waiting.append(data)
        else:
            self._counts["waiting_full"] += 1

    async def _open(self, flow: _Flow, opener: OpenSocket) -> None:
        """Give a new mapping its socket. Not cancelled when the mapping ends meanwhile: the socket would be lost."""
        try:
            inner = await opener()
        except (NetnsError, OSError) as exc:
            self._counts["open_failed"] += 1
            logger.warning("no socket into %s for a viewer: %s", flow.mapping.peer.vm_id, exc)
            self._table.forget(flow.mapping)
            self._close_flow(flow)
            return
        if flow.public.flows.get(flow.client) is not flow:
            inner.close()
            return
        raise_buffers(inner, INNER_BUFFER_BYTES)
        flow.inner = inner
        for data in flow.waiting:
            try:
                inner.send(data)
            except OSError as exc:
                self._count_send_error(exc)
                continue
            self._packets_to_guest += 1
            self._bytes_to_guest += len(data)
        flow.waiting.clear()
        self._loop.add_reader(inner, self._read_inner, flow, inner)

    def sweep(self, now: float) -> None:
        """End the mappings of silent clients. Runs by itself every EXPIRE_EVERY_S; ``now`` is the loop's time."""
        self._close_flows(self._table.expire(now))

    def _sweep_again(self) -> None:
        self.sweep(self._loop.time())
        self._timer = self._loop.call_later(EXPIRE_EVERY_S, self._sweep_again)

    def _close_flows(self, mappings: Sequence[Mapping]) -> None:
        for mapping in mappings:
            number, *client = mapping.address
            flow = self._public[number].flows.get(tuple(client))
            if flow is not None and flow.mapping is mapping:
                self._close_flow(flow)

    def _close_flow(self, flow: _Flow) -> None:
        if flow.public.flows.get(flow.client) is flow:
            del flow.public.flows[flow.client]
        flow.waiting.clear()
        if flow.inner is not None:
            self._loop.remove_reader(flow.inner)
            flow.inner.close()
            flow.inner = None

    def _prune_openers(self) -> None:
        admitted = set(self._table.peers.values())
        self._openers = {peer: opener for peer, opener in self._openers.items() if peer in admitted}
