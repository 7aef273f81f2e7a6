"""A desktop in no page that may not have it: framed, as a window, by message, by fetch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from playwright.async_api import BrowserContext, Page

from tests.e2e.browser_host import BrowserHost
from tests.page.embedding import EVIL, SHOP, Embedded, Site, example_site, site
from tests.page.shop import Owner, context, owner, webrtc_only
from tests.x11.desk import Terminal

__all__ = ["context", "owner"]

pytestmark = [pytest.mark.page, pytest.mark.timeout(170), pytest.mark.asyncio(loop_scope="module"), webrtc_only]

CLIENT = Path(__file__).resolve().parents[2] / "web/packages/client/dist"
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
async def evil(browser_host: BrowserHost) -> AsyncIterator[Site]:
    """An origin that nobody named, at the browser's end of the cable."""
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


async def test_another_origins_page_cannot_be_framed_in_between(
    context: BrowserContext, evil_page: Page, owner: Owner
) -> None:
    """An allowed page in a frame of one that is not: every ancestor counts."""
    await frame_it(evil_page, f"{owner.shop.origin}/class.html")
    shop = next(frame for frame in evil_page.frames if frame.url.startswith(owner.shop.origin))
    await shop.wait_for_selector('li[data-type="closed"]', state="attached", timeout=30_000)
    assert "unreachable" in (await shop.locator('li[data-type="closed"]').text_content() or "")
    assert not any(frame.url.startswith(owner.gateway.origin) for frame in evil_page.frames)


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
