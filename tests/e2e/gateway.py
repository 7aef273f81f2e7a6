"""The whole gateway in the test's own loop: real sockets, real VMs; the test can look into its sessions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.app import Serving, serving
from gateway.sessions.manager import SessionManager
from gateway.settings import Settings
from gateway.tokens import Role, mint

__all__ = ["Gateway", "running_gateway"]


@dataclass(frozen=True)
class Gateway:
    serving: Serving
    origin: str
    """Scheme, address and port as the browser sees them."""

    @property
    def manager(self) -> SessionManager:
        return self.serving.services.manager

    def viewer_url(self, sid: str, role: Role) -> str:
        keys = self.serving.services.keys
        token, _ = mint(keys.signing_key, sid=sid, role=role, now=time.time(), lifetime_s=3600)
        return f"{self.origin}/s/{sid}#token={token}"


@contextlib.asynccontextmanager
async def running_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    async with serving(settings) as running:
        yield Gateway(running, running.url)
