"""The warm pool: machines that were started, given an identity and stopped before anybody asked for them.

A parked machine costs the memory it has written and no processor time; a session that takes one over lets it run and
tells it whose it is. It is refilled in the background, one machine at a time, never while a session starts.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from gateway.errors import GatewayError
from gateway.sessions.machine import Machine
from gateway.sessions.record import Template

__all__ = ["WarmPool"]

logger = logging.getLogger(__name__)

RETRY_S = (1.0, 60.0)
"""First and longest pause after a machine that could not be parked; doubled each time."""


class WarmPool:
    """Args:
    size: how many to keep; 0 keeps none.
    template: what they are made from.
    make: a new machine, not yet started.
    calm: returns when a refill slows nobody.
    admit: raises CapacityError when the host has no room for one more.
    """

    def __init__(
        self,
        size: int,
        template: Template,
        make: Callable[[], Machine],
        calm: Callable[[], Awaitable[None]],
        admit: Callable[[], Awaitable[None]],
    ) -> None:
        self.size = size
        self.counters = dict.fromkeys(["pool_hits", "pool_misses", "pool_lost", "pool_failures"], 0)
        """Since start. Lost: ended while they were parked. Failures: could not be parked."""
        self._template = template
        self._make = make
        self._calm = calm
        self._admit = admit
        self._parked: deque[Machine] = deque()
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._releases: set[asyncio.Task[None]] = set()
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._refilling: asyncio.Task[None] | None = None

    @property
    def parked(self) -> int:
        return len(self._parked)

    async def filled(self) -> None:
        """Return when it is full."""
        while len(self._parked) < self.size:
            self._changed.clear()
            await self._changed.wait()

    def start(self) -> None:
        """Begin to fill it."""
        if self.size > 0 and self._refilling is None:
            self._wanted.set()
            self._refilling = asyncio.create_task(self._refill(), name="pool-refill")

    def has(self, template: Template) -> bool:
        """Whether take() would give one."""
        return template == self._template and bool(self._parked)

    def take(self, template: Template) -> Machine | None:
        """A parked machine of this template, the one longest parked; the caller releases it. None is a miss."""
        if self.size == 0:
            return None
        if template != self._template or not self._parked:
            self.counters["pool_misses"] += 1
            return None
        machine = self._parked.popleft()
        self._watches.pop(machine.id).cancel()
        self.counters["pool_hits"] += 1
        self._wanted.set()
        return machine

    async def close(self) -> None:
        """End what is parked and keep no more. Idempotent."""
        tasks = [*([] if self._refilling is None else [self._refilling]), *self._watches.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._refilling = None
        self._watches.clear()
        parked = list(self._parked)
        self._parked.clear()
        await asyncio.gather(*(machine.release() for machine in parked), *self._releases)

    async def _refill(self) -> None:
        pause_s = RETRY_S[0]
        while True:
            await self._wanted.wait()
            if len(self._parked) >= self.size:
                self._wanted.clear()
                continue
            await self._calm()
            if await self._park_one():
                pause_s = RETRY_S[0]
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, RETRY_S[1])

    async def _park_one(self) -> bool:
        machine = self._make()
        try:
            await self._admit()
            guest = await machine.start(_unmarked)
            await guest.park()
        except GatewayError as exc:
            self.counters["pool_failures"] += 1
            logger.warning("x no machine for the pool: %s", exc)
            await machine.release()
            return False
        except BaseException:
            await machine.release()
            raise
        self._parked.append(machine)
        self._changed.set()
        self._watches[machine.id] = asyncio.create_task(self._watch(machine), name=f"pool-{machine.id}")
        logger.info("= machine %s parked, %d of %d", machine.id, len(self._parked), self.size)
        return True

    async def _watch(self, machine: Machine) -> None:
        """Drop a machine that ends while it is parked."""
        assert machine.guest is not None
        end = await machine.guest.vm.wait()
        self._parked.remove(machine)
        del self._watches[machine.id]
        self.counters["pool_lost"] += 1
        logger.warning("x a parked machine ended: %s", end.reason)
        self._wanted.set()
        # A task of its own: whoever cancels this one means the watching.
        releasing = asyncio.create_task(machine.release(), name=f"pool-{machine.id}")
        self._releases.add(releasing)
        releasing.add_done_callback(self._releases.discard)


def _unmarked(stage: str) -> None:
    """Nobody waits for a machine that is being parked."""
