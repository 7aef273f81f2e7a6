"""Every state that the pages can be in, set up in a real browser: for what a machine checks, and for pictures.

The desktop and its gateway are real. A state that passes, or that takes a broken host, is held by answering some of
the page's own requests in the browser.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.async_api import Browser, ConsoleMessage, Page, Route

from gateway.tokens import Role
from tests.e2e.viewer import PIN_BAR, SAME_VIEWER
from tests.page.sample_sessions import DOWN, HOST, PROBLEM, STAGES, ago, egress, several
from tests.x11.desktops import Desktop

__all__ = ["SCENES", "Scene", "Studio"]

WIDE = (1280, 800)
PHONE = (360, 740)
PAINTED = 'html[data-painted="true"]'


@dataclass
class Studio:
    """Opens pages as one kind of person has them."""

    desktop: Desktop
    browser: Browser
    size: tuple[int, int] = WIDE
    dark: bool = False
    language: str = "en"
    pictured: bool = False
    """A picture is made of the page, for people."""
    mistakes: list[str] = field(default_factory=list)
    """Of the pages' own: what they threw, and what their Content-Security-Policy refused."""

    async def page(self, *, touch: bool = False) -> Page:
        context = await self.browser.new_context(
            viewport={"width": self.size[0], "height": self.size[1]},
            color_scheme="dark" if self.dark else "light",
            locale=self.language,
            has_touch=touch,
            reduced_motion="reduce",
        )
        page = await context.new_page()
        page.on("pageerror", lambda error: self.mistakes.append(str(error)))
        page.on("console", self._hear)
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.mistakes.append(message.text)

    async def viewer(
        self, role: Role = "control", *, page: Page | None = None, pinned: bool = True, second: bool = False
    ) -> Page:
        page = page or await self.page(touch=self.size == PHONE)
        if role == "control" and not second:
            await page.add_init_script(SAME_VIEWER)
        if pinned:
            await page.add_init_script(PIN_BAR)
        await page.goto(self.desktop.viewer_url(role))
        return page

    async def watched(self, role: Role = "control", *, pinned: bool = True, second: bool = False) -> Page:
        """A picture by WebRTC, and control unless another page has it."""
        page = await self.viewer(role, pinned=pinned, second=second)
        await page.wait_for_selector(PAINTED, state="attached", timeout=60_000)
        if role == "control" and not second:
            await page.wait_for_selector('html[data-control="me"]', state="attached", timeout=60_000)
        return page

    async def held(self, **session: Any) -> Page:
        """The viewer of a session that is like this, and stays so."""
        page = await self.page(touch=self.size == PHONE)
        shown = await self._session(**{"created_at": ago(1.6), **session})
        await answer(page, f"**/v1/sessions/{self.desktop.session.id}", shown)
        await page.route("**/events", hang)
        await answer(page, "**/resume", PROBLEM, 503)
        return await self.viewer(page=page)

    async def dashboard(self, sessions: list[dict[str, Any]], host: Mapping[str, Any] | None = None) -> Page:
        page = await self.page(touch=self.size == PHONE)
        await answer(page, "**/v1/sessions", {"sessions": sessions})
        await answer(page, "**/v1/host", {**HOST, **(host or {})})
        picture = await self.picture()
        await page.route("**/screenshot?*", lambda route: route.fulfill(body=picture, content_type="image/jpeg"))
        key = self.desktop.serving.services.keys.api_key
        await page.goto(f"{self.desktop.serving.url}/#key={key}")
        ready = [one for one in sessions if one["state"] == "ready"]
        await page.wait_for_selector("#host:not([hidden])")
        if ready:
            # Pictures are fetched of what can be seen.
            await page.locator(".session[data-state=ready] .thumb").first.scroll_into_view_if_needed()
            seen = 1 if self.size == PHONE else len(ready)
            await page.locator(".thumb img:not([hidden])").nth(seen - 1).wait_for()
            await page.evaluate("scrollTo(0, 0)")
        return page

    async def picture(self) -> bytes:
        async with self.desktop.http.get(self.desktop.url("/screenshot?format=jpeg&width=640")) as shot:
            assert shot.status == 200
            return await shot.read()

    async def _session(self, **changes: Any) -> dict[str, Any]:
        async with self.desktop.http.get(self.desktop.url()) as shown:
            return {**await shown.json(), **changes}


async def answer(page: Page, url: str, body: Mapping[str, Any], status: int = 200) -> None:
    async def fulfil(route: Route) -> None:
        if route.request.method not in ("GET", "POST"):
            await route.continue_()
            return
        await route.fulfill(status=status, body=json.dumps(body), content_type="application/json")

    await page.route(url, fulfil)


async def hang(route: Route) -> None:
    """The request stays under way until its page goes."""


async def starting(studio: Studio) -> Page:
    page = await studio.held(state="restoring", timings=STAGES)
    await page.wait_for_selector("#panel .stages .now")
    return page


async def connecting(studio: Studio) -> Page:
    page = await studio.page(touch=studio.size == PHONE)
    await page.route("**/whep", hang)
    await studio.viewer(page=page)
    await page.wait_for_selector("#panel .stages .now")
    return page


async def live(studio: Studio) -> Page:
    """The bar has hidden itself."""
    page = await studio.watched(pinned=False)
    await page.mouse.move(studio.size[0] / 2, studio.size[1] / 2)
    await page.wait_for_selector('html[data-bar="hidden"]', state="attached")
    return page


async def bar(studio: Studio) -> Page:
    page = await live(studio)
    await page.click("#handle")
    await page.wait_for_selector("#bar:visible")
    return page


async def _with_panel(studio: Studio, button: str) -> Page:
    """The panel of that button of the bar is open."""
    page = await studio.watched()
    await page.click(f"#{button}")
    await page.wait_for_selector(f"#{button}-panel:visible")
    return page


async def menu(studio: Studio) -> Page:
    return await _with_panel(studio, "menu")


async def figures(studio: Studio) -> Page:
    page = await studio.watched()
    await page.click("#menu")
    await page.get_by_role("button", name="Show figures").click()
    await page.click("#menu")
    await page.locator("#stats dl div").nth(3).wait_for()
    # A few seconds in which something moves; more of them where there is a picture of it. In an empty line.
    await page.keyboard.press("Control+u")
    for letter in "# hello, you" if studio.pictured else "# hi":
        await page.keyboard.type(letter)
        before = await page.locator(".line-rtt").get_attribute("d") or ""
        await page.wait_for_selector(f'.line-rtt:not([d="{before}"])', state="attached")
    return page


async def connection(studio: Studio) -> Page:
    """The network is well, and the desktop's internet exit is down."""
    page = await studio.page(touch=studio.size == PHONE)

    async def down(route: Route) -> None:
        answered = await route.fetch()
        shown = {**await answered.json(), "egress": egress("http", "failing", error=DOWN)}
        await route.fulfill(response=answered, json=shown)

    await page.route(f"**/v1/sessions/{studio.desktop.session.id}", down)
    await studio.viewer(page=page)
    await page.wait_for_selector(f'{PAINTED}[data-control="me"]', state="attached", timeout=60_000)
    await page.click("#connection")
    await page.wait_for_selector("#exit:visible")
    # The test of the network has ended.
    await page.wait_for_selector('#connection-panel button[aria-disabled="false"]')
    return page


async def clipboard(studio: Studio) -> Page:
    return await _with_panel(studio, "clipboard")


async def files(studio: Studio) -> Page:
    return await _with_panel(studio, "files")


async def asked(studio: Studio) -> Page:
    page = await studio.watched()
    other = await studio.watched(second=True)
    await other.click("#deed")
    await page.wait_for_selector("#ask:visible")
    return page


async def falling_back(studio: Studio) -> Page:
    """The gateway's addresses lead nowhere, and noVNC is on its way."""
    page = await studio.page(touch=studio.size == PHONE)

    async def astray(route: Route) -> None:
        answered = await route.fetch()
        sdp = re.sub(r"(a=candidate:\S+ \d+ \S+ \d+ )\S+", r"\g<1>192.0.2.1", await answered.text())
        await route.fulfill(response=answered, body=sdp)

    await page.route("**/whep", astray)
    await page.route("**/assets/rfb*", hang)
    await studio.viewer(page=page)
    await page.wait_for_selector('html[data-transport="novnc"]', state="attached")
    await page.locator("#panel p").wait_for()
    return page


async def novnc(studio: Studio) -> Page:
    page = await studio.page(touch=studio.size == PHONE)
    await answer(page, "**/whep", PROBLEM, 503)
    await studio.viewer(page=page)
    await page.wait_for_selector(f'{PAINTED}[data-transport="novnc"]', state="attached", timeout=60_000)
    return page


async def view_only(studio: Studio) -> Page:
    page = await studio.watched("view")
    await page.wait_for_selector("#role:visible")
    return page


async def asleep(studio: Studio) -> Page:
    page = await studio.held(state="suspended")
    await page.locator("#panel button").wait_for()
    return page


async def error(studio: Studio) -> Page:
    failed = {
        "kind": "vm-lost",
        "message": "QEMU was killed by signal 9 (SIGKILL)",
        "hint": "the host ran out of memory",
    }
    page = await studio.held(state="failed", error=failed)
    await page.locator("#panel button").wait_for()
    return page


async def refused(studio: Studio) -> Page:
    page = await studio.page(touch=studio.size == PHONE)
    await page.goto(f"{studio.desktop.serving.url}/s/{studio.desktop.session.id}#token=none")
    await page.locator("#panel button").wait_for()
    return page


async def dashboard(studio: Studio) -> Page:
    return await studio.dashboard(several())


async def opened_row(studio: Studio) -> Page:
    page = await studio.dashboard(several())
    row = page.locator('.session[data-id="t9c5r0za"]')
    await row.locator("[aria-expanded]").click()
    await row.locator("summary").click()
    return page


async def dialog(studio: Studio) -> Page:
    page = await opened_row(studio)
    await page.locator('.session[data-id="t9c5r0za"] [data-action="save"]').click()
    await page.wait_for_selector("dialog[open]")
    return page


async def empty(studio: Studio) -> Page:
    page = await studio.dashboard([])
    await page.wait_for_selector("#empty:visible")
    return page


async def no_host(studio: Studio) -> Page:
    problem = {"kind": "image", "message": "there is no golden image", "hint": "fenster build makes it"}
    return await studio.dashboard([], {"accelerator": None, "isolated": False, "problem": problem, "sessions": 0})


async def login(studio: Studio) -> Page:
    page = await studio.page(touch=studio.size == PHONE)
    await page.goto(studio.desktop.serving.url)
    await page.wait_for_selector("#login:visible")
    return page


Kind = Literal["viewer", "dashboard"]


@dataclass(frozen=True)
class Scene:
    name: str
    make: Callable[[Studio], Awaitable[Page]]
    size: tuple[int, int] = WIDE
    dark: bool = False
    language: str = "en"
    kept: bool = False
    """Is its picture one of web/screenshots?"""

    @property
    def id(self) -> str:
        return self.name


def _name(make: Callable[[Studio], Awaitable[Page]]) -> str:
    return make.__name__.replace("_", "-")


_ALL = (
    *(starting, connecting, live, bar, menu, connection, figures, clipboard, files, asked, falling_back),
    *(novnc, view_only, asleep, error, refused, dashboard, opened_row, dialog, empty, no_host, login),
)
_KEPT = (starting, live, menu, connection, figures, falling_back, view_only, error, dashboard)
_DARK = (starting, menu, figures, error, dashboard, dialog)
_PHONE = (starting, bar, menu, connection, asked, falling_back, error, dashboard, opened_row, dialog, login)

SCENES = (
    *(Scene(_name(make), make, kept=make in _KEPT) for make in _ALL),
    *(Scene(f"{_name(make)}-dark", make, dark=True, kept=make in (menu, dashboard)) for make in _DARK),
    *(Scene(f"{_name(make)}-phone", make, PHONE, kept=make in (menu, bar, dashboard)) for make in _PHONE),
    *(Scene(f"{_name(make)}-german", make, language="de", kept=make is menu) for make in (menu, dashboard)),
    Scene("dashboard-german-phone", dashboard, PHONE, language="de"),
    Scene("menu-german-phone", menu, PHONE, language="de"),
)
