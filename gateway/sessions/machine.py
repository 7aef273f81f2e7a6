"""One machine with all that it stands on: run directory, network, guest. Acquired once, released whole.

A session makes one for itself, or takes over one that the warm pool has prepared and parked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from gateway.errors import GatewayError
from gateway.sessions import rundir
from gateway.sessions.guest import Guest, Identity
from gateway.sessions.world import Template, World
from gateway.vm.driver import VmSpec

__all__ = ["Machine"]

logger = logging.getLogger(__name__)


class Machine:
    """Args:
    sid: 8 lower-case characters; the session's that it is, or will be, for.
    template: what to start.
    world: what it may use.
    """

    def __init__(self, sid: str, template: Template, world: World) -> None:
        self.id = sid
        self.template = template
        self.identity = Identity()
        self.guest: Guest | None = None
        self.leaks: list[str] = []
        """What could not be released, and why."""
        self._world = world
        self._stack = AsyncExitStack()

    @property
    def run_dir(self) -> Path:
        return self._world.run_root / self.id

    async def start(self, display_px: tuple[int, int], mark: Callable[[str], None]) -> Guest:
        """A process runs and its link is open. Whatever happens, :meth:`release` is due. Raises GatewayError."""
        world = self._world
        await self._make_run_dir()
        self.own("network", partial(world.dataplane.detach, self.id))
        lan = await world.dataplane.attach(self.id)
        spec = VmSpec(
            id=self.id,
            run_dir=self.run_dir,
            vcpus=self.template.vcpus,
            memory_mib=self.template.memory_mib,
            profile=self.template.profile,
            display_px=display_px,
        )
        vm = await world.driver.start(spec, lan, mark)
        self.own("machine", vm.stop)
        self.guest = Guest(vm, self.identity, world.timeouts, mark)
        return self.guest

    def own(self, what: str, release: Callable[[], Awaitable[object]]) -> None:
        """Have ``release`` called at the end; its failure is noted and keeps no other from being called."""

        async def quietly() -> None:
            try:
                await release()
            except Exception as exc:
                logger.exception("! could not release the %s", what)
                self.leaks.append(f"{what}: {exc}")

        self._stack.push_async_callback(quietly)

    async def release(self) -> None:
        """Let go of everything, last acquired first. Idempotent."""
        await self._stack.aclose()

    async def _make_run_dir(self) -> None:
        making = asyncio.create_task(asyncio.to_thread(rundir.make, self.run_dir))

        async def remove() -> None:
            # A thread cannot be cancelled: wait until it has made what is to be removed.
            await asyncio.wait({making})
            await asyncio.to_thread(rundir.remove, self.run_dir)

        self.own("run directory", remove)
        try:
            await asyncio.shield(making)
        except OSError as exc:
            raise GatewayError(
                f"cannot make {self.run_dir}: {exc}", hint="set run_dir to a directory of your own"
            ) from exc
