"""The proxies of all sessions, and what they have carried."""

from __future__ import annotations

import socket
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace

from gateway.egress.account import Account
from gateway.egress.check import look
from gateway.egress.home import Home
from gateway.egress.proxy import EgressConfig, SessionProxy
from gateway.egress.upstream import Ways
from gateway.errors import EgressError, NotFound
from gateway.exits import Exit, ExitCheck, ExitReport, Traffic

__all__ = ["Egress", "try_exit"]

MAX_ACCOUNTS = 4096
"""Of sessions that have no machine now, too: one that sleeps goes on counting when it wakes. The oldest go first."""


class Egress:
    def __init__(self, config: EgressConfig) -> None:
        self._config = config
        self._proxies: dict[str, SessionProxy] = {}
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._forgotten = Account()
        self._home = _home(config)

    def open(self, vm_id: str, listener: socket.socket) -> None:
        """Serve a VM, without an exit; owns the listener from here on."""
        self._proxies[vm_id] = SessionProxy(vm_id, listener, self._config, self._account(vm_id), self._home)

    async def close(self, vm_id: str) -> None:
        """End what goes through a VM's proxy, and the proxy. Idempotent."""
        proxy = self._proxies.pop(vm_id, None)
        if proxy is not None:
            await proxy.close()
        account = self._accounts.get(vm_id)
        if account is not None and account.traffic() == Traffic():
            # Nothing worth a place: of the warm pool, it may never be anybody's.
            del self._accounts[vm_id]

    async def use(self, vm_id: str, out: Exit, changed: Callable[[], None]) -> None:
        """As DataPlane.set_upstream()."""
        proxy = self._proxies.get(vm_id)
        if proxy is None:
            raise NotFound(f"VM {vm_id} has no proxy.")
        await proxy.use(out, changed)

    def report(self, vm_id: str) -> ExitReport:
        if (proxy := self._proxies.get(vm_id)) is not None:
            return proxy.report()
        account = self._accounts.get(vm_id)
        return ExitReport(traffic=account.traffic()) if account is not None else ExitReport()

    def recall(self, vm_id: str, traffic: Traffic) -> None:
        """As DataPlane.recall_traffic()."""
        if traffic != Traffic():
            self._accounts[vm_id] = Account(traffic)

    def forget(self, vm_id: str) -> None:
        """As DataPlane.forget_traffic()."""
        if (account := self._accounts.pop(vm_id, None)) is not None:
            self._forgotten.add(account)

    def counters(self) -> Mapping[str, int]:
        """As DataPlane.egress_counters()."""
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


async def try_exit(out: Exit, config: EgressConfig) -> tuple[ExitCheck | None, EgressError | None]:
    """Use an exit once, for no session: what was seen through it, and what went wrong.

    Without a check URL nothing is seen: an upstream is only connected to, and its password not tried.
    """
    ways = Ways(out, "check", config.policy, config.times, config.tls)
    if not config.check.url:
        try:
            await ways.touch()
        except EgressError as exc:
            return None, exc
        return None, None
    seen, error = await _look(ways, config)
    if seen.address:
        seen = replace(seen, ours=await _home(config).is_ours(seen.address))
    return seen, error


def _home(config: EgressConfig) -> Home:
    async def look_directly() -> str:
        seen, _ = await _look(Ways(Exit(type="direct"), "", config.policy, config.times, config.tls), config)
        return seen.address

    may_look = config.policy.direct and config.check.url
    return Home(config.own_addresses, config.public_addresses, look_directly if may_look else None)


async def _look(ways: Ways, config: EgressConfig) -> tuple[ExitCheck, EgressError | None]:
    check = config.check
    return await look(check.url, ways, config.policy, check.tls, check.timeout_s)
