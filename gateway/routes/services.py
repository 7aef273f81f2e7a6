"""What the handlers are given, and how they find it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from gateway.dataplane import DataPlane
from gateway.edge.addresses import Network
from gateway.edge.audit import AuditLog
from gateway.edge.hosts import HostNames
from gateway.edge.keystore import Keyring
from gateway.edge.ratelimit import Rate, RateLimiter, per_minute
from gateway.exits import NO_EXIT, Exit
from gateway.keyfiles import Keys
from gateway.metrics import Metrics
from gateway.sessions.manager import Room, SessionManager
from gateway.sessions.record import IdleAction
from gateway.signaling.candidates import TcpReach
from gateway.signaling.whep import Whep
from gateway.tickets import Tickets
from gateway.vm.driver import Facts

__all__ = ["SERVICES", "ExitDefaults", "LifetimeDefaults", "Rates", "Services"]


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
class Rates:
    """How often something may be done, at first and from then on."""

    creates: Rate = field(default_factory=lambda: per_minute(120))
    """By one owner, and by one address: sessions made, forked or woken, templates saved."""
    tokens: Rate = field(default_factory=lambda: per_minute(600))
    """The same: tokens and tickets made, tickets exchanged."""
    failures: Rate = field(default_factory=lambda: per_minute(60))
    """Wrong credentials, by one address."""


def _ignore(transport: asyncio.BaseTransport) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True)
class Services:
    manager: SessionManager
    whep: Whep
    dataplane: DataPlane
    keys: Keys
    keyring: Keyring
    """API keys, as digests."""
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
    hosts: HostNames = field(default_factory=HostNames)
    """Which names this gateway answers to."""
    trusted_proxies: tuple[Network, ...] = ()
    """Reverse proxies that say whose request it is."""
    rates: Rates = field(default_factory=Rates)
    limiter: RateLimiter = field(default_factory=RateLimiter)
    refused: dict[str, int] = field(default_factory=dict)
    """Calls that came too often, by what they wanted; for /metrics."""
    noted: RateLimiter = field(default_factory=RateLimiter)
    """What is written down once in a while only."""
    audit: AuditLog = field(default_factory=AuditLog)
    head_is_here: Callable[[asyncio.BaseTransport], None] = _ignore
    """Told of each request's connection: it has said what it wants."""
    hsts: bool = False
    """Whether browsers are to insist on TLS here from now on (RFC 6797)."""
    public_origin: str | None = None
    """Of the pages' URL, where a reverse proxy shows another than Host says."""
    clock: Callable[[], float] = time.time
    """Unix time in seconds, for tokens."""


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
