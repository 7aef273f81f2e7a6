"""The viewer's bar and its menu, used by mouse, keyboard and finger; what the guest's programs hear of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from typing import Any

import av
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.e2e.guest import eventually
from tests.page.conftest import DISPLAY_PX, VIEWPORT, Show
from tests.page.test_touch import Hand, heard, without_moves
from tests.x11.conftest import XServer
from tests.x11.desk import KeyWindow, Terminal
from tests.x11.painter import Painter

pytestmark = [
    pytest.mark.page,
    pytest.mark.timeout(120),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("show", ["webrtc"], indirect=True),
]

CONTROL, ALT, SHIFT, DELETE = 0xFFE3, 0xFFE9, 0xFFE1, 0xFFFF


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(show: Show, browser: Browser) -> AsyncIterator[Page]:
    """The controller's page, its bar not pinned."""
    context = await browser.new_context(viewport=VIEWPORT, accept_downloads=True)  # type: ignore[arg-type]
    page = await context.new_page()
    page.on("request", lambda request: REQUESTS.append(request.url))
    await page.goto(show.gateway.viewer_url(show.session.id, "control"))
    await page.wait_for_selector('html[data-painted="true"][data-control="me"]', state="attached", timeout=60_000)
    yield page
    await context.close()


REQUESTS: list[str] = []


@pytest_asyncio.fixture(loop_scope="module")
async def window(page: Page, screen: XServer, terminal: Terminal) -> AsyncIterator[KeyWindow]:
    """All that the page did before (menu() and hidden() end with a click) has been heard."""
    with contextlib.closing(KeyWindow(screen.display, DISPLAY_PX)) as window:
        await page.wait_for_selector('html[data-control="me"]', state="attached", timeout=60_000)
        # Keys and buttons keep their order.
        await page.keyboard.press("F9")
        await asyncio.to_thread(window.keys, 2)
        yield window


@pytest.fixture
def painter(screen: XServer, terminal: Terminal) -> Iterator[Painter]:
    painter = Painter(screen.display)
    yield painter
    painter.close()


async def shows(page: Page, state: str) -> None:
    await page.wait_for_selector(f'html[data-bar="{state}"]', state="attached")


async def hidden(page: Page) -> None:
    """The person works on the picture."""
    await page.mouse.move(400, 500)
    await page.mouse.click(400, 500)
    await shows(page, "hidden")


@contextlib.asynccontextmanager
async def menu(page: Page) -> AsyncIterator[Any]:
    """The menu, opened by mouse from the window's upper edge."""
    await page.mouse.move(640, 0)
    await shows(page, "shown")
    await page.click("#menu")
    await page.wait_for_selector("#menu-panel:visible")
    try:
        yield page.locator("#menu-panel")
    finally:
        await page.evaluate("document.exitPointerLock()")
        if await page.is_visible("#menu-panel"):
            await page.click("#menu")
    await hidden(page)


async def keys(window: KeyWindow, count: int) -> list[tuple[str, int]]:
    return [(kind, keysym) for kind, keysym, _ in await asyncio.to_thread(window.keys, count)]


async def test_the_bar_goes_and_comes_back_for_a_pointer_at_the_edge(page: Page, window: KeyWindow) -> None:
    await hidden(page)
    await page.wait_for_selector("#menu", state="hidden")
    # The guest's own upper edge is the desktop's: a press there goes to it.
    await page.mouse.move(300, 12)
    assert await page.evaluate("document.elementFromPoint(300, 12).id") in ("video", "stage")
    await page.mouse.move(300, 1)
    await shows(page, "shown")
    assert await page.is_visible("#menu")
    await hidden(page)


async def test_the_keyboard_leads_to_the_bar_and_back(page: Page, window: KeyWindow) -> None:
    await hidden(page)
    await page.wait_for_selector("#keys:focus")
    await page.keyboard.press("Control+Alt+Shift")
    await shows(page, "shown")
    assert await page.evaluate("document.getElementById('bar').contains(document.activeElement)")
    # Every button is reached, and the ring around it is seen.
    reached: list[str] = []
    while "handle" not in reached and len(reached) < 15:
        reached.append(await page.evaluate("document.activeElement.id"))
        await page.keyboard.press("Tab" if reached[-1] != "handle" else "Shift+Tab")
    assert {"clipboard", "files", "fit", "fullscreen", "menu", "pin", "handle"} <= set(reached)
    await page.focus("#menu")
    assert await page.evaluate("document.activeElement.matches(':focus-visible')")
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#menu-panel:visible")
    assert await page.evaluate("document.getElementById('menu-panel').contains(document.activeElement)")
    await page.keyboard.press("Escape")
    assert await page.is_hidden("#menu-panel")
    await page.keyboard.press("Escape")
    await page.wait_for_selector("#keys:focus")
    await page.keyboard.press("x")
    modifiers = await keys(window, 6)
    assert {keysym for _, keysym in modifiers} <= {CONTROL, ALT, SHIFT, 0xFFE7}
    assert await keys(window, 2) == [("press", ord("x")), ("release", ord("x"))]
    await hidden(page)


async def test_a_chord_that_the_browser_keeps_is_pressed_by_a_button(page: Page, window: KeyWindow) -> None:
    async with menu(page) as panel:
        await panel.get_by_role("button", name="Ctrl+Alt+Del").click()
        assert await keys(window, 6) == [
            *(("press", CONTROL), ("press", ALT), ("press", DELETE)),
            *(("release", DELETE), ("release", ALT), ("release", CONTROL)),
        ]


async def test_a_modifier_sticks_until_it_is_pressed_again(page: Page, window: KeyWindow) -> None:
    """Longer than the agent's lease of held keys, and through keys typed meanwhile."""
    async with menu(page) as panel:
        sticky = panel.get_by_role("button", name="Ctrl", exact=True)
        await sticky.click()
        assert await keys(window, 1) == [("press", CONTROL)]
        assert await sticky.get_attribute("aria-pressed") == "true"
        lease_s = 2.5
        await page.wait_for_timeout(lease_s * 1000)
        await page.focus("#keys")
        await page.keyboard.press("c")
        assert await keys(window, 2) == [("press", ord("c")), ("release", ord("c"))]
        await sticky.click()
        assert await keys(window, 1) == [("release", CONTROL)]
        assert await sticky.get_attribute("aria-pressed") == "false"


async def test_a_screenshot_is_saved_as_it_is(page: Page, window: KeyWindow) -> None:
    async with menu(page) as panel:
        async with page.expect_download() as waiting:
            await panel.get_by_role("button", name="Save a screenshot").click()
        download = await waiting.value
        assert download.suggested_filename.startswith("fenster-")
        data = (await download.path()).read_bytes()
        with av.open(BytesIO(data), "r", format="png_pipe") as container:
            frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == DISPLAY_PX


async def test_figures_tell_of_the_connection_and_of_the_guest(page: Page, painter: Painter) -> None:
    async with menu(page) as panel:
        await panel.get_by_role("button", name="Show figures").click()
    await page.wait_for_selector("#stats:visible")
    colours = itertools.cycle((0x336699, 0x993366))

    async def named() -> list[str] | None:
        # The picture changes, so the agent says how its frames came to be.
        await asyncio.to_thread(painter.fill, 100, 100, 900, 500, next(colours))
        found = await page.locator("#stats dt").all_inner_texts()
        return found if "Guest" in found and "Decoding" in found else None

    assert {"Round trip", "Frames", "Received", "Loss", "Picture"} <= set(await eventually(named, "the figures"))
    assert "1280 × 720" in await page.inner_text("#stats")
    assert await page.inner_text("#stats .why") not in ("", "Measuring")
    # It lies over the picture, and the pointer goes through it.
    at = await page.evaluate("(() => { const r = document.getElementById('stats').getBoundingClientRect();"
                             " return document.elementFromPoint(r.x + 20, r.y + 20).id; })()")  # fmt: skip
    assert at == "video"
    async with menu(page) as panel:
        await panel.get_by_role("button", name="Show figures").click()
    assert await page.is_hidden("#stats")


async def test_a_pixel_for_a_pixel(page: Page, window: KeyWindow) -> None:
    await page.set_viewport_size({"width": 900, "height": 600})
    async with menu(page) as panel:
        await panel.get_by_role("button", name="1:1").click()
    box = await page.locator("#video").bounding_box()
    assert box is not None
    assert (box["width"], box["height"]) == DISPLAY_PX
    # The press that closed the menu.
    await heard(window, ("release", 1))
    await page.evaluate("document.getElementById('stage').scrollTo(300, 100)")
    await page.mouse.click(200, 300)
    events = without_moves(await heard(window, ("release", 1)))
    assert events[-1] == ("release", 1, 500, 400)
    async with menu(page) as panel:
        await panel.get_by_role("button", name="Fit", exact=True).click()
    box = await page.locator("#video").bounding_box()
    assert box is not None
    assert box["width"] == 900
    await page.set_viewport_size(VIEWPORT)  # type: ignore[arg-type]


async def test_a_locked_pointer_moves_by_what_the_mouse_moves(page: Page, window: KeyWindow) -> None:
    await page.mouse.move(640, 400)
    async with menu(page) as panel:
        await panel.get_by_role("button", name="Lock the pointer").click()
        await page.wait_for_function("document.pointerLockElement?.id === 'video'")
        await page.mouse.move(500, 500)
        await page.mouse.down()
        await page.mouse.up()
        before = (await heard(window, ("release", 1)))[-1]
        await page.mouse.move(540, 520)
        await page.mouse.down()
        await page.mouse.up()
        events = await heard(window, ("release", 1))
        # 1:1 with the display within its window's scale.
        assert events[-1][2] - before[2] in range(35, 46)
        assert events[-1][3] - before[3] in range(16, 25)
        assert [event[1] for event in without_moves(events)] == [1, 1]
        # It has a place of its own, inside of the desktop: pushed far beyond an edge it stands there, and the way
        # back counts at once.
        for x in (1279, 0, 100):
            await page.mouse.move(x, 520)
        await page.mouse.down()
        await page.mouse.up()
        assert abs((await heard(window, ("release", 1)))[-1][2] - 100) <= 3


async def test_a_finger_pushes_the_pointer_as_on_a_trackpad(
    show: Show, page: Page, browser: Browser, window: KeyWindow
) -> None:
    """The finger is far from where the pointer is; a tap presses at the pointer."""
    viewer = await show.open(browser, touch=True)
    try:
        await viewer.page.click("#deed")
        await page.click("#grant")
        await viewer.page.wait_for_selector('html[data-control="me"]', state="attached", timeout=60_000)
        await viewer.page.click("#menu")
        await viewer.page.get_by_role("button", name="Touch as a trackpad").click()
        await viewer.page.click("#menu")
        # Where the pointer was left, by the mouse that has pressed the buttons too.
        await viewer.move(640, 360)
        hand = await Hand.over(viewer)
        await hand.put((100, 600))
        for step in range(1, 6):
            await hand.move((100 + 20 * step, 600))
        await hand.lift()
        moved = await heard(window, ("move", 0))
        await hand.put((900, 100))
        await hand.lift()
        events = moved + await heard(window, ("release", 1))
        press, release = without_moves(events)[-2:]
        # From there, 100 px of finger times the gain.
        assert press[:2] == ("press", 1)
        assert abs(press[2] - (640 + 160)) <= 12
        assert abs(press[3] - 360) <= 12
        assert release[2:] == press[2:]
        assert await viewer.page.locator("video + .ghost").is_visible()
    finally:
        await viewer.page.context.close()


async def test_novnc_is_not_fetched_while_video_works(show: Show) -> None:
    """Of all that the pages above asked for."""
    assert any("/assets/viewer-" in url for url in REQUESTS)
    assert not any("rfb" in url for url in REQUESTS)
