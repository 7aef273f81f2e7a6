"""Who sits before a desktop: types, scrolls and browses in turn, reads after each, and presses a marker all along.

The marker (guest_agent/marker.py) answers each press on it with a change that the page can see, whatever else the
guest is busy with. So a picture without a change for some seconds is one that does not come, and not one at rest.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from playwright.async_api import TimeoutError as NotInTime

from gateway.cli.client import Client
from gateway.errors import GatewayError
from tests.e2e.viewer import Viewer
from tests.soak.judge import MAX_GAP_S
from tests.soak.record import Gap, Trouble, ViewerRecord
from tests.soak.site import Site

__all__ = ["READ_S", "Desk", "Person", "note_look"]

TERMINAL_PX, BROWSER_PX, LINK_PX = (250, 500), (1100, 640), (1100, 260)
"""Places of a display of 1280x720 where nothing but these is (golden/rootfs). The marker is in its middle."""
TURN_S = 15.0
"""To type, and to scroll."""
READ_S = 90.0
"""After each of these and after a page. An emulated guest takes more than a core of its host for what is done, and a
quarter of one while it is read; people who never rest want more than the host has, and wait for it."""
PACE_S = (1.4, 1.9)
"""Between one small thing and the next."""
KEYS_PER_S = 4.0
"""48 words a minute."""
PART = 5
"""Keys between two presses."""
NOTCH_PX = 120
LOOKS = 3
"""Presses between two scrolls: what has come into view is looked at."""
SHOWN_S = 45.0
"""A guest's browser on a busy emulated processor; after that it is asked for another page."""
MARK_S = 600.0
"""How long the marker stays without being asked for: longer than any turn."""
TRIES = 5
"""To put the marker there, each of which may take 20 s."""
LINES = (
    "echo the quick brown fox jumps over the lazy dog",
    "ls -l /usr/share | head -n 15",
    "date; uptime",
    "seq 1 60 | column",
    "git --version; node --version",
)


@dataclass(frozen=True, slots=True)
class Desk:
    """A session, and its viewer's page."""

    sid: str
    api: Client
    viewer: Viewer
    record: ViewerRecord

    async def keep_marker(self) -> dict[str, Any]:
        """Where it is, as the API says."""
        return await self.api.call("PUT", f"/v1/sessions/{self.sid}/marker", {"seconds": MARK_S})


class Person:
    """Args:
    begins_s: read for so long at first, so that not all do the same at a time.
    read_s: see READ_S; a short run has less.
    seed: of what is left to chance; one's own.
    """

    def __init__(self, desk: Desk, site: Site, *, begins_s: float, read_s: float, seed: int) -> None:
        self.desk = desk
        self._viewer = desk.viewer
        self._site = site
        self._begins_s = begins_s
        self._read_s = read_s
        self._dice = random.Random(seed)
        self._patch_px = (0, 0)
        self._changes = -1
        """Of the marker, when it was pressed last."""

    async def sit_down(self) -> None:
        """Put the marker there, and have the page look at it."""
        where = await self._marker()
        x, y, width, height = where["patch"]
        self._patch_px = (x + width // 2, y + height // 2)
        across, down = where["display"]
        await self._viewer.page.evaluate(
            "place => { fensterSoak.place = place; }", [self._patch_px[0] / across, self._patch_px[1] / down]
        )

    async def _marker(self) -> dict[str, Any]:
        """Where it is; a guest that has only just come up may not start it in time. Raises GatewayError."""
        for _ in range(TRIES):
            with suppress(GatewayError):
                return await self.desk.keep_marker()
        return await self.desk.keep_marker()

    async def run(self, over: asyncio.Event) -> None:
        """Use the desktop until it is over."""
        await self._read(over, self._begins_s)
        for turn in itertools.cycle((self._type, self._scroll, self._browse)):
            if over.is_set():
                return
            await self.desk.keep_marker()
            await turn(over)
            await self._read(over, self._read_s)

    async def say(self, command: str) -> None:
        """Type a command into the terminal."""
        await self._turn_to(TERMINAL_PX)
        await self._viewer.type(f"{command}\n", KEYS_PER_S)

    async def _type(self, over: asyncio.Event) -> None:
        end = time.monotonic() + TURN_S
        await self._turn_to(TERMINAL_PX)
        while time.monotonic() < end and not over.is_set():
            await self._type_out(self._dice.choice(LINES) + "\n")
            await self._pause()

    async def _scroll(self, over: asyncio.Event) -> None:
        end = time.monotonic() + TURN_S
        for way in itertools.cycle((1,) * 8 + (-1,) * 8):
            if time.monotonic() >= end or over.is_set():
                return
            await self._viewer.move(*BROWSER_PX)
            for _ in range(3):
                await self._viewer.page.mouse.wheel(0, way * NOTCH_PX)
                self.desk.record.count("scrolled")
            for _ in range(LOOKS):
                await self._pause()
                await self._press()

    async def _read(self, over: asyncio.Event, for_s: float) -> None:
        end = time.monotonic() + for_s
        while time.monotonic() < end and not over.is_set():
            await self._press()
            await self._pause()

    async def _browse(self, over: asyncio.Event) -> None:
        """By the address bar, and from there by a link."""
        url = self._site.new_page(self.desk.sid)
        await self._turn_to(BROWSER_PX)
        await self._viewer.chord("Control+l")
        # A busy guest's browser takes its time to listen there, and loses what is typed before.
        for _ in range(3):
            await self._pause()
            await self._press()
        await self._type_out(url + "\n")
        if await self._until_shown(url, over):
            await self._viewer.click(*LINK_PX)
            await self._until_shown(self._site.after(url), over)

    async def _until_shown(self, url: str, over: asyncio.Event) -> bool:
        waiting = asyncio.ensure_future(self._site.shown(url, SHOWN_S))
        try:
            while not waiting.done() and not over.is_set():
                await self._press()
                await self._pause()
        finally:
            if not waiting.done():
                waiting.cancel()
        if waiting.cancelled() or not waiting.done():
            return False
        took_s = waiting.result()
        if took_s is None:
            self.desk.record.count("pages not shown")
            return False
        self.desk.record.count("pages")
        self.desk.record.shown_s.append(took_s)
        return True

    async def _turn_to(self, place_px: tuple[int, int]) -> None:
        """Click a window and wait as long as a person does until it has the focus."""
        await self._viewer.click(*place_px)
        await self._pause()
        await self._press()

    async def _type_out(self, text: str) -> None:
        for start in range(0, len(text), PART):
            part = text[start : start + PART]
            await self._viewer.type(part, KEYS_PER_S)
            self.desk.record.count("typed", len(part))
            await self._press()

    async def _press(self) -> None:
        """Once the last press was answered, as it is done by who looks: two within a frame change nothing to see."""
        page = self._viewer.page
        with suppress(NotInTime):
            await page.wait_for_function(
                "changes => fensterSoak.changes > changes", arg=self._changes, polling=100, timeout=MAX_GAP_S * 1000
            )
        self._changes = await page.evaluate("fensterSoak.changes")
        await self._viewer.click(*self._patch_px)
        self.desk.record.presses += 1

    async def _pause(self) -> None:
        await asyncio.sleep(self._dice.uniform(*PACE_S))


def note_look(record: ViewerRecord, seen: dict[str, Any], began_epoch_s: float) -> None:
    """Add what page.js gave out. Pure but for the record."""
    for kind, gaps in (("frames", record.frame_gaps), ("answers", record.answer_gaps)):
        gaps.append(Gap(round(seen[kind]["at"] / 1000 - began_epoch_s, 3), seen[kind]["longest"] / 1000))
    record.frames += seen["frames"]["count"]
    record.answers += seen["answers"]["count"]
    record.frozen += seen["frozen"]
    for trouble in seen["troubles"]:
        record.troubles.append(Trouble(round(trouble["at"] / 1000 - began_epoch_s, 3), trouble["what"]))
