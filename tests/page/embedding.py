"""Other people's pages around a desktop: each on a site of its own, as their browsers see it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aiohttp import web
from playwright.async_api import BrowserContext, Frame, Page, Request, TimeoutError, async_playwright

from gateway.sessions.session import Session
from tests.e2e.browser_host import CHROMIUM_FLAGS, GATEWAY_IP, BrowserHost
from tests.e2e.gateway import Gateway
from tests.e2e.viewer import SAME_VIEWER

__all__ = ["EVIL", "SHOP", "VIEWPORT", "Embedded", "Site", "Way", "browsing", "example_site", "site"]

EXAMPLES = Path(__file__).resolve().parents[2] / "web/examples"
SHOP, EVIL = "shop.test", "evil.test"
"""Their sites, so that to the browser the gateway's cookies and storage in a frame are a third party's."""
VIEWPORT = {"width": 1280, "height": 900}
PATIENCE_MS = 60_000
"""A page that was torn away keeps control until its agent has missed it: 30 s (RFC 7675 5.1)."""

Way = Literal["class", "element", "iframe"]


@dataclass(frozen=True)
class Site:
    """A web server of somebody else's."""

    name: str
    port: int

    @property
    def origin(self) -> str:
        return f"http://{self.name}:{self.port}"


@contextlib.asynccontextmanager
async def site(name: str, app: web.Application) -> AsyncIterator[Site]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        tcp = web.TCPSite(runner, GATEWAY_IP, 0)
        await tcp.start()
        yield Site(name, runner.addresses[0][1])
    finally:
        await runner.cleanup()


def example_site(gateway: Gateway, session: Session, *, headers: Mapping[str, str] | None = None) -> web.Application:
    """What web/examples/host.py serves; ``headers`` come on top."""
    spec = importlib.util.spec_from_file_location("example_host", EXAMPLES / "host.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    key = gateway.serving.services.keys.api_key
    app: web.Application = module.make_host(gateway.origin, session.id, key)

    async def add(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(headers or {})

    app.on_response_prepare.append(add)
    return app


@contextlib.asynccontextmanager
async def browsing(
    host: BrowserHost, profile: Path, secure: list[str], preferences: dict[str, Any] | None = None
) -> AsyncIterator[BrowserContext]:
    """Chromium with that profile on that host; ``secure`` origins count as if they had TLS."""
    (profile / "Default").mkdir(parents=True)
    (profile / "Default/Preferences").write_text(json.dumps({"profile": preferences or {}}))
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            profile,
            executable_path=str(host.launcher),
            headless=True,
            viewport=VIEWPORT,  # type: ignore[arg-type]
            args=[
                *CHROMIUM_FLAGS,
                f"--host-resolver-rules=MAP *.test {GATEWAY_IP}",
                f"--unsafely-treat-insecure-origin-as-secure={','.join(secure)}",
            ],
        )
        try:
            yield context
        finally:
            await context.close()


# How each page is told to do something; the plain iframe's page has no more than the protocol.
COMMANDS: dict[str, str] = {
    "connect": "connect()",
    "disconnect": "disconnect()",
    "setReadOnly": "setReadOnly(fields.readOnly)",
    "requestControl": "requestControl()",
    "releaseControl": "releaseControl()",
    "resize": "resize(fields.width, fields.height)",
    "paste": "paste(fields.content.text ?? new Blob([fields.content.png]))",
    "sendKeys": "sendKeys(...fields.keys)",
}
SCREENSHOT = {
    "plain": "() => send('screenshot').then(({picture}) => new Blob([picture.png]))",
    "package": "() => desktop.screenshot()",
}
SIZE_OF = (
    "async (take) => { const image = await createImageBitmap(await take()); return [image.width, image.height]; }"
)


class Embedded:
    """A page of the example site, with a desktop in it."""

    def __init__(self, page: Page, way: Way) -> None:
        self.page = page
        self.way = way
        self._awaiting = asyncio.Event()
        page.on("request", self._note)

    @classmethod
    async def open(cls, context: BrowserContext, site: Site, way: Way) -> Embedded:
        page = await context.new_page()
        embedded = cls(page, way)
        await page.add_init_script(SAME_VIEWER)
        await page.goto(f"{site.origin}/{way}.html")
        await embedded.event("transport", painted=True)
        return embedded

    async def reload(self) -> None:
        """Load the frame again, and wait for its picture."""
        since = len(await self.events())
        await self.frame.evaluate("() => { location.reload(); }")
        await self.event("ready", since)
        await self.event("transport", since, painted=True)

    async def awaits_copies(self) -> None:
        """Until the frame, by noVNC, has heard what is on the clipboard and waits for what comes next."""
        async with asyncio.timeout(PATIENCE_MS / 1000):
            await self._awaiting.wait()

    def _note(self, request: Request) -> None:
        if request.url.endswith("/clipboard") and "prefer" in request.headers:
            self._awaiting.set()

    async def look(self) -> None:
        """Have the frame ask for the session now, as after a change of the network, and not within 5 s."""
        await self.frame.evaluate("() => { dispatchEvent(new Event('online')); }")

    @property
    def frame(self) -> Frame:
        return self.page.frames[1]

    async def command(self, type_: str, **fields: Any) -> None:
        """Resolves when the frame has answered that it is done; fails as the command does."""
        if self.way == "iframe":
            await self.page.evaluate("([type, fields]) => send(type, fields).then(() => null)", [type_, fields])
        else:
            await self.page.evaluate(f"fields => desktop.{COMMANDS[type_]}", fields)

    async def screenshot(self) -> tuple[int, int]:
        """Width and height in px of the PNG that comes."""
        take = SCREENSHOT["plain" if self.way == "iframe" else "package"]
        width, height = await self.page.evaluate(f"() => ({SIZE_OF})({take})")
        return width, height

    async def event(self, type_: str, since: int = 0, **wanted: Any) -> dict[str, Any]:
        """The last event of that type, as soon as it has these values; only those after the first ``since`` count."""
        deadline = asyncio.get_running_loop().time() + PATIENCE_MS / 1000
        while True:
            events = await self.events()
            told = [event for event in events[since:] if event["type"] == type_]
            if told and wanted.items() <= told[-1].items():
                return told[-1]
            left_ms = (deadline - asyncio.get_running_loop().time()) * 1000
            with contextlib.suppress(TimeoutError):
                another = f"#log li:nth-child({len(events) + 1})"
                await self.page.wait_for_selector(another, state="attached", timeout=max(left_ms, 1))
                continue
            last = [event for event in events if event["type"] != "stats"]
            raise AssertionError(f"no {type_} with {wanted} came; the last were {last[-8:]}")

    async def events(self) -> list[dict[str, Any]]:
        """All so far."""
        return [json.loads(line) for line in await self.page.locator("#log li").all_text_contents()]

    async def types(self) -> set[str]:
        """Of all events so far."""
        return {event["type"] for event in await self.events()}
