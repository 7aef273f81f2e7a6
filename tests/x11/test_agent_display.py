"""RandR sizes and the window list, on a real server."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xcffib
import xcffib.xproto as xp

from guest_agent.errors import DisplayError
from guest_agent.resize import resize
from guest_agent.windows import WindowWatcher
from tests.x11.conftest import XServer
from tests.x11.desk import Programs

pytestmark = pytest.mark.x11

_xcb: Any = xcffib
PATIENCE_S = 30.0


def root_size_px(display: str) -> tuple[int, int]:
    conn = _xcb.connect(display=display)
    geometry = conn.core.GetGeometry(conn.get_setup().roots[conn.pref_screen].root).reply()
    conn.disconnect()
    return geometry.width, geometry.height


def test_any_size_and_back(xserver: XServer) -> None:
    for size_px in ((1024, 600), (1920, 1080), (320, 1200), (3840, 320), (1280, 720), (1024, 600), (1024, 600)):
        assert resize(xserver.display, size_px) == size_px
        assert root_size_px(xserver.display) == size_px


def test_a_size_the_server_cannot_have_leaves_the_old_one(xserver: XServer) -> None:
    with pytest.raises(DisplayError, match="40000x400"):
        resize(xserver.display, (40_000, 400))
    assert root_size_px(xserver.display) == (1280, 720)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DisplayError, match="refused"):
        resize(":4711", (1024, 600))
    with pytest.raises(DisplayError):
        WindowWatcher(":4711", lambda classes: None)


@pytest.fixture
def programs(xserver: XServer, tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(xserver, tmp_path)
    yield programs
    programs.close()


class Client:
    """A program with windows."""

    def __init__(self, display: str) -> None:
        self.conn = _xcb.connect(display=display)
        self._screen = self.conn.get_setup().roots[self.conn.pref_screen]

    def window(self, wm_class: bytes) -> int:
        window = self.conn.generate_id()
        self.conn.core.CreateWindow(
            0, window, self._screen.root, 0, 0, 50, 50, 0, xp.WindowClass.InputOutput, 0, 0, []
        )
        self.conn.core.ChangeProperty(
            xp.PropMode.Replace, window, xp.Atom.WM_CLASS, xp.Atom.STRING, 8, len(wm_class), wm_class
        )
        self.conn.core.MapWindow(window)
        self.conn.flush()
        return int(window)


def test_windows_come_and_go(xserver: XServer, programs: Programs) -> None:
    programs.window_manager()
    told: queue.Queue[list[str]] = queue.Queue()
    watcher = WindowWatcher(xserver.display, told.put)
    assert told.get(timeout=PATIENCE_S) == []
    client = Client(xserver.display)
    first = client.window(b"one\0First\0")
    assert told.get(timeout=PATIENCE_S) == ["First"]
    client.window(b"two\0Second\0")
    assert told.get(timeout=PATIENCE_S) == ["First", "Second"]
    client.window(b"no class at all")
    client.conn.core.DestroyWindow(first)
    client.conn.flush()
    assert told.get(timeout=PATIENCE_S) == ["Second"]
    client.conn.disconnect()
    assert told.get(timeout=PATIENCE_S) == []
    watcher.close()
    watcher.close()
