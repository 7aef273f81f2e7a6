"""The relay goes and comes back on its port, knowing nothing; gateway, agent and their link live on."""

from __future__ import annotations

import time

import pytest

from gateway.dataplane import IceCredentials
from gateway.local_dataplane import LocalDataPlane
from gateway.relay.relay import Relay
from gateway.sessions.session import Session
from tests.e2e.browser_host import GATEWAY_IP, BrowserHost
from tests.e2e.gateway import Gateway
from tests.page.disturbed import Opener, browser, opened, painter, times

__all__ = ["browser", "opened", "painter", "times"]

pytestmark = [pytest.mark.page, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


async def restart(gateway: Gateway, session: Session) -> None:
    """Every socket and every mapping of the relay is another; the peers are let in again as the agent names them."""
    plane = gateway.serving.services.dataplane
    assert isinstance(plane, LocalDataPlane)
    await plane._relay.close()
    plane._relay = await Relay.open(plane.media_port, bind=[GATEWAY_IP])
    for peer in (await session.link.call("hello", {}))["peers"]:
        await plane.admit(session.id, IceCredentials(peer["ufrag"], peer["pwd"], peer["port"]))


@pytest.mark.parametrize(("fault", "path"), [("pass_udp", "udp"), ("drop_udp", "tcp")])
async def test_a_picture_survives_the_relay(
    browser_host: BrowserHost, opened: Opener, gateway: Gateway, session: Session, fault: str, path: str
) -> None:
    getattr(browser_host, fault)()
    async with opened(path, f"opened by {path}") as desk:
        await desk.works()
        link = session.link
        since = time.time()
        await restart(gateway, session)
        await desk.works()
        desk.timeline.note(f"relay restarted, to seen and typed by {path}", time.time() - since)
        assert session.link is link
        assert await desk.page.get_attribute("html", "data-control") == "me"
        assert await desk.timeline.paths() == [path]
        if path == "udp":
            assert desk.offers == [], "it came back by a new connection"
