"""A touchpad's many small steps add up to the wheel clicks they are worth, on both axes: none lost, none twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.viewer import Viewer
from tests.page.conftest import DISPLAY_PX
from tests.x11.conftest import XServer
from tests.x11.desk import KeyWindow, Terminal

pytestmark = [pytest.mark.page, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]

HERE = (500, 300)
PX = 100
"""A click's worth."""
UP, DOWN, LEFT, RIGHT = 4, 5, 6, 7


@pytest.fixture
def window(screen: XServer, terminal: Terminal) -> Iterator[KeyWindow]:
    with contextlib.closing(KeyWindow(screen.display, DISPLAY_PX)) as window:
        yield window


async def turn(viewer: Viewer, count: int, dx: float, dy: float) -> None:
    """So many events of that many px each, over HERE."""
    cdp = await viewer.page.context.new_cdp_session(viewer.page)
    x, y = await viewer.on_page(*HERE)
    for _ in range(count):
        await cdp.send("Input.dispatchMouseEvent", {"type": "mouseWheel", "x": x, "y": y, "deltaX": dx, "deltaY": dy})


async def clicks(viewer: Viewer, window: KeyWindow) -> Counter[int]:
    """Presses of each wheel button so far. What was sent before a click has come before it."""
    await viewer.click(*HERE)

    def listen() -> Counter[int]:
        found: Counter[int] = Counter()
        while True:
            kind, button, _, _ = window.pointer(1)[0]
            if (kind, button) == ("release", 1):
                return found
            if kind == "press" and button != 1:
                found[button] += 1

    return await asyncio.to_thread(listen)


async def test_small_steps_add_up(viewer: Viewer, window: KeyWindow) -> None:
    await viewer.move(*HERE)
    await turn(viewer, PX, 0, 1)
    assert await clicks(viewer, window) == {DOWN: 1}
    await turn(viewer, PX // 2, 0, 1)
    assert await clicks(viewer, window) == {}
    await turn(viewer, PX // 2, 0, 1)
    assert await clicks(viewer, window) == {DOWN: 1}
    await turn(viewer, PX // 4, 0, -8)
    assert await clicks(viewer, window) == {UP: 2}


@pytest.mark.parametrize("show", ["webrtc"], indirect=True)
async def test_both_axes_at_once(viewer: Viewer, window: KeyWindow) -> None:
    """x11vnc knows no buttons for sideways."""
    await viewer.move(*HERE)
    await turn(viewer, PX // 2, 6, -4)
    assert await clicks(viewer, window) == {RIGHT: 3, UP: 2}
    await turn(viewer, PX // 2, -2, 0)
    assert await clicks(viewer, window) == {LEFT: 1}


async def test_steps_of_less_than_a_pixel(viewer: Viewer, window: KeyWindow) -> None:
    await viewer.move(*HERE)
    await turn(viewer, 2 * PX, 0, 0.5)
    assert await clicks(viewer, window) == {DOWN: 1}


async def test_notches_of_a_mouse(viewer: Viewer, window: KeyWindow) -> None:
    await viewer.move(*HERE)
    for delta, button in ((120, DOWN), (-120, UP), (120, DOWN)):
        await turn(viewer, 3, 0, delta)
        assert await clicks(viewer, window) == {button: 3}
