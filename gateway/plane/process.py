"""The data plane's process: finding it, and starting it where it does not run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.errors import ConfigError
from gateway.plane.channel import connect, pid_and_uid

__all__ = ["LINGER_S", "SOCKET_NAME", "pid_of", "reach", "wait_for"]

SOCKET_NAME = "dataplane.sock"
"""In the run directory."""
LINGER_S = 10.0
"""How long one that a gateway has started stays with neither gateway nor VM."""
START_S = 30.0
WAIT_S, LOOK_S = 10.0, 0.1
"""How long one that somebody else starts is waited for, and between two looks."""


async def reach(path: Path, log: Path, options: Sequence[str] = ()) -> socket.socket:
    """A connection to the data plane at ``path``; one is started when nobody listens there.

    Args:
        log: where one that is started writes its log.
        options: more of its command line.

    Raises:
        ConfigError: it does not start; its own words are in the message.
    """
    if (sock := connect(path)) is not None:
        return sock
    await asyncio.to_thread(_start, path, log, options)
    if (sock := connect(path)) is not None:
        return sock
    raise ConfigError("the data plane ended at once", hint=f"{log} tells why")


async def wait_for(path: Path) -> socket.socket:
    """A connection to the data plane that somebody else starts. Raises ConfigError when nobody does."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S):
            while (sock := connect(path)) is None:  # noqa: ASYNC110 - another process's
                await asyncio.sleep(LOOK_S)
            return sock
    raise ConfigError(
        f"no data plane listens on {path}", hint="systemctl start fenster-dataplane, or set dataplane to apart"
    )


def pid_of(path: Path) -> int | None:
    """The process that listens there, if one does."""
    sock = connect(path)
    if sock is None:
        return None
    with sock:
        return pid_and_uid(sock)[0]


def _start(path: Path, log: Path, options: Sequence[str]) -> None:
    """Returns when it listens: it leaves its first process then, and is nobody's child."""
    log.parent.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "gateway.cli", "dataplane", "--at", os.fspath(path), "--detach",
            "--log", os.fspath(log), "--linger-s", f"{LINGER_S:g}", *options]  # fmt: skip
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_S, check=False
        )
    except subprocess.TimeoutExpired as exc:
        raise ConfigError(f"the data plane did not start within {START_S:g} s", hint=f"{log} tells why") from exc
    if done.returncode != 0:
        raise ConfigError(f"the data plane does not start: {done.stderr.strip()[-300:]}", hint=f"{log} tells more")
