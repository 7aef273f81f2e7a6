"""What the guest's health service sees of real programs: a window manager and an X server that stand still."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xcffib
import xcffib.xproto as xp

from guest_agent.errors import DisplayError
from guest_agent.health.display import Display
from tests.x11.conftest import XServer
from tests.x11.desk import Programs

pytestmark = pytest.mark.x11

_xcb: Any = xcffib
"""It carries no types."""


@pytest.fixture
def programs(xserver: XServer, tmp_path: Path) -> Iterator[Programs]:
    made = Programs(xserver, tmp_path)
    yield made
    made.close()


def test_a_window_manager_answers_until_it_stands_still(xserver: XServer, programs: Programs) -> None:
    display = Display(xserver.display)
    assert display.look().wm is None
    manager = programs.window_manager()
    assert display.look().wm is True
    os.kill(manager.pid, signal.SIGSTOP)
    assert display.look().wm is False
    os.kill(manager.pid, signal.SIGCONT)
    assert display.look().wm is True
    display.close()


def test_a_black_picture_is_told_from_another(xserver: XServer) -> None:
    display = Display(xserver.display)
    painter: Any = _xcb.connect(display=xserver.display)
    root = painter.get_setup().roots[0].root
    for colour, black in ((0x000000, True), (0x204060, False)):
        painter.core.ChangeWindowAttributes(root, xp.CW.BackPixel, [colour])
        painter.core.ClearArea(False, root, 0, 0, 0, 0)
        painter.core.GetInputFocus().reply()
        assert display.look().black is black
    painter.disconnect()
    display.close()


def test_no_server_is_an_error() -> None:
    with pytest.raises(DisplayError):
        Display(":981")


def test_chromium_answers_until_it_stands_still(xserver: XServer, programs: Programs, tmp_path: Path) -> None:
    programs.window_manager()
    flags = ("--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={tmp_path / 'profile'}")
    browser = programs.start(["chromium", *flags, "about:blank"])
    display = Display(xserver.display)
    until = time.monotonic() + 40
    while not (seen := display.look()).chromium:
        assert browser.poll() is None
        assert time.monotonic() < until, seen
        programs.wait_property("_NET_ACTIVE_WINDOW")
    assert seen.chromium_pid is not None
    os.kill(seen.chromium_pid, signal.SIGSTOP)
    stopped = display.look()
    os.kill(seen.chromium_pid, signal.SIGCONT)
    assert (stopped.chromium, stopped.chromium_pid, stopped.wm) == (False, seen.chromium_pid, True)
    others = display.look(ours=lambda pid: pid != seen.chromium_pid)
    assert (others.chromium, others.chromium_pid) == (None, None)
    assert display.look().chromium is True
    display.close()
