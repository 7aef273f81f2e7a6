"""Selkies over its two transports, from PyPI, in a virtual environment of its own (its pins would fight ours).

Only what would cost it something is switched off: sound, gamepads, printing, clipboard, files. Encoder and rate are
its defaults for a processor without a GPU, at 60 frames a second, without STUN or TURN servers: both ends are on one
host.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from playwright.async_api import Page

from tests.bench.photon.products import PATIENCE_S, Product
from tests.bench.photon.rivals.launch import free_port, server, until_served

__all__ = ["selkies_webrtc", "selkies_websocket"]

VERSION = "2.1.0"
INSTALL_S = 600.0
COMMON = {
    "addr": "127.0.0.1",
    "enable_basic_auth": "false",
    "enable_dual_mode": "false",
    "enable_resize": "false",
    "second_screen": "false",
    "audio_enabled": "false",
    "gamepad_enabled": "false",
    "printing_enabled": "false",
    "enable_clipboard": "false",
    "file_transfers": "none",
    "use_cpu": "true",
    "encoder": "h264enc",
    "framerate": "60",
    "ui_show_sidebar": "false",
}


def selkies_webrtc(display: str, size_px: tuple[int, int], folder: Path) -> AbstractAsyncContextManager[Product]:
    return _selkies("webrtc", display, size_px, folder, "document.querySelector('#stream')")


def selkies_websocket(display: str, size_px: tuple[int, int], folder: Path) -> AbstractAsyncContextManager[Product]:
    return _selkies("websockets", display, size_px, folder, "document.querySelector('#videoCanvas')")


@asynccontextmanager
async def _selkies(
    mode: str, display: str, size_px: tuple[int, int], folder: Path, picture: str
) -> AsyncIterator[Product]:
    python = await _installed()
    name = "selkies-" + {"webrtc": "webrtc", "websockets": "websocket"}[mode]
    home = folder / name
    home.mkdir(mode=0o700)
    (home / "rtc.json").write_text(json.dumps({"iceServers": []}))
    log, port = folder / f"{name}.log", free_port()
    settings = {**COMMON, "mode": mode, "port": str(port), "rtc_config_json": str(home / "rtc.json")}
    env = {
        "PATH": os.environ["PATH"],
        "DISPLAY": display,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        **{f"SELKIES_{key.upper()}": value for key, value in settings.items()},
    }
    async with server(str(python), "-m", "selkies", log=log, env=env) as process:
        await until_served(process, port, log, PATIENCE_S)
        yield Product(
            name,
            f"http://127.0.0.1:{port}/",
            picture,
            process.pid,
            _playing(picture, size_px),
            version=f"selkies {VERSION}, {mode}",
        )


def _playing(picture: str, size_px: tuple[int, int]) -> Callable[[Page], Awaitable[None]]:
    async def play(page: Page) -> None:
        await page.set_viewport_size({"width": size_px[0], "height": size_px[1]})
        await page.wait_for_function(
            f"(() => {{ const e = {picture}; return e && (e.videoWidth || e.width) > 300; }})()",
            timeout=PATIENCE_S * 1000,
        )

    return play


async def _installed() -> Path:
    """The interpreter of a virtual environment that has Selkies; kept in the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "fenster/bench" / f"selkies-{VERSION}"
    python, complete = folder / "bin/python", folder / ".complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        for argv in (
            (sys.executable, "-m", "venv", str(folder)),
            (str(python), "-m", "pip", "install", "-qq", f"selkies=={VERSION}"),
        ):
            # Not our packages: pip would compare its pins with theirs.
            env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            process = await asyncio.create_subprocess_exec(*argv, env=env)
            if await asyncio.wait_for(process.wait(), INSTALL_S):
                raise RuntimeError(f"failed: {' '.join(argv)}")
        complete.touch()
    return python
