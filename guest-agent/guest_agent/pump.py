"""The media thread: waits for damage, grabs, converts, encodes, packetises, and hands the frame to the loop.

It is the only thread that touches X, the converter and x264, and nearly all of its time is spent inside them without
the interpreter lock. What the loop wants of it (the ``Source`` of broadcast.py) goes through a list of small commands
and an eventfd. Lost the display or the encoder, it says so, and tries again once a second for as long as it lives:
viewers stay connected and the picture comes back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from guest_agent.capture import Resized, Screen
from guest_agent.convert import Picture
from guest_agent.encode import CLOCK_HZ, default_threads
from guest_agent.encoders import VideoEncoder, open_encoder
from guest_agent.errors import AgentError
from guest_agent.h264 import EncodedFrame
from guest_agent.lag import Lag
from guest_agent.libyuv import libyuv
from guest_agent.rate import MAX_BPS
from guest_agent.rects import Rect, plan
from guest_agent.rungs import MAIN
from guest_agent.schedule import Action, Schedule
from guest_agent.times import FrameStamps, InputTimes, now_us
from guest_agent.videocodec import Codec

__all__ = ["Pump", "PumpCounters"]

logger = logging.getLogger(__name__)

_RETRY_S = 1.0
_SLOW = 10
"""An emulated core takes 40 times as long to convert a picture as another does (libyuv 60). Beyond so many times, a
second thread gains more than its waking costs."""
_JOIN_S = 3.0


@dataclass(slots=True)
class PumpCounters:
    """Written by the media thread, read anywhere."""

    captures: int = 0
    captured_px: int = 0
    refines: int = 0
    heartbeats: int = 0
    encoders: int = 0
    lag_frames: int = 0
    failures: int = 0
    expired: int = 0
    capture_us: int = 0
    """This and the following: how long it took for the last frame."""
    convert_us: int = 0
    encode_us: int = 0
    packetize_us: int = 0


class Pump:
    """Args:
    display: ":1".
    deliver: called on the loop with each frame.
    on_size: called on the loop with the display's width and height in px, first and after each change.
    threads: for the encoder; 0 chooses.
    times: of the input that frames may show.
    """

    def __init__(
        self,
        display: str,
        deliver: Callable[[EncodedFrame], None],
        on_size: Callable[[int, int], None],
        *,
        threads: int = 0,
        times: InputTimes | None = None,
    ) -> None:
        self._display = display
        self._deliver = deliver
        self._on_size = on_size
        self._threads = threads
        self._times = times or InputTimes()
        self._encoder_threads = threads or default_threads()
        self._damaged_us: int | None = None
        """When what the next capture shows was first heard of."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        # Unbounded, but each entry answers one event of one viewer and the thread empties it every turn.
        self._commands: deque[Callable[[], None]] = deque()
        self._closing = False
        self._schedule = Schedule()
        self._origin_s = time.monotonic()
        self._last_pts = -1
        self._rate_bps = MAX_BPS
        self._lag = Lag()
        self._screen: Screen | None = None
        self._picture: Picture | None = None
        self._encoder: VideoEncoder | None = None
        self._codec = Codec.H264
        self._everything = True
        self.counters = PumpCounters()
        self._thread = threading.Thread(target=self._main, name="media", daemon=True)

    def start(self) -> None:
        libyuv()  # Looked for now, so that the log says at the start what converts.
        self._thread.start()

    async def close(self) -> None:
        """End the thread and wait for it, but not for a frozen X server that holds it in a request. Idempotent."""
        if self._thread.is_alive():
            self._post(self._close)
            await asyncio.wait([self._ended], timeout=_JOIN_S)
            if not self._ended.done():
                logger.error("! the media thread hangs; it ends with the process")
                return
            self._thread.join()
        if self._wake_fd >= 0:
            os.close(self._wake_fd)
            self._wake_fd = -1

    def watch(self, on: bool, rung: int = MAIN) -> None:
        self._post(lambda: self._set_watch(on) if rung == MAIN else self._lag.watch(on))

    def want_key(self, rung: int = MAIN) -> None:
        self._post(self._schedule_of(rung).want_key)

    def want_repeat(self, rung: int = MAIN) -> None:
        self._post(self._schedule_of(rung).want_repeat)

    def taken(self, rung: int = MAIN) -> None:
        self._post(self._schedule_of(rung).taken)

    def set_rate(self, max_bps: int, rung: int = MAIN) -> None:
        self._post(lambda: self._set_rate(max_bps) if rung == MAIN else self._lag.set_rate(max_bps))

    def set_codec(self, codec: Codec, rung: int = MAIN) -> None:
        self._post(lambda: self._set_codec(codec) if rung == MAIN else self._lag.set_codec(codec))

    def _schedule_of(self, rung: int) -> Schedule:
        return self._schedule if rung == MAIN else self._lag.schedule

    def _post(self, command: Callable[[], None]) -> None:
        if self._wake_fd >= 0:
            self._commands.append(command)
            os.eventfd_write(self._wake_fd, 1)

    # Everything below runs in the media thread.

    def _main(self) -> None:
        try:
            while not self._closing:
                try:
                    self._session()
                except AgentError as exc:
                    logger.warning("! media: %s", exc)
                except Exception:
                    logger.exception("! media thread")
                self._release()
                if not self._closing:
                    self.counters.failures += 1
                    self._wait([], _RETRY_S)
        finally:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _session(self) -> None:
        """One connection to the display, until it fails or the agent closes."""
        screen = self._screen = Screen(self._display)
        self._everything = True
        self._announce(screen)
        screen.watch(self._schedule.watched)
        while not self._closing:
            damaged, resized = screen.poll()
            if resized:
                self._announce(screen)
                self._picture = self._encoder = None
                self._lag.reset()
            if damaged or resized:
                self._damaged_us = self._damaged_us or now_us()
                self._schedule.damage()
            if not self._step(screen) and not self._step_lag():
                self._wait([screen], self._timeout_s(time.monotonic()))

    def _step(self, screen: Screen) -> bool:
        """Make one frame if one is due."""
        now = time.monotonic()
        due = self._schedule.next(now)
        self.counters.expired = self._schedule.expired
        if due is None:
            return False
        action, key = due
        picture = self._picture
        if picture is None:
            picture = self._picture = Picture(
                screen.width_px & ~1, screen.height_px & ~1, full_chroma=self._codec.full_chroma
            )
            self._everything = True
        stamps: FrameStamps | None = None
        if action is Action.CAPTURE:
            shown, damaged_us = self._times.last, self._damaged_us or now_us()
            self._damaged_us = None
            try:
                grabbed = self._capture(screen, picture)
            except Resized:
                return True
            if not grabbed:
                self._schedule.nothing_changed()
                return True
            self._lag.schedule.damage()
            stamps = FrameStamps(*shown, damaged_us, captured_us=now_us(), encoded_us=0)
        frame = self._encode(picture, now, key)
        if stamps is not None:
            frame = replace(frame, stamps=replace(stamps, encoded_us=now_us()))
        assert self._encoder is not None
        self._schedule.did(action, frame.key, now, cut=self._encoder.cut(frame.size_bytes))
        self.counters.refines += action is Action.REFINE
        self.counters.heartbeats += action is Action.HEARTBEAT
        self._loop.call_soon_threadsafe(self._deliver, frame)
        return True

    def _step_lag(self) -> bool:
        """Make one frame for those who lag, if one is due and there is a picture."""
        if self._picture is None or not self._lag.schedule.watched:
            return False
        now = time.monotonic()
        frame = self._lag.step(self._picture, now, self._next_pts(now), self._encoder_threads)
        if frame is None:
            return False
        self.counters.lag_frames += 1
        self._loop.call_soon_threadsafe(self._deliver, frame)
        return True

    def _timeout_s(self, now: float) -> float | None:
        """How long neither encode has anything to do."""
        main_s = self._schedule.timeout_s(now)
        lag_s = None if self._picture is None else self._lag.schedule.timeout_s(now)
        return lag_s if main_s is None else main_s if lag_s is None else min(main_s, lag_s)

    def _next_pts(self, now: float) -> int:
        """Rises from frame to frame, whichever encode it is for."""
        self._last_pts = max(self._last_pts + 1, int((now - self._origin_s) * CLOCK_HZ))
        return self._last_pts

    def _capture(self, screen: Screen, picture: Picture) -> bool:
        started = time.perf_counter_ns()
        damaged = screen.damage()
        if self._everything:
            damaged = [Rect(0, 0, picture.width_px, picture.height_px)]
        rects = plan(damaged, picture.width_px, picture.height_px)
        convert_ns = 0
        # A rectangle that is lost to a resize half way through is lost with the whole picture.
        for rect in rects:
            pixels = screen.grab(rect)
            before = time.perf_counter_ns()
            picture.update(rect, pixels)
            convert_ns += time.perf_counter_ns() - before
            self.counters.captured_px += rect.area_px
            if self._everything and not self._threads:
                self._choose_threads(picture, rect, pixels)
        self._everything = False
        if rects:
            self.counters.captures += 1
            self.counters.convert_us = convert_ns // 1000
            self.counters.capture_us = (time.perf_counter_ns() - started - convert_ns) // 1000
        return bool(rects)

    def _choose_threads(self, picture: Picture, rect: Rect, pixels: NDArray[np.uint8]) -> None:
        """By how long this machine works on a conversion: once more, since memory is slow when it is new, and not by
        the clock, since a core that others use too is not slow."""
        before_ns = time.thread_time_ns()
        picture.update(rect, pixels)
        usual_us = picture.converter.core_us_per_mpx * rect.area_px / 1e6
        slow = (time.thread_time_ns() - before_ns) / 1000 > usual_us * _SLOW
        picture.threads = default_threads(slow=True) if slow else 1
        self._encoder_threads = default_threads(slow=slow)

    def _encode(self, picture: Picture, now: float, key: bool) -> EncodedFrame:
        started = time.perf_counter_ns()
        if self._encoder is None:
            self._encoder = open_encoder(
                self._codec,
                picture.width_px,
                picture.height_px,
                max_bps=self._rate_bps,
                threads=self._encoder_threads,
            )
            self.counters.encoders += 1
        pts = self._next_pts(now)
        unit, is_key = self._encoder.encode(picture.array, pts, key=key)
        encoded = time.perf_counter_ns()
        frame = EncodedFrame(self._encoder.packetize(unit), pts, is_key, len(unit), codec=self._codec)
        self.counters.encode_us = (encoded - started) // 1000
        self.counters.packetize_us = (time.perf_counter_ns() - encoded) // 1000
        return frame

    def _wait(self, sources: list[Screen], timeout_s: float | None) -> None:
        """Until X has something to read, a command comes, or timeout_s passed; then run the commands."""
        readable, _, _ = select.select([*(s.fileno() for s in sources), self._wake_fd], [], [], timeout_s)
        if self._wake_fd in readable:
            os.eventfd_read(self._wake_fd)
        while self._commands:
            self._commands.popleft()()

    def _announce(self, screen: Screen) -> None:
        self._loop.call_soon_threadsafe(self._on_size, screen.width_px, screen.height_px)

    def _set_watch(self, on: bool) -> None:
        self._schedule.watch(on)
        self._everything = True
        if not on:
            self._encoder = self._picture = None
            self._lag.reset()
        if self._screen is not None:
            self._screen.watch(on)

    def _set_rate(self, max_bps: int) -> None:
        self._rate_bps = max_bps
        if self._encoder is not None and not self._encoder.retune(max_bps):
            self._encoder = None

    def _set_codec(self, codec: Codec) -> None:
        if codec is self._codec:
            return
        if codec.full_chroma is not self._codec.full_chroma:
            # The picture has the encoder's chroma: it is captured anew.
            self._picture = None
            self._schedule.damage()
        self._codec, self._encoder = codec, None

    def _close(self) -> None:
        self._closing = True

    def _release(self) -> None:
        """After a session: what is left of it is worth nothing."""
        if self._screen is not None:
            self._screen.close()
        self._screen = self._picture = self._encoder = None
        self._lag.reset()
        self._schedule.damage()
