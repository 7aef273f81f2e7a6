"""What viewers by UDP and by TCP share: who is admitted, the sockets into guests, and the end of both together."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass

from gateway.dataplane import IceCredentials
from gateway.errors import NetnsError
from gateway.relay.sockets import raise_buffers
from gateway.relay.table import Address, Mapping, Peer, RelayTable

__all__ = ["BURST", "MAX_WAITING", "Flow", "Flows", "OpenSocket", "Traffic"]

logger = logging.getLogger(__name__)

OpenSocket = Callable[[], Awaitable[socket.socket]]
"""Gives a non-blocking UDP socket connected to the guest's port; the relay owns it."""

BURST = 64
"""Datagrams read from one socket before the loop sees to the others."""
MAX_WAITING = 4
"""Datagrams kept while a mapping's socket is made (about a millisecond); later ones are dropped, as the
browser repeats its checks."""
INNER_BUFFER_BYTES = 1 << 20
EXPIRE_EVERY_S = 5.0
CLOSE_TIMEOUT_S = 2.0


@dataclass(slots=True)
class Traffic:
    """What was handed on, since start. Bytes are the datagrams', without any framing."""

    packets_to_guest: int = 0
    bytes_to_guest: int = 0
    packets_to_viewer: int = 0
    bytes_to_viewer: int = 0


class Flow(ABC):
    """A mapping with its sockets: one into the guest, and the viewer's, which the subclass holds."""

    __slots__ = ("inner", "mapping", "traffic", "waiting")

    def __init__(self, mapping: Mapping, traffic: Traffic) -> None:
        self.mapping = mapping
        self.traffic = traffic
        self.inner: socket.socket | None = None
        """None while it is made, and at the end."""
        self.waiting: list[bytes] = []
        """At most MAX_WAITING, oldest kept."""

    @abstractmethod
    def read_inner(self, inner: socket.socket) -> None:
        """The guest has sent something."""

    @abstractmethod
    def ended(self) -> None:
        """The mapping is no more: let go of the viewer's side."""


class Flows:
    """All mappings of the relay. All methods belong to the event loop's thread."""

    def __init__(self, table: RelayTable) -> None:
        self._table = table
        self._loop = asyncio.get_running_loop()
        self._openers: dict[Peer, OpenSocket] = {}
        self._flows: dict[Mapping, Flow] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.counts = dict.fromkeys(
            ["send_full", "send_failed", "read_failed", "guest_refused", "waiting_full", "open_failed"], 0
        )
        """Datagrams dropped by reason."""
        self._timer = self._loop.call_later(EXPIRE_EVERY_S, self._sweep_again)

    def admit(self, vm_id: str, ice: IceCredentials, open_socket: OpenSocket) -> None:
        """Let a peer's binding requests open mappings; ``open_socket`` makes their sockets. Raises Conflict."""
        self._openers[self._table.admit(vm_id, ice)] = open_socket

    def revoke(self, vm_id: str, ufrag: str) -> None:
        """Forget a peer and close its mappings. Idempotent."""
        self._end(self._table.revoke(vm_id, ufrag))
        self._prune_openers()

    def revoke_vm(self, vm_id: str) -> None:
        """Forget a VM's peers and close their mappings. Idempotent."""
        self._end(self._table.revoke_vm(vm_id))
        self._prune_openers()

    def counters(self) -> ReadOnly[str, int]:
        """Drops by reason, mappings opened and ended; since start."""
        return {**{f"dropped_{reason}": count for reason, count in self.counts.items()}, **self._table.counts}

    def judge(self, address: Address, data: bytes | memoryview, now: float) -> Mapping | None:
        """The mapping that a stranger's datagram, or STUN from a known address, belongs to; None: it was dropped."""
        mapping, ended = self._table.judge(address, data, now)
        self._end(ended)
        return mapping

    def drop_junk(self, count: int) -> None:
        """So many datagrams of strangers were seen to be no STUN without being judged."""
        self._table.drop_junk(count)

    def begin(self, flow: Flow) -> None:
        """Make the socket of a new mapping, and read it from then on."""
        self._flows[flow.mapping] = flow
        opener = self._openers[flow.mapping.peer]
        task = self._loop.create_task(self._open(flow, opener), name=f"relay {flow.mapping.peer.vm_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def wait(self, flow: Flow, data: bytes) -> None:
        """Keep a datagram until the flow's socket is there."""
        if len(flow.waiting) < MAX_WAITING:
            flow.waiting.append(data)
        else:
            self.counts["waiting_full"] += 1

    def to_guest(self, flow: Flow, data: bytes) -> None:
        """Send a datagram, or keep it until the flow's socket is there."""
        if flow.inner is None:
            self.wait(flow, data)
            return
        try:
            flow.inner.send(data)
        except OSError as exc:
            self.count_send_error(exc)
            return
        flow.traffic.packets_to_guest += 1
        flow.traffic.bytes_to_guest += len(data)

    def count_send_error(self, exc: OSError) -> None:
        """A datagram that cannot go at once is dropped: a late one is worth less than the next."""
        if isinstance(exc, BlockingIOError) or exc.errno == errno.ENOBUFS:
            self.counts["send_full"] += 1
        elif isinstance(exc, ConnectionRefusedError):
            self.counts["guest_refused"] += 1
        else:
            self.counts["send_failed"] += 1

    def forget(self, flow: Flow) -> None:
        """End one mapping. Idempotent."""
        self._table.forget(flow.mapping)
        self._end([flow.mapping])

    def sweep(self, now: float) -> None:
        """End the mappings of silent clients. Runs by itself every EXPIRE_EVERY_S; ``now`` is the loop's time."""
        self._end(self._table.expire(now))

    async def close(self) -> None:
        """End every mapping and close its sockets. Idempotent."""
        self._timer.cancel()
        self._openers.clear()
        for flow in list(self._flows.values()):
            self.forget(flow)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _open(self, flow: Flow, opener: OpenSocket) -> None:
        """Give a new mapping its socket. Not cancelled when the mapping ends meanwhile: the socket would be lost."""
        try:
            inner = await opener()
        except (NetnsError, OSError) as exc:
            self.counts["open_failed"] += 1
            logger.warning("no socket into %s for a viewer: %s", flow.mapping.peer.vm_id, exc)
            self.forget(flow)
            return
        if self._flows.get(flow.mapping) is not flow:
            inner.close()
            return
        raise_buffers(inner, INNER_BUFFER_BYTES)
        flow.inner = inner
        for data in flow.waiting:
            self.to_guest(flow, data)
        flow.waiting.clear()
        self._loop.add_reader(inner, flow.read_inner, inner)

    def _sweep_again(self) -> None:
        self.sweep(self._loop.time())
        self._timer = self._loop.call_later(EXPIRE_EVERY_S, self._sweep_again)

    def _end(self, mappings: Iterable[Mapping]) -> None:
        for mapping in mappings:
            flow = self._flows.pop(mapping, None)
            if flow is None:
                continue
            flow.waiting.clear()
            if flow.inner is not None:
                self._loop.remove_reader(flow.inner)
                flow.inner.close()
                flow.inner = None
            flow.ended()

    def _prune_openers(self) -> None:
        admitted = set(self._table.peers.values())
        self._openers = {peer: opener for peer, opener in self._openers.items() if peer in admitted}
