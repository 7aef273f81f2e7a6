"""What the handlers are given, and how they find it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from gateway.dataplane import DataPlane
from gateway.exits import NO_EXIT, Exit
from gateway.keyfiles import Keys
from gateway.metrics import Metrics
from gateway.sessions.manager import Room, SessionManager
from gateway.sessions.record import IdleAction
from gateway.signaling.candidates import TcpReach
from gateway.signaling.whep import Whep
from gateway.tickets import Tickets
from gateway.vm.driver import Facts

__all__ = ["SERVICES", "ExitDefaults", "LifetimeDefaults", "Services"]


@dataclass(frozen=True, slots=True)
class LifetimeDefaults:
    """Of sessions whose caller says nothing of it; None is for ever."""

    ttl_s: float | None = None
    idle_timeout_s: float | None = None
    idle_action: IdleAction = "suspend"


@dataclass(frozen=True, slots=True)
class ExitDefaults:
    out: Exit = NO_EXIT
    """Of sessions whose caller names none."""
    direct: bool = False
    """Whether a session may leave from this host itself."""


@dataclass(frozen=True, slots=True)
class Services:
    manager: SessionManager
    whep: Whep
    dataplane: DataPlane
    keys: Keys
    facts: Callable[[], Awaitable[Facts]]
    """What the driver found out about this host; raises what VmDriver.check() raises."""
    room: Callable[[], Room]
    """Blocking; called in a thread."""
    host_addresses: Callable[[], Sequence[str]]
    """Every address of this host's interfaces. Blocking; called in a thread."""
    static_dir: Path
    """The built web client; may be missing."""
    advertise: Sequence[str] = ()
    """Configured addresses; empty when they are to be found out."""
    tcp: TcpReach | None = None
    """None where there is no media by TCP."""
    token_lifetime_s: int = 12 * 3600
    embed_origins: tuple[str, ...] = ()
    """Origins whose pages may embed every session."""
    tickets: Tickets = field(default_factory=Tickets)
    lifetime: LifetimeDefaults = LifetimeDefaults()
    exits: ExitDefaults = ExitDefaults()
    metrics: Metrics = field(default_factory=Metrics)
    max_upload_bytes: int = 4 << 30
    clock: Callable[[], float] = time.time
    """Unix time in seconds, for tokens."""


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
