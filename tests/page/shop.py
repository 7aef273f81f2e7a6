"""Fixtures: a product's server that embeds the desktop, and a browser on its pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession
from playwright.async_api import BrowserContext

from gateway.sessions.session import Session
from tests.e2e.gateway import Gateway
from tests.page.conftest import Show
from tests.page.embedding import SHOP, Embedded, Site, Way, browsing, example_site, site
from tests.x11.desk import Terminal

__all__ = ["Owner", "context", "embedded", "owner", "webrtc_only"]

WAYS: tuple[Way, ...] = ("class", "element", "iframe")
webrtc_only = pytest.mark.parametrize("show", ["webrtc"], indirect=True)


@dataclass
class Owner:
    """The product's server, which has the API key."""

    gateway: Gateway
    session: Session
    shop: Site

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        key = self.gateway.serving.services.keys.api_key
        async with (
            ClientSession(headers={"Authorization": f"Bearer {key}"}) as http,
            http.request(method, f"{self.gateway.origin}/v1/sessions/{self.session.id}{path}", json=body) as answer,
        ):
            assert answer.ok, await answer.text()
            return await answer.json()

    async def address(self, kind: str = "tickets") -> str:
        made = await self.call("POST", f"/{kind}", {"origins": [self.shop.origin]})
        return str(self.gateway.origin + made["embed_url"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(gateway: Gateway, session: Session) -> AsyncIterator[Owner]:
    async with site(SHOP, example_site(gateway, session)) as shop:
        yield Owner(gateway, session, shop)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def context(
    owner: Owner, show: Show, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[BrowserContext]:
    secure = [owner.gateway.origin, owner.shop.origin]
    async with browsing(show.host, tmp_path_factory.mktemp("profile") / "own", secure) as context:
        yield context


@pytest_asyncio.fixture(loop_scope="module", params=WAYS)
async def embedded(
    request: pytest.FixtureRequest, owner: Owner, context: BrowserContext, terminal: Terminal
) -> AsyncIterator[Embedded]:
    embedded = await Embedded.open(context, owner.shop, request.param)
    yield embedded
    await embedded.page.close()
