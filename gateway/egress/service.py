"""The proxies of all sessions, and what they have carried."""

from __future__ import annotations

import socket
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping

from gateway.egress.account import Account
from gateway.egress.proxy import EgressConfig, SessionProxy
from gateway.errors import NotFound
from gateway.exits import Exit, ExitReport

__all__ = ["Egress"]

MAX_ACCOUNTS = 4096
"""Of sessions that have no machine now, too: one that sleeps goes on counting when it wakes. The oldest go first."""


class Egress:
    def __init__(self, config: EgressConfig) -> None:
        self._config = config
        self._proxies: dict[str, SessionProxy] = {}
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._forgotten = Account()

    def open(self, vm_id: str, listener: socket.socket) -> None:
        """Serve a VM, without an exit; owns the listener from here on."""
        self._proxies[vm_id] = SessionProxy(vm_id, listener, self._config, self._account(vm_id))

    async def close(self, vm_id: str) -> None:
        """End what goes through a VM's proxy, and the proxy. Idempotent."""
        proxy = self._proxies.pop(vm_id, None)
        if proxy is not None:
            await proxy.close()

    async def use(self, vm_id: str, out: Exit, changed: Callable[[], None]) -> None:
        """As DataPlane.set_upstream()."""
        proxy = self._proxies.get(vm_id)
        if proxy is None:
            raise NotFound(f"VM {vm_id} has no proxy.")
        await proxy.use(out, changed)

    def report(self, vm_id: str) -> ExitReport:
        proxy = self._proxies.get(vm_id)
        return proxy.report() if proxy is not None else ExitReport()

    def counters(self) -> Mapping[str, int]:
        """Of all sessions since start."""
        accounts = [*self._accounts.values(), self._forgotten]
        errors: Counter[str] = Counter()
        for account in accounts:
            errors.update(account.errors)
        return {
            "egress_bytes_up": sum(account.bytes_up for account in accounts),
            "egress_bytes_down": sum(account.bytes_down for account in accounts),
            "egress_connections": sum(account.connections for account in accounts),
            **{f"egress_error_{kind}": count for kind, count in sorted(errors.items())},
        }

    def _account(self, vm_id: str) -> Account:
        if vm_id not in self._accounts:
            idle = [name for name in self._accounts if name not in self._proxies]
            if len(self._accounts) >= MAX_ACCOUNTS and idle:
                self._forgotten.add(self._accounts.pop(idle[0]))
            self._accounts[vm_id] = Account()
        self._accounts.move_to_end(vm_id)
        return self._accounts[vm_id]
