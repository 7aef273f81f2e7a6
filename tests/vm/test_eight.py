"""Desktops that live at once, each on the picture of a viewer of its own: aiortc decodes what the relay brings."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.app import disk_dir, running
from gateway.routes.services import Services
from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from gateway.signaling.candidates import Endpoint
from gateway.vm.images import GoldenImage
from gateway.vm.qemu_vm import QemuVm
from tests.e2e.guest import Guest
from tests.leaks import footprint, left_over
from tests.loopback.media_viewer import LOOPBACK, Viewer
from tests.vm.sessions import settings_for

pytestmark = [pytest.mark.vm]

RGB = tuple[int, int, int]
COLOURS: list[RGB] = [
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (255, 0, 255), (0, 255, 255), (255, 128, 0), (128, 0, 255),
]  # fmt: skip
REACH = 56
"""How far off a channel may be once it was encoded; less than half of what lies between any two of the colours."""
SHARE = 0.3
"""Of the picture; the terminal's text has 35 % of it."""
PATIENCE_S = 240.0
IDLE_WITHIN_S = 30.0
"""For each desktop: Chromium's start takes most of a minute of a processor under emulation."""
LOOK_S = 5.0
QUIET_SHARE = 0.1
"""Of one processor; an idle desktop takes less under emulation."""


@dataclass
class Desktop:
    session: Session
    posted_at: float
    viewer: Viewer = field(default_factory=Viewer)
    took_s: dict[str, float] = field(default_factory=dict)
    """Since the POST."""

    def mark(self, what: str) -> None:
        self.took_s[what] = round(time.monotonic() - self.posted_at, 1)

    async def connect(self, gateway: Services) -> None:
        """Wait for the first picture."""
        await self.session.wait_ready()
        self.mark("ready")
        reach = [Endpoint("udp", LOOPBACK, gateway.dataplane.media_port)]
        answer = await gateway.whep.offer(self.session, await self.viewer.offer(), "control", reach)
        await self.viewer.accept(answer.sdp)
        await self.viewer.connected.wait()
        self.mark("connected")
        await self.picture()
        self.mark("picture")

    async def show(self, colour: RGB) -> None:
        """Fill its terminal, and wait until the viewer sees that and no other of the colours."""
        red, green, blue = colour
        # Erasing fills with the background colour (bce, terminfo(5)).
        text = f"\033[48;2;{red};{green};{blue}m\033[2J\033[H{self.session.id} "
        await Guest(self.session.link).run("tee", "/dev/pts/0", stdin=text, timeout_s=PATIENCE_S)
        while (seen := shares(await self.picture())).pop(colour) < SHARE:
            pass
        assert max(seen.values()) < 0.01, f"{self.session.id} shows more than {colour}: {seen}"

    async def picture(self) -> np.ndarray[Any, Any]:
        """Every fourth pixel of every fourth line of the next frame."""
        assert self.viewer.track is not None
        frame: Any = await self.viewer.track.recv()
        return np.asarray(frame.to_ndarray(format="rgb24")[::4, ::4], np.int16)

    async def on_start_page(self) -> bool:
        """Whether Chromium has loaded its start page."""
        return await Guest(self.session.link).window("Fenster - Chromium") is not None

    @property
    def machine(self) -> QemuVm:
        assert isinstance(self.session.vm, QemuVm)
        return self.session.vm

    def private_mib(self) -> float:
        """Memory that is its QEMU's alone (proc_pid_smaps(5))."""
        text = Path(f"/proc/{self.machine.process.pid}/smaps_rollup").read_text()
        return sum(int(kib) for kib in re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE)) / 1024


def shares(picture: np.ndarray[Any, Any]) -> dict[RGB, float]:
    """How much of a picture has each of the colours."""
    return {colour: float((np.abs(picture - colour).max(axis=2) <= REACH).mean()) for colour in COLOURS}


@asynccontextmanager
async def posted(gateway: Services, count: int) -> AsyncIterator[list[Desktop]]:
    desktops = []
    try:
        for _ in range(count):
            posted_at = time.monotonic()
            desktops.append(Desktop(await gateway.manager.create(), posted_at))
        # Otherwise it would make as many again beside them.
        await gateway.manager.pool.close()
        yield desktops
    finally:
        await asyncio.gather(*(desktop.viewer.close() for desktop in desktops))
        await asyncio.gather(*(gateway.manager.destroy(desktop.session.id) for desktop in desktops))


async def quiet(desktops: Sequence[Desktop]) -> str:
    """Wait until all are idle, or as long as that may take; says which."""
    patience_s = IDLE_WITHIN_S * len(desktops)
    end = time.monotonic() + patience_s
    while True:
        before = [desktop.machine.processor_s() for desktop in desktops]
        await asyncio.sleep(LOOK_S)
        busy = [(desktop.machine.processor_s() - was) / LOOK_S for desktop, was in zip(desktops, before, strict=True)]
        if max(busy) <= QUIET_SHARE:
            return "idle"
        if time.monotonic() > end:
            return f"not idle in {patience_s:g} s: of a processor they take {[round(share, 2) for share in busy]}"


@pytest.mark.parametrize(
    "count",
    [
        # Viewers of several desktops at once are in make test by e2e/test_restart.py too.
        pytest.param(2, marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
        pytest.param(len(COLOURS), marks=[pytest.mark.slow, pytest.mark.timeout(2400)]),
    ],
)
async def test_each_desktop_is_on_its_own_viewers_picture(golden_image: GoldenImage, count: int) -> None:
    with settings_for(golden_image, pool_size=count) as settings:
        await asyncio.to_thread(int)
        before = footprint(settings.run_dir, disk_dir(settings))
        async with running(settings, media_port=0) as gateway:
            await gateway.manager.pool.filled()
            async with posted(gateway, count) as desktops:

                async def follow(desktop: Desktop, colour: RGB) -> None:
                    await desktop.connect(gateway)
                    await desktop.show(colour)
                    desktop.mark("own terminal")

                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.gather(*map(follow, desktops, COLOURS))
                # All of them live, now and not one after the other.
                async with asyncio.timeout(PATIENCE_S):
                    await asyncio.gather(*(desktop.show(COLOURS[i - 4]) for i, desktop in enumerate(desktops)))
                assert {desktop.session.state for desktop in desktops} == {State.READY}
                watched = [desktop.private_mib() for desktop in desktops]
                await asyncio.gather(*(desktop.viewer.close() for desktop in desktops))
                how = await quiet(desktops)
                for desktop, mib in zip(desktops, watched, strict=True):
                    print(f"\n{desktop.session.id}: {desktop.took_s} s after the POST; {desktop.session.timings}")
                    print(f"  private memory {mib:.0f} MiB watched, {desktop.private_mib():.0f} MiB {how}")
                    print(f"  Chromium on its start page: {await desktop.on_start_page()}")
            counters = (await gateway.facts()).counters
            assert (counters["clones"], counters["boots"]) == (count, 0)
        assert await left_over(before, settings.run_dir, disk_dir(settings)) == {}
