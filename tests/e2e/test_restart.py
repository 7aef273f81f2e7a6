"""The gateway is killed under three live desktops, and the next one finds them (kill -9, real VMs, real Chromium)."""

from __future__ import annotations

import asyncio
import signal
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, Request

from tests.e2e.browser_host import GATEWAY_IP, BrowserHost, chromium
from tests.e2e.conftest import Transport
from tests.e2e.guest import Guest, eventually
from tests.e2e.killable import KillableGateway
from tests.e2e.viewer import Viewer
from tests.loopback.egress_world import served
from tests.loopback.relay_lan import LOOPBACK

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture
async def gateway(browser_host: BrowserHost, tmp_path: Path) -> AsyncIterator[KillableGateway]:
    browser_host.pass_udp()
    with tempfile.TemporaryDirectory(prefix="fe2e-", dir="/tmp") as run_dir:
        with socket.socket() as probe:
            probe.bind((GATEWAY_IP, 0))
            port = probe.getsockname()[1]
        made = KillableGateway(GATEWAY_IP, port, tmp_path, Path(run_dir))
        await made.start()
        try:
            yield made
        finally:
            await made.close()
            assert made.left() == []


async def viewer_of(page: Page, gateway: KillableGateway, sid: str, transport: Transport) -> Viewer:
    token = await gateway.call("POST", f"/v1/sessions/{sid}/tokens", {"role": "control"})
    viewer = await Viewer.open(page, gateway.origin + token["viewer_url"], transport, (1280, 720))
    await viewer.controls()
    return viewer


async def type_and_find(viewer: Viewer, guest: Guest, name: str) -> None:
    """Have the shell in the terminal make a file, through the viewer alone."""
    rect = await eventually(lambda: guest.window("xfce4-terminal"), "a terminal", 120)
    await viewer.click(*rect.centre)
    await eventually(lambda: guest.has_focus("xfce4-terminal"), "the focus")
    await viewer.type(f"{name}=typed; touch /tmp/{name}\n", 20)
    await eventually(lambda: guest.read(f"/tmp/{name}"), name)


async def test_viewers_go_on_when_the_gateway_is_killed(gateway: KillableGateway, browser_host: BrowserHost) -> None:
    async with ticking() as proxy:
        await go_on(gateway, browser_host, proxy)


async def go_on(gateway: KillableGateway, browser_host: BrowserHost, proxy: str) -> None:
    sids = [(await gateway.call("POST", "/v1/sessions", {"proxy": proxy}))["id"] for _ in range(3)]
    for sid in sids:
        await gateway.until(sid, "ready")
    # A desktop that still starts its programs would draw by itself.
    for sid in sids:
        await gateway.until(sid, "ready", "complete", 180)
    udp, tcp, unseen = sids
    async with chromium(browser_host, gateway.origin) as browser:
        page, other = await browser.new_page(), await browser.new_page()
        await other.add_init_script("delete window.RTCPeerConnection")
        by_udp = await viewer_of(page, gateway, udp, "webrtc")
        await type_and_find(by_udp, Guest(gateway.link(udp)), "before")
        await viewer_of(other, gateway, tcp, "novnc")
        await page.evaluate("window.mark = 'kept'")
        offers: list[str] = []

        def note(request: Request) -> None:
            if request.method == "POST" and "/whep" in request.url:
                offers.append(request.url)

        page.on("request", note)
        answer = Answer(Guest(gateway.link(unseen)))
        await answer.begin()
        plane = gateway.data_plane()
        await gateway.kill(signal.SIGKILL)
        assert len(gateway.processes()) == 3
        await gateway.start()
        assert gateway.recovered == dict.fromkeys(sids, "ready")
        assert gateway.data_plane() == plane
        await answer.goes_on(Guest(gateway.link(unseen)))
        guest = Guest(gateway.link(udp))
        # The shell that was open still knows what was typed into it before.
        await by_udp.type("echo $before > /tmp/after\n", 20)

        async def after() -> str | None:
            # Made empty first, then written.
            return await guest.read("/tmp/after") or None

        assert await eventually(after, "what was typed before") == "typed\n"
        await page.wait_for_selector('html[data-transport="webrtc"][data-picture="live"]', state="attached")
        await by_udp.controls()
        # The page is the one that was there, and so is its connection: none of it went through the process that died.
        await by_udp.type("echo $before > /tmp/later\n", 20)
        await eventually(lambda: guest.read("/tmp/later"), "what was typed afterwards")
        assert await page.evaluate("window.mark") == "kept"
        assert offers == []
        await other.wait_for_selector('html[data-transport="novnc"][data-painted="true"]', state="attached")
        await eventually(lambda: watched(gateway, tcp), "the noVNC viewer is back", 60)
    assert (await gateway.call("GET", f"/v1/sessions/{unseen}"))["state"] == "ready"


@asynccontextmanager
async def ticking() -> AsyncIterator[str]:
    """A proxy whose every answer is a line each tenth of a second, for ever: as a model's answer comes to a CLI."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"5\r\ntick\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with served(serve) as port:
        yield f"http://{LOOPBACK}:{port}"


class Answer:
    """A long answer that a program in the guest reads through its proxy."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    async def begin(self) -> None:
        command = "curl -sN -o /tmp/answer http://answers.example/ & echo $! > /tmp/curl"
        await self._guest.run("sh", "-lc", f"({command}) </dev/null >/dev/null 2>&1")
        await eventually(lambda: self._longer_than(self._guest, 10), "the answer has begun")

    async def goes_on(self, guest: Guest) -> None:
        """The same program still reads the same answer."""
        length = await self._longer_than(guest, 0) or 0
        await eventually(lambda: self._longer_than(guest, length + 50), "the answer goes on")
        pid = (await guest.run("cat", "/tmp/curl")).strip()
        assert (await guest.run("cat", f"/proc/{pid}/comm")).strip() == "curl"

    async def _longer_than(self, guest: Guest, count: int) -> int | None:
        found = len(await guest.read("/tmp/answer") or "")
        return found if found > count else None


async def watched(gateway: KillableGateway, sid: str) -> bool | None:
    return (await gateway.call("GET", f"/v1/sessions/{sid}"))["viewers"] == 1 or None


@pytest.mark.parametrize("what", ["create", "suspend", "resume", "fork", "rm"])
async def test_a_kill_in_the_middle_leaves_nothing_half_there(gateway: KillableGateway, what: str) -> None:
    sid = (await gateway.call("POST", "/v1/sessions", headers={"Idempotency-Key": "once"}))["id"]
    if what != "create":
        await gateway.until(sid, "ready")
        await Guest(gateway.link(sid)).write("/tmp/kept", "kept")
    if what == "resume":
        await gateway.call("POST", f"/v1/sessions/{sid}/suspend")
        await gateway.until(sid, "suspended")
    doing = None
    match what:
        case "suspend" | "resume":
            await gateway.call("POST", f"/v1/sessions/{sid}/{what}")
        case "fork":
            doing = asyncio.create_task(gateway.call("POST", f"/v1/sessions/{sid}/fork"))
            await eventually(lambda: is_stopped_for_a_fork(gateway), "the fork has begun")
        case "rm":
            doing = asyncio.create_task(gateway.call("DELETE", f"/v1/sessions/{sid}"))
            await eventually(lambda: is_ending(gateway, sid), "the end has begun")
        case _:
            pass
    await gateway.kill(signal.SIGKILL)
    if doing is not None:
        await asyncio.gather(doing, return_exceptions=True)
    await gateway.start()

    views = {view["id"]: view for view in (await gateway.call("GET", "/v1/sessions"))["sessions"]}
    match what:
        case "create":
            assert views[sid]["state"] == "failed"
            assert "killed" in views[sid]["error"]["message"]
            again = await gateway.call("POST", "/v1/sessions", headers={"Idempotency-Key": "once"})
            assert again["id"] == sid
            assert gateway.left() == []
        case "rm":
            assert views == {}
            assert gateway.left() == []
            await gateway.call("DELETE", f"/v1/sessions/{sid}")
        case _:
            assert set(views) == {sid}
            if views[sid]["state"] == "suspended":
                await gateway.call("POST", f"/v1/sessions/{sid}/resume")
            view = await gateway.until(sid, "ready")
            assert view["notice"] == ""
            assert await Guest(gateway.link(sid)).read("/tmp/kept") == "kept"
            assert len(gateway.processes()) == 1


async def is_stopped_for_a_fork(gateway: KillableGateway) -> bool | None:
    return gateway.machines() == 2 or None


async def is_ending(gateway: KillableGateway, sid: str) -> bool | None:
    states = {view["id"]: view["state"] for view in (await gateway.call("GET", "/v1/sessions"))["sessions"]}
    return states.get(sid) in ("stopping", None) or None
