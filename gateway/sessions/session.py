"""One session: a task that brings a machine up, follows it until it ends, and lets go of all it held.

Only the task acquires and releases; ``stop()`` cancels it and waits. Whatever ends a session, the release
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

import structlog

from gateway.errors import Conflict, GatewayError, LinkClosed, VmBootFailed, VmLost
from gateway.sessions import rundir
from gateway.sessions.guest import Assignment, Guest
from gateway.sessions.lifecycle import ENDED, STARTING, Event, State, step
from gateway.sessions.machine import Machine
from gateway.sessions.updates import Updates
from gateway.sessions.view import DisplayView, ErrorView, SessionView
from gateway.sessions.waiting import together
from gateway.sessions.world import World
from gateway.vm.driver import AgentLink, Vm

__all__ = ["Session"]

logger = logging.getLogger(__name__)


class Session:
    """A desktop that somebody asked for.

    Args:
        machine: not yet started, or parked; the session has its id, and releases it.
        display_px: width and height.
        world: what it may use.
    """

    def __init__(self, machine: Machine, display_px: tuple[int, int], world: World) -> None:
        self.id = machine.id
        self.template = machine.template
        self.display_px = display_px
        self.created_at = datetime.now(UTC)
        self.state = State.CREATING
        self.timings: dict[str, float] = {}
        self.error: ErrorView | None = None
        self.accelerator: str | None = None
        self.settled = asyncio.Event()
        """Set once it is no longer on its way up."""
        self._world = world
        self._began = time.monotonic()
        self._machine = machine
        self._pumps: set[asyncio.Task[Any]] = set()
        self._releasing = False
        self._task: asyncio.Task[None] | None = None
        self.updates: Updates[SessionView] = Updates(self.view())

    # What others ask of it.

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

    def require_ready(self) -> None:
        """Raises Conflict unless the session is ready."""
        if self.state is State.READY:
            return
        hint = (
            "create a new session"
            if self.state in ENDED or self.state is State.STOPPING
            else "wait until it is ready"
        )
        raise Conflict(f"the session is {self.state.value}", hint=hint)

    def view(self) -> SessionView:
        peers = self._world.signalling.peers(self.id)
        return SessionView(
            id=self.id,
            state=self.state.value,
            created_at=self.created_at,
            timings=dict(self.timings),
            error=self.error,
            viewers=sum(peer.connected for peer in peers) + len(self._pumps),
            display=DisplayView(width=self.display_px[0], height=self.display_px[1]),
            template=self.template.name,
            accelerator=self.accelerator,
        )

    def publish(self) -> None:
        """Tell the watchers what is so now."""
        self.updates.publish(self.view())

    def mark(self, stage: str) -> None:
        """Record when a stage was first reached, in seconds since the session was asked for."""
        if stage not in self.timings:
            self.timings[stage] = round(time.monotonic() - self._began, 3)
            logger.debug("= stage %s %.3f s", stage, self.timings[stage])
            self.publish()

    @contextmanager
    def pumping(self, pump: asyncio.Task[Any]) -> Iterator[None]:
        """Count a noVNC viewer while its pump runs; the session's end, past or to come, cancels it."""
        if self.state is not State.READY:
            pump.cancel()
        self._pumps.add(pump)
        self.publish()
        try:
            yield
        finally:
            self._pumps.discard(pump)
            self.publish()

    async def exec(
        self, argv: Sequence[str], *, as_user: bool = False, stdin: str = "", timeout_s: float = 30.0
    ) -> Mapping[str, Any]:
        """Run a command in the guest: {code, stdout, stderr}. Raises LinkError."""
        params = {"argv": list(argv), "timeout_s": timeout_s, "as_user": as_user, "stdin": stdin}
        return await self.link.call("exec", params, timeout_s=timeout_s + 10)

    # Its life.

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"session-{self.id}")

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
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stop(self) -> None:
        """End it; returns when nothing of it is left. Idempotent, and safe to call from many tasks."""
        if self.state is State.FAILED:
            self._apply(Event.STOP)
            self._apply(Event.RELEASED)
        elif self.state not in (State.STOPPED, State.STOPPING):
            self._apply(Event.STOP)
            if self._task is not None and not self._releasing:
                self._task.cancel()
        await self.wait_ended()
        if self.state is State.STOPPING:
            # Cancelled before its first step: there was nothing to release.
            self._apply(Event.RELEASED)
        self.updates.end()

    def _apply(self, event: Event) -> None:
        before, self.state = self.state, step(self.state, event)
        if self.state not in STARTING:
            self.settled.set()
        if self.state is not before:
            # Also where a request's task asks for the end, which is not the session's own.
            with structlog.contextvars.bound_contextvars(session_id=self.id):
                logger.info("= %s -> %s", before.value, self.state.value)
            self.publish()

    async def _run(self) -> None:
        structlog.contextvars.bind_contextvars(session_id=self.id)
        failure: GatewayError | None = None
        try:
            await self._live()
        except GatewayError as exc:
            failure = exc
        except Exception:
            logger.exception("! the session's task failed")
            failure = GatewayError("the gateway made a mistake", hint="its log has the details; please report it")
        finally:
            self._releasing = True
            await self._release(failure)

    async def _release(self, failure: GatewayError | None) -> None:
        kept: Path | None = None
        if failure is not None and self.state is not State.STOPPING:
            try:
                kept = await asyncio.to_thread(rundir.keep_logs, self.run_dir, self._world.logs_dir)
            except OSError as exc:
                logger.warning("x the guest's logs could not be kept: %s", exc)
        await self._machine.release()
        if self._machine.leaks:
            failure = GatewayError(
                "not everything was released: " + "; ".join(self._machine.leaks), hint="see the gateway's log"
            )
        elif self.state is State.STOPPING or failure is None:
            self._apply(Event.STOP)
            self._apply(Event.RELEASED)
            return
        hint = failure.hint
        if kept is not None and str(self.run_dir) in hint:
            hint = hint.replace(str(self.run_dir), str(kept))
        elif kept is not None:
            hint = f"{hint}; the logs are in {kept}".lstrip("; ")
        self.error = ErrorView(kind=failure.kind, message=failure.message, hint=hint)
        logger.error("! failed (%s): %s", failure.kind, failure.message)
        self._apply(Event.FAIL)

    async def _live(self) -> None:
        """From nothing, or a parked machine, to one that ended; never returns otherwise than by raising."""
        machine = self._machine
        self.accelerator = (await self._world.facts()).accelerator
        guest = machine.guest or await machine.start(self.display_px, self.mark)
        machine.own("WebRTC peers", partial(self._world.signalling.forget, self.id))
        machine.own("noVNC viewers", self._end_pumps)
        self._apply(Event.SPAWNED)
        await together(self._watch(guest.vm), self._follow(guest), self._bring_up(guest))

    async def _end_pumps(self) -> None:
        # Its machine is about to go without a word on its TCP connections: only we can tell the viewers.
        pumps = set(self._pumps)
        for pump in pumps:
            pump.cancel()
        if pumps:
            await asyncio.wait(pumps)

    async def _watch(self, vm: Vm) -> None:
        """Raise when the machine has ended."""
        end = await vm.wait()
        error = VmLost if self.state in (State.READY, State.ASSIGNING) else VmBootFailed
        raise error(end.reason, hint=end.hint)

    async def _follow(self, guest: Guest) -> None:
        """Take the guest's notifications until it ends."""
        while True:
            event = await guest.vm.link.events.get()
            await guest.take(event)
            try:
                await self._world.signalling.handle_event(self.id, event)
            except GatewayError as exc:
                logger.warning("x %s notification: %s", event.method, exc)
            self.publish()

    async def _bring_up(self, guest: Guest) -> None:
        assignment = Assignment(self.id, self.display_px)
        await guest.bring_up(assignment, self.mark, lambda: self._apply(Event.IDENTIFIED))
        self._apply(Event.UP)
