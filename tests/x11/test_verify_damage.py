"""The counter that verify runs in the guest, on a real X server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from Xlib import display as xdisplay

from gateway.verify import damage_count
from tests.x11.conftest import XServer

pytestmark = pytest.mark.x11


def count_while(server: XServer, draws: int) -> int:
    script = Path(damage_count.__file__).read_text()
    counter = subprocess.Popen(
        [sys.executable, "-c", script, "1"], env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert counter.stdout is not None
    assert counter.stdout.readline() == "counting\n"
    screen = xdisplay.Display(server.display)
    root = screen.screen().root
    gc = root.create_gc(foreground=0xFF0000)
    for number in range(draws):
        root.fill_rectangle(gc, number, number, 10, 10)
        screen.sync()
    screen.close()
    out, err = counter.communicate(timeout=30)
    assert counter.returncode == 0, err
    return int(out.split()[-1])


def test_a_still_screen_has_no_damage(xserver: XServer) -> None:
    assert count_while(xserver, 0) == 0


def test_drawing_is_counted(xserver: XServer) -> None:
    # Each is drawn after the one before was; the counter may take several at once, and sees at least one.
    assert 1 <= count_while(xserver, 20) <= 20
