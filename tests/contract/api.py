"""The HTTP API on doubles, reached through a real socket on the loopback address."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from gateway.edge.apikeys import ApiKey
from gateway.edge.keystore import Keyring
from gateway.keyfiles import Keys, operator_key
from gateway.routes.api import viewer_token
from gateway.routes.application import make_application
from gateway.routes.limits import SERVER
from gateway.routes.middleware import PROBLEM_TYPE
from gateway.routes.services import Services
from gateway.sessions.session import Session
from gateway.signaling.candidates import TcpReach
from gateway.tokens import Role
from tests.sessions import Stage

__all__ = ["Api", "api_on"]

KEYS = Keys("fenster_" + "k" * 40, b"s" * 64, created=False)


@dataclass
class Clock:
    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Api:
    """A client of the gateway, with what stands behind it."""

    stage: Stage
    services: Services
    client: TestClient[Request, Application]
    clock: Clock
    admin: Mapping[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {KEYS.api_key}"})

    def viewer(self, session: Session, role: Role = "control", **more: Any) -> dict[str, str]:
        """Headers of a viewer of this session."""
        return {"Authorization": f"Bearer {self.token(session, role, **more)}"}

    def token(self, session: Session, role: Role = "control", **more: Any) -> str:
        return viewer_token(self.services, session.id, role=role, **more).token

    async def call(self, method: str, path: str, status: int, **more: Any) -> ClientResponse:
        """A call as the API's owner; the status is checked."""
        response = await self.client.request(method, path, headers={**self.admin, **more.pop("headers", {})}, **more)
        assert response.status == status, await response.text()
        return response

    async def refused(self, method: str, path: str, status: int, kind: str, **more: Any) -> dict[str, Any]:
        """A call as whom ``headers`` say (nobody, without); the problem it is answered with."""
        response = await self.client.request(method, path, **more)
        assert response.status == status, await response.text()
        assert response.content_type == PROBLEM_TYPE
        problem: dict[str, Any] = await response.json()
        assert (problem["type"], problem["status"]) == (f"urn:fenster:{kind}", status)
        assert problem["detail"]
        return problem


class _Server(TestServer):
    """With the gateway's own limits."""

    async def _make_runner(self, **kwargs: Any) -> Any:
        return await super()._make_runner(**{**SERVER, **kwargs})


@asynccontextmanager
async def api_on(
    tmp_path: Path,
    tcp: TcpReach | None = None,
    *,
    keys: Sequence[ApiKey] = (),
    more: Mapping[str, Any] | None = None,
    **stage_options: Any,
) -> AsyncIterator[Api]:
    """An API that leaves nothing behind.

    Args:
        keys: besides the operator's.
        more: services.
    """
    stage = Stage(tmp_path / "run", tmp_path / "logs", **stage_options)
    clock = Clock()
    services = Services(
        manager=stage.manager,
        whep=stage.whep,
        dataplane=stage.dataplane,
        keys=KEYS,
        keyring=Keyring(None, keys=[operator_key(KEYS.api_key, clock.now), *keys], clock=clock),
        facts=stage.driver.check,
        room=lambda: stage.room,
        host_addresses=lambda: ["127.0.0.1", "203.0.113.7"],
        static_dir=tmp_path / "static",
        tcp=tcp,
        clock=clock,
        **(more or {}),
    )
    async with TestClient(_Server(make_application(services), shutdown_timeout=5)) as client:
        yield Api(stage, services, client, clock)
    async with asyncio.timeout(5):
        await stage.manager.close()
    assert stage.left() == []
