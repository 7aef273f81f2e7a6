"""From the X server to the viewer: the media thread on a real display, and a real aiortc viewer behind it."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from guest_agent.h264 import EncodedFrame
from guest_agent.media import MediaHub
from guest_agent.ports import PeerEvent
from guest_agent.protocol.messages import VERSION, Channel, Control, Hello, Size, Welcome
from guest_agent.pump import Pump
from guest_agent.rungs import LAG
from tests.loopback.media_viewer import LOOPBACK, Recorder, Viewer
from tests.x11.conftest import XServer, start_xorg
from tests.x11.painter import Painter
from tests.x11.resize import set_size

pytestmark = pytest.mark.x11


class Screening:
    """A Pump, watched, with a decoder behind it that has seen every frame."""

    def __init__(self, display: str) -> None:
        self.pump = Pump(display, self._deliver, self._on_size)
        self.decoder = av.CodecContext.create("h264", "r")
        self.frames: list[EncodedFrame] = []
        self.lag_decoder = av.CodecContext.create("h264", "r")
        self.lagging: list[EncodedFrame] = []
        self.lag_picture: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)
        self.picture: NDArray[np.uint8] = np.zeros((0, 0, 3), np.uint8)
        self.sizes: list[tuple[int, int]] = []
        self.changed = asyncio.Condition()
        self.taking = True
        self._tasks: set[asyncio.Task[None]] = set()

    def _deliver(self, frame: EncodedFrame) -> None:
        unit = b"".join(depacketized(payload) for payload in frame.payloads)
        decoder, frames = (self.lag_decoder, self.lagging) if frame.rung == LAG else (self.decoder, self.frames)
        frames.append(frame)
        decoded: list[Any] = decoder.decode(av.Packet(unit))
        for picture in decoded:
            pixels = picture.to_ndarray(format="rgb24")
            if frame.rung == LAG:
                self.lag_picture = pixels
            else:
                self.picture = pixels
        if self.taking:
            self.pump.taken(frame.rung)
        self._notify()

    def _on_size(self, width: int, height: int) -> None:
        self.sizes.append((width, height))
        self._notify()

    def _notify(self) -> None:
        async def wake() -> None:
            async with self.changed:
                self.changed.notify_all()

        task = asyncio.get_running_loop().create_task(wake())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(true)

    def colour(self, x: int, y: int) -> tuple[int, ...]:
        return tuple(int(v) for v in self.picture[y, x]) if y < self.picture.shape[0] else ()

    def lag_colour(self, x: int, y: int) -> tuple[int, ...]:
        return tuple(int(v) for v in self.lag_picture[y, x]) if y < self.lag_picture.shape[0] else ()

    def shows(self, x: int, y: int, rgb: int) -> bool:
        wanted = (rgb >> 16, rgb >> 8 & 255, rgb & 255)
        seen = self.colour(x, y)
        return bool(seen) and all(abs(a - b) <= 12 for a, b in zip(seen, wanted, strict=True))


def depacketized(payload: bytes) -> bytes:
    from aiortc.codecs.h264 import H264PayloadDescriptor

    return bytes(H264PayloadDescriptor.parse(payload)[1])


@pytest.fixture
async def screening(xserver: XServer) -> AsyncIterator[Screening]:
    screening = Screening(xserver.display)
    screening.pump.start()
    yield screening
    await screening.pump.close()


async def test_what_is_drawn_is_decoded(xserver: XServer, screening: Screening) -> None:
    painter = Painter(xserver.display)
    screening.pump.watch(True)
    await screening.until(lambda: screening.shows(700, 400, 0x202020))
    assert screening.frames[0].key
    assert screening.picture.shape == (720, 1280, 3)
    for x, colour in ((200, 0xC03020), (264, 0x20A060), (328, 0x3050C0)):
        painter.fill(x, 300, 48, 48, colour)
        await screening.until(functools.partial(screening.shows, x + 24, 324, colour))
    assert screening.shows(224, 324, 0xC03020)
    assert screening.shows(700, 400, 0x202020)
    assert sum(frame.key for frame in screening.frames) == 1
    stamps = [frame.pts_90k for frame in screening.frames]
    assert stamps == sorted(set(stamps))
    painter.close()


async def test_only_what_changed_is_grabbed(xserver: XServer, screening: Screening) -> None:
    painter = Painter(xserver.display)
    screening.pump.watch(True)
    await screening.until(lambda: screening.frames)
    grabbed = screening.pump.counters.captured_px
    painter.fill(600, 300, 10, 10, 0xFFFFFF)
    await screening.until(lambda: screening.shows(605, 305, 0xFFFFFF))
    assert 0 < screening.pump.counters.captured_px - grabbed <= 32 * 32
    painter.close()


async def test_an_idle_display_is_refined_and_then_left_alone(xserver: XServer, screening: Screening) -> None:
    screening.pump.watch(True)
    await screening.until(lambda: screening.pump.counters.heartbeats >= 2)
    counters = screening.pump.counters
    assert (counters.captures, counters.refines) == (1, 3)
    assert len(screening.frames) == 1 + 3 + counters.heartbeats
    assert screening.frames[-1].size_bytes < 500


async def test_nothing_is_made_while_nobody_watches(xserver: XServer, screening: Screening) -> None:
    painter = Painter(xserver.display)
    await screening.until(lambda: screening.sizes == [(1280, 720)])
    painter.fill(0, 0, 1280, 720, 0xFF0000)
    screening.pump.watch(True)
    await screening.until(lambda: screening.frames)
    screening.pump.watch(False)
    painter.fill(0, 0, 1280, 720, 0x00FF00)
    made = len(screening.frames)
    screening.pump.watch(True)
    await screening.until(lambda: len(screening.frames) > made)
    assert screening.frames[made].key
    assert screening.shows(640, 360, 0x00FF00)
    assert screening.pump.counters.encoders == 2
    painter.close()


async def test_no_frame_is_made_while_one_is_in_flight(xserver: XServer, screening: Screening) -> None:
    painter = Painter(xserver.display)
    screening.taking = False
    screening.pump.watch(True)
    await screening.until(lambda: screening.frames)
    for step in range(20):
        painter.fill(step * 20, 0, 16, 16, 0xFFFFFF)
    assert len(screening.frames) == 1
    screening.taking = True
    screening.pump.taken()
    await screening.until(lambda: screening.shows(19 * 20 + 8, 8, 0xFFFFFF))
    # All twenty in one frame: damage collects where it costs nothing.
    assert screening.pump.counters.captures == 2
    painter.close()


async def test_a_keyframe_on_request(xserver: XServer, screening: Screening) -> None:
    screening.pump.watch(True)
    await screening.until(lambda: screening.frames)
    for _ in range(5):
        screening.pump.want_key()
    await screening.until(lambda: screening.pump.counters.heartbeats >= 1)
    keys = [frame for frame in screening.frames if frame.key]
    assert len(keys) == 2
    assert (keys[1].pts_90k - keys[0].pts_90k) / 90_000 >= 0.5


async def test_another_rate_takes_no_keyframe(xserver: XServer, screening: Screening) -> None:
    painter = Painter(xserver.display)
    screening.pump.watch(True)
    await screening.until(lambda: screening.frames)
    screening.pump.set_rate(1_000_000)
    painter.page(3)
    made = len(screening.frames)
    await screening.until(lambda: len(screening.frames) > made)
    assert sum(frame.key for frame in screening.frames) == 1
    assert screening.pump.counters.encoders == 1
    # A page as it would have been at the full rate is several times as much.
    assert max(frame.size_bytes for frame in screening.frames[made:]) < 20_000
    painter.close()


async def test_who_lags_gets_the_same_picture_from_a_second_encoder(xserver: XServer, screening: Screening) -> None:
    painter = Painter(xserver.display)
    screening.pump.watch(True)
    await screening.until(lambda: screening.shows(700, 400, 0x202020))
    screening.pump.set_rate(1_000_000, LAG)
    screening.pump.watch(True, LAG)
    painter.fill(600, 300, 60, 60, 0xFFFFFF)
    await screening.until(lambda: min(screening.lag_colour(630, 330), default=0) > 240)
    assert screening.lagging[0].key
    assert screening.pump.counters.captures == 2, "nothing is grabbed twice"
    assert sum(frame.key for frame in screening.frames) == 1
    screening.pump.watch(False, LAG)
    made = len(screening.lagging)
    painter.fill(600, 300, 60, 60, 0x000000)
    await screening.until(lambda: screening.shows(630, 330, 0x000000))
    assert len(screening.lagging) <= made + 1
    painter.close()


async def test_the_display_changes_its_size(xserver: XServer, screening: Screening) -> None:
    screening.pump.watch(True)
    await screening.until(lambda: screening.frames)
    set_size(xserver.display, 1235, 777)
    await screening.until(lambda: screening.picture.shape == (776, 1234, 3))
    assert screening.sizes[-1] == (1235, 777)
    painter = Painter(xserver.display)
    painter.fill(1200, 740, 35, 37, 0xFFFF00)
    await screening.until(lambda: screening.shows(1230, 770, 0xFFFF00))
    painter.close()


async def test_the_picture_comes_back_with_the_server(tmp_path: Path) -> None:
    first = start_xorg(tmp_path)
    server = next(first)
    screening = Screening(server.display)
    screening.pump.start()
    screening.pump.watch(True)
    await screening.until(lambda: screening.frames)
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.to_thread(first.close)
    made = len(screening.frames)
    second = start_xorg(tmp_path, display=server.display)
    await asyncio.to_thread(next, second)
    painter = Painter(server.display)
    painter.fill(100, 100, 50, 50, 0x00C0FF)
    await screening.until(lambda: len(screening.frames) > made and screening.shows(125, 125, 0x00C0FF))
    assert screening.pump.counters.failures >= 1
    await screening.pump.close()
    painter.close()
    await asyncio.to_thread(second.close)


async def test_a_display_that_is_not_there_ends_in_time(caplog: pytest.LogCaptureFixture) -> None:
    screening = Screening(":4999")
    screening.pump.start()
    screening.pump.watch(True)
    await screening.pump.close()
    await screening.pump.close()
    assert screening.frames == []
    assert "no X server at :4999" in caplog.text


async def test_a_viewer_sees_the_display(xserver: XServer) -> None:
    events: list[PeerEvent] = []
    hub = MediaHub(xserver.display, events.append, Recorder(), address=LOOPBACK)
    painter = Painter(xserver.display)
    async with Viewer() as viewer:
        result = await hub.offer("p1", await viewer.offer(), "view")
        await viewer.accept(result.sdp)
        async with asyncio.timeout(20):
            await viewer.opened["control"].wait()
        viewer.send(Channel.CONTROL, Hello(VERSION))
        assert await viewer.receive() == Welcome(VERSION, False, 1280, 720)
        assert await viewer.receive() == Control(False)
        for colour in (0xFFFFFF, 0x000000, 0xFFFFFF):
            painter.fill(0, 0, 1280, 720, colour)
            wanted = 235 if colour else 16
            async with asyncio.timeout(20):
                while abs(await viewer.brightness() - wanted) > 3:
                    pass
        set_size(xserver.display, 1024, 700)
        assert await viewer.receive() == Size(1024, 700)
    await hub.close()
    painter.close()
