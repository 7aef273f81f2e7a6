"""The pointer on a real X server: told by shape and place, and never in a picture."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xcffib
import xcffib.render
import xcffib.xfixes
import xcffib.xproto as xp
import xcffib.xtest

from guest_agent.capture import Screen
from guest_agent.cursor import CursorWatcher
from guest_agent.cursor_image import HIDDEN, CursorImage
from guest_agent.rects import Rect
from tests.unit.test_cursor_image import decoded
from tests.x11.conftest import XServer

pytestmark = [pytest.mark.x11, pytest.mark.timeout(60)]

_xcb: Any = xcffib
_RECT: Any = xp.RECTANGLE
PATIENCE_S = 20.0
LEFT_PTR, XTERM = 68, 152
"""Of X's cursor font (X11/cursorfont.h)."""
RED = 0xFFFF0000


class Client:
    """A program that changes a window's cursor and colour, and moves the pointer.

    The window is the root unless ``rect`` (x, y, width, height) asks for one above all others.
    """

    def __init__(self, display: str, rect: tuple[int, int, int, int] | None = None) -> None:
        self.conn = _xcb.connect(display=display)
        self.core = self.conn.core
        self.root = self.conn.setup.roots[self.conn.pref_screen].root
        self._xtest = self.conn(xcffib.xtest.key)
        self._render = self.conn(xcffib.render.key)
        self._render.QueryVersion(0, 11).reply()
        self.fixes = self.conn(xcffib.xfixes.key)
        self.fixes.QueryVersion(4, 0).reply()
        self._font = self.conn.generate_id()
        self.core.OpenFont(self._font, 6, "cursor")
        self.window = self.root if rect is None else self._open(rect)

    def _open(self, rect: tuple[int, int, int, int]) -> int:
        window: int = self.conn.generate_id()
        self.core.CreateWindow(
            0, window, self.root, *rect, 0, xp.WindowClass.CopyFromParent, 0,
            xp.CW.BackPixel | xp.CW.OverrideRedirect, [0x404040, 1],
        )  # fmt: skip
        self.core.MapWindow(window)
        self.core.GetInputFocus().reply()
        return window

    def glyph(self, number: int) -> int:
        cursor: int = self.conn.generate_id()
        self.core.CreateGlyphCursor(cursor, self._font, self._font, number, number + 1, 0, 0, 0, *[0xFFFF] * 3)
        return cursor

    def argb(self, size_px: int, colour: int, hot_px: int = 0) -> int:
        """A square of one colour."""
        formats = self._render.QueryPictFormats().reply().formats
        wanted = next(
            f.id for f in formats if f.depth == 32 and (f.direct.alpha_shift, f.direct.alpha_mask) == (24, 255)
        )
        pixmap, gc, picture, cursor = (self.conn.generate_id() for _ in range(4))
        self.core.CreatePixmap(32, pixmap, self.root, size_px, size_px)
        self.core.CreateGC(gc, pixmap, xp.GC.Foreground, [colour])
        self.core.PolyFillRectangle(pixmap, gc, 1, [_RECT.synthetic(0, 0, size_px, size_px)])
        self._render.CreatePicture(picture, pixmap, wanted, 0, [])
        self._render.CreateCursor(cursor, picture, hot_px, hot_px)
        found: int = cursor
        return found

    def wear(self, cursor: int) -> None:
        self.core.ChangeWindowAttributesChecked(self.window, xp.CW.Cursor, [cursor]).check()

    def fill(self, colour: int) -> None:
        """Paint the whole window."""
        self.core.ChangeWindowAttributes(self.window, xp.CW.BackPixel, [colour])
        self.core.ClearArea(False, self.window, 0, 0, 0, 0)
        self.core.GetInputFocus().reply()

    def centre_of_focused(self) -> tuple[int, int]:
        """The middle of the window that has the focus, in px of the display."""
        focus = self.core.GetInputFocus().reply().focus
        size = self.core.GetGeometry(focus).reply()
        at = self.core.TranslateCoordinates(focus, self.root, size.width // 2, size.height // 2).reply()
        return at.dst_x, at.dst_y

    def move(self, x: int, y: int) -> None:
        self._xtest.FakeInput(6, 0, 0, self.root, x, y, 0)
        self.core.GetInputFocus().reply()

    def close(self) -> None:
        self.conn.disconnect()


class Watch:
    def __init__(self, display: str) -> None:
        self.images: queue.Queue[CursorImage] = queue.Queue()
        self.places: queue.Queue[tuple[int, int]] = queue.Queue()
        self.watcher = CursorWatcher(display, self.images.put, lambda x, y: self.places.put((x, y)))

    def image(self) -> CursorImage:
        return self.images.get(timeout=PATIENCE_S)

    def until(self, place: tuple[int, int]) -> None:
        while self.places.get(timeout=PATIENCE_S) != place:
            pass


@pytest.fixture
def client(shared_xserver: XServer) -> Iterator[Client]:
    client = Client(shared_xserver.display)
    client.wear(client.glyph(LEFT_PTR))
    yield client
    client.close()


@pytest.fixture
def watch(shared_xserver: XServer, client: Client) -> Iterator[Watch]:
    watch = Watch(shared_xserver.display)
    yield watch
    watch.watcher.close()


def middle(px: int, size_px: int) -> int:
    return (2 * px + 1) * 32768 // size_px


def test_each_shape_is_told_once(client: Client, watch: Watch) -> None:
    arrow = watch.image()
    xterm = client.glyph(XTERM)
    client.wear(xterm)
    beam = watch.image()
    assert decoded(beam.png).shape != decoded(arrow.png).shape or beam.png != arrow.png
    # The hotspot of a text beam is its middle, the arrow's its tip.
    height, width, _ = decoded(beam.png).shape
    assert abs(beam.hot_x - width // 2) <= 1
    assert abs(beam.hot_y - height // 2) <= 1
    client.wear(client.glyph(LEFT_PTR))
    assert watch.image() == arrow, "a new cursor that looks like an old one"


def test_colours_and_hotspot(client: Client, watch: Watch) -> None:
    watch.image()
    client.wear(client.argb(24, 0x80400000, 5))
    image = watch.image()
    assert (image.hot_x, image.hot_y) == (5, 5)
    assert (decoded(image.png) == [128, 0, 0, 128]).all()


def test_an_invisible_cursor_is_hidden(client: Client, watch: Watch) -> None:
    watch.image()
    client.wear(client.argb(16, 0x00000000))
    assert watch.image() == HIDDEN


def test_of_many_changes_the_newest_is_told(client: Client, watch: Watch) -> None:
    watch.image()
    beam, square = client.glyph(XTERM), client.argb(20, RED)
    for _ in range(200):
        client.wear(beam)
        client.wear(square)
    last = watch.image()
    while last.png == b"" or decoded(last.png).shape != (20, 20, 4):
        last = watch.image()
    client.wear(client.argb(21, RED))
    told = [watch.image()]
    while decoded(told[-1].png).shape != (21, 21, 4):
        told.append(watch.image())
    assert len(told) < 100


def test_places_are_told_while_somebody_follows(client: Client, watch: Watch) -> None:
    client.move(10, 20)
    assert watch.places.empty()
    watch.watcher.follow(True)
    watch.until((middle(10, 1280), middle(20, 720)))
    for x in range(200):
        client.move(x, 30)
    watch.until((middle(199, 1280), middle(30, 720)))
    watch.watcher.follow(False)
    watch.image()
    client.wear(client.glyph(XTERM))
    watch.image()  # It has done what it was told before.
    client.move(300, 300)
    client.wear(client.glyph(LEFT_PTR))
    watch.image()
    assert watch.places.empty()


@pytest.mark.parametrize("size_px", [24, 64, 128, 256])
def test_no_picture_shows_the_pointer(shared_xserver: XServer, client: Client, size_px: int) -> None:
    """Neither its pixels nor damage where it moves, of any size: nothing is encoded for it."""
    client.wear(client.argb(size_px, RED, size_px // 2))
    screen = Screen(shared_xserver.display)
    try:
        screen.watch(True)
        screen.poll()
        screen.damage()
        for x in range(300, 400, 10):
            client.move(x, 300)
        assert screen.poll() == (False, False)
        assert screen.damage() == []
        pixels = screen.grab(Rect(0, 0, 1280, 720))
        assert not np.any((pixels[..., 2] > 200) & (pixels[..., 1] < 50))
    finally:
        screen.close()


def test_closing_twice_is_closing(shared_xserver: XServer) -> None:
    watch = Watch(shared_xserver.display)
    watch.watcher.close()
    watch.watcher.close()
    watch.watcher.follow(True)
    assert not watch.watcher._thread.is_alive()
