"""What the pointer looks like (XFixes 2.0, chapter "Cursor") and where it stands, told whenever that changes.

A connection and a thread of its own: each look is a round trip to a server that may be busy, and the media thread has
better to do. Changes are coalesced, the newest wins. Capture never sees the pointer: the dummy driver takes it for
drawn by hardware, and a screen copy leaves it out.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import xcffib
import xcffib.xfixes as xf
import xcffib.xinput as xi

from guest_agent.cursor_image import HIDDEN, CursorImage, cursor_image
from guest_agent.errors import DisplayError

__all__ = ["CursorWatcher"]

_xcb: Any = xcffib
"""It carries no types."""
_XI_MASK: Any = xi.EventMask
logger = logging.getLogger(__name__)

SHAPE_INTERVAL_S = 0.016
PLACE_INTERVAL_S = 0.05
MAX_KNOWN = 64
"""Cursors whose pictures are kept by the server's serial."""
CLOSE_S = 5.0
_RAW_MOTION = 1 << 17
_NEVER = float("inf")


class CursorWatcher:
    """Args:
        display: ":1".
        on_image: called on the thread with the pointer's picture, at first and after each change.
        on_place: called on the thread with the pointer's place in fractions of the display, 20 times a second at
            most, while :meth:`follow` asks for it.

    Raises DisplayError.
    """

    def __init__(
        self, display: str, on_image: Callable[[CursorImage], object], on_place: Callable[[int, int], object]
    ) -> None:
        self._on_image = on_image
        self._on_place = on_place
        try:
            self._conn = _xcb.connect(display=display)
            self._fixes = self._conn(xf.key)
            self._fixes.QueryVersion(4, 0).reply()
            self._input = self._conn(xi.key)
            self._input.XIQueryVersion(2, 2).reply()
        except xcffib.XcffibException as exc:
            raise DisplayError(f"no X server with XFixes and XInput at {display}", hint="is it running?") from exc
        self._root: int = self._conn.get_setup().roots[self._conn.pref_screen].root
        self._known: OrderedDict[int, CursorImage] = OrderedDict()
        self._told: CursorImage | None = None
        self._serial: int | None = None
        """Of the newest cursor the server has told of."""
        self._following = self._follow = False
        self._look_at, self._place_at = 0.0, _NEVER
        self._looked_s = self._placed_s = 0.0
        self._wake_r, self._wake_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._closing = False
        self._fixes.SelectCursorInput(self._root, xf.CursorNotifyMask.DisplayCursor)
        self._thread = threading.Thread(target=self._run, name="cursor", daemon=True)
        self._thread.start()

    def follow(self, on: bool) -> None:
        """Report the pointer's places from now on, beginning with the present one, or no more. Any thread."""
        self._follow = on
        self._wake()

    def close(self) -> None:
        """End the thread. Idempotent."""
        self._closing = True
        self._wake()
        self._thread.join(CLOSE_S)
        if self._wake_w >= 0 and not self._thread.is_alive():
            os.close(self._wake_r)
            os.close(self._wake_w)
            self._wake_r = self._wake_w = -1

    def _wake(self) -> None:
        if self._wake_w >= 0:
            with contextlib.suppress(BlockingIOError):  # It has been woken already.
                os.write(self._wake_w, b"x")

    def _run(self) -> None:
        try:
            while not self._closing:
                self._set_following()
                self._drain()
                now = time.monotonic()
                if now >= self._look_at:
                    self._look(now)
                if now >= self._place_at:
                    self._place(now)
                self._conn.flush()
                # Replies bring events along, of which the socket then says nothing.
                if not self._drain():
                    self._sleep()
            self._conn.disconnect()
        except (xcffib.ConnectionException, OSError):
            # The input worker says so too, and the agent ends.
            logger.debug("! the X server is gone")

    def _sleep(self) -> None:
        due = min(self._look_at, self._place_at)
        timeout_s = None if due == _NEVER else max(0.0, due - time.monotonic())
        if self._wake_r in select.select([self._wake_r, self._conn.get_file_descriptor()], [], [], timeout_s)[0]:
            os.read(self._wake_r, 64)

    def _set_following(self) -> None:
        wanted = self._follow
        if wanted == self._following:
            return
        self._following = wanted
        mask = _XI_MASK.synthetic(xi.Device.AllMaster, 1, [_RAW_MOTION if wanted else 0])
        self._input.XISelectEvents(self._root, 1, [mask])
        self._place_at = 0.0 if wanted else _NEVER

    def _drain(self) -> bool:
        """Take all events; did any come?"""
        came = False
        while True:
            try:
                event = self._conn.poll_for_event()
            except xcffib.Error as exc:
                logger.debug("! X error %r", exc)
                continue
            if event is None:
                return came
            came = True
            if isinstance(event, xf.CursorNotifyEvent):
                self._serial = event.cursor_serial
                self._look_at = min(self._look_at, self._looked_s + SHAPE_INTERVAL_S)
            elif isinstance(event, xi.RawMotionEvent) and self._following:
                self._place_at = min(self._place_at, self._placed_s + PLACE_INTERVAL_S)

    def _look(self, now: float) -> None:
        self._look_at, self._looked_s = _NEVER, now
        if self._serial is not None and self._serial in self._known:
            self._known.move_to_end(self._serial)
            image = self._known[self._serial]
        else:
            image = self._fetch()
        if image != self._told:
            self._told = image
            self._on_image(image)

    def _fetch(self) -> CursorImage:
        try:
            reply = self._fixes.GetCursorImage().reply()
        except xcffib.Error:
            return HIDDEN  # There is none.
        image = cursor_image(bytes(reply.cursor_image.buf()), (reply.width, reply.height), (reply.xhot, reply.yhot))
        self._known[reply.cursor_serial] = image
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return image

    def _place(self, now: float) -> None:
        self._place_at, self._placed_s = _NEVER, now
        asked = self._conn.core.QueryPointer(self._root), self._conn.core.GetGeometry(self._root)
        pointer, size = (request.reply() for request in asked)
        self._on_place(_fraction(pointer.root_x, size.width), _fraction(pointer.root_y, size.height))


def _fraction(px: int, size_px: int) -> int:
    """The middle of a pixel as a fraction of the display (messages.py)."""
    return min(max((2 * px + 1) * 32768 // size_px, 0), 0xFFFF)
