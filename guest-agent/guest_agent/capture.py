"""The X display as pictures: what changed (XDamage) and its pixels (MIT-SHM).

One thread owns a :class:`Screen`; it blocks only in X requests that the server answers at once. Waiting is the
caller's: ``fileno()`` is readable when ``poll()`` has something to read.

Damage is reported as "not empty" once, until it is fetched (Damage extension, DamageReportNonEmpty), so a window
that repaints a thousand times between two frames costs one event.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import xcffib
import xcffib.damage
import xcffib.shm
import xcffib.xfixes
import xcffib.xproto
from numpy.typing import NDArray

from guest_agent.errors import DisplayError
from guest_agent.rects import Rect
from guest_agent.shm import Segment
from guest_agent.swscale import OVERREAD_BYTES

__all__ = ["Resized", "Screen"]

_xcb: Any = xcffib
"""xcffib's modules carry no types."""
_ALL_PLANES = 0xFFFFFFFF
_Z_PIXMAP = 2
_EVENT_MASK = 2048
_STRUCTURE_NOTIFY = 1 << 17
_BYTES_PER_PX = 4


class Resized(Exception):
    """The display changed its size between asking and grabbing; ask again."""


class Screen:
    """The root window of one X display.

    Raises DisplayError (constructor and every method) when the server is gone or lacks an extension.
    """

    def __init__(self, display: str) -> None:
        try:
            self._conn = _xcb.connect(display)
        except xcffib.XcffibException as exc:
            raise DisplayError(f"no X server at {display}", hint="is fenster-x.service running?") from exc
        self._segment: Segment | None = None
        self._shmseg = 0
        self._damage = 0
        self._region = 0
        self._watching = False
        self._damaged = self._resized = False
        try:
            self._open()
        except xcffib.XcffibException as exc:
            self.close()
            raise DisplayError(f"the X server at {display} cannot be captured: {exc!r}") from exc
        except DisplayError:
            self.close()
            raise

    def _open(self) -> None:
        conn = self._conn
        self._shm = conn(xcffib.shm.key)
        self._damages = conn(xcffib.damage.key)
        self._xfixes = conn(xcffib.xfixes.key)
        self._shm.QueryVersion().reply()
        self._damages.QueryVersion(1, 1).reply()
        self._xfixes.QueryVersion(5, 0).reply()
        screen = conn.setup.roots[conn.pref_screen]
        formats = {f.depth: f.bits_per_pixel for f in conn.setup.pixmap_formats}
        if screen.root_depth != 24 or formats.get(24) != 8 * _BYTES_PER_PX:
            raise DisplayError(
                f"the display has depth {screen.root_depth}", hint="start the X server with DefaultDepth 24"
            )
        self._root = screen.root
        conn.core.ChangeWindowAttributesChecked(self._root, _EVENT_MASK, [_STRUCTURE_NOTIFY]).check()
        self._region = conn.generate_id()
        self._xfixes.CreateRegionChecked(self._region, 0, []).check()
        self.width_px, self.height_px = self._geometry()

    def fileno(self) -> int:
        fd: int = self._conn.get_file_descriptor()
        return fd

    def watch(self, on: bool) -> None:
        """Track damage, or stop. Tracking starts with everything damaged."""
        with _errors():
            if on and not self._watching:
                self._damage = self._conn.generate_id()
                self._damages.CreateChecked(self._damage, self._root, xcffib.damage.ReportLevel.NonEmpty).check()
            elif self._watching and not on:
                self._damages.DestroyChecked(self._damage).check()
            self._watching = on
            self._damaged = on

    def poll(self) -> tuple[bool, bool]:
        """(damaged, resized) since the last call. Never waits."""
        with _errors():
            while (event := self._conn.poll_for_event()) is not None:
                if isinstance(event, xcffib.damage.NotifyEvent):
                    self._damaged = True
                elif isinstance(event, xcffib.xproto.ConfigureNotifyEvent) and event.window == self._root:
                    self._resized = (event.width, event.height) != (self.width_px, self.height_px) or self._resized
            damaged, resized = self._damaged, self._resized
            self._damaged = self._resized = False
            if resized:
                self.width_px, self.height_px = self._geometry()
            return damaged, resized

    def damage(self) -> list[Rect]:
        """Fetch and forget what was damaged, as rectangles inside the display."""
        with _errors():
            self._damages.Subtract(self._damage, 0, self._region)
            reply = self._xfixes.FetchRegion(self._region).reply()
            return [Rect(r.x, r.y, r.width, r.height) for r in reply.rectangles]

    def grab(self, rect: Rect) -> NDArray[np.uint8]:
        """Pixels of ``rect``: (height, width, 4) in B, G, R, unused order, valid until the next grab.

        swscale.OVERREAD_BYTES of the same memory follow them.

        Raises Resized when the rectangle is no longer inside the display.
        """
        size = rect.width * rect.height * _BYTES_PER_PX
        with _errors():
            segment = self._memory(size)
            request = self._shm.GetImage(
                self._root, rect.x, rect.y, rect.width, rect.height, _ALL_PLANES, _Z_PIXMAP, self._shmseg, 0
            )
            try:
                request.reply()
            except xcffib.xproto.MatchError as exc:
                raise Resized from exc
        flat = np.frombuffer(segment.memory[:size], dtype=np.uint8)
        return flat.reshape(rect.height, rect.width, _BYTES_PER_PX)

    def close(self) -> None:
        """Drop the connection and the memory. Idempotent."""
        with suppress(xcffib.XcffibException):
            self._conn.disconnect()
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _geometry(self) -> tuple[int, int]:
        reply = self._conn.core.GetGeometry(self._root).reply()
        return reply.width, reply.height

    def _memory(self, size_bytes: int) -> Segment:
        """A segment for at least a whole picture and what the converter reads behind it, attached by the server."""
        needed = size_bytes + OVERREAD_BYTES
        if self._segment is not None and self._segment.size_bytes >= needed:
            return self._segment
        if self._segment is not None:
            self._shm.DetachChecked(self._shmseg).check()
            self._segment.close()
            self._segment = None
        segment = Segment(max(needed, self.width_px * self.height_px * _BYTES_PER_PX + OVERREAD_BYTES))
        try:
            self._shmseg = self._conn.generate_id()
            self._shm.AttachChecked(self._shmseg, segment.id, False).check()
        except xcffib.XcffibException as exc:
            segment.close()
            raise DisplayError(
                "the X server refuses shared memory", hint="agent and X server must run on one machine as one user"
            ) from exc
        finally:
            segment.forget()
        self._segment = segment
        return segment


class _errors:
    """Turns what xcffib raises into DisplayError."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, exc: BaseException | None, trace: object) -> None:
        if isinstance(exc, xcffib.XcffibException):
            raise DisplayError(f"the X server failed: {exc!r}") from exc
