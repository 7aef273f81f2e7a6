"""The gateway's conversation with one guest: who it is, when it is up, what it says of itself.

What a guest says is the claim of an untrusted machine: read, never believed further than this session.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import string
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from gateway.errors import GuestError, LinkClosed, LinkTimeout, VmBootFailed, VncError
from gateway.exits import PROXY_URL
from gateway.sessions.record import Place
from gateway.sessions.waiting import rfb_banner, together
from gateway.sessions.world import Timeouts
from gateway.vm.driver import GuestEvent, Vm
from guest_agent.protocol.link import LINK_VERSION, VNC_PORT

__all__ = ["COMPLETE_WINDOWS", "Assignment", "Guest", "Identity", "Origin"]

COMPLETE_WINDOWS = ("xfce4-terminal", "chromium")
"""WM_CLASS of what makes a desktop complete, lower-case."""

logger = logging.getLogger(__name__)

RESUME_S = 5.0
"""For the first answer of a machine that was parked."""
_PASSWORD_LETTERS = string.ascii_letters + string.digits


def _password() -> str:
    # VncAuth uses 8 characters at most (RFC 6143 7.2.2); it never leaves gateway and guest.
    return "".join(secrets.choice(_PASSWORD_LETTERS) for _ in range(8))


class Origin(Enum):
    """What a guest was before it was brought up."""

    FRESH = "fresh"
    """Nobody yet: booted, or a clone of a snapshot."""
    PARKED = "parked"
    """Somebody already, and standing still: the warm pool's."""
    WOKEN = "woken"
    """Itself, and it slept."""
    FORKED = "forked"
    """The copy of another, with that one's identity and its agent's keys."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Whose the guest is."""

    session_id: str
    display_px: tuple[int, int]
    clipboard: str = "off"
    """Which ways its viewers may copy (record.ClipboardPolicy)."""
    place: Place = field(default_factory=Place)
    """Where it is to be taken for; nothing in it is FOLLOW."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What makes this guest different from every other of its image."""

    machine_id: str = field(default_factory=lambda: secrets.token_hex(16))
    vnc_password: str = field(default_factory=_password, repr=False)


class Guest:
    """One machine's inside.

    Args:
        vm: the machine, its link open.
        identity: given to it, again whenever it has forgotten.
        timeouts: for each step.
        mark: told the name of each stage when it is reached, until :meth:`bring_up` names another.
    """

    def __init__(self, vm: Vm, identity: Identity, timeouts: Timeouts, mark: Callable[[str], None]) -> None:
        self.vm = vm
        self.windows: tuple[str, ...] = ()
        """WM_CLASS of the mapped windows."""
        self._identity = identity
        self._timeouts = timeouts
        self._mark = mark
        self._assignment: Assignment | None = None
        self._told_place: Place | None = None
        """None: what an earlier gateway told it is not known."""
        self._agent_up = asyncio.Event()
        self.origin = Origin.FRESH
        self._up = False

    async def park(self) -> None:
        """From a running process to a guest that is somebody, though nobody's yet, and stands still.

        Raises as :meth:`bring_up`, and VmUnavailable where the driver cannot stop a machine.
        """
        await self._prepare()
        await together(self._hear_agent(), self._wait_vnc())
        try:
            # So that the first viewer does not wait for code that has never run.
            await self.vm.link.call("warm", {}, timeout_s=self._timeouts.call_s)
        except GuestError as exc:
            logger.warning("x machine %s is parked cold: %s", self.vm.id, exc)
        await self.vm.pause()
        self.origin = Origin.PARKED

    async def bring_up(
        self, assignment: Assignment, mark: Callable[[str], None], identified: Callable[[], None]
    ) -> None:
        """From a running process, or a parked machine, to a desktop that answers; see ``origin``.

        Args:
            assignment: whose it is from now on.
            mark: told the name of each stage when it is reached.
            identified: called once the guest has its identity.

        Raises:
            VmBootFailed: it said nothing, or something of it did not come up in time.
            LinkError: it went away, or refused its identity.
        """
        self._mark = mark
        self._assignment = assignment
        try:
            match self.origin:
                case Origin.FRESH | Origin.FORKED:
                    await self._prepare()
                case Origin.PARKED:
                    await self.vm.resume()
                    await self.vm.link.hello(RESUME_S)
                    self._mark("resume")
                case Origin.WOKEN:
                    self._see_agent(await self._hello())
            identified()
            told = self._assignment
            await self._assign()
            if self._assignment is not told:
                # It was changed while the guest was told.
                await self._assign()
            # What ran before has an x11vnc that served its banner then.
            await together(self._wait_agent(), *([self._wait_vnc()] if self.origin is Origin.FRESH else []))
        except LinkClosed:
            # The machine is going. Its own reason, which the session waits for too, says more than a closed port.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timeouts.last_words_s):
                    await self.vm.wait()
                    await asyncio.Event().wait()
            raise
        self._up = True
        self._mark("ready")

    @property
    def up(self) -> bool:
        """Whether its desktop answers."""
        return self._up

    async def adopt(self, assignment: Assignment, *, up: bool) -> Mapping[str, Any]:
        """Go on with a guest that an earlier gateway had brought up, or nearly; gives its hello. Raises LinkError."""
        self._assignment = assignment
        hello = await self.vm.link.hello(self._timeouts.adopt_s)
        if hello.get("state") == "fresh":
            # Its zygote was started anew while nobody was there to tell it who it is.
            await self._identify()
            await self._assign()
        elif not up:
            await self._assign()
        self._see_agent(hello)
        self._up = True
        return hello

    async def share(self, clipboard: str) -> None:
        """Change which ways its viewers may copy. Raises LinkError."""
        if self._assignment is not None:
            self._assignment = replace(self._assignment, clipboard=clipboard)
        if self._up:
            await self.vm.link.call("clipboard", {"policy": clipboard}, timeout_s=self._timeouts.adopt_s)

    async def settle(self, place: Place) -> None:
        """Have it taken for there from now on, or from its assignment on. Raises LinkError."""
        if self._assignment is None:
            return
        if place != self._assignment.place:
            self._assignment = replace(self._assignment, place=place)
        if not self._up or place == self._told_place:
            return
        try:
            await self.vm.link.call("settle", place.model_dump(), timeout_s=self._timeouts.adopt_s)
        except GuestError:
            # An agent of an older image, which will not know the call the next time either.
            self._told_place = place
            raise
        self._told_place = place

    async def take(self, event: GuestEvent) -> None:
        """Follow one notification. Raises LinkError when a guest that came back does not take its identity."""
        match event.method, event.params.get("state"):
            case "agent", "up":
                self._agent_up.set()
                self._mark("agent")
            case "agent", "down":
                self._agent_up.clear()
            case "peer", "connected":
                self._mark("connected")
            case "desktop", _:
                self._take_windows(event.params.get("windows"))
            case "hello", "fresh" if self._up:
                # The guest rebooted, or its zygote was started again: it knows nothing of who it is.
                await self._identify()
                await self._assign()

    def _take_windows(self, windows: object) -> None:
        if not isinstance(windows, list):
            return
        self.windows = tuple(str(name)[:64] for name in windows[:64])
        mapped = " ".join(self.windows).lower()
        if all(name in mapped for name in COMPLETE_WINDOWS):
            self._mark("complete")

    async def _hello(self) -> Mapping[str, Any]:
        timeout_s = self._timeouts.hello_s
        try:
            hello = await self.vm.link.hello(timeout_s)
        except LinkTimeout as exc:
            raise VmBootFailed(
                f"the guest said nothing for {timeout_s:g} s",
                hint="its serial log shows how far it came; on a slow host raise hello_timeout_s",
            ) from exc
        if hello.get("protocol") != LINK_VERSION:
            raise VmBootFailed(
                f"the guest's agent speaks protocol {hello.get('protocol')!r}, this gateway {LINK_VERSION}",
                hint="build the golden image again: fenster build",
            )
        self._mark("hello")
        return hello

    async def _prepare(self) -> None:
        hello = await self._hello()
        await self._identify()
        if self.origin is Origin.FRESH:
            self._see_agent(hello)

    def _see_agent(self, hello: Mapping[str, Any]) -> None:
        agent = hello.get("agent")
        if isinstance(agent, dict) and agent.get("state") == "up":
            self._agent_up.set()

    async def _identify(self) -> None:
        params = {"entropy": secrets.token_hex(32), "machine_id": self._identity.machine_id}
        await self.vm.link.call("identify", params, timeout_s=self._timeouts.call_s)
        self._mark("identify")

    async def _assign(self) -> None:
        assert self._assignment is not None
        params = {
            "session_id": self._assignment.session_id,
            "epoch_ns": time.time_ns(),
            "vnc_password": self._identity.vnc_password,
            "proxy": PROXY_URL,
            "display": list(self._assignment.display_px),
            "clipboard": self._assignment.clipboard,
            **self._assignment.place.model_dump(),
        }
        place = self._assignment.place
        await self.vm.link.call("assign", params, timeout_s=self._timeouts.call_s)
        self._told_place = place
        self._mark("assign")

    async def _hear_agent(self) -> None:
        """Until the agent is up, while nobody follows the guest's notifications."""
        hearing = asyncio.create_task(self._hear())
        try:
            await self._wait_agent()
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)

    async def _hear(self) -> None:
        while True:
            await self.take(await self.vm.link.events.get())

    async def _wait_agent(self) -> None:
        timeout_s = self._timeouts.ready_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._agent_up.wait()
        except TimeoutError as exc:
            raise VmBootFailed(
                f"the guest's agent did not come up within {timeout_s:g} s",
                hint="on a slow host raise ready_timeout_s",
            ) from exc

    async def _wait_vnc(self) -> None:
        try:
            await rfb_banner(self.vm.dial, VNC_PORT, timeout_s=self._timeouts.ready_s)
        except VncError as exc:
            raise VmBootFailed(exc.message, hint="on a slow host raise ready_timeout_s") from exc
        self._mark("vnc")
