"""What the zygote's state machine (zygote_core.py) asks to have done. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from guest_agent.protocol.rpc import Failure, Notification, Request, Result
from guest_agent.requests import Assignment, ExecCommand, Identity, Place

__all__ = [
    "Action",
    "DoAssign",
    "DoExec",
    "DoHealth",
    "DoIdentify",
    "DoSettle",
    "ForkAgent",
    "KillAgent",
    "LookAtAgent",
    "Send",
    "ToAgent",
]


@dataclass(frozen=True, slots=True)
class Send:
    """To the gateway."""

    message: Result | Failure | Notification


@dataclass(frozen=True, slots=True)
class ToAgent:
    message: Request | Notification


@dataclass(frozen=True, slots=True)
class DoIdentify:
    """Then call :meth:`ZygoteCore.identified`."""

    id: int
    identity: Identity


@dataclass(frozen=True, slots=True)
class DoAssign:
    """Then call :meth:`ZygoteCore.assigned`."""

    id: int
    assignment: Assignment


@dataclass(frozen=True, slots=True)
class DoSettle:
    """Then call :meth:`ZygoteCore.settled`."""

    id: int
    place: Place


@dataclass(frozen=True, slots=True)
class DoExec:
    """Then call :meth:`ZygoteCore.executed` with the same key."""

    key: int
    command: ExecCommand


@dataclass(frozen=True, slots=True)
class DoHealth:
    """Then call :meth:`ZygoteCore.examined`."""

    id: int


@dataclass(frozen=True, slots=True)
class ForkAgent:
    """Then call :meth:`ZygoteCore.forked`."""


@dataclass(frozen=True, slots=True)
class LookAtAgent:
    """It is silent. Then call :meth:`ZygoteCore.agent_seen`, if it is there."""


@dataclass(frozen=True, slots=True)
class KillAgent:
    """At once; its end is told by :meth:`ZygoteCore.agent_exited` as any other."""


Action = Send | ToAgent | DoIdentify | DoAssign | DoSettle | DoExec | DoHealth | ForkAgent | LookAtAgent | KillAgent
