"""The data plane in this process: namespaces, the relay, the egress proxies and guest sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from gateway.dataplane import DataPlane, IceCredentials
from gateway.egress.proxy import EgressConfig
from gateway.egress.service import Egress
from gateway.errors import Conflict, NotFound
from gateway.exits import PROXY_PORT, Exit, ExitReport, Traffic
from gateway.relay.relay import Relay
from gateway.vm.driver import Lan

__all__ = ["LanFactory", "LocalDataPlane"]

LanFactory = Callable[[str, int | None], Awaitable[Lan]]
"""Makes the network of the VM with this id, or takes over the one that a process is in. Cancelling or failing leaves
nothing behind."""


class LocalDataPlane:
    """Composes networks with one relay and a proxy each; owns all of it from here on.

    Args:
        open_lan: makes the networks that :meth:`attach` is not given.
    """

    def __init__(self, open_lan: LanFactory, relay: Relay, egress: EgressConfig | None = None) -> None:
        self._open_lan = open_lan
        self._relay = relay
        self._egress = Egress(egress if egress is not None else EgressConfig())
        self._lans: dict[str, Lan | None] = {}
        """None while the network is being made."""
        self.media_port = relay.port

    async def attach(self, vm_id: str, pid: int | None = None, *, lan: Lan | None = None) -> Lan:
        """Make the VM's network, or take over that of process ``pid``, or ``lan``, which is closed when this fails.

        Raises:
            Conflict: it has one.
            NetnsError: it cannot be had.
        """
        if vm_id in self._lans:
            if lan is not None:
                await lan.close()
            raise Conflict(f"VM {vm_id} already has a network.")
        self._lans[vm_id] = None
        try:
            if lan is None:
                lan = await self._open_lan(vm_id, pid)
            try:
                self._egress.open(vm_id, await lan.listen(PROXY_PORT))
            except BaseException:
                await lan.close()
                raise
        except BaseException:
            del self._lans[vm_id]
            raise
        self._lans[vm_id] = lan
        return lan

    async def detach(self, vm_id: str) -> None:
        """Close the network and every mapping into it. Idempotent; an attach under way is not disturbed."""
        lan = self._lans.get(vm_id)
        if lan is None:
            return
        del self._lans[vm_id]
        self._relay.revoke_vm(vm_id)
        await self._egress.close(vm_id)
        await lan.close()

    async def leave(self, vm_id: str) -> None:
        """As :meth:`detach`: what is in this process ends with it."""
        await self.detach(vm_id)

    async def settle(self) -> None:
        """Nothing is left of an earlier gateway."""

    async def admit(self, vm_id: str, ice: IceCredentials) -> None:
        """Let a peer in. Raises Conflict on a taken ufrag, NotFound without a network."""
        self._relay.admit(vm_id, ice, partial(self._lan(vm_id).udp, ice.guest_port))

    async def revoke(self, vm_id: str, ufrag: str) -> None:
        """Forget a peer and its mappings. Idempotent."""
        self._relay.revoke(vm_id, ufrag)

    async def dial(self, vm_id: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """TCP into the guest; the caller closes the writer. Raises NetnsError, NotFound."""
        sock = await self.connect(vm_id, port)
        try:
            return await asyncio.open_connection(sock=sock)
        except BaseException:
            sock.close()
            raise

    async def connect(self, vm_id: str, port: int) -> socket.socket:
        """As :meth:`dial`, not made a stream yet."""
        return await self._lan(vm_id).tcp(port)

    async def set_upstream(self, vm_id: str, out: Exit, changed: Callable[[], None]) -> None:
        """Change where the VM's traffic leaves. Raises NotFound without a network."""
        await self._egress.use(vm_id, out, changed)

    def egress(self, vm_id: str) -> ExitReport:
        return self._egress.report(vm_id)

    def recall_traffic(self, vm_id: str, traffic: Traffic) -> None:
        self._egress.recall(vm_id, traffic)

    def forget_traffic(self, vm_id: str) -> None:
        self._egress.forget(vm_id)

    def take(self, sock: socket.socket) -> None:
        """Own a TCP connection that begins as a viewer's by ICE-TCP does; its first bytes are still unread."""
        self._relay.take(sock)

    async def ping(self) -> None:
        """It lives in the loop that runs this."""

    def counters(self) -> Mapping[str, int]:
        """The relay's, and ``lans``: how many networks there are now."""
        return {**self._relay.counters(), "lans": len(self._lans)}

    def egress_counters(self) -> Mapping[str, int]:
        return self._egress.counters()

    async def close(self) -> None:
        """Detach every VM, close the public port and every viewer's connection. Idempotent."""
        for vm_id in list(self._lans):
            await self.detach(vm_id)
        await self._relay.close()

    def _lan(self, vm_id: str) -> Lan:
        lan = self._lans.get(vm_id)
        if lan is None:
            raise NotFound(f"VM {vm_id} has no network.")
        return lan


_: type[DataPlane] = LocalDataPlane
