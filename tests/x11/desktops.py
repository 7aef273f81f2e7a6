"""The whole gateway on the `process` driver: real sockets, a real desktop, no VM."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from playwright.async_api import Browser, async_playwright

from gateway.app import Serving, serving
from gateway.routes.api import viewer_token
from gateway.sessions.session import Session
from gateway.settings import Settings
from gateway.tokens import Role
from tests.e2e.browser_host import CHROMIUM_FLAGS

__all__ = ["Desktop", "local_chromium", "process_desktop"]


@dataclass(frozen=True)
class Desktop:
    """A session that is ready, and a client with the API key."""

    serving: Serving
    session: Session
    http: aiohttp.ClientSession

    def url(self, path: str = "") -> str:
        return f"{self.serving.url}/v1/sessions/{self.session.id}{path}"

    def viewer_url(self, role: Role = "control") -> str:
        return f"{self.serving.url}{viewer_token(self.serving.services, self.session.id, role=role).viewer_url}"

    async def run(self, command: str, *, root: bool = False) -> str:
        """A shell command in the desktop; what it prints. Raises AssertionError when it fails."""
        # The driver's "guest" has one user, and its home is the file service's.
        done = await self.session.exec(["sh", "-c", command], as_user=not root)
        assert done["code"] == 0, done
        return str(done["stdout"])


@contextlib.asynccontextmanager
async def process_desktop(state_dir: Path, *, host: str = "127.0.0.1", display: str = "") -> AsyncIterator[Desktop]:
    """Serve on a free port, with one session that is ready; of a desktop of its own unless ``display`` names one."""
    with tempfile.TemporaryDirectory(prefix="fproc-", dir="/tmp") as run_dir:  # short: socket paths end at 108 bytes
        settings = Settings(host=host, port=0, state_dir=state_dir, run_dir=Path(run_dir) / "r", driver="process",
                            insecure_http=True, reserve_memory_mib=0, reserve_disk_mib=0,
                            process_display=display)  # fmt: skip
        async with serving(settings) as gateway:
            session = await gateway.services.manager.create()
            async with asyncio.timeout(100):
                await session.wait_ready()
            headers = {"Authorization": f"Bearer {gateway.services.keys.api_key}"}
            async with aiohttp.ClientSession(headers=headers) as http:
                yield Desktop(gateway, session, http)
            await gateway.services.manager.destroy(session.id)


@contextlib.asynccontextmanager
async def local_chromium() -> AsyncIterator[Browser]:
    """On this host's own network, where the gateway's loopback address is secure."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", headless=True, args=CHROMIUM_FLAGS
        )
        yield browser
        await browser.close()
