"""What the X server is told: held keys and their lease, repeats, buttons, wheel, places."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import xcffib
import xcffib.xkb

from guest_agent.input.ops import KeyTap
from guest_agent.input.repeat import DELAY_MS, RepeatGuard
from guest_agent.input.sink import XInputSink
from guest_agent.input.state import InputState
from guest_agent.input.worker import InputWorker
from guest_agent.input.xtest import XtestWire
from guest_agent.protocol.messages import Button, Held, Key, Move, ReleaseAll, Wheel
from tests.x11.conftest import XServer
from tests.x11.desk import KeyWindow
from tests.x11.resize import set_size

pytestmark = pytest.mark.x11

_xcb: Any = xcffib

A, SHIFT, ZHE = 0x61, 0xFFE1, 0x01000436
CAPS_KEY = 66


@pytest.fixture
def worker(xserver: XServer) -> Iterator[InputWorker]:
    worker = InputWorker(xserver.display)
    worker.start()
    yield worker
    worker.close()


@pytest.fixture
def window(xserver: XServer) -> Iterator[KeyWindow]:
    window = KeyWindow(xserver.display)
    yield window
    window.close()


async def keys(window: KeyWindow, count: int) -> list[tuple[str, int, bool]]:
    return await asyncio.to_thread(window.keys, count)


async def test_a_silent_viewer_loses_its_keys_with_its_lease(worker: InputWorker, window: KeyWindow) -> None:
    sink = XInputSink(worker, InputState(lease_s=0.2))
    sink.handle("me", Key(1, SHIFT, True))
    sink.handle("me", Key(2, ZHE, True))
    assert await keys(window, 2) == [("press", SHIFT, False), ("press", ZHE, True)]
    assert len(window.keys_down()) == 2
    assert await keys(window, 2) == [("release", ZHE, True), ("release", SHIFT, True)]
    assert window.keys_down() == set()
    assert sink.state.counters.leases_ended == 1
    sink.close()


async def test_heartbeats_keep_keys_down_and_the_end_of_the_viewer_does_not(
    worker: InputWorker, window: KeyWindow
) -> None:
    sink = XInputSink(worker, InputState(lease_s=0.2))
    loop = asyncio.get_running_loop()
    sink.handle("me", Key(1, A, True))
    assert await keys(window, 1) == [("press", A, False)]
    end, seq = loop.time() + 0.6, 2
    while loop.time() < end:
        sink.handle("me", Held(seq, 0, (A,)))
        seq += 1
        await asyncio.sleep(0.05)
    assert len(window.keys_down()) == 1
    sink.peer_gone("me")
    assert await keys(window, 1) == [("release", A, False)]
    sink.close()


async def test_what_held_does_not_name_goes_up(worker: InputWorker, window: KeyWindow) -> None:
    sink = XInputSink(worker)
    sink.handle("me", Key(1, A, True))
    sink.handle("me", Key(2, SHIFT, True))
    sink.handle("me", Held(3, 0, (SHIFT,)))
    sink.handle("me", ReleaseAll(4))
    assert await keys(window, 4) == [
        ("press", A, False),
        ("press", SHIFT, False),
        ("release", 0x41, True),
        ("release", SHIFT, True),
    ]
    assert window.keys_down() == set()
    sink.close()


async def test_a_closing_worker_leaves_nothing_down(xserver: XServer, window: KeyWindow) -> None:
    worker = InputWorker(xserver.display)
    worker.start()
    sink = XInputSink(worker)
    sink.handle("me", Key(1, A, True))
    assert await keys(window, 1) == [("press", A, False)]
    await asyncio.to_thread(worker.close)
    assert await keys(window, 1) == [("release", A, False)]
    worker.close()
    sink.close()


async def test_a_viewers_repeats_are_the_only_ones(worker: InputWorker, window: KeyWindow, xserver: XServer) -> None:
    sink = XInputSink(worker)
    for seq in range(3):
        sink.handle("me", Key(seq, A, True))
    sink.handle("me", Key(9, A, False))
    assert await keys(window, 6) == [("press", A, False), ("release", A, False)] * 3
    assert repeat_delay_ms(xserver) == DELAY_MS
    sink.close()


def test_a_settings_daemon_that_turns_the_servers_repeat_on_is_answered(
    worker: InputWorker, xserver: XServer
) -> None:
    daemon = _xcb.connect(display=xserver.display)
    RepeatGuard(daemon, delay_ms=300)
    daemon.flush()
    changes = 0
    while changes < 2:
        # Its own, and the answer to it.
        changes += isinstance(daemon.wait_for_event(), xcffib.xkb.NewKeyboardNotifyEvent)
    daemon.disconnect()
    assert repeat_delay_ms(xserver) == DELAY_MS


def test_a_killed_predecessors_keys_and_buttons_go_up(xserver: XServer, window: KeyWindow) -> None:
    wire = XtestWire(xserver.display, lambda window, token: None)
    keycode = 38
    wire.key(keycode, True)
    wire.button(3, True)
    wire.key(CAPS_KEY, True)
    wire.key(CAPS_KEY, False)
    wire.flush()
    assert window.keys(1) == [("press", A, False)]
    successor = InputWorker(xserver.display, prepare=True)
    successor.start()
    successor.push([KeyTap(ord("b"))])
    found = window.keys(6)
    assert found[2:3] == [("release", A, False)]
    assert found[-1] == ("press", ord("b"), False)
    assert window.keys_down() <= {56}
    successor.close()
    wire.close()


async def test_buttons_and_moves_land_where_they_should(worker: InputWorker, window: KeyWindow) -> None:
    sink = XInputSink(worker)
    sink.handle("me", Move(1, *place(700, 300)))
    sink.handle("me", Button(2, 1, True, *place(10, 20)))
    sink.handle("me", Move(4, *place(1279, 719)))
    sink.handle("me", Button(5, 1, False, *place(0, 0)))
    sink.handle("me", Move(3, *place(50, 50)))
    sink.handle("me", Button(6, 3, True, *place(640, 360)))
    sink.peer_gone("me")
    found = [event for event in await asyncio.to_thread(window.pointer, 4) if event[0] != "move"]
    while len(found) < 4:
        found += [event for event in await asyncio.to_thread(window.pointer, 1) if event[0] != "move"]
    assert found == [
        ("press", 1, 10, 20),
        ("release", 1, 0, 0),
        ("press", 3, 640, 360),
        ("release", 3, 640, 360),
    ]
    sink.close()


async def test_the_wheel_clicks(worker: InputWorker, window: KeyWindow) -> None:
    sink = XInputSink(worker)
    sink.handle("me", Wheel(1, 0, 240, *place(5, 6)))
    sink.handle("me", Wheel(2, -120, 0, *place(5, 6)))
    clicks: list[tuple[str, int]] = []
    while len(clicks) < 6:
        clicks += [event[:2] for event in await asyncio.to_thread(window.pointer, 1) if event[0] != "move"]
    assert clicks == [("press", 5), ("release", 5)] * 2 + [("press", 6), ("release", 6)]
    sink.close()


async def test_places_follow_a_resize(worker: InputWorker, xserver: XServer) -> None:
    set_size(xserver.display, 1024, 768)
    window = KeyWindow(xserver.display, (1024, 768))
    sink = XInputSink(worker)
    sink.handle("me", Button(1, 1, True, 65535, 65535))
    event = ("move", 0, 0, 0)
    while event[0] != "press":
        (event,) = await asyncio.to_thread(window.pointer, 1)
    assert event == ("press", 1, 1023, 767)
    sink.peer_gone("me")
    sink.close()
    window.close()


def place(x_px: int, y_px: int) -> tuple[int, int]:
    """Pixels of 1280 x 720 as a viewer sends them (protocol/messages.py)."""
    return int((x_px + 0.5) * 65536 / 1280), int((y_px + 0.5) * 65536 / 720)


def repeat_delay_ms(xserver: XServer) -> int:
    conn = _xcb.connect(display=xserver.display)
    xkb = conn(xcffib.xkb.key)
    xkb.UseExtension(1, 0).reply()
    delay_ms = int(xkb.GetControls(0x100).reply().repeatDelay)
    conn.disconnect()
    return delay_ms
