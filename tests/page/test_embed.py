"""A desktop in another origin's page: by class, by custom element, by plain iframe; and in no page that may not."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from playwright.async_api import BrowserContext, Error, Page, Request, Route

from gateway.sessions.session import Session
from tests.e2e.browser_host import BrowserHost
from tests.e2e.gateway import Gateway
from tests.page.conftest import DISPLAY_PX, Show
from tests.page.embedding import EVIL, SHOP, Embedded, Site, Way, browsing, example_site, site
from tests.x11.conftest import XServer
from tests.x11.desk import Terminal

pytestmark = [pytest.mark.page, pytest.mark.timeout(170), pytest.mark.asyncio(loop_scope="module")]

CLIENT = Path(__file__).resolve().parents[2] / "web/packages/client/dist"
WAYS: tuple[Way, ...] = ("class", "element", "iframe")
EVENTS = {"ready", "state", "transport", "stats", "clipboard", "control", "closing", "closed"}
PASTE = {"chord": ["Control", "Shift", "v"]}
"""In a terminal."""
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
    if show.transport == "novnc":
        # Only what is copied after the frame has asked for the first time is news.
        async with embedded.page.expect_response(lambda answer: answer.url.endswith("/clipboard")):
            await embedded.frame.locator("#keys").focus()
    else:
        await embedded.frame.locator("#keys").focus()
    copied = f"cöpied for {embedded.way} and {show.transport}"
    copy = ["xclip", "-i", "-selection", "clipboard"]
    await asyncio.to_thread(subprocess.run, copy, input=copied.encode(), check=True, env=screen.env, timeout=20)
    await embedded.event("clipboard", content={"kind": "text", "text": copied})

    await owner.call("PATCH", "", {"ttl_s": 100})
    warned = await embedded.event("closing", reason="ttl", action="stop")
    assert warned["deadline"] / 1000 == pytest.approx(owner.session.lifetime.ends_at)
    await owner.call("PATCH", "", {"ttl_s": None})
    await embedded.event("closing", deadline=None)

    await embedded.command("disconnect")
    await embedded.event("closed", reason="disconnected")
    assert await embedded.frame.locator("#panel h1").text_content() == "Disconnected"
    await embedded.command("connect")
    await embedded.event("transport", transport=show.transport, painted=True)
    assert await embedded.types() == EVENTS


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


# Who may not.


HELLO_AND_KEYS = """
  target => {
    const keys = { type: "sendKeys", id: 1, keys: [{ text: "evil" }] };
    for (const message of [{ type: "hello" }, keys, { type: "screenshot", id: 2 }])
      target.postMessage({ fenster: 1, ...message }, "*");
  }
"""
LISTEN = "() => { window.got = []; addEventListener('message', (event) => { got.push(event.data); }); }"


def blank() -> web.Application:
    """An empty page without a policy, and the client's files at hand."""
    app = web.Application()

    async def empty(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>blank</title><div id=place></div>", content_type="text/html")

    app.router.add_get("/", empty)
    app.router.add_static("/client", CLIENT)
    return app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def evil() -> AsyncIterator[Site]:
    """An origin that nobody named."""
    async with site(EVIL, blank()) as evil:
        yield evil


@pytest_asyncio.fixture(loop_scope="module")
async def evil_page(evil: Site, context: BrowserContext) -> AsyncIterator[Page]:
    page = await context.new_page()
    await page.goto(evil.origin)
    await page.evaluate(LISTEN)
    yield page
    await page.close()


async def frame_it(page: Page, url: str) -> list[str]:
    """Put the address into a frame; what the console says of it."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    frame = "url => new Promise((done) => { const f = document.createElement('iframe'); f.onload = () => done(); "
    await page.evaluate(frame + "f.src = url; document.body.append(f); })", url)
    return said


@webrtc_only
@pytest.mark.parametrize("kind", ["tickets", "tokens"])
async def test_another_origin_cannot_frame_it(evil_page: Page, owner: Owner, kind: str) -> None:
    url = await owner.address(kind)
    for address in (url, url.partition("?")[0] + "#" + url.partition("#")[2]):
        said = await frame_it(evil_page, address)
        assert any("frame-ancestors" in line for line in said), said
        frame = evil_page.frames[-1]
        assert not frame.url.startswith(owner.gateway.origin)
        await evil_page.evaluate(f"() => ({HELLO_AND_KEYS})(frames[frames.length - 1])")
    assert await evil_page.evaluate("() => got") == []
    if kind == "tickets":
        # Whoever it was meant for may still use it.
        async with ClientSession(headers={"Authorization": f"Bearer {url.partition('#ticket=')[2]}"}) as http:
            assert (await http.post(f"{owner.gateway.origin}/v1/tickets/exchange")).status == 201


@webrtc_only
async def test_another_origins_page_cannot_be_framed_in_between(
    context: BrowserContext, evil_page: Page, owner: Owner
) -> None:
    """An allowed page in a frame of one that is not: every ancestor counts."""
    await frame_it(evil_page, f"{owner.shop.origin}/class.html")
    shop = next(frame for frame in evil_page.frames if frame.url.startswith(owner.shop.origin))
    await shop.wait_for_selector('li[data-type="closed"]', state="attached", timeout=30_000)
    assert "unreachable" in (await shop.locator('li[data-type="closed"]').text_content() or "")
    assert not any(frame.url.startswith(owner.gateway.origin) for frame in evil_page.frames)


@webrtc_only
async def test_the_class_on_another_origins_page_says_that_it_may_not(evil_page: Page, owner: Owner) -> None:
    url = await owner.address()
    closed = await evil_page.evaluate(
        """async url => {
          const { FensterClient } = await import("/client/index.js");
          const desktop = new FensterClient(document.querySelector("#place"), { url });
          return new Promise((done) => { desktop.on("closed", done); });
        }""",
        url,
    )
    assert closed["reason"] == "unreachable"
    assert "does not let this page" in closed["detail"]
    assert await evil_page.evaluate("() => got") == []


@webrtc_only
async def test_another_origins_frame_beside_it_is_not_heard(
    context: BrowserContext, owner: Owner, evil: Site, terminal: Terminal
) -> None:
    """It has the window, by the page around both, and may post to it."""
    policy = (
        f"default-src 'none'; script-src 'self'; connect-src 'self'; frame-src {owner.gateway.origin} {evil.origin}"
    )
    headers = {"Content-Security-Policy": policy}
    async with site(SHOP, example_site(owner.gateway, owner.session, headers=headers)) as shop:
        embedded = await Embedded.open(context, shop, "class")
        await embedded.event("control", controller="me")
        add = "url => { const f = document.createElement('iframe'); f.src = url; document.body.append(f); }"
        async with embedded.page.expect_event(
            "framenavigated", lambda frame: bool(frame.url.startswith(evil.origin))
        ) as came:
            await embedded.page.evaluate(add, evil.origin)
        beside = await came.value
        await beside.evaluate(LISTEN)
        await beside.evaluate(f"() => ({HELLO_AND_KEYS})(parent.frames[0])")
        # What the page itself has typed afterwards comes, and nothing before it.
        await embedded.command("sendKeys", keys=[{"text": "good"}])
        assert await asyncio.to_thread(terminal.read, 4) == "good"
        await embedded.screenshot()
        assert await beside.evaluate("() => got") == []
        await embedded.page.close()


@webrtc_only
async def test_another_origins_page_cannot_open_it_as_a_window_and_talk_to_it(evil_page: Page, owner: Owner) -> None:
    url = await owner.address("tokens")
    async with evil_page.context.expect_page() as opened:
        await evil_page.evaluate("url => { window.other = open(url); }", url)
    window = await opened.value
    await window.wait_for_selector('html[data-painted="true"]', state="attached", timeout=60_000)
    assert await evil_page.evaluate("() => other.closed"), "its opener is cut off"
    await evil_page.evaluate(f"() => ({HELLO_AND_KEYS})(other)")
    assert await evil_page.evaluate("() => got") == []
    await window.close()


FETCH = """([url, credential, method]) => fetch(url, { method, headers: { Authorization: `Bearer ${credential}` } })
  .then((answer) => answer.status, (error) => error.name)"""


@webrtc_only
async def test_only_a_page_of_the_origin_that_was_named_gets_something_by_fetch(
    evil_page: Page, owner: Owner, context: BrowserContext
) -> None:
    url = f"{owner.gateway.origin}/v1/sessions/{owner.session.id}"
    exchange = f"{owner.gateway.origin}/v1/tickets/exchange"
    async with site(SHOP, blank()) as shop:
        named = {"origins": [shop.origin]}
        token = (await owner.call("POST", "/tokens", named))["token"]
        ticket = (await owner.call("POST", "/tickets", named))["ticket"]
        page = await context.new_page()
        await page.goto(shop.origin)
        for asking, session, exchanged in ((evil_page, "TypeError", "TypeError"), (page, 200, 201)):
            assert await asking.evaluate(FETCH, [url, token, "GET"]) == session
            assert await asking.evaluate(FETCH, [exchange, ticket, "POST"]) == exchanged
        assert await page.evaluate(FETCH, [exchange, ticket, "POST"]) == "TypeError", "it was used"
        await page.close()


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
