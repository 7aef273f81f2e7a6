"""A desktop in another origin's page: by class, by custom element, by plain iframe."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from playwright.async_api import BrowserContext, Error, Request, Route

from tests.e2e.browser_host import BrowserHost
from tests.e2e.gateway import Gateway
from tests.page.conftest import DISPLAY_PX, Show
from tests.page.embedding import SHOP, VIEWPORT, Embedded, browsing, example_site, site
from tests.page.shop import Owner, context, embedded, owner, webrtc_only
from tests.x11.conftest import XServer
from tests.x11.desk import Terminal

__all__ = ["context", "embedded", "owner"]

pytestmark = [pytest.mark.page, pytest.mark.timeout(170), pytest.mark.asyncio(loop_scope="module")]

EVENTS = {"ready", "state", "transport", "stats", "clipboard", "control", "closing", "closed"}
PASTE = {"chord": ["Control", "Shift", "v"]}
"""In a terminal."""


async def test_every_command_is_done_and_every_event_is_told(
    embedded: Embedded, show: Show, owner: Owner, terminal: Terminal, screen: XServer
) -> None:
    await embedded.event("control", controller="me", role="control", readOnly=False)

    typed = f"echo {embedded.way}"
    await embedded.command("sendKeys", keys=[{"text": typed}, {"chord": ["Enter"]}])
    assert await asyncio.to_thread(terminal.read, len(typed) + 1) == typed + "\r"

    pasted = f"päste by {embedded.way} and {show.transport}"
    await embedded.command("paste", content={"kind": "text", "text": pasted})
    await embedded.command("sendKeys", keys=[PASTE])
    assert await asyncio.to_thread(terminal.read, len(pasted)) == pasted

    await embedded.command("setReadOnly", readOnly=True)
    await embedded.event("control", controller="me", readOnly=True)
    with pytest.raises(Error, match="does not control"):
        await embedded.command("sendKeys", keys=[{"text": "lost"}])
    await embedded.command("setReadOnly", readOnly=False)
    await embedded.event("control", controller="me", readOnly=False)

    await embedded.command("releaseControl")
    await embedded.event("control", controller="nobody")
    with pytest.raises(Error, match="does not control"):
        await embedded.command("sendKeys", keys=[{"text": "lost"}])
    await embedded.command("requestControl")
    await embedded.event("control", controller="me")
    await embedded.command("sendKeys", keys=[{"text": "kept"}])
    assert await asyncio.to_thread(terminal.read, 4) == "kept"

    for size in ((1024, 640), DISPLAY_PX):
        await embedded.command("resize", width=size[0], height=size[1])
        await embedded.event("stats", width=size[0], height=size[1])
    assert await embedded.screenshot() == DISPLAY_PX

    await embedded.page.bring_to_front()
    await embedded.frame.locator("#keys").focus()
    if show.transport == "novnc":
        await embedded.awaits_copies()
    copied = f"cöpied for {embedded.way} and {show.transport}"
    copy = ["xclip", "-i", "-selection", "clipboard"]
    await asyncio.to_thread(subprocess.run, copy, input=copied.encode(), check=True, env=screen.env, timeout=20)
    await embedded.event("clipboard", content={"kind": "text", "text": copied})

    await owner.call("PATCH", "", {"ttl_s": 100})
    await embedded.look()
    warned = await embedded.event("closing", reason="ttl", action="stop")
    assert warned["deadline"] / 1000 == pytest.approx(owner.session.lifetime.ends_at)
    await owner.call("PATCH", "", {"ttl_s": None})
    await embedded.look()
    await embedded.event("closing", deadline=None)

    await embedded.command("disconnect")
    await embedded.event("closed", reason="disconnected")
    assert await embedded.frame.locator("#panel h1").text_content() == "Disconnected"
    await embedded.command("connect")
    await embedded.event("transport", transport=show.transport, painted=True)
    assert await embedded.types() == EVENTS


@webrtc_only
async def test_a_viewer_that_may_only_look_for_now_does_not_resize_the_desktop(embedded: Embedded) -> None:
    """Its window's size is input too."""

    async def narrowed(width: int) -> None:
        await embedded.page.set_viewport_size({"width": width, "height": 900})
        await embedded.frame.wait_for_function("width => innerWidth <= width", arg=width)

    async def displayed(since: int = 0) -> tuple[int, int]:
        stats = await embedded.event("stats", since)
        return stats["width"], stats["height"]

    await embedded.event("control", controller="me", readOnly=False)
    fit = embedded.frame.locator("#fit")
    press = "button => { button.click(); }"  # The bar it is on hides itself.
    await fit.evaluate(press)
    window = await embedded.frame.evaluate("[stage.clientWidth & ~1, stage.clientHeight & ~1]")
    await embedded.event("stats", width=window[0], height=window[1])
    await embedded.command("setReadOnly", readOnly=True)
    await embedded.event("control", readOnly=True)
    assert await fit.evaluate("button => button.hidden")
    await narrowed(1000)
    # A second and more after the window changed, and no call was made.
    for _ in range(3):
        assert await displayed(len(await embedded.events())) == tuple(window)
    await embedded.command("setReadOnly", readOnly=False)
    window = await embedded.frame.evaluate("[stage.clientWidth & ~1, stage.clientHeight & ~1]")
    await embedded.event("stats", width=window[0], height=window[1])
    await fit.evaluate(press)
    await embedded.page.set_viewport_size(VIEWPORT)  # type: ignore[arg-type]
    await embedded.command("resize", width=DISPLAY_PX[0], height=DISPLAY_PX[1])
    await embedded.event("stats", width=DISPLAY_PX[0], height=DISPLAY_PX[1])


async def test_what_cannot_be_done_says_why(embedded: Embedded) -> None:
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("resize", {"width": 10, "height": 10}, "width of 320"),
        ("sendKeys", {"keys": [{"chord": ["Banana"]}]}, "no key named"),
        ("sendKeys", {"keys": [{"chord": []}]}, "each a chord or a text"),
    ]
    for type_, fields, why in calls:
        with pytest.raises(Error, match=why):
            await embedded.command(type_, **fields)


@webrtc_only
async def test_what_is_typed_into_the_frame_arrives(embedded: Embedded, terminal: Terminal) -> None:
    await embedded.event("control", controller="me")
    await embedded.frame.locator("#keys").focus()
    await embedded.page.keyboard.type("by hand")
    assert await asyncio.to_thread(terminal.read, 7) == "by hand"


# Credentials.


@webrtc_only
async def test_nothing_that_opens_stays_in_the_frames_address(embedded: Embedded) -> None:
    assert "#" not in embedded.frame.url
    assert "ticket" not in embedded.frame.url


@webrtc_only
async def test_a_frame_that_is_loaded_again_goes_on(embedded: Embedded) -> None:
    await embedded.reload()


@webrtc_only
async def test_a_desktop_whose_token_has_expired_goes_on_by_a_new_address(
    context: BrowserContext, owner: Owner
) -> None:
    """The first address is stale: its ticket was exchanged by somebody before."""
    stale = await owner.address()
    ticket = stale.partition("#ticket=")[2]
    async with ClientSession(headers={"Authorization": f"Bearer {ticket}"}) as http:
        assert (await http.post(f"{owner.gateway.origin}/v1/tickets/exchange")).status == 201
    page = await context.new_page()
    asked = []

    async def answer(route: Route, request: Request) -> None:
        asked.append(request)
        await route.fulfill(json={"url": stale if len(asked) == 1 else await owner.address()})

    await page.route("**/desktop", answer)
    await page.goto(f"{owner.shop.origin}/class.html")
    embedded = Embedded(page, "class")
    await embedded.event("transport", painted=True)
    assert len(asked) == 2
    assert "closed" not in await embedded.types()
    await page.close()


@webrtc_only
async def test_a_ticket_that_was_used_opens_nothing_and_says_so(context: BrowserContext, owner: Owner) -> None:
    stale = await owner.address()
    async with ClientSession(headers={"Authorization": f"Bearer {stale.partition('#ticket=')[2]}"}) as http:
        assert (await http.post(f"{owner.gateway.origin}/v1/tickets/exchange")).status == 201
    page = await context.new_page()
    await page.route("**/desktop", lambda route: route.fulfill(json={"url": stale}))
    await page.goto(f"{owner.shop.origin}/iframe.html")
    closed = await Embedded(page, "iframe").event("closed")
    assert closed["reason"] == "unauthorized"
    assert "used already" in closed["detail"]
    await page.close()


@webrtc_only
@pytest.mark.parametrize("page_name", ["s", "embed"])
async def test_a_ticket_opens_the_page_by_itself_too(context: BrowserContext, owner: Owner, page_name: str) -> None:
    made = await owner.call("POST", "/tickets")
    page = await context.new_page()
    url = made["viewer_url" if page_name == "s" else "embed_url"]
    await page.goto(owner.gateway.origin + url)
    await page.wait_for_selector('html[data-painted="true"]', state="attached", timeout=60_000)
    assert page.url == f"{owner.gateway.origin}/{page_name}/{owner.session.id}"
    await page.reload()
    await page.wait_for_selector('html[data-painted="true"]', state="attached", timeout=60_000)
    await page.close()


# The page around it.


@webrtc_only
async def test_a_cross_origin_isolated_page_may_embed_it(owner: Owner, show: Show, tmp_path: Path) -> None:
    isolating = {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"}
    async with (
        site(SHOP, example_site(owner.gateway, owner.session, headers=isolating)) as shop,
        # Only what is secure can be isolated.
        browsing(show.host, tmp_path / "isolated", [owner.gateway.origin, shop.origin]) as context,
    ):
        embedded = await Embedded.open(context, shop, "class")
        assert await embedded.page.evaluate("() => crossOriginIsolated")
        await embedded.page.close()


@webrtc_only
@pytest.mark.parametrize(
    "preferences",
    [
        {"cookie_controls_mode": 1, "block_third_party_cookies": True},
        {"default_content_setting_values": {"cookies": 2}},
    ],
    ids=["third-party", "all"],
)
async def test_it_works_where_cookies_and_storage_are_blocked(
    owner: Owner, show: Show, terminal: Terminal, tmp_path: Path, preferences: dict[str, Any]
) -> None:
    secure = [owner.gateway.origin, owner.shop.origin]
    async with browsing(show.host, tmp_path / "blocking", secure, preferences) as context:
        embedded = await Embedded.open(context, owner.shop, "element")
        cookie = "() => { document.cookie = 'seen=1; SameSite=Lax'; return document.cookie; }"
        assert await embedded.frame.evaluate(cookie) == ""
        storage = "() => { try { sessionStorage.length; return ''; } catch (error) { return error.name; } }"
        assert await embedded.frame.evaluate(storage) == "SecurityError"
        await embedded.event("control", controller="me")
        await embedded.command("sendKeys", keys=[{"text": "stateless"}])
        assert await asyncio.to_thread(terminal.read, 9) == "stateless"
        await embedded.reload()
        await embedded.page.close()


# The end.


@webrtc_only
async def test_a_desktop_that_ends_says_so(
    gateway: Gateway, browser_host: BrowserHost, context: BrowserContext, terminal: Terminal
) -> None:
    session = await gateway.manager.create()
    async with asyncio.timeout(60):
        await session.wait_ready()
    async with site(SHOP, example_site(gateway, session)) as shop:
        embedded = await Embedded.open(context, shop, "class")
        await gateway.manager.destroy(session.id)
        await embedded.event("closed", reason="stopped")
        await embedded.page.close()
