"""One session's exit, looked at through itself: when it is new, and every so often."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gateway.egress.check import look
from gateway.egress.home import Home
from gateway.egress.policy import Policy
from gateway.egress.streams import end_all
from gateway.egress.upstream import Ways
from gateway.errors import EgressError
from gateway.exits import ExitCheck

__all__ = ["CheckConfig", "Checker"]

logger = logging.getLogger(__name__)

Told = Callable[[ExitCheck, EgressError | None], None]


@dataclass(frozen=True, slots=True)
class CheckConfig:
    url: str = ""
    """Answers with the address that it sees; "" for no checks."""
    every_s: float = 900.0
    """From the end of one to the beginning of the next."""
    timeout_s: float = 30.0
    """The whole of one."""
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    """How the echo service's certificate is checked."""


class Checker:
    """Args:
    name: the session's, for its task.
    told: called with each check, and with what went wrong. Must not raise.
    """

    def __init__(self, name: str, config: CheckConfig, policy: Policy, home: Home, told: Told) -> None:
        self._name = name
        self._config = config
        self._policy = policy
        self._home = home
        self._told = told
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, ways: Ways) -> None:
        """Look at this exit from now on; after stop() of the last."""
        if self._config.url:
            task = asyncio.create_task(self._run(ways), name=f"egress-check-{self._name}")
            task.add_done_callback(self._ended)
            self._tasks = {task}

    async def stop(self) -> None:
        """Idempotent."""
        tasks, self._tasks = self._tasks, set()
        await end_all(tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("! proxy of %s: its exit is not looked at any more", self._name, exc_info=error)

    async def _run(self, ways: Ways) -> None:
        config = self._config
        while True:
            seen, error = await look(config.url, ways, self._policy, config.tls, config.timeout_s)
            if seen.address:
                seen = replace(seen, ours=await self._home.is_ours(seen.address))
            self._told(seen, error)
            await asyncio.sleep(config.every_s)
