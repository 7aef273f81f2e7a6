"""A session: what people may ask of a desktop, and what they are told of it.

Its task (life.py) alone acquires and releases; ``stop()`` ends that and waits. Whatever ends a session, the release
runs to its end before the state says ``failed`` or ``stopped``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from gateway.errors import Conflict, GatewayError, LinkClosed
from gateway.exits import NO_EXIT, Exit, ExitReport
from gateway.sessions.control import Viewer
from gateway.sessions.guest import Assignment
from gateway.sessions.handover import Handover, Switch
from gateway.sessions.life import Life
from gateway.sessions.lifecycle import ENDED, STARTING, Event, State
from gateway.sessions.machine import Machine
from gateway.sessions.record import OPERATOR, Lifetime, Place, SessionRecord, Sharing
from gateway.sessions.status import Status
from gateway.sessions.view import SessionView
from gateway.sessions.world import World
from gateway.vm.driver import AgentLink, Vm

__all__ = ["Session"]

logger = logging.getLogger(__name__)


class Session(Status):
    """A desktop that somebody asked for.

    Args:
        machine: not yet started, or parked; the session has its id, and releases it.
        display_px: width and height.
        world: what it may use.
        lifetime: how long it may go on; until somebody ends it when None.
        metadata: the caller's own words about it.
        sharing: what its viewers may carry to and from it.
        out: where its traffic leaves.
        place: where it is to be taken for; as its template says when None.
        owner: whose it is (Owner.name).
    """

    def __init__(
        self,
        machine: Machine,
        display_px: tuple[int, int],
        world: World,
        *,
        lifetime: Lifetime | None = None,
        metadata: Mapping[str, str] | None = None,
        sharing: Sharing | None = None,
        out: Exit = NO_EXIT,
        place: Place | None = None,
        owner: str = OPERATOR,
    ) -> None:
        self._world = world
        self._machine = machine
        self.handover = Handover(self.publish)
        """Who of its viewers controls."""
        self._life = Life(machine, self, world, self.handover)
        self._resizing = asyncio.Lock()
        self._forking = asyncio.Lock()
        super().__init__(
            machine.id,
            machine.template,
            display_px,
            lifetime or Lifetime(),
            metadata or {},
            sharing or Sharing(),
            self._count_viewers,
            self.handover.view,
            self.traffic,
            out,
            place,
            owner,
            world.witness,
        )

    @classmethod
    def recall(cls, record: SessionRecord, machine: Machine, world: World) -> Session:
        """One that an earlier gateway had; adopt(), asleep(), over() or lost() follows."""
        session = cls(
            machine, record.display_px, world,
            lifetime=record.lifetime, metadata=record.metadata, sharing=record.sharing, out=record.out,
            place=record.place,
            owner=record.owner,
        )  # fmt: skip
        session.taken_for = record.taken_for
        world.dataplane.recall_traffic(record.id, record.traffic)
        session.created_at = record.created_at
        session.timings = dict(record.timings)
        session.error = record.error
        session._began -= max(0.0, (datetime.now(UTC) - record.created_at).total_seconds())
        return session

    # What others need of it.

    @property
    def vm(self) -> Vm:
        """The machine; an ended session's has ended. Raises LinkClosed while there is none."""
        if self._machine.guest is None:
            raise LinkClosed("the session has no machine")
        return self._machine.guest.vm

    @property
    def link(self) -> AgentLink:
        """The way to the guest. Raises as ``vm``."""
        return self.vm.link

    @property
    def vnc_password(self) -> str:
        return self._machine.identity.vnc_password

    @property
    def windows(self) -> tuple[str, ...]:
        """WM_CLASS of the guest's mapped windows."""
        return self._machine.guest.windows if self._machine.guest is not None else ()

    @property
    def run_dir(self) -> Path:
        return self._machine.run_dir

    def processor_s(self) -> float | None:
        """Processor time that its machine has taken; None while none runs."""
        return self._machine.guest.vm.processor_s() if self._machine.guest is not None else None

    def require_ready(self) -> None:
        """Raises Conflict unless the session is ready."""
        if self.state is State.READY:
            return
        hints = {State.SUSPENDED: "resume it", State.SUSPENDING: "resume it when it is suspended"}
        over = self.state in ENDED or self.state is State.STOPPING
        hint = hints.get(self.state, "create a new session" if over else "wait until it is ready")
        raise Conflict(f"the session is {self.state.value}", hint=hint)

    def _require_alive(self) -> None:
        if self.state in ENDED or self.state is State.STOPPING:
            raise Conflict(f"the session is {self.state.value}", hint="create a new session")

    @contextmanager
    def pumping(self, pump: asyncio.Task[Any], viewer: Viewer, switch: Switch) -> Iterator[None]:
        """Count a noVNC viewer while its pump runs; the machine's end, past or to come, cancels it.

        Args:
            switch: turns its input on and off.
        """
        if self.state is not State.READY:
            pump.cancel()
        self._life.pumps.add(pump)
        self.publish()
        try:
            with self.handover.pumping(viewer, switch):
                yield
        finally:
            self._life.pumps.discard(pump)
            self.publish()

    @contextmanager
    def carrying(self, transfer: asyncio.Task[Any]) -> Iterator[None]:
        """Have the machine's end, past or to come, cancel a transfer to or from it."""
        if self.state is not State.READY:
            transfer.cancel()
        self._life.transfers.add(transfer)
        try:
            yield
        finally:
            self._life.transfers.discard(transfer)

    def peers_changed(self) -> None:
        """Its WebRTC peers are others now."""
        peers = self._world.signalling.peers(self.id)
        connected = {peer.id for peer in peers if peer.connected}
        self.handover.peers(((peer.id, Viewer(peer.viewer, peer.role)) for peer in peers), connected)

    async def exec(
        self, argv: Sequence[str], *, as_user: bool = False, stdin: str = "", timeout_s: float = 30.0
    ) -> Mapping[str, Any]:
        """Run a command in the guest: {code, stdout, stderr}. Raises LinkError."""
        params = {"argv": list(argv), "timeout_s": timeout_s, "as_user": as_user, "stdin": stdin}
        return await self.link.call("exec", params, timeout_s=timeout_s + 10)

    async def save(self) -> None:
        """Have the next gateway know of it as it is now. Raises StoreError."""
        await self._life.save()

    # What it is asked to do.

    async def live_as(self, lifetime: Lifetime, metadata: Mapping[str, str], sharing: Sharing) -> None:
        """Change how long it may go on, and what its viewers may carry.

        Raises:
            Conflict: it has ended.
            StoreError: it cannot be written down.
            LinkError: the guest does not hear of it, and goes on as before until it does.
        """
        self._require_alive()
        self.lifetime = lifetime
        self.metadata = dict(metadata)
        self.sharing = sharing
        await self.save()
        self.look(time.time())
        self.publish()
        if self._machine.guest is not None:
            await self._machine.guest.share(sharing.clipboard)

    async def leave_by(self, out: Exit) -> None:
        """Have its traffic leave there from now on; what goes by the last exit is cut.

        Raises:
            Conflict: it has ended.
            StoreError: it cannot be written down.
        """
        self._require_alive()
        self.out = out
        # Before it is used: after a crash, nothing leaves by a way that was taken back.
        await self.save()
        await self._life.open_exit()
        self.publish()

    async def be_taken_for(self, place: Place) -> None:
        """Change its time zone and language; programs that run follow.

        Raises:
            Conflict: it has ended.
            StoreError: it cannot be written down.
        """
        self._require_alive()
        self.place = place
        self.find_place()
        await self.save()
        self._life.place_changed()
        self.publish()

    def traffic(self) -> ExitReport:
        """What its proxy says of itself."""
        return self._world.dataplane.egress(self.id)

    async def resize(self, display_px: tuple[int, int]) -> None:
        """Have the display this wide and high, odd sides made even. The last of several counts.

        Raises:
            Conflict: the session is not ready.
            LinkError: the guest was not reached, or refused.
        """
        self.require_ready()
        self.touch()
        width, height = display_px[0] & ~1, display_px[1] & ~1
        async with self._resizing:
            await self.link.call("display", {"size": [width, height]})
            if (width, height) == self.display_px:
                return
            self.display_px = (width, height)
            await self.save()
            self.publish()

    def suspend(self) -> None:
        """Begin to write it to disk; it is suspended later. Idempotent. Raises Conflict unless it is ready."""
        if self.state in (State.SUSPENDING, State.SUSPENDED):
            return
        self.require_whole()
        self._life.begin_suspend()

    def resume(self) -> None:
        """Begin to wake it; it is ready later. Idempotent. Raises Conflict when there is nothing to wake."""
        if self.state in STARTING or self.state is State.READY:
            return
        if self.state is not State.SUSPENDED:
            self.require_ready()
        self.error = None
        self.touch()
        self._life.begin_resume()

    async def fork(self, child: Machine) -> float:
        """Write what ``child`` resumes from and go on; gives the pause in s. Raises Conflict, VmError."""
        self.require_whole()
        async with self._forking:
            pause_s = await self._machine.fork(child)
        self.lasted("fork_pause", pause_s)
        return pause_s

    def require_whole(self) -> None:
        """Raises Conflict unless the session is ready, and nobody makes a copy of it."""
        self.require_ready()
        if self._forking.locked():
            raise Conflict("the session is being forked", hint="try again in a moment")

    # Its beginnings and its end.

    def start(self) -> None:
        """Bring it up, in a task of its own, unless somebody has ended it already."""
        if self.state is State.CREATING:
            self._life.start(self._life.first)

    async def adopt(self, *, up: bool) -> None:
        """Go on with the machine that an earlier gateway left, in a task of its own.

        Args:
            up: it had been ready; else it may not have heard yet what the time is.

        Raises:
            GatewayError: it cannot be gone on with; lost() is due.
        """
        guest = await self._machine.adopt()
        hello = await guest.adopt(Assignment(self.id, self.display_px, self.sharing.clipboard, self.taken_for), up=up)
        self.handover.recall(hello.get("control"))
        peers = hello.get("peers")
        told = [peer for peer in peers if isinstance(peer, dict)] if isinstance(peers, list) else []
        await self._world.signalling.recall(self, told)
        self.settle_as(State.READY)
        self._life.start(partial(self._life.adopted, guest))

    def asleep(self) -> None:
        """All of it is on disk: wait until it is woken, in a task of its own; not once somebody has ended it."""
        if self.state is State.CREATING:
            self.settle_as(State.SUSPENDED)
            self._life.start(self._life.sleep)

    def over(self) -> None:
        """It had failed when an earlier gateway ended."""
        self.settle_as(State.FAILED)

    async def lost(self, error: GatewayError) -> None:
        """It cannot be gone on with: release what is left of it. Ends failed."""
        await self._life.lost(error)

    async def wait_ready(self, progress: Callable[[SessionView], None] = lambda view: None) -> None:
        """Return when it is ready.

        Args:
            progress: told each state on the way.

        Raises:
            GatewayError: it failed, and why, or was stopped.
        """
        with self.updates.watch() as updates:
            while (view := await updates.get()) is not None:
                progress(view)
                if view.state == State.READY.value:
                    return
                if view.error is not None:
                    raise GatewayError(view.error.message, hint=view.error.hint)
        raise GatewayError("the session was stopped")

    async def wait_ended(self) -> None:
        """Return when it holds nothing any more."""
        await self._life.ended()

    async def stop(self) -> None:
        """End it; returns when nothing of it is left. Idempotent, and safe to call from many tasks."""
        if self.state is State.FAILED:
            self.apply(Event.STOP)
            # What it could not let go of then, it may now.
            await self._machine.release()
            self.apply(Event.RELEASED)
        elif self.state not in (State.STOPPED, State.STOPPING):
            self.apply(Event.STOP)
            try:
                await self.save()
            except GatewayError as exc:
                logger.warning("x the end of %s is not written down: %s", self.id, exc)
            self._life.end()
        await self._life.ended()
        if self.state is State.STOPPING:
            # Cancelled before its first step: there was nothing to release but what it was given.
            await self._machine.release()
            self.apply(Event.RELEASED)
        self.updates.end()

    async def leave(self) -> None:
        """Let go of it as it is, for the next gateway; one that is not at rest is ended."""
        if self.state is State.READY or self.state is State.SUSPENDED:
            await self._life.leave()
            self.updates.end()
        elif self.state is not State.FAILED:
            await self.stop()
        else:
            self.updates.end()

    def _count_viewers(self) -> int:
        return sum(peer.connected for peer in self._world.signalling.peers(self.id)) + len(self._life.pumps)
