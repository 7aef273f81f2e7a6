"""Ends sessions whose time is over, has those sleep that nobody uses, and has their people warned."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from gateway.errors import GatewayError
from gateway.sessions.lifecycle import ENDED, State
from gateway.sessions.session import Session

__all__ = ["BUSY_SHARE", "LOOK_S", "Reaper"]

logger = logging.getLogger(__name__)

LOOK_S = 5.0
"""Between two looks; no session lives longer than it may by more than this."""
BUSY_SHARE = 0.25
"""Of one processor: a machine that takes more has a program at work, and is in use (an idle one takes under 0.2)."""


class Reaper:
    """Args:
    sessions: those that there are.
    end: ends and forgets one.
    """

    def __init__(self, sessions: Callable[[], Sequence[Session]], end: Callable[[str], Awaitable[None]]) -> None:
        self._sessions = sessions
        self._end = end
        self._spent: dict[str, tuple[float, float]] = {}
        """When each machine was last looked at, and its processor time then."""
        self._ending: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="reaper")

    async def close(self) -> None:
        """Look no more; an end that was begun is waited for. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        await asyncio.gather(*self._ending, return_exceptions=True)

    def look(self, now: float) -> None:
        """Judge every session; ``now`` is Unix time in s."""
        sessions = self._sessions()
        self._spent = {one.id: self._spent[one.id] for one in sessions if one.id in self._spent}
        for session in sessions:
            if session.state in ENDED or session.state is State.STOPPING:
                continue
            # Only what is up can be idle; a session that sleeps is in nobody's way.
            if session.state is not State.READY or session.viewers or self._is_at_work(session, now):
                session.busy_at = now
            due = session.look(now).due
            if due == "ttl" or (due == "idle" and session.lifetime.idle_action == "stop"):
                logger.info("= session %s ends: %s", session.id, due)
                self._begin_end(session.id)
            elif due == "idle":
                logger.info("= session %s is not in use and will be suspended", session.id)
                self._suspend(session, now)

    def _is_at_work(self, session: Session, now: float) -> bool:
        spent = session.processor_s()
        if spent is None:
            return False
        before_at, before = self._spent.get(session.id, (now, spent))
        self._spent[session.id] = (now, spent)
        return now > before_at and (spent - before) / (now - before_at) > BUSY_SHARE

    def _suspend(self, session: Session, now: float) -> None:
        # Where it is refused or fails, it is asked again when the session has been idle for as long once more.
        session.busy_at = now
        try:
            session.suspend()
        except GatewayError as exc:
            logger.warning("x session %s is not suspended: %s", session.id, exc)

    def _begin_end(self, sid: str) -> None:
        name = f"end-{sid}"
        if any(task.get_name() == name for task in self._ending):
            return
        task = asyncio.ensure_future(self._end(sid))
        if isinstance(task, asyncio.Task):
            task.set_name(name)
        self._ending.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._ending.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("! %s: %s", task.get_name(), exc)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.look(time.time())
