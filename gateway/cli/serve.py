"""serve: the gateway, until a signal ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.markup import escape

from gateway import log
from gateway.app import Serving, serving
from gateway.cli import options
from gateway.cli.beside import survivor
from gateway.cli.output import console, emit, notes
from gateway.cli.progress import StageLines
from gateway.errors import GatewayError
from gateway.host import allow_descriptors
from gateway.keyfiles import api_key_path
from gateway.netns.userns import ensure_privileges
from gateway.notify import Notifier, watchdog
from gateway.routes.api import viewer_token
from gateway.sessions.session import Session
from gateway.settings import Settings, load

__all__ = ["serve"]

logger = logging.getLogger(__name__)


def serve(
    open_session: Annotated[bool, typer.Option("--open-session", help="Start a session and print its URL.")] = False,
    host: options.Host = None,
    port: options.Port = None,
    media_port: options.MediaPort = None,
    advertise: options.Advertise = None,
    advertise_tcp_port: options.AdvertiseTcpPort = None,
    tls_cert: options.TlsCert = None,
    tls_key: options.TlsKey = None,
    insecure_http: options.InsecureHttp = None,
    public_url: options.PublicUrl = None,
    driver: options.Driver = None,
    accel: options.Accel = None,
    profile: options.Profile = None,
    vcpus: options.Vcpus = None,
    memory_mib: options.Memory = None,
    display: options.Display = None,
    max_sessions: options.MaxSessions = None,
    pool_size: options.PoolSize = None,
    hello_timeout_s: options.Hello = None,
    ready_timeout_s: options.Ready = None,
    state_dir: options.StateDir = None,
    cache_dir: options.CacheDir = None,
    run_dir: options.RunDir = None,
    log_level: options.LogLevel = None,
    log_json: options.LogJson = None,
    config: options.Config = None,
    as_json: options.AsJson = False,
) -> None:
    """Run the gateway. Ctrl-C (SIGINT) ends every session; SIGTERM, and a crash, leave them to the next start."""
    flags = {key: value for key, value in locals().items() if key not in ("open_session", "config", "as_json")}
    settings = load(flags, config=config)
    log.configure(settings.log_level, json=settings.log_json)
    ensure_privileges(beside=survivor(settings))
    allow_descriptors()
    asyncio.run(_serve(settings, open_session=open_session, as_json=as_json))


async def _serve(settings: Settings, *, open_session: bool, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    ended_by: list[signal.Signals] = []

    def end(number: signal.Signals) -> None:
        ended_by.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)
    stopping = asyncio.create_task(stop.wait())
    notifier = Notifier()
    watching: asyncio.Task[None] | None = None
    try:
        async with serving(settings, lasting=True) as gateway:
            if not sys.stdin.isatty():
                # A service's reload. Of a terminal it is the end, as ever; a changed certificate is seen without it.
                loop.add_signal_handler(signal.SIGHUP, gateway.reload or _nothing_to_reload)
            _announce(gateway, settings, as_json=as_json)
            notifier.say(READY="1", STATUS=f"Listening on {gateway.url}")
            watching = asyncio.create_task(watchdog(notifier, gateway.services.dataplane.ping), name="watchdog")
            if open_session:
                await _open_session(gateway, stopping, as_json=as_json)
            await asyncio.wait({stopping})
            notifier.say(STOPPING="1")
            if ended_by[-1] is signal.SIGTERM:
                left = await gateway.services.manager.leave()
                notes().print(f"{left} sessions go on; start the gateway again to find them, or end them by Ctrl-C")
            elif not as_json:
                notes().print("ending the sessions ...")
    finally:
        stopping.cancel()
        if watching is not None:
            watching.cancel()


def _nothing_to_reload() -> None:
    logger.info("= there is no certificate to read again")


def _announce(gateway: Serving, settings: Settings, *, as_json: bool) -> None:
    keys = gateway.services.keys
    # The key is shown to a person: at a terminal, and once when it is made; never in a service's log.
    opens = gateway.services.keyring.knows(keys.api_key)
    secret = opens and (sys.stdout.isatty() or (keys.created and not settings.log_json))
    shown = gateway.fingerprint.hex(":").upper() if gateway.fingerprint is not None else ""
    url = f"{gateway.url}/#key={keys.api_key}" if secret else f"{gateway.url}/"
    if as_json:
        body = {"event": "listening", "url": url, "media_port": gateway.services.dataplane.media_port}
        emit({**body, **({"certificate_sha256": shown} if shown else {})})
        return
    out = console()
    if keys.created:
        out.print(f"A new API key is in {escape(str(api_key_path(settings.state_dir)))}", soft_wrap=True)
    out.print(f"Fenster listens on {escape(url)}", soft_wrap=True)
    if shown:
        out.print(
            f"Its certificate is self-signed; browsers warn of it. SHA-256 {shown}", soft_wrap=True, emoji=False
        )
    sys.stdout.flush()


async def _open_session(gateway: Serving, stopping: asyncio.Task[bool], *, as_json: bool) -> None:
    """Start a session and follow it until its desktop is complete; a failure ends the gateway."""
    session = await gateway.services.manager.create(out=gateway.services.exits.out)
    viewer_url = gateway.url + viewer_token(gateway.services, session.id).viewer_url
    report: Callable[[dict[str, float]], Any] = (lambda timings: None) if as_json else StageLines(notes())
    following = asyncio.create_task(_follow(session, viewer_url, report, as_json=as_json))
    await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not following.done():
        following.cancel()
        await asyncio.wait({following})
    elif (error := following.exception()) is not None:
        raise error


async def _follow(
    session: Session, viewer_url: str, report: Callable[[dict[str, float]], Any], *, as_json: bool
) -> None:
    shown = False
    with session.updates.watch() as updates:
        while (view := await updates.get()) is not None:
            report(view.timings)
            if view.error is not None:
                raise GatewayError(view.error.message, hint=view.error.hint)
            if view.state == "ready" and not shown:
                shown = True
                if as_json:
                    emit({"event": "ready", "id": session.id, "viewer_url": viewer_url, "timings": view.timings})
                else:
                    console().print(f"Open {escape(viewer_url)}", soft_wrap=True)
                sys.stdout.flush()
            if shown and "complete" in view.timings:
                return
