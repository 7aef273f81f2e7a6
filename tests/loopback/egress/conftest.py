"""What the tests of the sessions' proxies begin with, and that nothing is left of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.leaks import footprint, grown
from tests.loopback.egress_world import VM, Gateway, ScriptedUpstream, Web, gateway, served


@pytest.fixture(autouse=True)
async def _nothing_is_left() -> AsyncIterator[None]:
    await asyncio.to_thread(int)
    before = footprint()
    yield
    assert grown(before, footprint()) == {}


@pytest.fixture
async def web() -> AsyncIterator[tuple[Web, int]]:
    made = Web()
    async with served(made.serve) as port:
        yield made, port


@pytest.fixture
async def upstream(web: tuple[Web, int]) -> AsyncIterator[tuple[ScriptedUpstream, int]]:
    made = ScriptedUpstream(web[1])
    async with served(made.serve) as port:
        yield made, port


@pytest.fixture
async def world(upstream: tuple[ScriptedUpstream, int]) -> AsyncIterator[Gateway]:
    async with gateway() as made:
        await made.start(VM, f"http://anna:pa%3Ass@127.0.0.1:{upstream[1]}")
        yield made
