"""The worker thread that owns the X connection. Others push ops and wake it; nothing else is shared."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterable

import xcffib

from guest_agent.input.injector import Injector, InjectorCounters
from guest_agent.input.keysyms import keysym_of
from guest_agent.input.ops import Op, OpQueue
from guest_agent.input.xtest import XtestWire
from guest_agent.times import InputTimes

__all__ = ["InputWorker"]

logger = logging.getLogger(__name__)

CLOSE_S = 5.0
COMMON = [
    keysym
    for char in "абвгдежзийклмнопрстуфхцчшщъыьэюяёàáâãäåæçèéêëìíîïñòóôõöøùúûüýßÄÖÜÉÅØÆÇÑ€£§°«»¿¡…–—’“”„"
    if (keysym := keysym_of(char)) is not None
]
"""Bound before the desktop starts they cost nothing: no program has to read the map anew. Some 30 keycodes stay for
everything else, and those of unused ones."""


class InputWorker:
    """Types and points on one display.

    The constructor connects, so that what is missing is said at once; :meth:`start` runs the thread.

    Args:
        on_lost: called on the thread when the X server is gone; the worker is of no use afterwards.
        prepare: let go of what is down, and bind the characters of common European layouts at once (COMMON).
        limit: ops that may wait (ops.OpQueue says what is dropped beyond).
        times: hears when what came in has been handed to the server.

    Raises DisplayError.
    """

    def __init__(
        self,
        name: str,
        *,
        on_lost: Callable[[], object] = lambda: None,
        prepare: bool = False,
        limit: int = 4096,
        times: InputTimes | None = None,
    ) -> None:
        self._wire = XtestWire(name, self._pong)
        self._on_lost = on_lost
        self._times = times
        self._lock = threading.Lock()
        self._inbox = OpQueue(limit)
        """What came in since the thread last looked; the one thing under the lock."""
        self._queue = OpQueue(limit)
        self._wake_r, self._wake_w = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._injector = Injector(self._wire, self._queue)
        if prepare:
            self._wire.clear()
            self._injector.prepare(COMMON, time.monotonic())
        self._wire.flush()
        self._thread = threading.Thread(target=self._run, name="input", daemon=True)

    @property
    def size_px(self) -> tuple[int, int]:
        """The display's."""
        return self._wire.size_px

    @property
    def counters(self) -> InjectorCounters:
        return self._injector.counters

    @property
    def dropped(self) -> int:
        """Ops that found the queue full."""
        return self._inbox.dropped + self._queue.dropped

    def start(self) -> None:
        self._thread.start()

    def push(self, ops: Iterable[Op]) -> None:
        """Queue ops. From any thread; never waits for the server."""
        with self._lock:
            self._inbox.push(ops)
        self._wake()

    def close(self) -> None:
        """Release everything and end the thread. Idempotent; waits up to CLOSE_S."""
        self._stopping = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def _wake(self) -> None:
        # A full pipe has woken it already.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_w, b"x")

    def _pong(self, window: int, token: int | None) -> None:
        self._injector.pong(window, token)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._round()
            self._injector.release_all()
            self._wire.flush()
            self._wire.close()
        except (xcffib.XcffibException, OSError) as exc:
            logger.error("x the X server is gone: %s", exc)
            self._on_lost()

    def _round(self) -> None:
        if self._wire.handle_events():
            self._injector.map_changed()
        with self._lock:
            came = self._inbox.take()
        self._queue.push(came)
        deadline = self._injector.step(time.monotonic())
        self._wire.flush()
        if came and self._times is not None:
            self._times.injected()
        if self._wire.pending():
            return
        timeout_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self._wake_r, self._wire.fileno()], [], [], timeout_s)
        if self._wake_r in ready:
            os.read(self._wake_r, 4096)
