"""Who types while the network changes loses not a key, and needs not wait (input/unheard.ts, taken.py)."""

from __future__ import annotations

import asyncio
import itertools
import string
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.e2e.browser_host import BrowserHost
from tests.page.disturbed import Desk, Opener, browser, opened, painter, times

__all__ = ["browser", "opened", "painter", "times"]

pytestmark = [pytest.mark.page, pytest.mark.timeout(200), pytest.mark.asyncio(loop_scope="module")]

KEYS_HZ = 20
MOST_TWICE = 4
"""noVNC cannot ask what the agent took: what it took and could not say any more comes again. The keys of 0.2 s.
Nor does WebRTC wait for what x11vnc still does, so their order is not promised across that change."""


@asynccontextmanager
async def typing(desk: Desk) -> AsyncIterator[list[str]]:
    """Letters in turn, all the while; the list is what was typed so far."""
    typed: list[str] = []
    over = asyncio.Event()

    async def type_on() -> None:
        for letter in itertools.cycle(string.ascii_lowercase):
            await desk.viewer.type(letter)
            typed.append(letter)
            try:
                await asyncio.wait_for(over.wait(), 1 / KEYS_HZ)
            except TimeoutError:
                continue
            return

    task = asyncio.create_task(type_on())
    try:
        yield typed
    finally:
        over.set()
        await task


async def test_typing_goes_on_from_udp_to_tcp_and_back(browser_host: BrowserHost, opened: Opener) -> None:
    browser_host.pass_udp()
    async with opened("udp", "opened by udp") as desk:
        before = await desk.works()
        async with typing(desk) as typed:
            since = time.time()
            browser_host.drop_udp()
            await desk.timeline.live("tcp", since, "typing: udp dropped, to tcp")
            since = time.time()
            browser_host.pass_udp()
            await desk.timeline.live("udp", since, "typing: all restored, from tcp to udp", 60)
        await all_arrived(desk, before + "".join(typed), before)
        await desk.works()


async def test_typing_goes_on_from_webrtc_to_novnc(browser_host: BrowserHost, opened: Opener) -> None:
    browser_host.pass_udp()
    async with opened("udp", "opened by udp") as desk:
        before = await desk.works()
        async with typing(desk) as typed:
            since = time.time()
            browser_host.drop_media()
            await desk.timeline.live("ws", since, "typing: udp dropped, to ws")
        await all_arrived(desk, before + "".join(typed), before)


async def all_arrived(desk: Desk, text: str, before: str) -> None:
    """``text``, of which ``before`` has been read, has arrived: as it is, unless noVNC had a part in it."""
    end = "END"
    await desk.viewer.type(end)
    read = (before + await desk.reads_until(end)).removesuffix(end)
    paths = await desk.timeline.paths()
    if "ws" not in paths:
        assert read == text, paths
        return
    missing, again = Counter(text) - Counter(read), Counter(read) - Counter(text)
    assert not missing, f"{read!r} for {text!r} by {paths}"
    assert again.total() <= MOST_TWICE, f"{read!r} for {text!r} by {paths}"
