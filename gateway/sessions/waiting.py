"""Waiting for a machine that may die meanwhile, and for a service that cannot say when it is up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gateway.errors import GatewayError, VncError

__all__ = ["Dial", "rfb_banner", "together"]

Dial = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

BANNER_BYTES = 12
"""RFB 7.1.1: "RFB xxx.yyy\\n"."""
ATTEMPT_S = 3.0
"""For one attempt: a SYN that a machine was not up to hear is repeated after 1, 3 and 7 s, by which time it is."""


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run all at once until each has returned or one has raised; then the others are cancelled and awaited.

    The first error, in the order of the arguments, is raised as it is.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task in done:
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def rfb_banner(
    dial: Dial, port: int, *, timeout_s: float, first_pause_s: float = 0.1, longest_pause_s: float = 1.0
) -> bytes:
    """Dial until the VNC server sends its banner; nobody in the guest tells when it begins to listen.

    Args:
        dial: opens a TCP connection into the guest.
        port: where x11vnc listens.
        timeout_s: for all attempts together.
        first_pause_s: between the first two attempts; it doubles up to ``longest_pause_s``.

    Returns:
        The 12 bytes of the banner.

    Raises:
        VncError: no banner in time; the message holds what the last attempt saw.
    """
    attempts = 0
    seen = ""
    pause_s = first_pause_s
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                attempts += 1
                seen = f"attempt {attempts} was not answered"
                try:
                    async with asyncio.timeout(ATTEMPT_S):
                        banner = await _read_banner(dial, port)
                except (TimeoutError, GatewayError, OSError, asyncio.IncompleteReadError) as exc:
                    seen = str(exc) or type(exc).__name__
                else:
                    if banner.startswith(b"RFB "):
                        return banner
                    seen = "something that is not a VNC server answered"
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, longest_pause_s)
    except TimeoutError as exc:
        raise VncError(
            f"no VNC banner from port {port} within {timeout_s:g} s: {seen}",
            hint="x11vnc's own log is /var/log/x11vnc.log in the guest",
        ) from exc


async def _read_banner(dial: Dial, port: int) -> bytes:
    reader, writer = await dial(port)
    try:
        return await reader.readexactly(BANNER_BYTES)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
