"""Who controls a desktop, among those who watch it. Pure: events and ``now`` (s, monotonic) in, state out.

::

    nobody ──first control viewer comes, or one asks──> it controls
       ^                                                   │ grant, or a request unanswered for GRANT_AFTER_S
       └──────── release; left for good, alone ────────────┤ ──> another controls
                                                           └── away for RETURN_S: who asked first, else who came first

A viewer is a page: it draws an id and sends it with each of its connections, so that it is the same one after a
reload, a change of transport or a restart of the gateway. Whether it may control is its token's role, which each
connection proves anew: a viewer is (id, role), so that nobody inherits control by knowing an id.

A request that nobody answers is granted: the one who controls and is there can keep control by one click, and one
who has walked away must not lock out everybody else. Who was denied may not ask again for DENIED_S.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from gateway.errors import Conflict, Forbidden

__all__ = [
    "DENIED_S",
    "GRANT_AFTER_S",
    "RECALL_S",
    "RETURN_S",
    "VIEWER_ID",
    "Connection",
    "Control",
    "Seat",
    "Transport",
    "Viewer",
    "name_of",
]

Role = Literal["control", "view"]
Transport = Literal["webrtc", "novnc"]

VIEWER_ID = re.compile(r"[0-9a-f]{32}")
"""128 random bits. Others are told the first 32 bits (name_of), with which they cannot pass for it."""
GRANT_AFTER_S = 10.0
DENIED_S = 30.0
RETURN_S = 5.0
"""A reload, or a change of transport, takes a second or two, and several where the guest is emulated."""
RECALL_S = 15.0
"""The same after a restart of the gateway: noVNC pages come back after a pause of up to 8 s (web: machine.ts)."""


class Viewer(NamedTuple):
    """Who a connection, or a call, is of."""

    id: str
    role: Role


@dataclass(frozen=True, slots=True)
class Connection:
    """One transport of a viewer; a viewer that changes over has two for a while."""

    id: str
    """Unique in the session; of WebRTC the agent's name for the peer."""
    viewer: Viewer
    transport: Transport


@dataclass(frozen=True, slots=True)
class Seat:
    """A viewer as others see it."""

    name: str
    number: int
    """1 and up; the smallest that was free when it came."""
    role: Role
    transport: Transport
    """Of its newest connection."""


@dataclass(slots=True)
class _Present:
    number: int
    connections: dict[str, Connection] = field(default_factory=dict)
    """Oldest first."""


def name_of(viewer_id: str) -> str:
    """What others may know of an id."""
    return viewer_id[:8]


class Control:
    """One session's. Methods apply what is due by ``now`` first, so a late timer changes nothing but the moment."""

    def __init__(self) -> None:
        self._present: dict[Viewer, _Present] = {}
        self._connected: set[str] = set()
        """In the order of their coming."""
        self._controller: Viewer | None = None
        self._away_until: float | None = None
        """The controller has no connection; it keeps control until then."""
        self._requests: dict[Viewer, float] = {}
        """To when each is granted, oldest first. Only of viewers that are present."""
        self._denied_until: dict[Viewer, float] = {}

    # What is so.

    @property
    def controller(self) -> Viewer | None:
        """Present, or expected back."""
        return self._controller

    @property
    def controller_peer(self) -> str | None:
        """The newest WebRTC connection of the one who controls; of those that media flows by, if there is one.

        A viewer that tries another way offers it while it types by the old one.
        """
        peers = [one.id for one in reversed(self._of_controller()) if one.transport == "webrtc"]
        return next((peer for peer in peers if peer in self._connected), next(iter(peers), None))

    @property
    def requests(self) -> list[str]:
        """Names of those who ask for control, first asked first."""
        return [name_of(viewer.id) for viewer in self._requests]

    @property
    def connections(self) -> Mapping[str, Connection]:
        return {key: one for present in self._present.values() for key, one in present.connections.items()}

    def seats(self) -> list[Seat]:
        """Who is present, first come first."""
        return [
            Seat(name_of(viewer.id), here.number, viewer.role, [*here.connections.values()][-1].transport)
            for viewer, here in self._present.items()
        ]

    def controls(self, connection_id: str) -> bool:
        """Whether what comes by this connection counts."""
        return any(one.id == connection_id for one in self._of_controller())

    def deadline(self) -> float | None:
        """When :meth:`tick` has something to do."""
        if self._away_until is not None:
            return self._away_until
        return min(self._requests.values(), default=None)

    # What happens.

    def tick(self, now: float) -> None:
        """Apply what is due."""
        if self._away_until is not None and self._away_until <= now:
            self._pass_on()
        due = next((viewer for viewer, at in self._requests.items() if at <= now), None)
        if due is not None and self._away_until is None:
            self._hand_to(due)
        self._denied_until = {viewer: until for viewer, until in self._denied_until.items() if until > now}

    def joined(self, connection: Connection, now: float) -> None:
        """A connection was made. Who comes while nobody controls, controls."""
        self.tick(now)
        viewer = connection.viewer
        here = self._present.get(viewer)
        if here is None:
            here = self._present[viewer] = _Present(self._free_number())
        here.connections[connection.id] = connection
        if viewer == self._controller and self._away_until is not None:
            self._away_until = None
            # Nobody has asked it while it was away.
            self._requests = dict.fromkeys(self._requests, now + GRANT_AFTER_S)
        elif self._controller is None and viewer.role == "control":
            self._hand_to(viewer)

    def connected(self, connection_id: str) -> None:
        """Media flows by a WebRTC connection that has joined. Idempotent."""
        self._connected.add(connection_id)

    def left(self, connection_id: str, now: float) -> None:
        """A connection ended; unknown ones are ended."""
        self._connected.discard(connection_id)
        self.tick(now)
        viewer = next((viewer for viewer, here in self._present.items() if connection_id in here.connections), None)
        if viewer is None:
            return
        connections = self._present[viewer].connections
        del connections[connection_id]
        if connections:
            return
        del self._present[viewer]
        self._requests.pop(viewer, None)
        if viewer == self._controller:
            self._away_until = now + RETURN_S

    def recall(self, viewer_id: str, now: float) -> None:
        """An earlier gateway's viewer controlled; it is expected. Before any connection is told of."""
        self._controller = Viewer(viewer_id, "control")
        self._away_until = now + RECALL_S

    def request(self, by: Viewer, now: float) -> None:
        """Ask for control: given at once where nobody has it. Idempotent.

        Raises:
            Forbidden: a view token.
            Conflict: it has no connection, or was denied a moment ago.
        """
        self.tick(now)
        if by.role != "control":
            raise Forbidden("a view token cannot control", hint="ask for a link with the control role")
        if by not in self._present:
            raise Conflict("this viewer has no picture", hint="connect by WebRTC or noVNC first")
        if by == self._controller or by in self._requests:
            return
        if self._controller is None:
            self._hand_to(by)
        elif by in self._denied_until:
            raise Conflict("the request was denied a moment ago", hint=f"ask again {DENIED_S:g} s after it")
        else:
            self._requests[by] = now + GRANT_AFTER_S

    def grant(self, by: Viewer | None, to: str | None, now: float) -> None:
        """Hand control over.

        Args:
            by: the one who controls; None is the owner of the API key.
            to: name of a viewer with the control role; None is who asked first.

        Raises:
            Forbidden: ``by`` does not control.
            Conflict: there is no such viewer.
        """
        self.tick(now)
        self._check_rules(by)
        self._hand_to(self._find(self._present if to is not None else self._requests, to))

    def deny(self, by: Viewer | None, to: str | None, now: float) -> None:
        """Refuse a request (the first, or the one of ``to``). Raises as :meth:`grant`."""
        self.tick(now)
        self._check_rules(by)
        viewer = self._find(self._requests, to)
        del self._requests[viewer]
        self._denied_until[viewer] = now + DENIED_S

    def release(self, by: Viewer | None, now: float) -> None:
        """Give control up: to who asked first, else to nobody until somebody asks or comes.

        Raises Forbidden when ``by`` does not control.
        """
        self.tick(now)
        self._check_rules(by)
        self._away_until = None
        heir = next(iter(self._requests), None)
        if heir is None:
            self._controller = None
        else:
            self._hand_to(heir)

    def _of_controller(self) -> list[Connection]:
        here = self._present.get(self._controller) if self._controller is not None else None
        return [*here.connections.values()] if here is not None else []

    def _check_rules(self, by: Viewer | None) -> None:
        if by is not None and by != self._controller:
            raise Forbidden("only the viewer who controls may do that", hint="ask for control first")

    def _find(self, among: Iterable[Viewer], name: str | None) -> Viewer:
        for viewer in among:
            if viewer.role == "control" and name in (None, name_of(viewer.id)):
                return viewer
        what = "nobody asks for control" if name is None else f"no viewer {name!r} may be meant"
        raise Conflict(what, hint="the session's control.viewers and control.requests list them")

    def _hand_to(self, viewer: Viewer) -> None:
        """Who asked the former controller asks the new one again, who would else be robbed by an old request."""
        if viewer != self._controller:
            self._requests.clear()
        self._controller = viewer
        self._away_until = None

    def _pass_on(self) -> None:
        """The controller does not come back."""
        self._away_until = None
        self._controller = None
        heirs = [*self._requests, *(viewer for viewer in self._present if viewer.role == "control")]
        if heirs:
            self._hand_to(heirs[0])

    def _free_number(self) -> int:
        taken = {here.number for here in self._present.values()}
        return next(number for number in range(1, len(taken) + 2) if number not in taken)
