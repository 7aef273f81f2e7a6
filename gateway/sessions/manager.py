"""The registry of sessions: makes them within the host's limits, finds them, ends them in order."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from gateway.errors import BadRequest, CapacityError, NotFound
from gateway.sessions.lifecycle import ENDED, STARTING, State
from gateway.sessions.machine import Machine
from gateway.sessions.pool import WarmPool
from gateway.sessions.session import Session
from gateway.sessions.world import Template, World

__all__ = ["Limits", "Room", "SessionManager"]

logger = logging.getLogger(__name__)

_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Room:
    """What the host has left now."""

    memory_mib: int
    disk_mib: int


@dataclass(frozen=True, slots=True)
class Limits:
    max_sessions: int = 8
    reserve_memory_mib: int = 512
    """Free memory that a new session must leave."""
    reserve_disk_mib: int = 4096
    """Free disk that a new session must find."""
    max_failed: int = 64
    """Failed sessions kept to be looked at; the oldest goes first."""
    max_remembered: int = 4096
    """Ids of ended sessions, for which DELETE stays a success; the oldest is forgotten first."""


class SessionManager:
    """All sessions of this gateway.

    Args:
        world: what each session may use.
        templates: by name; the first is the default.
        display_px: unless the caller names another.
        limits: beyond them a create is refused.
        pool_size: how many machines of the default template to keep parked.
        room: measures the host. Blocking; called in a thread.
    """

    def __init__(
        self,
        world: World,
        *,
        templates: Mapping[str, Template],
        display_px: tuple[int, int],
        limits: Limits,
        room: Callable[[], Room],
        pool_size: int = 0,
    ) -> None:
        self.templates = templates
        self.limits = limits
        self._world = world
        self._display_px = display_px
        self._room = room
        self._sessions: dict[str, Session] = {}
        self._ended: deque[str] = deque(maxlen=limits.max_remembered)
        self._closing = False
        default = next(iter(templates.values()))
        self.pool = WarmPool(pool_size, default, partial(self._fresh_machine, default), self._calm, display_px)

    async def create(self, *, template: str | None = None, display_px: tuple[int, int] | None = None) -> Session:
        """Start a session; it boots by itself.

        Raises:
            BadRequest: no such template.
            CapacityError: the gateway or the host has no room, or is shutting down. Nothing was spawned.
        """
        name = template if template is not None else next(iter(self.templates))
        if name not in self.templates:
            raise BadRequest(f"no template named {name[:64]!r}", hint=f"there are: {', '.join(self.templates)}")
        chosen = self.templates[name]
        room = await asyncio.to_thread(self._room)
        # No await from here on: two creates at once must not both take the last place.
        self._check_room(chosen, room)
        machine = self.pool.take(chosen) or self._fresh_machine(chosen)
        session = Session(machine, display_px or self._display_px, self._world)
        self._sessions[session.id] = session
        session.start()
        self._forget_old_failures()
        return session

    def get(self, sid: str) -> Session:
        """Raises NotFound."""
        try:
            return self._sessions[sid]
        except KeyError:
            raise NotFound("no such session", hint="fenster ls lists the sessions") from None

    def list(self) -> list[Session]:
        """Oldest first."""
        return [*self._sessions.values()]

    def live(self) -> int:
        """How many hold resources."""
        return sum(session.state not in ENDED for session in self._sessions.values())

    async def destroy(self, sid: str) -> None:
        """End a session and forget it; returns when nothing of it is left. Idempotent.

        Raises:
            NotFound: there never was such a session.
        """
        if sid not in self._sessions and sid in self._ended:
            return
        session = self.get(sid)
        await session.stop()
        if session.state is State.STOPPED:
            self._forget(session)

    async def close(self) -> None:
        """End every session, all at once, and accept no more. Idempotent."""
        self._closing = True
        await self.pool.close()
        await asyncio.gather(*(self.destroy(sid) for sid in list(self._sessions)))

    def _forget(self, session: Session) -> None:
        if self._sessions.pop(session.id, None) is not None:
            self._ended.append(session.id)

    def _forget_old_failures(self) -> None:
        failed = [session for session in self._sessions.values() if session.state is State.FAILED]
        for session in failed[: -self.limits.max_failed]:
            session.updates.end()
            self._forget(session)

    def _fresh_machine(self, template: Template) -> Machine:
        return Machine(self._fresh_id(), template, self._world)

    async def _calm(self) -> None:
        """Until no session is on its way up."""
        while starting := [session for session in self._sessions.values() if session.state in STARTING]:
            await starting[0].settled.wait()

    def _fresh_id(self) -> str:
        while True:
            sid = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
            if sid not in self._sessions and sid not in self._ended:
                return sid

    def _check_room(self, template: Template, room: Room) -> None:
        if self._closing:
            raise CapacityError("the gateway is shutting down", hint="try again when it is back")
        if self.live() >= self.limits.max_sessions:
            raise CapacityError(
                f"{self.limits.max_sessions} sessions run, which is the limit",
                hint="end one (fenster rm), or raise max_sessions",
            )
        # A guest that is still booting has not yet taken the memory that it will take.
        promised = sum(
            session.template.memory_mib for session in self._sessions.values() if session.state in STARTING
        )
        needed = template.memory_mib + self.limits.reserve_memory_mib
        if room.memory_mib - promised < needed:
            raise CapacityError(
                f"a session needs {needed} MiB of free memory, this host has {max(0, room.memory_mib - promised)}",
                hint="end a session, or lower memory_mib",
            )
        if room.disk_mib < self.limits.reserve_disk_mib:
            raise CapacityError(
                f"a session needs {self.limits.reserve_disk_mib} MiB of free disk, this host has {room.disk_mib}",
                hint="free some space where run_dir is, or set run_dir to a larger disk",
            )
