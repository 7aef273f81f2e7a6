"""The marker window on a real X server: it answers presses, has the focus while it is there, and goes by itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import xcffib
import xcffib.xproto as xp
import xcffib.xtest

from guest_agent.errors import DisplayError
from guest_agent.probe import MarkerAsk, MarkerRun
from guest_agent.requests import BadParams
from tests.x11.conftest import XServer

pytestmark = pytest.mark.x11

BLACK, WHITE = 0, 0xFFFFFF
_xcb: Any = xcffib


class Hand:
    """Presses by XTEST, and looks at pixels."""

    def __init__(self, display: str) -> None:
        self.conn = _xcb.connect(display)
        self.root = self.conn.setup.roots[self.conn.pref_screen].root
        self.xtest = self.conn(xcffib.xtest.key)

    def event(self, kind: int, detail: int, x: int = 0, y: int = 0) -> None:
        self.xtest.FakeInput(kind, detail, xp.Time.CurrentTime, self.root, x, y, 0)
        self.conn.core.GetInputFocus().reply()

    def press_at(self, x: int, y: int) -> None:
        self.event(6, 0, x, y)
        self.event(4, 1)
        self.event(5, 1)

    def press_key(self) -> None:
        self.event(2, 38)
        self.event(3, 38)

    def pixel(self, x: int, y: int) -> int:
        data = self.conn.core.GetImage(xp.ImageFormat.ZPixmap, self.root, x, y, 1, 1, 0xFFFFFF).reply().data.buf()
        return int.from_bytes(data[:3], "little")

    def shows(self, x: int, y: int, colour: int) -> bool:
        """Within 20 s. The server takes several programs' requests in its own order, so a flip may be told first."""
        end = time.monotonic() + 20
        while not (shown := self.pixel(x, y) == colour) and time.monotonic() < end:
            pass
        return shown

    def focus(self) -> int:
        focus: int = self.conn.core.GetInputFocus().reply().focus
        return focus


def middle(rect: list[int]) -> tuple[int, int]:
    return rect[0] + rect[2] // 2, rect[1] + rect[3] // 2


@contextlib.asynccontextmanager
async def running(display: str) -> AsyncIterator[MarkerRun]:
    run = MarkerRun(display)
    try:
        yield run
    finally:
        await run.close()


async def flips(run: MarkerRun, count: int) -> list[list[int]]:
    found: list[list[int]] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += (await run.ask(MarkerAsk(30, moving=False)))["flips"]
            await asyncio.sleep(0)
    return found


async def test_it_answers_presses_and_gives_the_focus_back(xserver: XServer) -> None:
    hand = Hand(xserver.display)
    async with running(xserver.display) as run:
        before = hand.focus()
        where = await run.ask(MarkerAsk(30, moving=False))
        assert where["display"] == [1280, 720]
        assert (where["patch"], where["flips"]) == ([544, 240, 192, 192], [])
        at = middle(where["patch"])
        assert hand.pixel(*at) == BLACK
        hand.press_at(*at)
        ((seen_us, drawn_us),) = await flips(run, 1)
        assert where["at_us"] <= seen_us <= drawn_us
        assert hand.shows(*at, WHITE)
        hand.press_key()
        await flips(run, 1)
        assert hand.shows(*at, BLACK)
        assert hand.focus() != before
        assert await run.ask(MarkerAsk(0, moving=False)) == {}
        assert hand.focus() == before
        hand.press_at(*at)
        assert (await run.ask(MarkerAsk(30, moving=False)))["flips"] == []


async def test_its_strip_moves_when_asked(xserver: XServer) -> None:
    hand = Hand(xserver.display)
    async with running(xserver.display) as run:
        where = await run.ask(MarkerAsk(30, moving=True))
        seen: set[int] = set()
        async with asyncio.timeout(20):
            while len(seen) < 4:
                seen.add(hand.pixel(*middle(where["strip"])))
                await asyncio.sleep(0)
        assert seen == {0, 0x555555, 0xAAAAAA, 0xFFFFFF}
        assert hand.pixel(*middle(where["patch"])) == BLACK


async def test_nobody_asking_takes_it_away(xserver: XServer) -> None:
    hand = Hand(xserver.display)
    async with running(xserver.display) as run:
        before = hand.focus()
        await run.ask(MarkerAsk(0.2, moving=False))
        async with asyncio.timeout(20):
            while hand.focus() != before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        # And it may come again.
        assert (await run.ask(MarkerAsk(30, moving=False)))["flips"] == []
        assert hand.focus() != before


async def test_no_display_is_said(tmp_path: object) -> None:
    async with running(":99999") as run:
        with pytest.raises(DisplayError):
            await run.ask(MarkerAsk(5, moving=False))


@pytest.mark.parametrize(
    "params", [{}, {"seconds": -1}, {"seconds": 601}, {"seconds": True}, {"seconds": 1, "moving": 1}]
)
def test_what_is_asked_is_checked(params: dict[str, object]) -> None:
    with pytest.raises(BadParams):
        MarkerAsk.parse(params)
