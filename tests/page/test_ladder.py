"""The ladder under faults of the network: UDP, TCP, noVNC and back, seen by pixels and by what the terminal reads.

Recovery times are printed (pytest -s) and not asserted: the machine that runs this decides about them too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser

from gateway.sessions.session import Session
from tests.e2e.browser_host import BrowserHost
from tests.e2e.guest import eventually
from tests.page.conftest import VIEWPORT
from tests.page.disturbed import PATCH, Opener, browser, opened, painter, times

__all__ = ["browser", "opened", "painter", "times"]

pytestmark = [pytest.mark.page, pytest.mark.timeout(200), pytest.mark.asyncio(loop_scope="module")]

CLIMB = "?transport=udp"
ROUNDS = int(os.environ.get("FENSTER_ROUNDS", "1"))
"""Of each fault; with three there is a median to print."""


@pytest.mark.parametrize(("fault", "path"), [("pass_udp", "udp"), ("drop_udp", "tcp"), ("drop_media", "ws")])
async def test_a_page_opens_by_the_best_path_there_is(
    browser_host: BrowserHost, opened: Opener, fault: str, path: str
) -> None:
    getattr(browser_host, fault)()
    for _ in range(ROUNDS):
        async with opened(path, f"opened by {path}") as desk:
            await desk.works()


@pytest.mark.parametrize(("fault", "path"), [("drop_udp", "tcp"), ("drop_media", "ws")])
async def test_the_next_rung_takes_over_and_the_best_comes_back(
    browser_host: BrowserHost, opened: Opener, fault: str, path: str
) -> None:
    for _ in range(ROUNDS):
        browser_host.pass_udp()
        async with opened("udp", "opened by udp") as desk:
            await desk.works()
            since = time.time()
            getattr(browser_host, fault)()
            await desk.timeline.live(path, since, f"udp dropped, to {path}")
            await desk.works()
            since = time.time()
            browser_host.pass_udp()
            await desk.timeline.live("udp", since, f"all restored, from {path} to udp", 60)
            await desk.works()


async def test_a_network_that_was_away_brings_the_picture_back(browser_host: BrowserHost, opened: Opener) -> None:
    for outage_s in (3, 8, *[3] * (ROUNDS - 1)):
        browser_host.pass_udp()
        async with opened("udp", "opened by udp") as desk:
            await desk.works()
            browser_host.drop_all()
            await desk.timeline.frozen()
            await asyncio.sleep(outage_s)  # The outage itself.
            since = time.time()
            browser_host.pass_udp()
            await desk.timeline.live("udp", since, "network away for some seconds, to live")
            await desk.works()
            # Where ICE found its way back by TCP first, the page climbs from there.
            assert [url for url in desk.offers if not url.endswith(CLIMB)] == [], "it came back by a new connection"


async def test_novnc_comes_back_when_the_network_does(browser_host: BrowserHost, opened: Opener) -> None:
    browser_host.drop_media()
    async with opened("ws", "opened by ws") as desk:
        await desk.works()
        browser_host.drop_all()
        await desk.timeline.frozen()
        since = time.time()
        browser_host.drop_media()
        await desk.timeline.live("ws", since, "noVNC: network away for some seconds, to live")
        await desk.works()


async def test_a_killed_agent_is_followed_by_the_next(
    browser_host: BrowserHost, opened: Opener, session: Session
) -> None:
    browser_host.pass_udp()
    for _ in range(ROUNDS):
        async with opened("udp", "opened by udp") as desk:
            await desk.works()
            since = time.time()
            os.kill(await agent_pid(session), signal.SIGKILL)
            await desk.timeline.live("udp", since, "agent killed, to udp")
            await desk.works()
            assert await desk.page.get_attribute("html", "data-control") == "me"


async def agent_pid(session: Session) -> int:
    """The agent's process as this namespace knows it."""
    inside = (await session.link.call("hello", {}))["agent"]["pid"]
    return await asyncio.to_thread(_pid_of, inside)


async def zygote_pid(session: Session) -> int:
    """Of the agent's, which ends an agent that stands still."""
    return await asyncio.to_thread(_zygote_of, await agent_pid(session))


def _zygote_of(agent: int) -> int:
    return [pid for pid in _ancestors(agent) if b"guest_agent" in Path(f"/proc/{pid}/cmdline").read_bytes()][-1]


def _pid_of(inside: int) -> int:
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = status.read_text()
            numbers = next(line.split()[1:] for line in text.splitlines() if line.startswith("NSpid:"))
            same = len(numbers) > 1 and int(numbers[-1]) == inside
            if same and os.getpid() in _ancestors(int(status.parent.name)):
                return int(status.parent.name)
    raise AssertionError(f"no process {inside} in the guest")


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        yield pid


async def test_two_tabs_do_not_fight(browser_host: BrowserHost, browser: Browser, opened: Opener) -> None:
    browser_host.pass_udp()
    context = await browser.new_context(viewport=VIEWPORT)  # type: ignore[arg-type]
    async with opened("udp", "opened by udp", context) as first:
        await first.viewer.controls("me")
        async with opened("udp", "opened by udp", context) as second:
            await second.viewer.controls("other")
            await first.works()
            await second.page.click("#deed")
            await first.page.click("#grant")
            await second.viewer.controls("me")
            await first.viewer.controls("other")
            await second.works()
            assert (await first.timeline.paths(), await second.timeline.paths()) == (["udp"], ["udp"])
        # Who is left is not left without.
        await first.viewer.controls("me")
        await first.works()
        assert await first.timeline.paths() == ["udp"]
    await context.close()


@pytest.mark.slow
async def test_a_tab_that_was_frozen_for_90_s_goes_on(browser_host: BrowserHost, opened: Opener) -> None:
    """What a browser does to tabs in the background: no script of the page runs."""
    browser_host.pass_udp()
    async with opened("udp", "opened by udp") as desk:
        await desk.works()
        cdp = await desk.page.context.new_cdp_session(desk.page)
        await cdp.send("Page.setWebLifecycleState", {"state": "frozen"})
        await asyncio.sleep(90)
        since = time.time()
        await cdp.send("Page.setWebLifecycleState", {"state": "active"})
        await desk.works()
        await desk.timeline.live("udp", 0.0, "")
        desk.timeline.note("tab frozen for 90 s, to seen and typed", time.time() - since)
        assert await desk.page.get_attribute("html", "data-control") == "me"


@pytest.mark.parametrize(
    ("fault", "path", "verdict"),
    [
        ("pass_udp", "udp", "Video comes the fastest way, by UDP."),
        ("drop_udp", "tcp", "This network lets no UDP through, so video comes by TCP"),
        ("drop_media", "ws", "This network lets no video through, neither by UDP nor by TCP"),
    ],
)
async def test_the_panel_says_what_gets_through(
    browser_host: BrowserHost, opened: Opener, session: Session, fault: str, path: str, verdict: str
) -> None:
    getattr(browser_host, fault)()
    async with opened(path, f"opened by {path}") as desk:
        await desk.page.click("#connection")
        await desk.page.click("text=Test again")
        await desk.page.wait_for_selector('#connection-panel button[aria-disabled="true"]')
        await desk.page.wait_for_selector('#connection-panel button[aria-disabled="false"]')
        said = await desk.page.text_content("#verdict")
        assert said is not None
        assert said.startswith(verdict), await desk.page.inner_text("#connection-panel")
        await desk.page.keyboard.press("Escape")
        await desk.viewer.click(*PATCH[:2])
        await desk.works()
        # The test's own peers have left.
        await eventually(lambda: one_viewer(session), "one viewer", 10)


async def one_viewer(session: Session) -> bool | None:
    return session.viewers == 1 or None
