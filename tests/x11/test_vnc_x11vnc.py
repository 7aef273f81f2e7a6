"""The VNC path against a real x11vnc: who types, who only looks, and what is let go of."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from Xlib import X, display

from gateway.errors import VncError
from gateway.vnc.handshake import log_in
from gateway.vnc.pump import Ended, Report, serve
from gateway.vnc.rfb import Role
from tests.x11.conftest import XServer
from tests.x11.vnc_server import PASSWORD, HandViewer, VncServer, key, pointer, start_x11vnc

pytestmark = pytest.mark.x11

A, B, CONTROL = 0x61, 0x62, 0xFFE3


class Target:
    """A window that has the keyboard and covers the screen; its events are what the desktop got."""

    def __init__(self, name: str) -> None:
        self.display: Any = display.Display(name)
        screen = self.display.screen()
        mask = X.KeyPressMask | X.KeyReleaseMask | X.ButtonPressMask | X.ButtonReleaseMask | X.ExposureMask
        self.window: Any = screen.root.create_window(
            0, 0, 1280, 720, 0, screen.root_depth, override_redirect=True, event_mask=mask
        )
        self.window.map()
        while self.display.next_event().type != X.Expose:
            pass
        self.window.set_input_focus(X.RevertToParent, X.CurrentTime)
        self.display.sync()

    async def events(self, count: int) -> list[tuple[str, int]]:
        """The next ``count`` presses and releases, with their keysym or button."""
        found: list[tuple[str, int]] = []
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self.display.fileno(), readable.set)
        try:
            while len(found) < count:
                readable.clear()
                # pending_events() reads the socket, so the event is cleared before and set by what comes after.
                while self.display.pending_events() and len(found) < count:
                    if (event := self._named(self.display.next_event())) is not None:
                        found.append(event)
                if len(found) < count:
                    await readable.wait()
        finally:
            loop.remove_reader(self.display.fileno())
        return found

    def _named(self, event: Any) -> tuple[str, int] | None:
        match event.type:
            case X.KeyPress:
                return "down", int(self.display.keycode_to_keysym(event.detail, 0))
            case X.KeyRelease:
                return "up", int(self.display.keycode_to_keysym(event.detail, 0))
            case X.ButtonPress:
                return "press", int(event.detail)
            case X.ButtonRelease:
                return "release", int(event.detail)
            case _:
                return None

    def pointer(self) -> tuple[int, int]:
        at = self.window.query_pointer()
        return int(at.root_x), int(at.root_y)


@pytest.fixture
def target(xserver: XServer) -> Iterator[Target]:
    made = Target(xserver.display)
    yield made
    made.display.close()


@pytest.fixture
async def server(xserver: XServer, tmp_path: Path) -> AsyncIterator[VncServer]:
    async with start_x11vnc(xserver, tmp_path) as made:
        yield made


@contextlib.asynccontextmanager
async def viewing(server: VncServer, role: Role) -> AsyncIterator[tuple[HandViewer, asyncio.Task[Report]]]:
    """A viewer behind the pump, past its handshake."""
    viewer = HandViewer()
    reader, writer = await server.dial()
    serving = asyncio.create_task(serve(viewer, reader, writer, role=role, password=PASSWORD))
    try:
        assert await viewer.enter()
        assert viewer.size_px == (1280, 720)
        yield viewer, serving
    finally:
        serving.cancel()
        await asyncio.wait([serving])
        await writer.wait_closed()


async def test_a_wrong_password_is_refused(server: VncServer) -> None:
    reader, writer = await server.dial()
    with pytest.raises(VncError, match="refused the password"):
        await log_in(reader, writer, "wrong")
    writer.close()
    await writer.wait_closed()
    viewer = HandViewer()
    report = await serve(viewer, *await server.dial(), role="control", password="wrong")
    assert report.ended is Ended.REFUSED
    assert viewer.closed is not None
    assert viewer.closed[0] == 1011


async def test_a_picture_comes_through(server: VncServer, target: Target) -> None:
    async with viewing(server, "view") as (viewer, serving):
        assert len(await viewer.picture()) == 1280 * 720 * 4
        viewer.leave()
        report = await serving
    assert report.ended is Ended.VIEWER
    assert report.bytes_to_viewer > 1280 * 720 * 4


async def test_control_types_and_clicks(server: VncServer, target: Target) -> None:
    async with viewing(server, "control") as (viewer, _):
        viewer.say(key(A, True) + key(A, False) + pointer(0, 300, 200) + pointer(1, 300, 200) + pointer(0, 300, 200))
        assert await target.events(4) == [("down", A), ("up", A), ("press", 1), ("release", 1)]
        assert target.pointer() == (300, 200)


async def test_view_types_nothing(server: VncServer, target: Target) -> None:
    async with viewing(server, "control") as (controller, _), viewing(server, "view") as (viewer, serving):
        controller.say(pointer(0, 40, 50))
        await controller.picture()
        viewer.say(key(A, True) + key(A, False) + pointer(1, 300, 200) + pointer(0, 300, 200))
        assert len(await viewer.picture()) == 1280 * 720 * 4
        assert target.pointer() == (40, 50)
        controller.say(key(B, True) + key(B, False))
        assert await target.events(2) == [("down", B), ("up", B)]
        viewer.leave()
        report = await serving
    assert report.messages_dropped == 4


@pytest.mark.parametrize("how", ["leaves", "is cut off"])
async def test_what_a_dropped_viewer_held_is_released(server: VncServer, target: Target, how: str) -> None:
    async with viewing(server, "control") as (viewer, serving):
        viewer.say(key(CONTROL, True) + key(B, True) + pointer(1, 300, 200))
        assert await target.events(3) == [("down", CONTROL), ("down", B), ("press", 1)]
        if how == "leaves":
            viewer.leave()
        else:
            serving.cancel()
        await asyncio.wait([serving])
        assert await target.events(3) == [("up", B), ("up", CONTROL), ("release", 1)]


async def test_x11vnc_goes_away(xserver: XServer, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with start_x11vnc(xserver, tmp_path) as server:
            viewer, serving = await stack.enter_async_context(viewing(server, "view"))
        report = await serving
        assert report.ended is Ended.SERVER
        assert viewer.closed is not None
        assert viewer.closed[0] == 1012
