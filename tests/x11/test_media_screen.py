"""Capture on a real X server: damage, pixels, resize, idle."""

from __future__ import annotations

import select
import subprocess
import time
from collections.abc import Iterator

import pytest

from guest_agent.capture import Resized, Screen
from guest_agent.errors import DisplayError
from guest_agent.rects import Rect
from guest_agent.swscale import OVERREAD_BYTES
from tests.x11.conftest import XServer
from tests.x11.painter import Painter
from tests.x11.resize import set_size

pytestmark = pytest.mark.x11

EVENT_S = 10.0


@pytest.fixture
def screen(xserver: XServer) -> Iterator[Screen]:
    screen = Screen(xserver.display)
    yield screen
    screen.close()


@pytest.fixture
def painter(xserver: XServer) -> Iterator[Painter]:
    painter = Painter(xserver.display)
    yield painter
    painter.close()


def events(screen: Screen, seconds: float = EVENT_S) -> tuple[bool, bool]:
    """(damaged, resized): the first that comes, or nothing within ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        damaged, resized = screen.poll()
        if damaged or resized:
            return damaged, resized
        left = end - time.monotonic()
        if left <= 0 or not select.select([screen.fileno()], [], [], left)[0]:
            return False, False


def test_damage_is_where_something_was_drawn(screen: Screen, painter: Painter) -> None:
    screen.watch(True)
    assert events(screen) == (True, False)
    screen.damage()
    painter.fill(100, 200, 30, 10, 0xFF8000)
    assert events(screen) == (True, False)
    assert screen.damage() == [Rect(100, 200, 30, 10)]
    grabbed = screen.grab(Rect(96, 192, 48, 32))
    assert grabbed.shape == (32, 48, 4)
    inside, outside = grabbed[8:18, 4:34, :3], grabbed[0:8, :, :3]
    assert (inside == (0x00, 0x80, 0xFF)).all()
    assert (outside == 0x20).all()


def test_idle_gives_nothing(screen: Screen, painter: Painter) -> None:
    screen.watch(True)
    events(screen)
    screen.damage()
    assert events(screen, 1.0) == (False, False)
    assert screen.damage() == []


def test_a_thousand_drawings_are_one_event(screen: Screen, painter: Painter) -> None:
    screen.watch(True)
    events(screen)
    screen.damage()
    for i in range(1000):
        painter.fill(i % 40 * 10, 50, 5, 5, i)
    assert events(screen) == (True, False)
    assert sum(r.area_px for r in screen.damage()) <= 40 * 25
    assert events(screen, 0.1) == (False, False)


def test_nothing_is_tracked_while_nobody_watches(screen: Screen, painter: Painter) -> None:
    painter.fill(0, 0, 10, 10, 0xFFFFFF)
    assert events(screen, 0.2) == (False, False)
    screen.watch(True)
    assert screen.poll() == (True, False)
    screen.damage()
    screen.watch(False)
    painter.fill(0, 0, 10, 10, 0x000000)
    assert events(screen, 0.2) == (False, False)


def test_resize_is_seen_and_grabbed(xserver: XServer, screen: Screen) -> None:
    assert (screen.width_px, screen.height_px) == (1280, 720)
    assert screen.grab(Rect(0, 0, 1280, 720)).shape == (720, 1280, 4)
    set_size(xserver.display, 1234, 777)
    while events(screen) == (True, False):
        pass
    assert (screen.width_px, screen.height_px) == (1234, 777)
    with pytest.raises(Resized):
        screen.grab(Rect(0, 0, 1280, 720))
    set_size(xserver.display, 1920, 1200)
    painter = Painter(xserver.display)
    painter.fill(1900, 1180, 20, 20, 0x00FF00)
    while (screen.width_px, screen.height_px) != (1920, 1200):
        events(screen)
    whole = screen.grab(Rect(0, 0, 1920, 1200))
    assert (whole[1180:1200, 1900:1920, :3] == (0, 255, 0)).all()
    painter.close()


def test_shared_memory_goes_with_the_screen(xserver: XServer) -> None:
    def segments() -> set[str]:
        with open("/proc/sysvipc/shm") as table:
            return {line.split()[1] for line in table.readlines()[1:]}

    before = segments()
    screen = Screen(xserver.display)
    assert screen.grab(Rect(0, 0, 1280, 720)).shape == (720, 1280, 4)
    assert len(segments() - before) == 1
    screen.close()
    screen.close()
    # The server lets go when it has read the end of the connection.
    Screen(xserver.display).close()
    assert segments() - before == set()


def test_no_server() -> None:
    with pytest.raises(DisplayError, match=":4999"):
        Screen(":4999")


def test_a_server_that_dies_is_an_error(xserver: XServer, screen: Screen) -> None:
    subprocess.run(["kill", "-9", str(xserver.pid)], check=True)
    select.select([screen.fileno()], [], [], EVENT_S)
    with pytest.raises(DisplayError):
        screen.poll()
    with pytest.raises(DisplayError):
        screen.grab(Rect(0, 0, 16, 16))


def test_what_the_converter_reads_behind_a_whole_picture_is_there(screen: Screen) -> None:
    """1280x720 fills whole pages, so without slack the next page is someone else's, or nobody's."""
    pixels = screen.grab(Rect(0, 0, screen.width_px, screen.height_px))
    memory = screen._segment
    assert memory is not None
    assert memory.size_bytes >= pixels.nbytes + OVERREAD_BYTES
