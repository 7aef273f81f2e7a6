"""What is compared: servers that show one X display in a page. Rivals are in rivals.py."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Page

from gateway import __version__

__all__ = ["Product", "fenster", "play_fenster"]

PATIENCE_S = 60.0


@dataclass(frozen=True)
class Product:
    """A server that runs.

    Attributes:
        url: the page that shows the display, without a login.
        picture: JavaScript expression of the element with the desktop's pixels.
        pid: of the server side's first process; what it started counts with it.
        version: of it, with the settings that matter.
        play: makes the loaded page play; returns when the picture is there.
    """

    name: str
    url: str
    picture: str
    pid: int
    play: Callable[[Page], Awaitable[None]]
    version: str


@asynccontextmanager
async def fenster(display: str, size_px: tuple[int, int], folder: Path) -> AsyncIterator[Product]:
    """The gateway with the process driver on that display: agent, relay and page as in a VM."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway.cli", "serve", "--open-session", "--json", "--driver", "process"),
        *("--port", "0", "--display", "{}x{}".format(*size_px)),
        *("--state-dir", str(folder / "state"), "--run-dir", str(folder / "run")),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "FENSTER_PROCESS_DISPLAY": display, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        url = await asyncio.wait_for(_viewer_url(process), PATIENCE_S)
        yield Product(
            "fenster",
            url,
            "document.querySelector('#video')",
            process.pid,
            play_fenster,
            version=f"fenster {__version__}, process driver",
        )
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.wait()


async def _viewer_url(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        event = json.loads(line)
        if event["event"] == "ready":
            return str(event["viewer_url"])
    raise RuntimeError("the gateway ended before its session was ready")


async def play_fenster(page: Page) -> None:
    await page.wait_for_selector(
        'html[data-transport="webrtc"][data-painted="true"][data-control="me"]',
        state="attached",
        timeout=PATIENCE_S * 1000,
    )
