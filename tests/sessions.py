"""A manager on doubles, for everyone's tests of sessions and of the HTTP API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from gateway.sessions.lifecycle import State
from gateway.sessions.manager import Limits, Room, SessionManager
from gateway.sessions.record import Template
from gateway.sessions.session import Session
from gateway.sessions.view import SessionView
from gateway.sessions.world import Timeouts, World
from gateway.signaling.whep import Whep
from tests.fakes import FakeDataPlane, FakeDriver, FakeVm, MemoryStore

__all__ = ["LONG_S", "Stage", "recovered", "turns_until", "until", "watch"]

LONG_S = 20.0
"""Longer than any test waits for something that does happen."""


async def turns_until(so: Callable[[], bool]) -> None:
    """Let the loop turn until something is so that nothing tells."""
    async with asyncio.timeout(LONG_S):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0)


@dataclass
class Stage:
    """A manager with everything it stands on."""

    run_root: Path
    logs_dir: Path
    driver: FakeDriver = field(default_factory=FakeDriver)
    dataplane: FakeDataPlane = field(default_factory=FakeDataPlane)
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(LONG_S, LONG_S, LONG_S, LONG_S))
    limits: Limits = field(default_factory=Limits)
    store: MemoryStore = field(default_factory=MemoryStore)
    pool_size: int = 0
    room: Room = field(default_factory=lambda: Room(memory_mib=1 << 20, disk_mib=1 << 20))

    def __post_init__(self) -> None:
        self.whep = Whep(self.dataplane)
        world = World(
            driver=self.driver,
            dataplane=self.dataplane,
            signalling=self.whep,
            facts=self.driver.check,
            run_root=self.run_root,
            logs_dir=self.logs_dir,
            timeouts=self.timeouts,
            store=self.store,
        )
        self.manager = SessionManager(
            world,
            templates={"xfce": Template("xfce", "xfce", 2, 2048), "openbox": Template("openbox", "openbox", 1, 1024)},
            display_px=(1280, 720),
            limits=self.limits,
            room=lambda: self.room,
            pool_size=self.pool_size,
        )

    async def parked(self, count: int) -> None:
        """Wait until so many machines are parked."""
        await turns_until(lambda: self.manager.pool.parked == count)

    async def ready(self) -> Session:
        """A session that is up."""
        session = await self.manager.create()
        await until(session, State.READY)
        return session

    async def asleep(self) -> Session:
        """A session that is suspended."""
        session = await self.ready()
        session.suspend()
        await until(session, State.SUSPENDED)
        return session

    def next(self) -> Stage:
        """The gateway after this one has left in order."""
        return replace(self, dataplane=FakeDataPlane())

    async def killed(self) -> Stage:
        """The gateway after this one was killed, now: on a copy of all that outlives a process.

        This one then ends as it likes, which changes nothing of the copy.
        """
        store, run_dirs = self.store.survivor(), list(self.run_root.iterdir()) if self.run_root.exists() else []
        driver = await self.driver.survivor()
        await self.manager.close()
        assert self.left() == []
        for path in run_dirs:
            path.mkdir(mode=0o700)
        return replace(self, driver=driver, store=store, dataplane=FakeDataPlane())

    def vm(self, session: Session) -> FakeVm:
        return self.driver.vms[session.id]

    def left(self) -> list[str]:
        """What is left of sessions, anywhere."""
        files = [str(path) for path in self.run_root.iterdir()] if self.run_root.exists() else []
        tasks = [
            task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith(("session-", "vnc-", "bye"))
        ]
        running = [vm.id for vm in self.driver.vms.values() if not vm.ended]
        kept = [*self.driver.disks, *self.driver.asleep, *self.store.kept_machines]
        return [*files, *tasks, *running, *kept, *self.dataplane.lans, *map(str, self.dataplane.admitted)]


@asynccontextmanager
async def recovered(stage: Stage) -> AsyncIterator[Stage]:
    """With what the gateway before it has left taken over; leaves nothing at its own end."""
    await stage.manager.recover()
    yield stage
    await stage.manager.close()
    assert stage.left() == []


async def until(session: Session, *states: State) -> SessionView:
    """The first view in one of these states. An end that was not asked for fails the test with its reason."""
    async with asyncio.timeout(LONG_S):
        with session.updates.watch() as updates:
            while (view := await updates.get()) is not None:
                if view.state in {state.value for state in states}:
                    return view
                assert view.state not in ("failed", "stopped"), view.error
    raise AssertionError(f"the session ended, {[state.value for state in states]} was awaited")


async def watch(session: Session) -> list[str]:
    """The states it goes through from now until its updates end, each once."""
    seen: list[str] = []
    with session.updates.watch() as updates:
        while (view := await updates.get()) is not None:
            if not seen or seen[-1] != view.state:
                seen.append(view.state)
    return seen
