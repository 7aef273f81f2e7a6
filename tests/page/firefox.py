"""Debian's Firefox in a window on a person's machine, with a fresh profile, driven by WebDriver BiDi.

BiDi opens the page and looks into it; keys and the mouse are the machine's own (keyboard.py, mouse.py).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.netns.thread import NamespaceThread
from tests.e2e.browser_host import BrowserHost
from tests.e2e.guest import eventually
from tests.e2e.viewer import Transport
from tests.page.bidi import Bidi, BidiError

__all__ = ["FirefoxPage", "firefox"]

EXIT_S = 20.0
START_S = 60.0
SHOWN = """() => {
  const [shown] = [...document.querySelectorAll('#video, #vnc canvas')].filter((one) => one.clientWidth > 0
    && getComputedStyle(one).visibility !== 'hidden');
  const { x, y, width, height } = shown.getBoundingClientRect();
  return [x + mozInnerScreenX, y + mozInnerScreenY, width, height];
}"""

KEEP_PEERS = """() => {
  window.keptPeers = [];
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...args) { super(...args); window.keptPeers.push(this); }
  };
}"""
"""So that their statistics can be read."""


def _preferences(origin: str) -> dict[str, bool | int | str]:
    return {
        # As behind TLS, for this host; the gateway under test speaks plain HTTP, and its images stay on it.
        "dom.securecontext.allowlist": urlsplit(origin).hostname or "",
        "security.mixed_content.upgrade_display_content": False,
        # The cable to the gateway has link-local addresses, which Firefox offers to nobody.
        "media.peerconnection.ice.link_local": True,
        # Nobody answers in there, and a first-run page would have the focus.
        "app.update.enabled": False,
        "browser.aboutwelcome.enabled": False,
        "browser.shell.checkDefaultBrowser": False,
        "browser.startup.homepage_override.mstone": "ignore",
        "datareporting.policy.dataSubmissionEnabled": False,
        "network.captive-portal-service.enabled": False,
        "network.connectivity-service.enabled": False,
        "services.settings.server": "data:,",
        "termsofuse.bypassNotification": True,
        "toolkit.telemetry.server": "",
        # Among what Firefox sets by itself when it is driven: a focus that is only pretended, without input methods.
        "remote.prefs.recommended": False,
    }


class FirefoxPage:
    """The one tab of one Firefox."""

    def __init__(self, bidi: Bidi, context: str, display_px: tuple[int, int]) -> None:
        self._bidi = bidi
        self._context = context
        self._display_px = display_px

    async def open(self, url: str, transport: Transport) -> None:
        """Load the page and wait until it has painted its first frame over ``transport``."""
        await self._bidi.call("browsingContext.navigate", context=self._context, url=url, wait="complete")
        try:
            await self.until(
                "transport => document.documentElement.matches(`[data-transport=${transport}][data-painted=true]`)",
                f"a picture by {transport}", transport,
            )  # fmt: skip
        except AssertionError as error:
            said = "() => [{ ...document.documentElement.dataset }, document.body.innerText]"
            error.add_note(f"the page says {await self.evaluate(said)}")
            raise

    async def evaluate(self, function: str, *args: Any) -> Any:
        """What a JavaScript function in the page resolves to, by way of JSON. Raises BidiError when it throws."""
        answer = await self._bidi.call(
            "script.callFunction",
            functionDeclaration=f"async args => JSON.stringify(await ({function})(...JSON.parse(args)) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(args)}],
            target={"context": self._context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise BidiError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    async def until(self, function: str, what: str, *args: Any) -> None:
        """Wait until that function in the page gives something true."""

        async def true() -> bool | None:
            return bool(await self.evaluate(function, *args)) or None

        await eventually(true, what, 60.0)

    async def picture(self) -> tuple[float, float, float, float]:
        """Where the guest's display is on the screen: x, y, width, height in px."""
        left, top, width, height = await self.evaluate(SHOWN)
        # The display is letterboxed into its element, centred.
        scale = min(width / self._display_px[0], height / self._display_px[1])
        shown = self._display_px[0] * scale, self._display_px[1] * scale
        return left + (width - shown[0]) / 2, top + (height - shown[1]) / 2, *shown

    async def on_screen(self, x_px: int, y_px: int) -> tuple[int, int]:
        """Where a pixel of the guest's display is on the screen, in px."""
        left, top, width, height = await self.picture()
        x, y = (x_px + 0.5) * width / self._display_px[0], (y_px + 0.5) * height / self._display_px[1]
        return int(left + x), int(top + y)


@asynccontextmanager
async def firefox(
    host: BrowserHost, origin: str, env: Mapping[str, str], folder: Path, display_px: tuple[int, int]
) -> AsyncIterator[FirefoxPage]:
    """Start Firefox on that host, full screen on the display that ``env`` names; ``folder`` takes profile and log."""
    profile = folder / "profile"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in _preferences(origin).items()]
    (profile / "user.js").write_text("\n".join(lines))
    with (folder / "firefox.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", host.name, "firefox-esr", "--no-remote", "--profile", str(profile)),
            *("--remote-debugging-port", "0", "--kiosk", "about:blank"),
            env={**env, "MOZ_CRASHREPORTER_DISABLE": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        port = await eventually(lambda: _port(profile), "Firefox's port", START_S)
        async with Bidi.connect(await _socket_in(host), port) as bidi:
            tree = await bidi.call("browsingContext.getTree", maxDepth=0)
            await bidi.call("script.addPreloadScript", functionDeclaration=KEEP_PEERS)
            yield FirefoxPage(bidi, tree["contexts"][0]["context"], display_px)
            await bidi.call("browser.close")
        async with asyncio.timeout(EXIT_S):
            await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _port(profile: Path) -> int | None:
    """Firefox says where it listens once it does."""
    try:
        return int(json.loads((profile / "WebDriverBiDiServer.json").read_text())["ws_port"])
    except (FileNotFoundError, json.JSONDecodeError):
        return None


async def _socket_in(host: BrowserHost) -> socket.socket:
    """A TCP socket of the browser's namespace, whose loopback Firefox listens on."""
    thread = NamespaceThread()
    await thread.start()
    try:
        namespace_fd = os.open(f"/run/netns/{host.name}", os.O_RDONLY)
        try:
            sock = await thread.run(namespace_fd, socket.socket, socket.socket.close)
        finally:
            os.close(namespace_fd)
    finally:
        await thread.close()
    sock.setblocking(False)
    return sock
