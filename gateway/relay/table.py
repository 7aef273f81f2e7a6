"""Who may send through the relay, and where to: ufrags, client addresses, limits. Pure; ``now`` is an argument.

A client address gets a mapping only by a binding request that names an admitted ufrag and verifies with that
peer's ice-pwd. From then on anything from there goes to that peer, until it is silent, revoked or pushed out.
"""

from __future__ import annotations

from collections.abc import Mapping as ReadOnly
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from gateway.dataplane import IceCredentials
from gateway.errors import Conflict
from gateway.relay.stun import Refusal, is_genuine, read_binding_request

__all__ = ["Address", "Drop", "Mapping", "Peer", "RelayTable"]

Address = tuple[Any, ...]
"""Where a client was heard. By UDP: the number of the public socket, then what recvfrom gave (host, port, ...),
since a browser checks several advertised addresses from one port of its own, and each is a path to answer on.
By TCP: "tcp" and the number of the connection.
"""


class Drop(Enum):
    """Why a well-formed binding request opened no mapping. Refusal has the reasons of the others."""

    UNKNOWN_UFRAG = "unknown_ufrag"
    BAD_INTEGRITY = "bad_integrity"
    PEER_FULL = "peer_full"
    """The peer has as many addresses as it may, all of them lively."""
    TABLE_FULL = "table_full"


@dataclass(slots=True, eq=False)
class Peer:
    """One admitted ufrag."""

    vm_id: str
    ice: IceCredentials
    pwd: bytes
    mappings: dict[Address, Mapping] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Mapping:
    """One client address of one peer."""

    address: Address
    peer: Peer
    last_rcvd_s: float
    """When the client was last heard; whoever forwards its packets writes it."""


class RelayTable:
    """The relay's decisions.

    Args:
        max_per_peer: client addresses of one ufrag: a browser checks each advertised address from each of its
            interfaces, by UDP and by TCP, and roams.
        max_mappings: of all peers together; each costs a socket.
        idle_s: without a packet from the client for so long, a mapping ends. ICE consent comes every 5 s.
        lively_s: a mapping heard within this time is not pushed out by a new address, so that replayed
            binding requests from forged addresses cannot cut off the viewer who is watching.
    """

    def __init__(
        self, *, max_per_peer: int = 32, max_mappings: int = 1024, idle_s: float = 60.0, lively_s: float = 10.0
    ) -> None:
        self._max_per_peer = max_per_peer
        self._max_mappings = max_mappings
        self._idle_s = idle_s
        self._lively_s = lively_s
        self._peers: dict[bytes, Peer] = {}
        self._mappings: dict[Address, Mapping] = {}
        self._counts = dict.fromkeys([f"dropped_{reason.value}" for reason in (*Refusal, *Drop)], 0)
        self._counts |= {"mappings_opened": 0, "mappings_expired": 0, "mappings_evicted": 0}

    @property
    def counts(self) -> ReadOnly[str, int]:
        """Datagrams dropped by reason and mappings opened and ended, since start."""
        return self._counts

    @property
    def mappings(self) -> ReadOnly[Address, Mapping]:
        return self._mappings

    @property
    def peers(self) -> ReadOnly[bytes, Peer]:
        """By ufrag."""
        return self._peers

    def admit(self, vm_id: str, ice: IceCredentials) -> Peer:
        """Let a ufrag in. Raises Conflict when it is taken."""
        ufrag = ice.ufrag.encode()
        if ufrag in self._peers:
            raise Conflict("This ICE ufrag is already in use.", hint="Send a new offer.")
        peer = self._peers[ufrag] = Peer(vm_id, ice, ice.pwd.encode())
        return peer

    def revoke(self, vm_id: str, ufrag: str) -> list[Mapping]:
        """Forget a peer of this VM; gives the mappings that ended with it. Idempotent."""
        peer = self._peers.get(ufrag.encode())
        if peer is None or peer.vm_id != vm_id:
            return []
        del self._peers[ufrag.encode()]
        return self._end(list(peer.mappings.values()))

    def revoke_vm(self, vm_id: str) -> list[Mapping]:
        """Forget every peer of a VM; gives the mappings that ended with them. Idempotent."""
        ufrags = [peer.ice.ufrag for peer in self._peers.values() if peer.vm_id == vm_id]
        return [mapping for ufrag in ufrags for mapping in self.revoke(vm_id, ufrag)]

    def drop_junk(self, count: int) -> None:
        """So many datagrams of strangers were seen to be no STUN without being judged."""
        self._counts[f"dropped_{Refusal.NOT_STUN.value}"] += count

    def forget(self, mapping: Mapping) -> None:
        """End one mapping. Idempotent."""
        if self._mappings.get(mapping.address) is mapping:
            self._end([mapping])

    def expire(self, now: float) -> list[Mapping]:
        """End and give the mappings whose clients were silent for ``idle_s``."""
        silent = [mapping for mapping in self._mappings.values() if now - mapping.last_rcvd_s >= self._idle_s]
        self._counts["mappings_expired"] += len(silent)
        return self._end(silent)

    def judge(self, address: Address, data: bytes | memoryview, now: float) -> tuple[Mapping | None, list[Mapping]]:
        """Decide on a datagram of a stranger, or on STUN from a known address.

        Returns the mapping it goes to (None: dropped and counted), and the mappings that ended because of it.
        A known address whose binding request names another ufrag and verifies changes over: a NAT gave one
        client's port to the next.
        """
        known = self._mappings.get(address)
        request = read_binding_request(data)
        if isinstance(request, Refusal):
            return self._keep(known, now) if known is not None else self._drop(request)
        peer = self._peers.get(request.ufrag)
        if peer is None:
            return self._drop(Drop.UNKNOWN_UFRAG)
        if known is not None and known.peer is peer:
            return self._keep(known, now)
        if not is_genuine(request, data, peer.pwd):
            return self._drop(Drop.BAD_INTEGRITY)
        ended: list[Mapping] = []
        if len(peer.mappings) >= self._max_per_peer:
            oldest = min(peer.mappings.values(), key=lambda mapping: mapping.last_rcvd_s)
            if now - oldest.last_rcvd_s < self._lively_s:
                return self._drop(Drop.PEER_FULL)
            self._counts["mappings_evicted"] += 1
            ended += self._end([oldest])
        if known is not None:
            ended += self._end([known])
        if len(self._mappings) >= self._max_mappings:
            return self._drop(Drop.TABLE_FULL)
        mapping = peer.mappings[address] = self._mappings[address] = Mapping(address, peer, now)
        self._counts["mappings_opened"] += 1
        return mapping, ended

    def _keep(self, mapping: Mapping, now: float) -> tuple[Mapping, list[Mapping]]:
        mapping.last_rcvd_s = now
        return mapping, []

    def _drop(self, reason: Refusal | Drop) -> tuple[None, list[Mapping]]:
        self._counts[f"dropped_{reason.value}"] += 1
        return None, []

    def _end(self, mappings: list[Mapping]) -> list[Mapping]:
        for mapping in mappings:
            del self._mappings[mapping.address]
            del mapping.peer.mappings[mapping.address]
        return mappings
