"""A session's task: it brings a machine up, follows it until it ends, and lets go of all it held.

Only the task acquires and releases. A session that sleeps, or whose guest reboots, goes through several lives of its
machine in one task.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from gateway.errors import GatewayError, LinkError, NotFound, SnapshotError, VmBootFailed, VmError, VmLost
from gateway.sessions import rundir
from gateway.sessions.guest import Assignment, Guest, Origin
from gateway.sessions.handover import Handover
from gateway.sessions.lifecycle import BadTransition, Event, State
from gateway.sessions.machine import Machine
from gateway.sessions.record import SessionRecord
from gateway.sessions.status import Status
from gateway.sessions.view import ErrorView
from gateway.sessions.waiting import together
from gateway.sessions.world import World
from gateway.vm.driver import Vm

__all__ = ["Begin", "Life"]

logger = logging.getLogger(__name__)

Begin = Callable[[], Awaitable[Guest]]
"""Gives a machine that runs."""


class _Rebooted(Exception):
    """The guest rebooted."""


class _Asleep(Exception):
    """The machine is on disk."""


class _Mute(Exception):
    """A machine that was resumed says nothing."""


class Life:
    """Args:
    machine: not yet started, or parked; it is released at the end.
    status: the session's, which this changes.
    world: what it may use.
    handover: its guest is told who controls.
    """

    def __init__(self, machine: Machine, status: Status, world: World, handover: Handover) -> None:
        self.machine = machine
        self.pumps: set[asyncio.Task[Any]] = set()
        """Of noVNC viewers."""
        self.transfers: set[asyncio.Task[Any]] = set()
        """Of files and clipboards."""
        self._status = status
        self._world = world
        self._handover = handover
        self._suspend_asked = asyncio.Event()
        self._resume_asked = asyncio.Event()
        self._place_asked = asyncio.Event()
        self._asked_at = time.monotonic()
        self._releasing = False
        self._leaving = False
        self._task: asyncio.Task[None] | None = None

    # What others ask of it.

    def start(self, begin: Begin) -> None:
        self._task = asyncio.create_task(self._run(begin), name=f"session-{self._status.id}")

    def begin_suspend(self) -> None:
        """Of a session that is ready."""
        self._asked_at = time.monotonic()
        self._status.notice = ""
        self._status.apply(Event.SUSPEND)
        self._suspend_asked.set()

    def begin_resume(self) -> None:
        """Of a session that is suspended."""
        self._asked_at = time.monotonic()
        self._status.notice = ""
        self._status.apply(Event.RESUME)
        self._resume_asked.set()

    def place_changed(self) -> None:
        """It is to be taken for somewhere else, or its exit is."""
        self._place_asked.set()

    async def ended(self) -> None:
        """Return when it holds nothing any more."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def end(self) -> None:
        """Begin to let go of everything; a release under way is not disturbed."""
        if self._task is not None and not self._releasing:
            self._task.cancel()

    async def leave(self) -> None:
        """Let go of the machine as it is, for the next gateway."""
        self._leaving = True
        self.end()
        await self.ended()
        if not self._releasing:
            # Cancelled before its first step.
            await self.machine.leave()

    async def lost(self, error: GatewayError) -> None:
        """There is no task, and will be none: release what an earlier gateway has left, and fail."""
        self._releasing = True
        self.machine.claim_run_dir()
        await self._release(error)

    async def save(self) -> None:
        """Have the next gateway know of the session as it is now. Raises StoreError."""
        status, identity = self._status, self.machine.identity
        await self._world.store.put_session(
            SessionRecord(
                id=status.id,
                state=status.state.value,
                template=status.template,
                display_px=status.display_px,
                created_at=status.created_at,
                machine_id=identity.machine_id,
                vnc_password=identity.vnc_password,
                timings=status.timings,
                error=status.error,
                lifetime=status.lifetime,
                metadata=status.metadata,
                sharing=status.sharing,
                out=status.out,
                place=status.place,
                taken_for=status.taken_for,
                traffic=self._world.dataplane.egress(status.id).traffic,
                owner=status.owner,
                forked=self.machine.forked,
            )
        )

    # The beginnings.

    async def first(self) -> Guest:
        """From nothing, or from the warm pool."""
        self._status.runs_on(await self._world.facts())
        guest = self.machine.guest or await self.machine.start(self._status.mark)
        restored = guest.origin is Origin.PARKED or "restore" in self._status.timings
        self._status.apply(Event.RESTORED if restored else Event.SPAWNED)
        return guest

    async def adopted(self, guest: Guest) -> Guest:
        """From an earlier gateway."""
        # A host that can start nothing any more goes on with what it runs.
        with contextlib.suppress(GatewayError):
            self._status.runs_on(await self._world.facts())
        return guest

    async def sleep(self) -> Guest:
        """From disk, once somebody wakes it."""
        while True:
            await self._resume_asked.wait()
            self._resume_asked.clear()
            try:
                return await self._wake()
            except GatewayError as exc:
                await self.machine.halt()
                if not self.machine.suspended:
                    raise
                logger.warning("x not resumed: %s", exc)
                self._status.error = _error_view(exc, self.machine.run_dir, None)
                self._status.apply(Event.REFUSED)

    async def _wake(self) -> Guest:
        self._status.runs_on(await self._world.facts())
        try:
            guest = await self.machine.resume(_silent)
        except SnapshotError as exc:
            await self.machine.halt()
            return await self._boot_own_disk(exc.message)
        guest.origin = Origin.FORKED if self.machine.forked else Origin.WOKEN
        return guest

    async def _boot_own_disk(self, why: str) -> Guest:
        self._status.notice = f"The desktop was started anew from its disk, and what ran in it is closed: {why}."
        logger.warning("x %s", self._status.notice)
        guest = await self.machine.reboot(_silent)
        self._status.apply(Event.SPAWNED)
        return guest

    # The task.

    async def _run(self, first: Begin) -> None:
        structlog.contextvars.bind_contextvars(session_id=self._status.id)
        failure: GatewayError | None = None
        try:
            await self._live(first)
        except GatewayError as exc:
            failure = exc
        except Exception as exc:
            # While its end is written down the task goes on, and may reach what comes too late.
            if not (isinstance(exc, BadTransition) and self._status.state is State.STOPPING):
                logger.exception("! the session's task failed")
                failure = GatewayError("the gateway made a mistake", hint="its log has the details; please report it")
        finally:
            self._releasing = True
            if self._leaving:
                await self._end_pumps()
                self._handover.close()
                await self.machine.leave()
                await self._note()
            else:
                await self._release(failure)

    async def _release(self, failure: GatewayError | None) -> None:
        kept: Path | None = None
        if failure is not None and self._status.state is not State.STOPPING:
            try:
                kept = await asyncio.to_thread(rundir.keep_logs, self.machine.run_dir, self._world.logs_dir)
            except OSError as exc:
                logger.warning("x the guest's logs could not be kept: %s", exc)
        await self.machine.release()
        self._handover.close()
        if self.machine.leaks:
            failure = GatewayError(
                "not everything was released: " + "; ".join(self.machine.leaks), hint="see the gateway's log"
            )
        elif self._status.state is State.STOPPING or failure is None:
            self._status.apply(Event.STOP)
            self._status.apply(Event.RELEASED)
            return
        self._status.error = _error_view(failure, self.machine.run_dir, kept)
        logger.error("! failed (%s): %s", failure.kind, failure.message)
        self._status.apply(Event.FAIL)
        await self._note()

    async def _note(self) -> None:
        # The next gateway goes by what it finds more than by the record: not worth a desktop.
        try:
            await self.save()
        except GatewayError as exc:
            logger.warning("x the session's state is not written down: %s", exc)

    async def _live(self, first: Begin) -> None:
        """One life of the machine after the other; never returns otherwise than by raising."""
        begin = first
        while True:
            guest = await begin()
            self.machine.own("WebRTC peers", partial(self._world.signalling.forget, self._status.id))
            self.machine.own("noVNC viewers", self._end_pumps)
            try:
                await together(
                    self._watch(guest.vm), self._follow(guest), self._serve(guest), self._until_asleep(guest)
                )
            except _Rebooted:
                self._status.apply(Event.REBOOT)
                await self.machine.halt()
                begin = partial(self.machine.reboot, _silent)
            except _Mute:
                await self.machine.halt()
                begin = partial(self._boot_own_disk, "its restored memory gave no sign of life")
            except _Asleep:
                await self.machine.halt()
                self._status.apply(Event.SAVED)
                self._status.lasted("suspend", time.monotonic() - self._asked_at)
                await self._note()
                begin = self.sleep

    # While it runs.

    async def _end_pumps(self) -> None:
        # Its machine is about to go without a word on its TCP connections: only we can tell the viewers.
        pumps = self.pumps | self.transfers
        for pump in pumps:
            pump.cancel()
        if pumps:
            await asyncio.wait(pumps)

    async def _watch(self, vm: Vm) -> None:
        """Raise when the machine has ended."""
        end = await vm.wait()
        if end.expected and self._status.state is State.SUSPENDING:
            await asyncio.Event().wait()  # Its end is the suspend's, which tells of it.
        if end.rebooted and self._status.state is State.READY:
            logger.info("= the guest rebooted")
            raise _Rebooted
        ran = self._status.state in (State.READY, State.ASSIGNING, State.SUSPENDING)
        error = VmLost if ran else VmBootFailed
        raise error(end.reason, hint=end.hint)

    async def _follow(self, guest: Guest) -> None:
        """Take the guest's notifications until it ends."""
        while True:
            event = await guest.vm.link.events.get()
            await guest.take(event)
            if event.method == "hello":
                self._handover.retell()
            try:
                await self._world.signalling.handle_event(self._status.id, event)
            except GatewayError as exc:
                logger.warning("x %s notification: %s", event.method, exc)
            self._status.publish()

    async def _serve(self, guest: Guest) -> None:
        await together(self._attend(guest), self._keep_place(guest))

    async def _attend(self, guest: Guest) -> None:
        await self._bring_up(guest)
        # What changed in its last moments, it has not heard.
        self._place_asked.set()
        await self._handover.follow(guest.vm.link)

    async def _keep_place(self, guest: Guest) -> None:
        """Have the guest taken for where it is to be."""
        while True:
            self._place_asked.clear()
            before, place = self._status.taken_for, self._status.find_place()
            if place != before:
                self._status.publish()
            try:
                await guest.settle(place)
            except GatewayError as exc:
                logger.warning("x the guest keeps its time zone and language: %s", exc)
            await self._place_asked.wait()

    async def open_exit(self) -> None:
        """Let its traffic leave where the session says, once its machine has a network."""
        # Without one it is done when there is.
        with contextlib.suppress(NotFound):
            await self._world.dataplane.set_upstream(self._status.id, self._status.out, self._exit_changed)

    def _exit_changed(self) -> None:
        self._status.publish()
        self._place_asked.set()

    async def _bring_up(self, guest: Guest) -> None:
        await self.open_exit()
        if guest.up:
            return  # Adopted.
        woken = self._status.state is State.RESUMING
        assignment = Assignment(
            self._status.id, self._status.display_px, self._status.sharing.clipboard, self._status.find_place()
        )
        try:
            await guest.bring_up(
                assignment, _silent if woken else self._status.mark, lambda: self._status.apply(Event.IDENTIFIED)
            )
        except (LinkError, VmBootFailed):
            if self._status.state is State.RESUMING and guest.origin is Origin.WOKEN:
                raise _Mute from None
            raise
        self.machine.forked = False
        self._status.touch()
        self._status.apply(Event.UP)
        if woken:
            self._status.lasted("resume", time.monotonic() - self._asked_at)
        await self._note()

    async def _until_asleep(self, guest: Guest) -> None:
        """Suspend it when that is asked; raises when it has come to its end."""
        while True:
            await self._suspend_asked.wait()
            self._suspend_asked.clear()
            await self._end_pumps()
            await self._world.signalling.dismiss(self._status.id)
            try:
                await self.machine.suspend()
            except VmError as exc:
                logger.warning("x not suspended: %s", exc)
                self._status.notice = f"The desktop could not be suspended: {exc.message}."
                self._status.apply(Event.KEPT)
            else:
                raise _Asleep


def _silent(stage: str) -> None:
    """Stages count from the session's request, and those of a later life of its machine do not."""


def _error_view(failure: GatewayError, run_dir: Path, kept: Path | None) -> ErrorView:
    hint = failure.hint
    if kept is not None and str(run_dir) in hint:
        hint = hint.replace(str(run_dir), str(kept))
    elif kept is not None:
        hint = f"{hint}; the logs are in {kept}".lstrip("; ")
    return ErrorView(kind=failure.kind, message=failure.message, hint=hint)
