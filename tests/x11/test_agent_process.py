"""The real zygote and the real agent on a real X server, as the `process` driver runs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import xcffib

from guest_agent.agent import DISPLAY_LOST
from guest_agent.protocol.rpc import INVALID_PARAMS, Failure
from tests.x11.conftest import XServer
from tests.x11.desk import KeyWindow, Programs
from tests.zygote_host import ASSIGN, IDENTIFY, ZygoteHost

pytestmark = [pytest.mark.x11, pytest.mark.timeout(120)]

_xcb: Any = xcffib


@pytest.fixture
def programs(xserver: XServer, tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(xserver, tmp_path)
    yield programs
    programs.close()


@pytest.fixture
def host(xserver: XServer, tmp_path: Path) -> Iterator[ZygoteHost]:
    argv = [
        "-m", "guest_agent",
        "--link", f"unix:{tmp_path / 'agent.sock'}",
        "--user", "",
        "--etc", str(tmp_path / "etc"),
        "--display", xserver.display,
    ]  # fmt: skip
    host = ZygoteHost(tmp_path, argv, xserver.env)
    yield host
    assert host.close() == 0


@pytest.fixture
def up(host: ZygoteHost) -> ZygoteHost:
    host.result("identify", IDENTIFY)
    host.news("agent", state="up")
    return host


def size_px(display: str) -> tuple[int, int]:
    conn = _xcb.connect(display=display)
    geometry = conn.core.GetGeometry(conn.get_setup().roots[conn.pref_screen].root).reply()
    conn.disconnect()
    return geometry.width, geometry.height


def test_it_tells_what_it_counts(up: ZygoteHost) -> None:
    told = up.result("counters", {})
    assert told["viewers"] == told["frames"] == 0
    assert all(type(figure) is int for figure in told.values())


def test_with_everything_imported_zygote_and_nest_have_one_thread(up: ZygoteHost) -> None:
    for pid in (up.process.pid, up.nest()):
        assert len(os.listdir(f"/proc/{pid}/task")) == 1
    maps = Path(f"/proc/{up.nest()}/maps").read_text()
    assert "libavcodec" in maps, "the agent's libraries are not there to be shared"
    assert len(os.listdir(f"/proc/{up.result('hello')['agent']['pid']}/task")) > 1


def test_assign_sets_the_display(up: ZygoteHost, xserver: XServer, tmp_path: Path) -> None:
    up.result("assign", {**ASSIGN, "display": [1000, 700]})
    log = up.log
    with log.open() as lines:
        while "guest_agent.agent = display 1000x700" not in lines.read():
            # A round trip through both processes; the size comes within a few of them.
            up.ask("bye", {"peer": "nobody"})
            lines.seek(0)
    assert size_px(xserver.display) == (1000, 700)


def test_windows_are_told_as_they_come_and_go(up: ZygoteHost, programs: Programs) -> None:
    assert up.news("desktop")["windows"] == []
    programs.window_manager()
    terminal = programs.start(["dbus-run-session", "xfce4-terminal", "--disable-server"])
    assert up.news("desktop", windows=["Xfce4-terminal"])
    os.killpg(terminal.pid, signal.SIGTERM)
    assert up.news("desktop")["windows"] == []


@pytest.mark.parametrize(
    "params",
    [
        {"peer": "p", "sdp": "no description", "role": "control"},
        {"peer": "p", "sdp": "v=0", "role": "owner"},
        {"peer": "", "sdp": "v=0", "role": "view"},
        {"peer": "p", "role": "view"},
        {"peer": 7, "sdp": "v=0", "role": "view"},
    ],
)
def test_bad_offers_are_refused_and_disturb_nothing(up: ZygoteHost, params: dict[str, object]) -> None:
    answer = up.ask("offer", params)
    assert isinstance(answer, Failure)
    assert answer.code == INVALID_PARAMS
    assert up.result("hello")["agent"]["state"] == "up"


def test_a_killed_agent_is_there_again_with_the_sessions_display(up: ZygoteHost, xserver: XServer) -> None:
    up.result("assign", {**ASSIGN, "display": [1000, 700]})
    window = KeyWindow(xserver.display)
    os.kill(up.result("hello")["agent"]["pid"], signal.SIGKILL)
    assert up.news("agent", state="down")["code"] == -9
    up.news("agent", state="up")
    assert window.keys_down() == set()
    window.close()


def test_an_agent_that_loses_its_display_ends_and_its_successor_waits_for_one(
    up: ZygoteHost, xserver: XServer
) -> None:
    os.kill(xserver.pid, signal.SIGTERM)
    assert up.news("agent", state="down")["code"] == DISPLAY_LOST
    assert up.result("hello")["agent"]["state"] == "down"
    answer = up.ask("offer", {"peer": "p", "sdp": "v=0", "role": "view"})
    assert isinstance(answer, Failure)
