"""Looks at every agent now and then: whether it answers, and what it counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gateway.errors import GuestError, LinkError
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session

__all__ = ["LOOK_S", "Figures", "Vitals"]

LOOK_S = 15.0
ANSWER_S = 5.0


class Figures(Protocol):
    """Who is told (gateway/metrics/media.py)."""

    def saw(self, sid: str, told: Mapping[str, Any], took_s: float, now: float) -> None: ...

    def missed(self, result: str) -> None: ...

    def keep(self, sids: set[str]) -> None: ...


class Vitals:
    """Args:
    sessions: those that there are.
    figures: told of each look.
    """

    def __init__(self, sessions: Callable[[], Sequence[Session]], figures: Figures) -> None:
        self._sessions = sessions
        self._figures = figures
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def begin(cls, sessions: Callable[[], Sequence[Session]], figures: Figures) -> Vitals:
        """One that looks from now on."""
        made = cls(sessions, figures)
        made._task = asyncio.create_task(made._run(), name="vitals")
        return made

    async def close(self) -> None:
        """Look no more. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def look(self) -> None:
        """One round, of all at once."""
        ready = [session for session in self._sessions() if session.state is State.READY]
        self._figures.keep({session.id for session in ready})
        await asyncio.gather(*(self._look_at(session) for session in ready))

    async def _look_at(self, session: Session) -> None:
        began = time.monotonic()
        try:
            told = await session.link.call("counters", {}, timeout_s=ANSWER_S)
        except GuestError:
            self._figures.missed("refused")
        except LinkError:
            # One that has ended meanwhile had no reason to answer.
            if session.state is State.READY:
                self._figures.missed("silent")
        else:
            now = time.monotonic()
            self._figures.saw(session.id, told, now - began, now)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()
