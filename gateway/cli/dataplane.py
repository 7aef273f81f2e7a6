"""dataplane: namespaces, relay and egress proxies in a process of their own; gateways come and go."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from gateway import log
from gateway.cli import options
from gateway.cli.beside import survivor
from gateway.host import allow_descriptors
from gateway.netns.thread import NamespaceThread
from gateway.netns.userns import ensure_privileges
from gateway.notify import Notifier, watchdog
from gateway.plane.compose import open_plane
from gateway.plane.process import SOCKET_NAME
from gateway.plane.server import PlaneServer
from gateway.settings import load

__all__ = ["dataplane"]


def dataplane(
    at: Annotated[Path | None, typer.Option(help="Socket to listen on; in run_dir unless given.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it listens, and go on behind.")] = False,
    log_file: Annotated[Path | None, typer.Option("--log", help="Log there, not to stderr.")] = None,
    linger_s: Annotated[
        float | None, typer.Option(help="End after so long with neither gateway nor desktop; never unless given.")
    ] = None,
    run_dir: options.RunDir = None,
    log_level: options.LogLevel = None,
    log_json: options.LogJson = None,
    config: options.Config = None,
) -> None:
    """Carry the bytes of all desktops, for the gateway that runs and the next one.

    A gateway starts one by itself; a service of its own keeps it over the gateway's upgrade.
    """
    flags = {"run_dir": run_dir, "log_level": log_level, "log_json": log_json}
    settings = load(flags, config=config)
    ensure_privileges(beside=survivor(settings, plane=False))
    path = at if at is not None else settings.run_dir / SOCKET_NAME
    ready = _fork() if detach else None
    if log_file is not None:
        _log_to(log_file)
    log.configure(settings.log_level, json=settings.log_json)
    allow_descriptors()
    asyncio.run(_serve(path, linger_s, ready))


async def _serve(path: Path, linger_s: float | None, ready: int | None) -> None:
    namespaces = NamespaceThread()
    await namespaces.start()
    server = PlaneServer(path, namespaces, lambda settings: open_plane(settings, namespaces))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.ended.set)
    notifier = Notifier()
    watching = asyncio.create_task(watchdog(notifier, server.ping), name="watchdog")
    try:
        server.start()
        notifier.say(READY="1")
        if ready is not None:
            os.write(ready, b"+")
            os.close(ready)
        await _until_over(server, linger_s)
        notifier.say(STOPPING="1")
    finally:
        watching.cancel()
        await server.close()
        await namespaces.close()


async def _until_over(server: PlaneServer, linger_s: float | None) -> None:
    while linger_s is not None:
        both = [asyncio.create_task(server.ended.wait()), asyncio.create_task(server.alone.wait())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(linger_s):
                await server.ended.wait()
        if server.ended.is_set() or server.alone.is_set():
            return
    await server.ended.wait()


def _fork() -> int:
    """Go on in a child that is nobody's; the descriptor takes a byte when it is ready, or this process fails."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() != 0:
            os._exit(0)
        os.close(reading)
        return writing
    os.close(writing)
    ready = os.read(reading, 1) == b"+"
    os._exit(0 if ready else 1)


def _log_to(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(fd, 2)
    os.close(fd)
    os.close(null)
