"""The typed border between the control plane and the bytes.

Namespaces, relay and guest sockets are the data plane. Sessions and routes know only this Protocol; it
holds no session logic, so that it can move into a process of its own.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

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

    async def admit(self, vm_id: str, ice: IceCredentials) -> None:
        """Let binding requests that name this ufrag and verify reach the guest. Raises Conflict on a taken ufrag."""

    async def revoke(self, vm_id: str, ufrag: str) -> None:
        """Forget a peer and its mappings. Idempotent."""

    async def dial(self, vm_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """TCP into the guest. Raises NetnsError, NotFound."""

    def take(self, sock: socket.socket) -> None:
        """Own a TCP connection that begins as a viewer's by ICE-TCP does; its first bytes are still unread."""

    def counters(self) -> Mapping[str, int]:
        """Packets, bytes and drops by reason, since start."""
