"""Fixtures: a desktop of its own with a terminal on it, and a Chromium beside it, for a whole module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.guest import Guest, eventually
from tests.x11.desktops import Desktop, local_chromium, process_desktop

__all__ = ["browser", "desktop"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desktop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desktop]:
    async with process_desktop(tmp_path_factory.mktemp("state")) as desktop:
        guest = Guest(desktop.session.link)
        await eventually(lambda: guest.window("xfce4-terminal"), "the terminal", 60)
        yield desktop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with local_chromium() as browser:
        yield browser
