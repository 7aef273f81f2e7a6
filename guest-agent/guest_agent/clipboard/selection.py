"""The desktop's clipboard: a thread that owns the X selection CLIPBOARD for viewers, or reads what programs copied.

The selection is taken only for new content of a viewer, and given up to whoever copies next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import xcffib
import xcffib.xfixes
import xcffib.xproto as xp

from guest_agent.clipboard.content import LIMITS, Content, Limits
from guest_agent.clipboard.exchange import Selection
from guest_agent.clipboard.reading import Reading
from guest_agent.clipboard.serving import Serving
from guest_agent.clipboard.wire import XWire

__all__ = ["SelectionWorker"]

logger = logging.getLogger(__name__)

CLOSE_S = 5.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Content that is to be pasted, and who wants to know."""

    content: Content
    done: Callable[[bool], object]


class SelectionWorker:
    """The constructor connects; :meth:`start` runs the thread.

    Args:
        copied: called on the loop with what a program has copied, and whether that was just now.

    Raises DisplayError.
    """

    def __init__(
        self,
        display: str,
        copied: Callable[[Content, bool], object],
        loop: asyncio.AbstractEventLoop,
        limits: Limits = LIMITS,
    ) -> None:
        self._loop = loop
        self._wire = XWire(display)
        self._reading = Reading(self._wire, limits)
        self._serving = Serving(self._wire)
        self._copied = copied
        self._lock = threading.Lock()
        self._wanted: _Wanted | None = None
        """Not yet taken up; a newer one replaces it. It and ``_follow`` are what is under the lock."""
        self._follow = False
        self._following = False
        self._fresh = True
        self._claiming: _Wanted | None = None
        """Waits for the server's time."""
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="clipboard", daemon=True)

    def start(self) -> None:
        self._thread.start()

    # From the loop.

    def own(self, content: Content, done: Callable[[bool], object]) -> None:
        with self._lock:
            replaced, self._wanted = self._wanted, _Wanted(content, done)
        if replaced is not None:
            replaced.done(False)
        self._wake()

    def follow(self, on: bool) -> None:
        with self._lock:
            self._follow = on
        self._wake()

    def close(self) -> None:
        """Give the selection up and end the thread. Idempotent; waits up to CLOSE_S."""
        self._stopping = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def _wake(self) -> None:
        # A full pipe has woken it already.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_w, b"x")

    # On the thread.

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._round()
            self._wire.close()
        except (xcffib.XcffibException, OSError) as exc:
            # The input worker says so too, and the agent ends.
            logger.debug("! the X server is gone: %s", exc)
        for waiting in (self._claiming, self._wanted):
            if waiting is not None:
                self._tell(waiting, False)

    def _round(self) -> None:
        now = time.monotonic()
        self._take_orders(now)
        handled = 0
        for event in self._wire.events():
            self._handle(event, now)
            handled += 1
        if handled:
            # A reply that was waited for may have brought events with it, of which select(2) would know nothing.
            return
        self._reading.expire(now)
        self._serving.expire(now)
        self._wire.conn.flush()
        deadlines = [at for at in (self._reading.deadline, self._serving.deadline) if at is not None]
        timeout_s = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        ready, _, _ = select.select([self._wake_r, self._wire.conn.get_file_descriptor()], [], [], timeout_s)
        if self._wake_r in ready:
            os.read(self._wake_r, 4096)

    def _take_orders(self, now: float) -> None:
        with self._lock:
            wanted, self._wanted = self._wanted, None
            follow = self._follow
        if wanted is not None:
            if self._claiming is not None:
                self._tell(self._claiming, False)
            self._claiming = wanted
            self._wire.ask_time()
        if follow != self._following:
            self._following = follow
            self._reading.stop()
            if follow and self._wire.owner() not in (0, self._wire.window):
                # What was copied before is read, and is nobody's news.
                self._fresh = False
                self._reading.begin(int(xp.Time.CurrentTime), now)

    def _handle(self, event: object, now: float) -> None:
        match event:
            case xcffib.xfixes.SelectionNotifyEvent():
                self._owner_changed(event.owner, event.selection_timestamp, now)
            case xp.SelectionRequestEvent():
                self._serving.requested(event, now)
            case xp.SelectionClearEvent():
                self._serving.lost()
            case xp.SelectionNotifyEvent():
                self._found(self._reading.notified(event, now))
            case xp.PropertyNotifyEvent():
                self._property_changed(event, now)
            case _:
                pass  # MappingNotify comes to everybody.

    def _owner_changed(self, owner: int, timestamp: int, now: float) -> None:
        self._reading.stop()
        if self._following and owner not in (0, self._wire.window):
            self._fresh = True
            self._reading.begin(timestamp, now)

    def _property_changed(self, event: xp.PropertyNotifyEvent, now: float) -> None:
        if event.window != self._wire.window:
            self._serving.fetched(event, now)
        elif event.atom == self._wire.atoms["FENSTER_TIME"]:
            self._claim(event.time)
        else:
            self._found(self._reading.written(event, now))

    def _claim(self, timestamp: int) -> None:
        claiming, self._claiming = self._claiming, None
        if claiming is not None:
            self._tell(claiming, self._serving.own(claiming.content, timestamp))

    def _found(self, content: Content | None) -> None:
        if content is not None:
            self._call(self._copied, content, self._fresh)

    def _tell(self, wanted: _Wanted, owned: bool) -> None:
        self._call(wanted.done, owned)

    def _call(self, callback: Callable[..., object], *args: object) -> None:
        # A loop that has been closed needs no news.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)


_: type[Selection] = SelectionWorker
