"""Control of one session, carried out: who is connected, the clock, and telling those who must know.

control.py decides. What it decides goes to the agent (whose input counts, and that there is news for the viewers'
pages), to the noVNC pumps, which are switched here, and to those who watch the session's state.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, Literal

from gateway.errors import LinkError, LinkTimeout
from gateway.sessions.control import VIEWER_ID, Connection, Control, Viewer, name_of
from gateway.sessions.view import ControlView, ViewerView
from gateway.vm.driver import AgentLink

__all__ = ["Action", "Handover", "Switch"]

logger = logging.getLogger(__name__)

Action = Literal["request", "grant", "deny", "release"]

Switch = Callable[[bool], None]
"""Told whether a noVNC viewer controls: at once, and at every change of anything about control. Must not raise."""


class Handover:
    """Args:
    changed: called whenever the view is another.
    clock: seconds, monotonic.
    """

    def __init__(self, changed: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._control = Control()
        self._changed = changed
        self._clock = clock
        self._pumps: dict[str, Switch] = {}
        self._numbers = count(1)
        self._timer: asyncio.TimerHandle | None = None
        self._news = asyncio.Event()

    def view(self) -> ControlView:
        control = self._control
        return ControlView(
            controller=None if control.controller is None else name_of(control.controller.id),
            requests=control.requests,
            viewers=[
                ViewerView(name=seat.name, number=seat.number, role=seat.role, transport=seat.transport)
                for seat in control.seats()
            ],
        )

    def controls(self, viewer: Viewer) -> bool:
        return self._control.controller == viewer

    # Who is there.

    def peers(self, peers: Iterable[tuple[str, Viewer]], connected: Collection[str] = ()) -> None:
        """The WebRTC peers that there are now, by name, oldest first, and those of them by which media flows."""
        here = dict(peers)
        with self._noting():
            for key, known in self._control.connections.items():
                if known.transport == "webrtc" and key not in here:
                    self._control.left(key, self._clock())
            for key, viewer in here.items():
                if key not in self._control.connections:
                    self._control.joined(Connection(key, viewer, "webrtc"), self._clock())
                if key in connected:
                    self._control.connected(key)

    @contextmanager
    def pumping(self, viewer: Viewer, switch: Switch) -> Iterator[None]:
        """A noVNC viewer is there meanwhile."""
        key = f"vnc {next(self._numbers)}"
        with self._noting():
            self._pumps[key] = switch
            self._control.joined(Connection(key, viewer, "novnc"), self._clock())
        # A second connection of the same viewer is no news to anybody else.
        switch(self._control.controls(key))
        try:
            yield
        finally:
            with self._noting():
                del self._pumps[key]
                self._control.left(key, self._clock())

    def recall(self, told: object) -> None:
        """What a guest's hello says of the time before this gateway; before its peers are told of."""
        viewer = told.get("viewer") if isinstance(told, Mapping) else None
        if isinstance(viewer, str) and VIEWER_ID.fullmatch(viewer):
            with self._noting():
                self._control.recall(viewer, self._clock())

    # What they want.

    def act(self, action: Action, by: Viewer | None, to: str | None) -> None:
        """A viewer's wish, or with None that of the API key's owner. Raises Forbidden, Conflict.

        Args:
            to: name of the viewer meant, by ``grant`` and ``deny``.
        """
        now = self._clock()
        with self._noting():
            match action:
                case "request":
                    assert by is not None
                    self._control.request(by, now)
                case "grant":
                    self._control.grant(by, to, now)
                case "deny":
                    self._control.deny(by, to, now)
                case "release":
                    self._control.release(by, now)

    # Who must know.

    def retell(self) -> None:
        """The guest has forgotten."""
        if self._control.controller is not None:
            self._news.set()

    async def follow(self, link: AgentLink) -> None:
        """Keep a guest told, until it is gone. Of changes that come while it is told, it hears the last."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await link.call("control", self._told())
            except LinkTimeout as exc:
                logger.warning("x who controls: %s", exc)
                self._news.set()
            except LinkError as exc:
                # Its port has gone, and it with it; or its agent is older, and knows roles only.
                logger.warning("x who controls: %s", exc)

    def _told(self) -> dict[str, Any]:
        controller = self._control.controller
        return {
            "peer": self._control.controller_peer,
            "viewer": None if controller is None else controller.id,
        }

    def close(self) -> None:
        """No timer is left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Something happens inside; whoever it concerns is told afterwards, also when it raises."""
        before = (self.view(), self._told())
        try:
            yield
        finally:
            self._arm()
            if (self.view(), self._told()) != before:
                self._tell()

    def _tell(self) -> None:
        self._news.set()
        for key, switch in self._pumps.items():
            switch(self._control.controls(key))
        self._changed()

    def _arm(self) -> None:
        self.close()
        deadline = self._control.deadline()
        if deadline is not None:
            wait_s = max(0.0, deadline - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        with self._noting():
            self._control.tick(self._clock())
