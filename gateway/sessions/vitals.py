"""Looks at every guest now and then: whether it answers, how its desktop is, and what its agent counts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gateway.errors import GatewayError, GuestError, LinkError
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from guest_agent.protocol.rpc import NOT_READY

__all__ = ["COUNT_EVERY", "LOOK_S", "Figures", "Repairs", "Vitals"]

logger = logging.getLogger(__name__)

LOOK_S = 5.0
COUNT_EVERY = 3
"""Looks, and the agent is asked what it counts."""
ANSWER_S = 5.0


class Figures(Protocol):
    """Who is told what agents count (gateway/metrics/media.py)."""

    def saw(self, sid: str, told: Mapping[str, Any], took_s: float, now: float) -> None: ...

    def missed(self, result: str) -> None: ...

    def keep(self, sids: set[str]) -> None: ...


class Repairs(Protocol):
    """Who is told what was repaired (gateway/metrics/health.py)."""

    def repaired(self, parts: Mapping[str, int]) -> None: ...


class Vitals:
    """Args:
    sessions: those that there are.
    figures, repairs: told of each look.
    """

    def __init__(self, sessions: Callable[[], Sequence[Session]], figures: Figures, repairs: Repairs) -> None:
        self._sessions = sessions
        self._figures = figures
        self._repairs = repairs
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def begin(cls, sessions: Callable[[], Sequence[Session]], figures: Figures, repairs: Repairs) -> Vitals:
        """One that looks from now on."""
        made = cls(sessions, figures, repairs)
        made._task = asyncio.create_task(made._run(), name="vitals")
        return made

    async def close(self) -> None:
        """Look no more. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def look(self) -> None:
        """Ask all agents at once what they count."""
        ready = self._ready()
        self._figures.keep({session.id for session in ready})
        await asyncio.gather(*(self._count(session) for session in ready))

    async def examine(self) -> None:
        """Ask all guests at once how their desktops are."""
        await asyncio.gather(*(self._examine(session) for session in self._ready()))

    def _ready(self) -> list[Session]:
        return [session for session in self._sessions() if session.state is State.READY]

    async def _count(self, session: Session) -> None:
        began = time.monotonic()
        try:
            told = await session.link.call("counters", {}, timeout_s=ANSWER_S)
        except GuestError as exc:
            self._figures.missed("refused")
            if exc.code == NOT_READY:
                session.health.missed(silent=False)
        except LinkError:
            # One that has ended meanwhile had no reason to answer.
            if session.state is State.READY:
                self._figures.missed("silent")
                session.health.missed(silent=True)
        else:
            now = time.monotonic()
            self._figures.saw(session.id, told, now - began, now)
            if session.health.counted(told):
                await self._thaw(session)
        session.health_changed()

    async def _examine(self, session: Session) -> None:
        try:
            told = await session.link.call("health", {}, timeout_s=ANSWER_S)
        except LinkError:
            # Of an older image, or silent, which the agent's look tells.
            return
        self._repairs.repaired(session.health.examined(told))
        session.health_changed()

    async def _thaw(self, session: Session) -> None:
        """Have another agent: this one answers, and sends nothing to those who watch."""
        logger.error("! session %s: its picture is frozen; its agent is started again", session.id)
        self._repairs.repaired({"picture": 1})
        try:
            hello = await session.link.hello(ANSWER_S)
            agent = hello.get("agent")
            if isinstance(agent, dict) and type(agent.get("pid")) is int:
                await session.exec(["kill", "-KILL", str(agent["pid"])], timeout_s=ANSWER_S)
        except GatewayError as exc:
            logger.warning("x session %s: its agent was not ended: %s", session.id, exc)

    async def _run(self) -> None:
        number = 0
        while True:
            await asyncio.sleep(LOOK_S)
            number += 1
            await self.examine()
            if number % COUNT_EVERY == 0:
                await self.look()
