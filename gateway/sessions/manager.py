"""The registry of sessions: makes them within the host's limits, finds them, ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from gateway.errors import BadRequest, CapacityError, Conflict, GatewayError, NotFound
from gateway.exits import NO_EXIT, Exit
from gateway.sessions.admission import NO_QUOTA, Limits, Owner, Room, check_quota, check_room
from gateway.sessions.ledger import Ledger
from gateway.sessions.lifecycle import IDLE, STARTING, State
from gateway.sessions.machine import Machine
from gateway.sessions.pool import WarmPool
from gateway.sessions.reaper import Reaper
from gateway.sessions.record import OPERATOR, Lifetime, Place, Sharing, Template
from gateway.sessions.recovery import recover
from gateway.sessions.session import Session
from gateway.sessions.world import World
from gateway.vm.driver import SavedTemplate

__all__ = ["Limits", "Owner", "Room", "SessionManager"]

logger = logging.getLogger(__name__)

CALM_S = 60.0
"""A desktop that has not started its programs by then may compete with the pool's refill."""
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_ID_LENGTH = 8


@dataclass(frozen=True, slots=True)
class _Copy:
    """A machine that is being written and is no session's yet."""

    template: Template
    owner: str
    done: asyncio.Future[None]


class SessionManager:
    """All sessions of this gateway.

    Args:
        world: what each session may use.
        templates: by name; the first is the default. Those that people saved come to them.
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
        self.limits = limits
        self._templates = templates
        self._world = world
        self._display_px = display_px
        self._room = room
        self._sessions: dict[str, Session] = {}
        self._ended: dict[str, str] = {}
        """Whose those were that have ended, oldest first."""
        self._keyed = asyncio.Lock()
        self._saving: set[str] = set()
        self._copies: dict[str, _Copy] = {}
        """By id."""
        self._closing = False
        default = next(iter(templates.values()))
        self.pool = WarmPool(
            pool_size, default, partial(self._fresh_machine, default), self._calm, self._admit_parked
        )
        self.reaper = Reaper(self.list, self.destroy)
        self.ledger = Ledger(self.list)

    async def recover(self) -> None:
        """Take over what an earlier gateway left. Call it first. Raises StoreError."""
        sessions, ended = await recover(self._world)
        self._sessions.update({session.id: session for session in sessions})
        self._ended.update(dict.fromkeys(ended, OPERATOR))

    @property
    def templates(self) -> Mapping[str, Template]:
        """By name; the settings' own come first."""
        place = next(iter(self._templates.values())).place
        saved = {
            one.name: Template(one.name, one.profile, one.vcpus, one.memory_mib, one.browser, one.name, place)
            for one in self._world.driver.saved()
        }
        return {**self._templates, **{name: one for name, one in saved.items() if name not in self._templates}}

    async def create(
        self,
        *,
        template: str | None = None,
        display_px: tuple[int, int] | None = None,
        lifetime: Lifetime | None = None,
        metadata: Mapping[str, str] | None = None,
        sharing: Sharing | None = None,
        out: Exit = NO_EXIT,
        timezone: str | None = None,
        locale: str | None = None,
        owner: Owner = NO_QUOTA,
    ) -> Session:
        """Start a session; it boots by itself. Without time zone or locale it has its template's.

        Raises:
            BadRequest: no such template.
            QuotaReached: the owner may have no more. Nothing was spawned.
            CapacityError: the gateway or the host has no room, or is shutting down. Nothing was spawned.
            StoreError: it cannot be written down. Nothing was spawned.
        """
        templates = await asyncio.to_thread(lambda: self.templates)
        name = template if template is not None else next(iter(templates))
        if name not in templates:
            raise BadRequest(f"no template named {name[:64]!r}", hint=f"there are: {', '.join(templates)}")
        chosen = templates[name]
        room = await asyncio.to_thread(self._room)
        # No await from here on: two creates at once must not both take the last place.
        self._check_room(chosen, room, parked=self.pool.has(chosen), owner=owner)
        machine = self.pool.take(chosen) or self._fresh_machine(chosen, display_px)
        session = Session(
            machine, display_px or self._display_px, self._world,
            lifetime=lifetime, metadata=metadata, sharing=sharing, out=out,
            place=Place(timezone=timezone or chosen.place.timezone, locale=locale or chosen.place.locale),
            owner=owner.name,
        )  # fmt: skip
        await self._enter(session)
        session.start()
        return session

    async def create_once(self, key: str, asked: str, create: Callable[[], Awaitable[Session]]) -> Session:
        """``create`` a session unless this key has been used, also with an earlier gateway; then give that one.

        Args:
            asked: digest of the request, which must be the same each time.

        Raises:
            Conflict: the key was used for another request, or its session is gone.
        """
        # One at a time: the second of two at once must see the first.
        async with self._keyed:
            used = await self._world.store.key(key)
            if used is None:
                session = await create()
                try:
                    await self._world.store.put_key(key, session.id, asked)
                except BaseException:
                    # Asked again, it would be made a second time.
                    await asyncio.shield(self.destroy(session.id))
                    raise
                return session
        sid, before = used
        if before != asked:
            raise Conflict("this Idempotency-Key was used for another request", hint="use a new key")
        if sid not in self._sessions:
            raise Conflict("the session of this Idempotency-Key has ended", hint="use a new key")
        return self._sessions[sid]

    async def resume(self, sid: str, *, max_live: int | None = None) -> Session:
        """Begin to wake a suspended session. Idempotent. Raises NotFound, Conflict, QuotaReached, CapacityError.

        Args:
            max_live: how many of its owner's may run at once.
        """
        session = self.get(sid)
        if session.state is State.SUSPENDED:
            room = await asyncio.to_thread(self._room)
            if session.state is State.SUSPENDED:
                self._check_room(session.template, room, owner=Owner(session.owner, max_live))
        session.resume()
        return session

    async def fork(
        self, sid: str, *, metadata: Mapping[str, str] | None = None, max_live: int | None = None
    ) -> Session:
        """A second session that is this one now, its owner's too, on its way up.

        Args:
            max_live: how many of its owner's may run at once.

        Raises:
            NotFound, Conflict, QuotaReached, CapacityError, VmError: nothing was made.
        """
        source = self.get(sid)
        async with self._copy(source, Owner(source.owner, max_live)) as child:
            session = Session(
                child, source.display_px, self._world,
                lifetime=source.lifetime, metadata=source.metadata if metadata is None else metadata,
                sharing=source.sharing, out=source.out, place=source.place, owner=source.owner,
            )  # fmt: skip
            session.taken_for = source.taken_for
            await self._enter(session)
            session.asleep()
            session.resume()
        return session

    async def save_template(self, sid: str, name: str) -> SavedTemplate:
        """Make a template of what a session is now. Raises as fork(), and Conflict when the name is taken."""
        source = self.get(sid)
        if name in self._saving or name in await asyncio.to_thread(lambda: self.templates):
            raise Conflict(f"there is a template {name} already", hint="choose another name")
        self._saving.add(name)
        try:
            async with self._copy(source) as child:
                try:
                    return await child.save(name)
                finally:
                    await asyncio.shield(child.release())
        finally:
            self._saving.discard(name)

    @asynccontextmanager
    async def _copy(self, source: Session, owner: Owner = NO_QUOTA) -> AsyncIterator[Machine]:
        """A machine that is on disk, its own from now on; it has a place meanwhile. Failing leaves nothing."""
        source.require_whole()
        room = await asyncio.to_thread(self._room)
        self._check_room(source.template, room, owner=owner)
        child = Machine(self._fresh_id(), source.template, self._world, source.display_px, forked=True)
        copied = asyncio.get_running_loop().create_future()
        self._copies[child.id] = _Copy(source.template, owner.name, copied)
        try:
            await source.fork(child)
            if self._closing:
                raise _closed()
            yield child
        except BaseException:
            await asyncio.shield(child.release())
            raise
        finally:
            del self._copies[child.id]
            copied.set_result(None)

    async def _enter(self, session: Session) -> None:
        self._sessions[session.id] = session
        try:
            await session.save()
        except BaseException:
            del self._sessions[session.id]
            await asyncio.shield(session.stop())
            raise
        try:
            await self._forget_old_failures()
        except GatewayError as exc:
            logger.warning("x old failures are not forgotten: %s", exc)

    def get(self, sid: str) -> Session:
        """Raises NotFound."""
        try:
            return self._sessions[sid]
        except KeyError:
            raise NotFound("no such session", hint="fenster ls lists the sessions") from None

    def owner_of(self, sid: str) -> str | None:
        """Whose it is, or was; None where there never was one, or it is forgotten."""
        return self._sessions[sid].owner if sid in self._sessions else self._ended.get(sid)

    def list(self) -> list[Session]:
        """Oldest first."""
        return [*self._sessions.values()]

    def live(self) -> int:
        """How many take memory and a processor."""
        return sum(session.state not in IDLE for session in self._sessions.values())

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
            await self._forget(session)

    async def close(self) -> None:
        """End every session, all at once, and accept no more. Idempotent."""
        self._closing = True
        await self.ledger.close()
        await self.reaper.close()
        await self.pool.close()
        await asyncio.gather(*(self.destroy(sid) for sid in list(self._sessions)))
        await self._end_copies()

    async def leave(self) -> int:
        """Let go of every session as it is, for the next gateway, and accept no more; how many that are."""
        self._closing = True
        await self.ledger.close()
        await self.reaper.close()
        await self.pool.close()
        sessions = list(self._sessions.values())
        await asyncio.gather(*(session.leave() for session in sessions))
        await self._end_copies()
        self._sessions.clear()
        return sum(session.state in (State.READY, State.SUSPENDED) for session in sessions)

    async def _end_copies(self) -> None:
        if self._copies:
            await asyncio.wait([copy.done for copy in self._copies.values()])

    async def _forget(self, session: Session) -> None:
        if self._sessions.pop(session.id, None) is not None:
            self._ended[session.id] = session.owner
            if len(self._ended) > self.limits.max_remembered:
                del self._ended[next(iter(self._ended))]
            self._world.dataplane.forget_traffic(session.id)
            await self._world.store.drop_session(session.id)

    async def _forget_old_failures(self) -> None:
        failed = [session for session in self._sessions.values() if session.state is State.FAILED]
        for session in failed[: -self.limits.max_failed]:
            session.updates.end()
            await self._forget(session)

    def _fresh_machine(self, template: Template, display_px: tuple[int, int] | None = None) -> Machine:
        return Machine(self._fresh_id(), template, self._world, display_px or self._display_px)

    async def _calm(self) -> None:
        """Until no session is on its way up, and what has just come up has started its programs."""
        while True:
            sessions = self._sessions.values()
            starting = [session for session in sessions if session.state in STARTING]
            young = [session for session in sessions if session.age_s < CALM_S and not session.calm.is_set()]
            if starting:
                await starting[0].settled.wait()
            elif young:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(CALM_S - young[0].age_s):
                        await young[0].calm.wait()
            else:
                return

    async def _admit_parked(self) -> None:
        """Room for one more of the pool, which counts against no number of sessions. Raises CapacityError."""
        room = await asyncio.to_thread(self._room)
        limits = replace(self.limits, max_sessions=sys.maxsize)
        states = [(session.state, session.template) for session in self._sessions.values()]
        check_room(next(iter(self._templates.values())), states, limits, room)

    def _fresh_id(self) -> str:
        while True:
            sid = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
            if sid not in self._sessions and sid not in self._ended:
                return sid

    def _check_room(self, template: Template, room: Room, *, parked: bool = False, owner: Owner = NO_QUOTA) -> None:
        if self._closing:
            raise _closed()
        copies = [copy for sid, copy in self._copies.items() if sid not in self._sessions]
        theirs = [one for one in self._sessions.values() if one.owner == owner.name and one.state not in IDLE]
        check_quota(owner, len(theirs) + sum(copy.owner == owner.name for copy in copies))
        states = [(session.state, session.template) for session in self._sessions.values()]
        states += [(State.RESUMING, copy.template) for copy in copies]
        check_room(template, states, self.limits, room, parked=parked)


def _closed() -> CapacityError:
    return CapacityError("the gateway is shutting down", hint="try again when it is back")
