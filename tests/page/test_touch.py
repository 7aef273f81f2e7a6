"""Fingers on the page, as Chromium reports them, and what a program in the guest hears of a mouse."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, CDPSession

from tests.e2e.viewer import Viewer
from tests.page.conftest import DISPLAY_PX, Show
from tests.x11.conftest import XServer
from tests.x11.desk import KeyWindow, Terminal

pytestmark = [pytest.mark.page, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

HERE = (500, 300)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def phone(show: Show, browser: Browser) -> AsyncIterator[Viewer]:
    viewer = await show.open(browser, touch=True, returns=True)
    await viewer.controls()
    yield viewer
    await viewer.page.context.close()


@pytest.fixture
def window(screen: XServer, terminal: Terminal) -> Iterator[KeyWindow]:
    with contextlib.closing(KeyWindow(screen.display, DISPLAY_PX)) as window:
        yield window


class Hand:
    """Fingers on a page; places in px of the guest's display."""

    def __init__(self, viewer: Viewer, cdp: CDPSession) -> None:
        self._viewer = viewer
        self._cdp = cdp

    @classmethod
    async def over(cls, viewer: Viewer) -> Hand:
        return cls(viewer, await viewer.page.context.new_cdp_session(viewer.page))

    async def put(self, *places: tuple[int, int]) -> None:
        await self._send("touchStart", places)

    async def move(self, *places: tuple[int, int]) -> None:
        await self._send("touchMove", places)

    async def lift(self) -> None:
        await self._send("touchEnd", ())

    async def _send(self, kind: str, places: tuple[tuple[int, int], ...]) -> None:
        points = []
        for finger, place in enumerate(places):
            x, y = await self._viewer.on_page(*place)
            points.append({"x": x, "y": y, "id": finger})
        await self._cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


async def heard(window: KeyWindow, last: tuple[str, int]) -> list[tuple[str, int, int, int]]:
    """What the program hears, up to this kind of event of this button (0 for a move)."""

    def listen() -> list[tuple[str, int, int, int]]:
        found: list[tuple[str, int, int, int]] = []
        try:
            while not found or found[-1][:2] != last:
                found += window.pointer(1)
        except AssertionError as error:
            error.add_note(f"heard: {found}")
            raise
        return found

    return await asyncio.to_thread(listen)


def without_moves(events: list[tuple[str, int, int, int]]) -> list[tuple[str, int, int, int]]:
    return [event for event in events if event[0] != "move"]


async def test_a_tap_is_a_click(phone: Viewer, window: KeyWindow) -> None:
    hand = await Hand.over(phone)
    await hand.put(HERE)
    await hand.lift()
    assert without_moves(await heard(window, ("release", 1))) == [("press", 1, *HERE), ("release", 1, *HERE)]


async def test_a_long_press_is_a_right_click(phone: Viewer, window: KeyWindow) -> None:
    hand = await Hand.over(phone)
    at = (HERE[0] + 120, HERE[1])
    await hand.put(at)
    # The pointer comes when it has been long enough.
    before = await heard(window, ("move", 0))
    await hand.lift()
    events = without_moves(before + await heard(window, ("release", 3)))
    assert events == [("press", 3, *at), ("release", 3, *at)]


async def test_two_fingers_scroll(phone: Viewer, window: KeyWindow) -> None:
    """The content follows them: up they go, down it is scrolled."""
    hand = await Hand.over(phone)
    x, y = 640, 500
    await hand.put((x - 40, y), (x + 40, y))
    for step in range(1, 21):
        await hand.move((x - 40, y - 10 * step), (x + 40, y - 10 * step))
    await hand.lift()
    await hand.put(HERE)
    await hand.lift()
    events = await heard(window, ("release", 1))
    scrolled = [button for kind, button, _, _ in events if kind == "press"][:-1]
    assert set(scrolled) == {5}
    # 200 px of fingers; noVNC clicks the wheel once for 50 px of them.
    assert 2 <= len(scrolled) <= 8


@pytest.mark.parametrize("show", ["webrtc"], indirect=True)
async def test_a_drag_after_a_long_press(phone: Viewer, window: KeyWindow) -> None:
    """noVNC drags with whatever finger moves, and drags the right button after a long press."""
    hand = await Hand.over(phone)
    x, y = 300, 200
    await hand.put((x, y))
    before = await heard(window, ("move", 0))
    for step in range(1, 9):
        await hand.move((x + 25 * step, y))
    await hand.lift()
    events = before + await heard(window, ("release", 1))
    assert without_moves(events) == [("press", 1, x, y), ("release", 1, x + 200, y)]
    pressed = [event[0] for event in events].index("press")
    assert "move" in [event[0] for event in events[pressed:]]


@pytest.mark.parametrize("show", ["webrtc"], indirect=True)
async def test_a_tap_and_a_drag(phone: Viewer, window: KeyWindow) -> None:
    hand = await Hand.over(phone)
    await hand.put(HERE)
    await hand.lift()
    await hand.put(HERE)
    await hand.move((HERE[0] + 150, HERE[1] + 60))
    await hand.lift()
    events = await heard(window, ("release", 1))
    events += await heard(window, ("release", 1))
    assert without_moves(events) == [
        ("press", 1, *HERE),
        ("release", 1, *HERE),
        ("press", 1, *HERE),
        ("release", 1, HERE[0] + 150, HERE[1] + 60),
    ]
