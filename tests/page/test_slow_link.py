"""A slow line (1 Mb/s, round trip 150 ms) carries each rung, and is not taken for an interrupted one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.e2e.browser_host import BrowserHost
from tests.e2e.slow_cable import SlowBrowserHost
from tests.lossy_link import Impairment
from tests.page.disturbed import Opener, browser, opened, painter, times

__all__ = ["browser", "opened", "painter", "times"]

pytestmark = [pytest.mark.page, pytest.mark.timeout(300), pytest.mark.asyncio(loop_scope="module")]

LINE = Impairment(rate_bps=1e6, delay_s=0.075)


@pytest.fixture(scope="module")
def browser_host() -> Iterator[BrowserHost]:
    with contextlib.closing(SlowBrowserHost(LINE)) as host:
        yield host


@pytest.mark.parametrize(("fault", "path"), [("pass_udp", "udp"), ("drop_udp", "tcp"), ("drop_media", "ws")])
async def test_each_rung_works_over_it(browser_host: BrowserHost, opened: Opener, fault: str, path: str) -> None:
    getattr(browser_host, fault)()
    async with opened(path, f"slow line: opened by {path}") as desk:
        for _ in range(5):
            await desk.works()
        assert await desk.timeline.paths() == [path]
        assert await desk.timeline.gaps() == 0


async def test_the_next_rung_takes_over_on_it_too(browser_host: BrowserHost, opened: Opener) -> None:
    browser_host.pass_udp()
    async with opened("udp", "slow line: opened by udp") as desk:
        await desk.works()
        since = time.time()
        browser_host.drop_udp()
        await desk.timeline.live("tcp", since, "slow line: udp dropped, to tcp")
        await desk.works()
        since = time.time()
        browser_host.pass_udp()
        await desk.timeline.live("udp", since, "slow line: all restored, from tcp to udp", 60)
        await desk.works()
