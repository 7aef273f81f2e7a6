"""noVNC with x11vnc, as the golden image has it for browsers without WebRTC.

x11vnc runs with the options of golden's fenster-vnc.service, without a password and on the loopback interface only.
Its ``-wait 50`` is less than it sounds: after input x11vnc halves it (``-wait_ui``). noVNC keeps its own defaults of
quality (6) and compression (2), and shows the display pixel for pixel without resizing it. The bridge between the
two (novnc_server.py) is aiohttp instead of websockify: compiled framing, no process per connection; nothing is lost
by it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Page

from tests.bench.photon.products import PATIENCE_S, Product
from tests.bench.photon.rivals.launch import free_port, server, until_served

__all__ = ["NODE_PACKAGE", "X11VNC", "novnc"]

NODE_PACKAGE = Path(__file__).resolve().parents[4] / "web/node_modules/@novnc/novnc"
X11VNC = ("-forever", "-shared", "-wait", "50")


@asynccontextmanager
async def novnc(display: str, size_px: tuple[int, int], folder: Path) -> AsyncIterator[Product]:
    """The server side is one process with x11vnc below it."""
    log, port = folder / "novnc.log", free_port()
    argv = (sys.executable, "-m", "tests.bench.photon.rivals.novnc_server", str(port))
    async with server(*argv, "-display", display, *X11VNC, log=log) as process:
        await until_served(process, port, log, PATIENCE_S)
        yield Product(
            "novnc",
            f"http://127.0.0.1:{port}/",
            "document.querySelector('#screen canvas')",
            process.pid,
            _play,
            version=f"noVNC {_version()}, {await _x11vnc_version()} {' '.join(X11VNC)}",
        )


async def _play(page: Page) -> None:
    await page.wait_for_selector('html[data-connected="true"]', state="attached", timeout=PATIENCE_S * 1000)


def _version() -> str:
    return str(json.loads((NODE_PACKAGE / "package.json").read_text())["version"])


async def _x11vnc_version() -> str:
    asked = await asyncio.create_subprocess_exec("x11vnc", "-version", stdout=asyncio.subprocess.PIPE)
    said, _ = await asked.communicate()
    return " ".join(said.decode().split()[:2]).removesuffix(":")
