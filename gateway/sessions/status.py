"""What is known of a session, and told to those who watch it. No I/O."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import structlog

from gateway.exits import NO_EXIT, Exit, ExitReport
from gateway.sessions.egress import egress_view
from gateway.sessions.expiry import Verdict, judge
from gateway.sessions.health import Health
from gateway.sessions.lifecycle import STARTING, Event, State, step
from gateway.sessions.place import place_of
from gateway.sessions.record import OPERATOR, Lifetime, Place, Sharing, Template
from gateway.sessions.updates import Updates
from gateway.sessions.view import ControlView, DisplayView, ErrorView, SessionView
from gateway.vm.driver import Facts

__all__ = ["Status"]

logger = logging.getLogger(__name__)

COMPLETE = "complete"
"""The stage at which terminal and Chromium are on the screen."""


class Status:
    """Args:
    sid: the session's id.
    template: what it was started from.
    display_px: width and height.
    lifetime: how long it may go on.
    metadata: the caller's own words about it.
    sharing: what its viewers may carry to and from it.
    viewers: counts those who watch its picture.
    control: who of them controls.
    egress: what its proxy says of itself.
    out: where its traffic leaves.
    place: where it is to be taken for.
    owner: whose it is.
    witness: told what its watchers are.
    """

    def __init__(
        self,
        sid: str,
        template: Template,
        display_px: tuple[int, int],
        lifetime: Lifetime,
        metadata: Mapping[str, str],
        sharing: Sharing,
        viewers: Callable[[], int],
        control: Callable[[], ControlView],
        egress: Callable[[], ExitReport],
        out: Exit = NO_EXIT,
        place: Place | None = None,
        owner: str = OPERATOR,
        witness: Callable[[SessionView], None] = lambda view: None,
    ) -> None:
        self.id = sid
        self.out = out
        self.place = place if place is not None else template.place
        self.taken_for = place_of(self.place, None, Place())
        """Where the guest is told that it is."""
        self.owner = owner
        self.template = template
        self.display_px = display_px
        self.lifetime = lifetime
        self.metadata = dict(metadata)
        self.sharing = sharing
        self.created_at = datetime.now(UTC)
        self.state = State.CREATING
        self.timings: dict[str, float] = {}
        """Stage to seconds since it was asked for."""
        self.durations: dict[str, float] = {}
        """What the last of each kind of change took, in s."""
        self.error: ErrorView | None = None
        self.notice = ""
        self.health = Health()
        """Of its desktop, by the last looks (vitals.py)."""
        self.accelerator: str | None = None
        self.limits: tuple[str, ...] = ()
        self.settled = asyncio.Event()
        """Set while it is not on its way up."""
        self.calm = asyncio.Event()
        """Set once its desktop is complete, or it is over."""
        self.busy_at = time.time()
        """When it was last in use; Unix time in s."""
        self.verdict: Verdict = judge(lifetime, self.busy_at, self.busy_at)
        """On its age and use, by the last look (reaper.py)."""
        self._began = time.monotonic()
        self._viewers = viewers
        self._control = control
        self._egress = egress
        self._witness = witness
        self.updates: Updates[SessionView] = Updates(self.view())

    @property
    def viewers(self) -> int:
        return self._viewers()

    @property
    def age_s(self) -> float:
        """Since it was asked for."""
        return time.monotonic() - self._began

    def runs_on(self, facts: Facts) -> None:
        """What its driver says of this host."""
        self.accelerator, self.limits = facts.accelerator, tuple(facts.limits)

    def view(self) -> SessionView:
        egress = egress_view(self.out, self._egress())
        return SessionView(
            id=self.id,
            state=self.state.value,
            created_at=self.created_at,
            timings=dict(self.timings),
            durations=dict(self.durations),
            error=self.error,
            notice=self.notice,
            health=self.health.view(egress),
            viewers=self.viewers,
            control=self._control(),
            display=DisplayView(width=self.display_px[0], height=self.display_px[1]),
            template=self.template.name,
            accelerator=self.accelerator,
            limits=list(self.limits),
            metadata=self.metadata,
            ends_at=_time(self.verdict.ends_at),
            idle_at=_time(self.verdict.idle_at) if self.state is State.READY else None,
            idle_action=self.lifetime.idle_action,
            warning=self.verdict.warning,
            egress=egress,
            timezone=self.taken_for.timezone or None,
            locale=self.taken_for.locale or None,
            clipboard=self.sharing.clipboard,
            files=self.sharing.files,
        )

    def find_place(self) -> Place:
        """Where it is to be taken for now, by its exit if it follows that."""
        self.taken_for = place_of(self.place, self._egress().check, self.taken_for)
        return self.taken_for

    def publish(self) -> None:
        """Tell the watchers what is so now."""
        view = self.view()
        self.updates.publish(view)
        self._witness(view)

    def health_changed(self) -> None:
        """It was looked at: tell the watchers, if that showed anything new."""
        if self.updates.latest.health != self.health.view(egress_view(self.out, self._egress())):
            self.publish()

    def mark(self, stage: str) -> None:
        """Record when a stage was first reached, in seconds since the session was asked for."""
        if stage not in self.timings:
            self.timings[stage] = round(time.monotonic() - self._began, 3)
            logger.debug("= stage %s %.3f s", stage, self.timings[stage])
            if stage == COMPLETE:
                self.calm.set()
            self.publish()

    def lasted(self, what: str, seconds: float) -> None:
        """Record what a change took."""
        self.durations[what] = round(seconds, 3)
        self.publish()

    def apply(self, event: Event) -> None:
        """Go to the next state and tell. Raises BadTransition."""
        before, self.state = self.state, step(self.state, event)
        if self.state in STARTING:
            self.settled.clear()
        else:
            self.settled.set()
        if self.state not in STARTING and self.state is not State.READY:
            self.calm.set()
        if self.state is not before:
            # Also where a request's task asks for the end, which is not the session's own.
            with structlog.contextvars.bound_contextvars(session_id=self.id):
                logger.info("= %s -> %s", before.value, self.state.value)
            self.publish()

    def settle_as(self, state: State) -> None:
        """It is what an earlier gateway has left."""
        self.state = state
        self.settled.set()
        self.calm.set()
        self.look(time.time())
        self.publish()

    def touch(self) -> None:
        """It is in use now."""
        self.busy_at = time.time()

    def look(self, now: float) -> Verdict:
        """Judge its age and use anew, and tell the watchers what has changed; Unix time in s."""
        before, self.verdict = self.verdict, judge(self.lifetime, self.busy_at, now)
        # Not idle_at, which moves with every use: what watches the session would be told all the time.
        if (before.warning, before.ends_at) != (self.verdict.warning, self.verdict.ends_at):
            self.publish()
        return self.verdict


def _time(unix_s: float | None) -> datetime | None:
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC)
