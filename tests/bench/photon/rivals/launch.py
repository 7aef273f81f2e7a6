"""Start a rival's server, learn where it serves, and end it with all it started."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

__all__ = ["free_port", "server", "until_served"]

END_S = 10.0
ASK_S = 0.1


def free_port() -> int:
    """A TCP port of the loopback interface that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def server(
    *argv: str, log: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process in a group of its own, its output in ``log``. The group is ended: SIGTERM, then SIGKILL."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            # A bench that is killed leaves nothing behind.
            *("setpriv", "--pdeathsig", "TERM", *argv),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=env,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_S)
        finally:
            # What it left behind, or itself.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def until_served(process: asyncio.subprocess.Process, port: int, log: Path, limit_s: float) -> None:
    """Return once 127.0.0.1:port accepts.

    Raises:
        RuntimeError: the process ended, or did not serve in time; with the end of its log.
    """
    loop = asyncio.get_running_loop()
    until_s = loop.time() + limit_s
    while process.returncode is None and loop.time() < until_s:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(ASK_S)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise RuntimeError(f"nothing serves at port {port}; {log.name} ends: {_last_words(log)}")


def _last_words(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
