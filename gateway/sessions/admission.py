"""Whether the host has room for one more machine. Pure; asked before anything is made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import CapacityError, QuotaReached
from gateway.sessions.lifecycle import IDLE, STARTING, State
from gateway.sessions.record import OPERATOR, Template

__all__ = ["NO_QUOTA", "Limits", "Owner", "Room", "check_quota", "check_room"]


@dataclass(frozen=True, slots=True)
class Room:
    """What the host has left now."""

    memory_mib: int
    disk_mib: int


@dataclass(frozen=True, slots=True)
class Limits:
    max_sessions: int = 8
    """That run; suspended ones take disk alone."""
    reserve_memory_mib: int = 512
    """Free memory that a new session must leave."""
    reserve_disk_mib: int = 4096
    """Free disk that a new session must find."""
    max_failed: int = 64
    """Failed sessions kept to be looked at; the oldest goes first."""
    max_remembered: int = 4096
    """Ids of ended sessions, for which DELETE stays a success; the oldest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who asks for a session, and what is theirs."""

    name: str = OPERATOR
    max_live: int | None = None
    """Sessions of theirs that may run at once; None is as many as the gateway has room for."""


NO_QUOTA = Owner()


def check_quota(owner: Owner, live: int) -> None:
    """Raises QuotaReached when ``live`` sessions of theirs are all that they may have."""
    if owner.max_live is not None and live >= owner.max_live:
        raise QuotaReached(
            f"{owner.max_live} sessions of {owner.name} run, which is its limit",
            hint="end or suspend one of them; the gateway's operator sets the limit with the API key",
        )


def check_room(
    template: Template,
    sessions: Iterable[tuple[State, Template]],
    limits: Limits,
    room: Room,
    *,
    parked: bool = False,
) -> None:
    """Args:
        sessions: all that there are, with what each runs.
        parked: a machine of the warm pool is there to be taken, which has its memory and its disk.

    Raises:
        CapacityError: with what is missing.
    """
    running = [(state, used) for state, used in sessions if state not in IDLE]
    if len(running) >= limits.max_sessions:
        raise CapacityError(
            f"{limits.max_sessions} sessions run, which is the limit",
            hint="end one (fenster rm), or raise max_sessions",
        )
    if not parked and room.disk_mib < limits.reserve_disk_mib:
        raise CapacityError(
            f"a session needs {limits.reserve_disk_mib} MiB of free disk, this host has {room.disk_mib}",
            hint="free some space where cache_dir is, or set cache_dir to a larger disk",
        )
    # A guest that is on its way up has not yet taken the memory that it will take.
    promised = sum(used.memory_mib for state, used in running if state in STARTING)
    needed = template.memory_mib + limits.reserve_memory_mib
    if room.memory_mib - promised < needed:
        raise CapacityError(
            f"a session needs {needed} MiB of free memory, this host has {max(0, room.memory_mib - promised)}",
            hint="end or suspend a session, or lower memory_mib",
        )
