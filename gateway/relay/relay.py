"""The relay: viewers by UDP and by TCP on one side, guests on the other, one admission table in between."""

from __future__ import annotations

import socket
from collections.abc import Mapping as ReadOnly
from collections.abc import Sequence
from dataclasses import asdict

from gateway.dataplane import IceCredentials
from gateway.relay.flows import Flows, OpenSocket
from gateway.relay.table import RelayTable
from gateway.relay.tcp import TcpSide
from gateway.relay.udp import UdpSide

__all__ = ["Relay"]


class Relay:
    """Make it with :meth:`open`; all methods belong to the event loop's thread."""

    def __init__(self, udp: UdpSide, tcp: TcpSide, flows: Flows) -> None:
        self._udp = udp
        self._tcp = tcp
        self._flows = flows

    @classmethod
    async def open(
        cls, port: int, *, bind: Sequence[str] = ("0.0.0.0", "::"), table: RelayTable | None = None
    ) -> Relay:
        """Bind the public UDP port. Connections come by :meth:`take`.

        Args:
            port: 0 takes a free one (tests).
            bind: local addresses. Wildcards first; a host with several addresses in one network adds each of
                those it advertises, so that answers leave from the address that was asked.

        Raises ConfigError when the port cannot be had.
        """
        sockets = UdpSide.bind(port, bind)
        flows = Flows(table if table is not None else RelayTable())
        return cls(UdpSide(sockets, flows), TcpSide(flows), flows)

    @property
    def port(self) -> int:
        return self._udp.port

    def take(self, sock: socket.socket) -> None:
        """Own a TCP connection whose first bytes, still unread, may be a viewer's."""
        self._tcp.take(sock)

    def admit(self, vm_id: str, ice: IceCredentials, open_socket: OpenSocket) -> None:
        """Let a peer's binding requests open mappings; ``open_socket`` makes their sockets. Raises Conflict."""
        self._flows.admit(vm_id, ice, open_socket)

    def revoke(self, vm_id: str, ufrag: str) -> None:
        """Forget a peer and close its mappings. Idempotent."""
        self._flows.revoke(vm_id, ufrag)

    def revoke_vm(self, vm_id: str) -> None:
        """Forget a VM's peers and close their mappings. Idempotent."""
        self._flows.revoke_vm(vm_id)

    def sweep(self, now: float) -> None:
        """End the mappings of silent clients. Runs by itself; ``now`` is the loop's time."""
        self._flows.sweep(now)

    def counters(self) -> ReadOnly[str, int]:
        """Packets and bytes each way, of which by TCP; drops by reason, mappings opened and ended; since start."""
        by_udp, by_tcp = asdict(self._udp.traffic), asdict(self._tcp.traffic)
        return {
            **{name: count + by_tcp[name] for name, count in by_udp.items()},
            **{f"tcp_{name}": count for name, count in by_tcp.items()},
            **self._tcp.counters(),
            **self._flows.counters(),
        }

    async def close(self) -> None:
        """Close every socket. Idempotent."""
        self._udp.stop()
        self._tcp.close()
        await self._flows.close()
        self._udp.close()
