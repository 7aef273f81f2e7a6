"""What the guest's health service sees of real programs: a window manager and an X server that stand still."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_agent.errors import DisplayError
from guest_agent.health.display import Display
from tests.x11.conftest import XServer
from tests.x11.desk import Programs

pytestmark = pytest.mark.x11


@pytest.fixture
def programs(xserver: XServer, tmp_path: Path) -> Iterator[Programs]:
    made = Programs(xserver, tmp_path)
    yield made
    made.close()


def test_a_window_manager_answers_until_it_stands_still(xserver: XServer, programs: Programs) -> None:
    display = Display(xserver.display)
    assert display.look().wm is None
    manager = programs.start(["openbox"])
    while (answered := display.look().wm) is None:
        assert manager.poll() is None
    assert answered
    os.kill(manager.pid, signal.SIGSTOP)
    assert display.look().wm is False
    os.kill(manager.pid, signal.SIGCONT)
    assert display.look().wm is True
    display.close()


def test_a_black_picture_is_told_from_another(xserver: XServer, programs: Programs) -> None:
    display = Display(xserver.display)
    for colour, black in (("#000000", True), ("#204060", False)):
        assert programs.start(["xsetroot", "-solid", colour]).wait(20) == 0
        assert display.look().black is black
    display.close()


def test_no_server_is_an_error() -> None:
    with pytest.raises(DisplayError):
        Display(":981")
