"""The sound thread: keeps a recorder running while somebody listens, and makes packets of what it records.

A thread of its own, so that neither a busy loop nor a frame of video delays a packet by more than handing it over.
A recorder that fails, ends or says nothing is replaced, later each time; viewers stay connected and the sound comes
back.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import threading
import time
from collections.abc import Callable

from guest_agent.audio.frames import Cutter, Gate
from guest_agent.audio.opus import OpusEncoder, SoundPacket
from guest_agent.audio.recorder import Recorder
from guest_agent.audio.sound import RecordingCounters
from guest_agent.errors import AgentError, SoundError

__all__ = ["Capture"]

logger = logging.getLogger(__name__)

_RETRY_S = (0.25, 8.0)
"""First and longest pause between tries to record."""
_MUTE_S = 5.0
"""A recorder that says nothing for so long hangs: an idle sink's monitor gives zeros."""
_JOIN_S = 3.0


class Capture:
    """Made on the running loop. The thread starts with the first listener and waits between them.

    Args:
        deliver: called on the loop with each packet.
        record: makes the recorder; parec unless a test says otherwise.
    """

    def __init__(self, deliver: Callable[[SoundPacket], None], *, record: Callable[[], Recorder] = Recorder) -> None:
        self._deliver = deliver
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._wanted = self._closing = False
        self._thread: threading.Thread | None = None
        self._cutter = Cutter(time.monotonic())
        self._gate = Gate()
        self.counters = RecordingCounters()

    def listen(self, on: bool) -> None:
        if self._wake_fd < 0:
            return
        self._wanted = on
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="sound", daemon=True)
            self._thread.start()
        os.eventfd_write(self._wake_fd, 1)

    async def close(self) -> None:
        """End the recorder and the thread, and wait for both. Idempotent."""
        if self._wake_fd < 0:
            return
        if self._thread is not None:
            self._closing = True
            os.eventfd_write(self._wake_fd, 1)
            await asyncio.wait([self._ended], timeout=_JOIN_S)
            if not self._ended.done():
                logger.error("! the sound thread hangs; it ends with the process")
                return
            self._thread.join()
        os.close(self._wake_fd)
        self._wake_fd = -1

    # Everything below runs in the sound thread.

    def _main(self) -> None:
        first_s, longest_s = _RETRY_S
        pause_s = first_s
        try:
            while not self._closing:
                if not self._wanted:
                    pause_s = first_s
                    self._wait(None)
                    continue
                if self._recorded():
                    pause_s = first_s
                self._pause(pause_s)
                pause_s = min(pause_s * 2, longest_s)
        finally:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _recorded(self) -> bool:
        """Record until nobody listens or the recorder fails; whether it ever said anything."""
        heard = False
        recorder: Recorder | None = None
        try:
            encoder = OpusEncoder()
            recorder = self._record()
            self.counters.recorders += 1
            self._cutter.restart()
            while self._wanted and not self._closing:
                if not self._wait(_MUTE_S, recorder):
                    raise SoundError("the recorder says nothing")
                if data := recorder.read():
                    heard = True
                    self._encode(encoder, data)
        except AgentError as exc:
            self.counters.recorder_failures += 1
            logger.warning("! sound: %s", exc)
        except Exception:
            self.counters.recorder_failures += 1
            logger.exception("! sound thread")
        finally:
            if recorder is not None:
                recorder.close()
        return heard

    def _encode(self, encoder: OpusEncoder, data: bytes) -> None:
        for frame in self._cutter.feed(data, time.monotonic()):
            if self._gate.passes(frame.pcm):
                self._loop.call_soon_threadsafe(self._deliver, encoder.encode(frame))
        self.counters.sound_late = self._cutter.dropped
        self.counters.sound_silent = self._gate.skipped

    def _pause(self, pause_s: float) -> None:
        """For so long, or until nobody listens."""
        end_s = time.monotonic() + pause_s
        while self._wanted and not self._closing and (left_s := end_s - time.monotonic()) > 0:
            self._wait(left_s)

    def _wait(self, timeout_s: float | None, *sources: Recorder) -> bool:
        """Until the loop wants something, a source has something, or timeout_s passed; False in the last case."""
        ready, _, _ = select.select([*(source.fileno() for source in sources), self._wake_fd], [], [], timeout_s)
        if self._wake_fd in ready:
            os.eventfd_read(self._wake_fd)
        return bool(ready)
