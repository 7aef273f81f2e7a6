"""The way in by TCP: HTTP or HTTPS, and media, on one port, with what guards it; part of the composition root."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from aiohttp import web

from gateway import host
from gateway.demux import TcpDemux
from gateway.edge.addresses import is_trusted, parse_network
from gateway.edge.audit import AuditFile, AuditLog, audit_path
from gateway.edge.certificate import CertificateFiles, fingerprint
from gateway.edge.connections import HttpConnections
from gateway.edge.hosts import HostNames
from gateway.edge.keystore import Keyring, keys_path
from gateway.edge.places import Places
from gateway.edge.ratelimit import per_minute
from gateway.edge.redirect import Redirect
from gateway.edge.tls import CertificateWatch, choose
from gateway.routes.application import make_application
from gateway.routes.limits import SERVER
from gateway.routes.services import Rates, Services
from gateway.settings import Settings

__all__ = ["Door", "Guard", "certificate", "guarding", "open_door"]

logger = logging.getLogger(__name__)

SHUTDOWN_S = 5.0
"""How long open requests may take to end once their sessions have."""


USED_S = 60.0
"""Between two writings of when the API keys were used."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Who may come in, and what is written down of it."""

    audit: AuditLog
    keyring: Keyring

    def before(self, services: Services, settings: Settings) -> Services:
        """Services that it stands before."""
        services.metrics.watch(
            "fenster_audit_entries", "Of the audit log: written, lost, waiting", self.audit.counters
        )
        services.metrics.watch(
            "fenster_rate_limited", "Calls that came too often, by what they wanted", lambda: services.refused
        )
        return replace(
            services,
            audit=self.audit,
            hosts=host_names(settings),
            trusted_proxies=tuple(parse_network(network) for network in settings.trusted_proxies),
            rates=Rates(per_minute(settings.creates_per_min), per_minute(settings.tokens_per_min)),
            public_origin=settings.public_url or None,
        )


@asynccontextmanager
async def guarding(settings: Settings) -> AsyncIterator[Guard]:
    """The API keys and the audit log, kept until leaving."""
    file = AuditFile(audit_path(settings.state_dir), max_bytes=settings.audit_max_mib << 20, keep=settings.audit_keep)
    guard = Guard(AuditLog(file), Keyring(keys_path(settings.state_dir)))
    async with owned(guard.audit.run(), name="audit log"), owned(_write_used(guard.keyring), name="use of keys"):
        yield guard


async def _write_used(keyring: Keyring) -> None:
    try:
        while True:
            await asyncio.sleep(USED_S)
            await asyncio.to_thread(keyring.write_used)
    finally:
        await asyncio.to_thread(keyring.write_used)


@dataclass(frozen=True, slots=True)
class Door:
    """An open one."""

    services: Services
    fingerprint: bytes | None
    """SHA-256 of a self-signed certificate."""
    reload: Callable[[], None] | None
    """Reads the certificate again; None where there is none."""


def certificate(settings: Settings) -> CertificateFiles | None:
    """What to serve TLS with; None is plain HTTP. Blocking. Raises ConfigError."""
    wild = settings.host in ("0.0.0.0", "::")
    public = settings.public_url.rpartition("://")[2].rpartition(":")[0] or settings.public_url.rpartition("://")[2]
    names = ["localhost", "127.0.0.1", "::1", *([] if wild else [settings.host]), *settings.allowed_hosts]
    return choose(
        settings.state_dir,
        settings.host,
        settings.tls_cert,
        settings.tls_key,
        [*names, *([public] if public else [])],
        also=[*(host.addresses() if wild else []), *host.names()],
        insecure=settings.insecure_http,
    )


def host_names(settings: Settings) -> HostNames:
    """Which names the gateway answers to."""
    return HostNames(settings.host, settings.public_url, settings.allowed_hosts, host.names())


@asynccontextmanager
async def open_door(
    settings: Settings,
    sock: socket.socket,
    services: Services,
    files: CertificateFiles | None,
    media: Callable[[socket.socket], None] | None,
) -> AsyncIterator[Door]:
    """Answer on a listening socket, until leaving.

    Args:
        files: of the certificate; None is plain HTTP.
        media: takes over viewers' connections; None: there are none.
    """
    most = settings.max_connections_per_address or None
    places = Places(most, exempt=lambda address: is_trusted(address, services.trusted_proxies))
    connections = HttpConnections(places=places)
    services = replace(services, head_is_here=connections.head_is_here, hsts=files is not None and files.given)
    runner = web.AppRunner(
        make_application(services),
        access_log=None,
        shutdown_timeout=SHUTDOWN_S,
        **SERVER,
    )
    await runner.setup()
    assert runner.server is not None
    connections.serve_by(runner.server)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(runner.cleanup)
        watch = await asyncio.to_thread(CertificateWatch, files) if files is not None else None
        demux = TcpDemux(
            sock,
            http=connections,
            media=media,
            tls=watch.context if watch is not None else None,
            redirect=partial(Redirect, services.hosts.knows),
            places=places,
        )
        stack.push_async_callback(demux.close)
        if watch is not None:
            await stack.enter_async_context(owned(watch.run(demux.use), name="certificate"))
        services.metrics.watch(
            "fenster_connections",
            "Accepted, by what became of them",
            lambda: {**demux.counters(), **connections.counters()},
        )
        demux.start()
        shown = await asyncio.to_thread(fingerprint, files.chain) if files is not None and not files.given else None
        yield Door(services, shown, watch.reload if watch is not None else None)


@asynccontextmanager
async def owned(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """A task that runs meanwhile, and has ended on leaving. What it fails with is logged."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("! %s", name, exc_info=error)
