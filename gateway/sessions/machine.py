"""One machine with all that it stands on: run directory, network, guest. Acquired once, released whole.

A session makes one for itself, takes over one that the warm pool has prepared and parked, or one that an earlier
gateway left. While the session sleeps its machine does not run, and nothing but its files is there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.errors import GatewayError, VmError
from gateway.sessions import rundir
from gateway.sessions.guest import Guest, Identity
from gateway.sessions.record import MachineRecord, Template
from gateway.sessions.world import World
from gateway.vm.driver import Lan, SavedTemplate, StageFn, Vm, VmSpec

__all__ = ["Machine"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

Mark = Callable[[str], None]


class Machine:
    """Args:
    sid: 8 lower-case characters; the session's that it is, or will be, for.
    template: what to start.
    world: what it may use.
    display_px: what its display starts with.
    identity: given to the guest; a new one when None.
    uuid: of a machine that an earlier gateway made.
    forked: its files are, or will be, another machine's copy.
    """

    def __init__(
        self,
        sid: str,
        template: Template,
        world: World,
        display_px: tuple[int, int],
        *,
        identity: Identity | None = None,
        uuid: str | None = None,
        forked: bool = False,
    ) -> None:
        self.id = sid
        self.template = template
        self.identity = identity if identity is not None else Identity()
        self.guest: Guest | None = None
        """Set while it runs."""
        self.forked = forked
        """Its guest still has the identity of the one that it is a copy of."""
        self.leaks: list[str] = []
        """What could not be released, and why."""
        spec = VmSpec(
            id=sid,
            run_dir=world.run_root / sid,
            vcpus=template.vcpus,
            memory_mib=template.memory_mib,
            profile=template.profile,
            browser=template.browser,
            saved=template.saved,
            display_px=display_px,
        )
        self.spec = spec if uuid is None else replace(spec, uuid=uuid)
        self._world = world
        self._running = AsyncExitStack()
        self._known = uuid is not None

    @property
    def run_dir(self) -> Path:
        return self.spec.run_dir

    @property
    def suspended(self) -> bool:
        """Whether there is something to resume."""
        return self._world.driver.suspended(self.spec)

    # Starting. Whatever happens, release() is due. Each raises GatewayError.

    async def start(self, mark: Mark) -> Guest:
        """From nothing to a process whose link is open."""
        await self.register()
        return await self._run(self._world.driver.start, mark)

    async def reboot(self, mark: Mark) -> Guest:
        """Boot the disk of a machine that has ended."""
        return await self._run(self._world.driver.boot, mark)

    async def resume(self, mark: Mark) -> Guest:
        """Go on where :meth:`suspend`, or :meth:`fork` of another, stopped. Failing leaves that as it was.

        Raises:
            SnapshotError: it never will; :meth:`reboot` still can.
        """
        return await self._run(self._world.driver.resume, mark)

    async def adopt(self) -> Guest:
        """Take over what an earlier gateway left running.

        Raises:
            VmError: it does not run any more.
        """
        pid = await asyncio.to_thread(self._world.driver.find, self.spec)
        if pid is None:
            raise VmError("its machine ended while no gateway ran", hint="create a new session")
        self.claim_run_dir()
        self.own("network", partial(self._world.dataplane.detach, self.id))
        lan = await self._world.dataplane.attach(self.id, pid)
        return self._take(await self._world.driver.adopt(self.spec, lan, pid), lambda stage: None)

    async def register(self) -> None:
        """Have it known to the next gateway before there is anything of it."""
        if not self._known:
            await self._world.store.put_machine(
                MachineRecord(id=self.id, uuid=self.spec.uuid, template=self.template)
            )
            self._known = True

    # While it runs.

    async def suspend(self) -> None:
        """Write it to disk and end it. Failing, it goes on. Raises VmError."""
        assert self.guest is not None
        await self._world.driver.suspend(self.guest.vm, self.spec)

    async def fork(self, child: Machine) -> float:
        """Write what ``child`` resumes from; the pause in s. Failing, it leaves nothing of that. Raises VmError."""
        assert self.guest is not None
        await child.register()
        return await self._world.driver.fork(self.guest.vm, self.spec, child.spec)

    async def save(self, name: str) -> SavedTemplate:
        """Make a template of what :meth:`fork` wrote for this one, which never runs. Raises VmError."""

        async def save(spec: VmSpec, lan: Lan, stage: StageFn) -> SavedTemplate:
            return await self._world.driver.save(spec, lan, name)

        return await self._with_network(save, lambda stage: None)

    def own(self, what: str, release: Callable[[], Awaitable[object]]) -> None:
        """Have ``release`` called when it ends; its failure is noted and keeps no other from being called."""
        self._running.push_async_callback(self._quietly, what, release)

    # Ending.

    def claim_run_dir(self) -> None:
        """Have the run directory removed too that an earlier gateway made."""
        self.own("run directory", self._remove_run_dir)

    async def end_process(self) -> None:
        """End a process that an earlier gateway left, and keep the files."""
        await self._world.driver.end(self.spec)
        await self._remove_run_dir()

    async def halt(self) -> None:
        """Let go of everything but its files, last acquired first. Idempotent; also to its end when cancelled."""
        letting_go = asyncio.create_task(self._running.pop_all().aclose())
        try:
            await asyncio.shield(letting_go)
        finally:
            # What was half let go of would be nobody's.
            await asyncio.wait({letting_go})
            self.guest = None

    async def release(self) -> None:
        """Let go of everything. Idempotent."""
        self.leaks.clear()
        await self.halt()
        if self._known:
            await self._quietly("disk", partial(self._world.driver.discard, self.spec))
            if not self.leaks:
                await self._quietly("record", partial(self._world.store.drop_machine, self.id))
                self._known = False

    async def leave(self) -> None:
        """Let go of what runs without ending it, for the next gateway."""
        self._running.pop_all()
        if self.guest is not None:
            await self.guest.vm.let_go()
            self.guest = None
        await self._world.dataplane.leave(self.id)

    async def _run(self, begin: Callable[[VmSpec, Lan, StageFn], Awaitable[Vm]], mark: Mark) -> Guest:
        return self._take(await self._with_network(begin, mark), mark)

    async def _with_network(self, do: Callable[[VmSpec, Lan, StageFn], Awaitable[T]], mark: Mark) -> T:
        await self._make_run_dir()
        self.own("network", partial(self._world.dataplane.detach, self.id))
        lan = await self._world.dataplane.attach(self.id)
        return await do(self.spec, lan, mark)

    def _take(self, vm: Vm, mark: Mark) -> Guest:
        self.own("machine", vm.stop)
        self.guest = Guest(vm, self.identity, self._world.timeouts, mark)
        return self.guest

    async def _quietly(self, what: str, release: Callable[[], Awaitable[object]]) -> None:
        try:
            await release()
        except Exception as exc:
            logger.exception("! could not release the %s", what)
            self.leaks.append(f"{what}: {exc}")

    async def _make_run_dir(self) -> None:
        making = asyncio.create_task(asyncio.to_thread(rundir.make, self.run_dir))

        async def remove() -> None:
            # A thread cannot be cancelled: wait until it has made what is to be removed.
            await asyncio.wait({making})
            await self._remove_run_dir()

        self.own("run directory", remove)
        try:
            await asyncio.shield(making)
        except OSError as exc:
            raise GatewayError(
                f"cannot make {self.run_dir}: {exc}", hint="set run_dir to a directory of your own"
            ) from exc

    async def _remove_run_dir(self) -> None:
        await asyncio.to_thread(rundir.remove, self.run_dir)
