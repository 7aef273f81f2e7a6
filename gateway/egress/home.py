"""Which addresses the internet takes for this host's: what a session must not show that leaves elsewhere."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, Collection

from gateway.egress.policy import forbidden_address

__all__ = ["Home", "is_ours"]

KNOWN_FOR_S = 3600.0
"""So long an address that was seen is taken for the host's; a provider may give it another."""


def is_ours(address: str, own: Collection[str], public: Collection[str]) -> bool | None:
    """Whether the internet takes ``address`` for this host's; None when that cannot be known. Pure.

    Args:
        own: of the host's interfaces. Behind a NAT they say nothing of what is seen outside.
        public: known to be seen outside: addresses or networks.
    """
    seen = ipaddress.ip_address(address)
    mine = [ipaddress.ip_address(text.partition("%")[0]) for text in own]
    outside = [ipaddress.ip_network(text) for text in public]
    if seen in mine or any(seen in network for network in outside):
        return True
    # An address of the other family says nothing of what leaves by this one.
    known = [one.version for one in mine if not forbidden_address(one)] + [network.version for network in outside]
    return False if seen.version in known else None


class Home:
    """Args:
    own: addresses of this host's interfaces. Blocking; called in a thread.
    public: addresses and networks that the operator knows to be seen outside.
    look: asks the internet for the address that this host itself shows, "" when it is not told; None: it may not.
    """

    def __init__(
        self,
        own: Callable[[], Collection[str]],
        public: Collection[str] = (),
        look: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self._own = own
        self._public = public
        self._look = look
        self._looking = asyncio.Lock()
        self._seen = ""
        self._seen_at = float("-inf")

    async def is_ours(self, address: str) -> bool | None:
        """As is_ours()."""
        own = await asyncio.to_thread(self._own)
        return is_ours(address, own, [*self._public, *await self._shown()])

    async def _shown(self) -> list[str]:
        if self._look is None or self._public:
            return []
        # Many sessions start at once; one look is enough for all.
        async with self._looking:
            if time.monotonic() - self._seen_at > KNOWN_FOR_S:
                self._seen = await self._look()
                self._seen_at = time.monotonic() if self._seen else float("-inf")
        return [self._seen] if self._seen else []
