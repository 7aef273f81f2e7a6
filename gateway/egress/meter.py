"""Counting and slowing down what one session carries."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from gateway.egress.account import Account
from gateway.egress.limits import Limits, TokenBucket
from gateway.egress.streams import Meter
from gateway.errors import EgressLimited

__all__ = ["SessionMeter"]

BURST_S = 0.25
"""So much of a second's bytes may come at once."""
CONNECT_BURST_S = 10.0


class SessionMeter:
    """Shared by all connections of one session."""

    def __init__(self, limits: Limits, account: Account) -> None:
        now = time.monotonic()
        rate = limits.bytes_per_s
        self._limits = limits
        self._account = account
        self._up = None if rate is None else TokenBucket(rate, rate * BURST_S, now)
        self._down = None if rate is None else TokenBucket(rate, rate * BURST_S, now)
        self._connects = TokenBucket(limits.connects_per_s, limits.connects_per_s * CONNECT_BURST_S, now)

    def admit(self) -> None:
        """One more connection to the outside. Raises EgressLimited."""
        self._check_quota()
        if not self._connects.allows(1, time.monotonic()):
            raise EgressLimited(
                f"it opens more than {self._limits.connects_per_s:g} connections a second", hint="wait a moment"
            )

    def ways(self, host: str) -> tuple[Meter, Meter]:
        """For bytes to and from a host."""
        return partial(self._pass_up, host), partial(self._pass_down, host)

    async def _pass_up(self, host: str, count: int) -> None:
        self._account.up(host, count)
        await self._hold(self._up, count)

    async def _pass_down(self, host: str, count: int) -> None:
        self._account.down(host, count)
        await self._hold(self._down, count)

    async def _hold(self, bucket: TokenBucket | None, count: int) -> None:
        self._check_quota()
        if bucket is not None and (wait_s := bucket.take(count, time.monotonic())) > 0:
            await asyncio.sleep(wait_s)

    def _check_quota(self) -> None:
        quota = self._limits.quota_bytes
        if quota is not None and self._account.total_bytes > quota:
            raise EgressLimited(f"it has used up the {quota >> 20} MiB that it may carry")
