"""Has the sessions' traffic written down while they run, so that a gateway that is killed loses little of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from gateway.errors import GatewayError
from gateway.exits import Traffic
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session

__all__ = ["WRITE_S", "Ledger"]

logger = logging.getLogger(__name__)

WRITE_S = 30.0
"""Between two rounds: what a gateway that is killed forgets of each session."""


class Ledger:
    """Args:
    sessions: those that there are.
    """

    def __init__(self, sessions: Callable[[], Sequence[Session]]) -> None:
        self._sessions = sessions
        self._written: dict[str, Traffic] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="ledger")

    async def close(self) -> None:
        """Write no more. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def write(self) -> None:
        """One round: each session that is up, if it has carried something since the last."""
        sessions = [one for one in self._sessions() if one.state is State.READY]
        self._written = {one.id: self._written[one.id] for one in sessions if one.id in self._written}
        for session in sessions:
            traffic = session.traffic().traffic
            if traffic == self._written.get(session.id, Traffic()):
                continue
            try:
                await session.save()
            except GatewayError as exc:
                logger.warning("x the traffic of %s is not written down: %s", session.id, exc)
            else:
                self._written[session.id] = traffic

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(WRITE_S)
            await self.write()
