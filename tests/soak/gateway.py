"""A gateway as a person runs it: ``fenster serve`` with directories of its own, and its data plane apart."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.cli.client import Client, client
from gateway.keyfiles import read_api_key
from gateway.plane.process import SOCKET_NAME, pid_of
from gateway.settings import Settings
from golden.build import find
from tests.processes import ended
from tests.soak.record import Log

__all__ = ["SoakedGateway", "read_log", "soaked_gateway"]

START_S, END_S = 60.0, 120.0
MOST_LINES = 20
"""Of a log, of each kind."""


@dataclass
class SoakedGateway:
    api: Client
    pid: int
    plane_pid: int
    logs: dict[str, Path]
    """By process."""
    left: list[str] = field(default_factory=list)
    """Known once it has ended."""


@asynccontextmanager
async def soaked_gateway(folder: Path) -> AsyncIterator[SoakedGateway]:
    """Started on entering; on leaving Ctrl-C ends it and its sessions, and ``left`` says what is there nevertheless.

    Args:
        folder: an empty one with a short path, since the sockets are in it. The golden images are the user's.

    Raises:
        RuntimeError: it does not start.
    """
    state, run_dir, cache = folder / "state", folder / "run", folder / "cache"
    _borrow_images(cache)
    (folder / "fenster.toml").touch()
    logs = {"gateway": folder / "gateway.log", "data plane": state / "logs" / "dataplane.log"}
    with logs["gateway"].open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "serve", "--json", "--log-json", "--host", "127.0.0.1"),
            *("--port", "0", "--state-dir", str(state), "--run-dir", str(run_dir), "--cache-dir", str(cache)),
            *("--config", str(folder / "fenster.toml")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**_environment(), "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    assert process.stdout is not None
    try:
        first = await asyncio.wait_for(process.stdout.readline(), START_S)
        plane = pid_of(run_dir / SOCKET_NAME)
        if not first or plane is None:
            raise RuntimeError(f"the gateway did not start: {logs['gateway'].read_text()[-2000:]}")
        url = json.loads(first)["url"].partition("#")[0]
        async with client(url, read_api_key(state)) as api:
            gateway = SoakedGateway(api, process.pid, plane, logs)
            yield gateway
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        try:
            code = await asyncio.wait_for(process.wait(), END_S)
        except TimeoutError:
            process.kill()
            code = await process.wait()
    await ended(gateway.plane_pid)
    gateway.left = [f"exit status {code}"] if code else []
    gateway.left += [str(path) for place in (run_dir, cache / "disks") if place.exists() for path in place.iterdir()]


def _borrow_images(cache: Path) -> None:
    """The user's snapshots, and of the golden images this tree's own: a gateway takes the newest that it finds."""
    theirs = Settings().cache_dir
    image = find(Settings().profile, theirs)
    if image is None:
        raise RuntimeError("there is no golden image of this tree: run make golden")
    (cache / "golden").mkdir(parents=True)
    (cache / "golden" / image.path.name).symlink_to(image.path)
    (cache / "snapshots").symlink_to(theirs / "snapshots")


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FENSTER_")}


def read_log(lines: Iterable[str]) -> Log:
    """What of a log in JSON lines is more than news; each thing once, with how often it came. Pure.

    A line that is no JSON is what an interpreter or a library says in its last moments: an error.
    """
    found: dict[str, dict[str, int]] = {"warning": {}, "error": {}}
    for line in lines:
        if not line.strip():
            continue
        try:
            said = json.loads(line)
            level, text = str(said["level"]), str(said["event"])
            text += f" ({str(said['exception']).strip().splitlines()[-1]})" if "exception" in said else ""
        except (ValueError, KeyError, TypeError):
            level, text = "error", line.strip()
        kind = "error" if level in ("error", "critical") else level
        if kind in found:
            alike = re.sub(r"\b[0-9a-f]{8,}\b", "…", text)
            found[kind][alike] = found[kind].get(alike, 0) + 1
    warnings, errors = (
        tuple(text if count == 1 else f"{text} ({count} times)" for text, count in kinds.items())[:MOST_LINES]
        for kinds in found.values()
    )
    return Log(warnings, errors)
