"""The typed border between the control plane and the bytes.

Namespaces, relay, egress proxies and guest sockets are the data plane. Sessions and routes know only this Protocol;
it holds no session logic, so that it can move into a process of its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.exits import Exit, ExitReport, Traffic
from gateway.vm.driver import Lan

__all__ = ["DataPlane", "IceCredentials"]


@dataclass(frozen=True, slots=True)
class IceCredentials:
    """One agent peer's ICE identity (RFC 8445 5.3), as it stands in the agent's answer."""

    ufrag: str
    """8 or more characters, unique on this gateway."""
    pwd: str
    """Verifies MESSAGE-INTEGRITY of the browser's binding requests."""
    guest_port: int
    """UDP port inside the guest where the agent's candidate listens."""


class DataPlane(Protocol):
    media_port: int
    """The one public UDP port."""

    async def attach(self, vm_id: str, pid: int | None = None) -> Lan:
        """Make the VM's namespace; or take over the one that process ``pid`` of an earlier gateway is in."""

    async def detach(self, vm_id: str) -> None:
        """Close the namespace and every mapping into it. Idempotent."""

    async def leave(self, vm_id: str) -> None:
        """Let go of a VM that runs on, for the next gateway. Of a data plane of its own nothing of it ends."""

    async def settle(self) -> None:
        """All that is wanted of what an earlier gateway left has been attached and admitted: let go of the rest."""

    async def admit(self, vm_id: str, ice: IceCredentials) -> None:
        """Let binding requests that name this ufrag and verify reach the guest. Raises Conflict on a taken ufrag."""

    async def revoke(self, vm_id: str, ufrag: str) -> None:
        """Forget a peer and its mappings. Idempotent."""

    async def dial(self, vm_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """TCP into the guest. Raises NetnsError, NotFound."""

    async def set_upstream(self, vm_id: str, out: Exit, changed: Callable[[], None]) -> None:
        """Let the VM's traffic leave there from now on; what goes another way is cut. Raises NotFound.

        A VM that is attached has its proxy from the start, and no exit until this.

        Args:
            changed: called when the report's state or check is another. Must not raise.
        """

    def egress(self, vm_id: str) -> ExitReport:
        """What the VM's proxy says of itself; without one, what it has carried before."""

    def recall_traffic(self, vm_id: str, traffic: Traffic) -> None:
        """Count on from what an earlier gateway has seen. Before attach()."""

    def forget_traffic(self, vm_id: str) -> None:
        """The session is over, and nobody will ask any more. After detach(). Idempotent."""

    def take(self, sock: socket.socket) -> None:
        """Own a TCP connection that begins as a viewer's by ICE-TCP does; its first bytes are still unread."""

    async def ping(self) -> None:
        """Return once it has answered. Raises NetnsError when it does not."""

    def counters(self) -> Mapping[str, int]:
        """Packets, bytes and drops by reason, since start."""

    def egress_counters(self) -> Mapping[str, int]:
        """Of all proxies since start: egress_bytes_up, egress_bytes_down, egress_connections, egress_error_KIND."""
