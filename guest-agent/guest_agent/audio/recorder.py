"""The process that records the desktop: parec(1) on the monitor of the sound server's default sink.

A process, and not libpulse in this one: a server that hangs cannot hang the agent, and killing it always works.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Sequence

from guest_agent.audio.frames import CHANNELS, RATE_HZ
from guest_agent.errors import SoundError

__all__ = ["LATENCY_MS", "PAREC", "Recorder"]

LATENCY_MS = 10
PAREC = (
    "parec",
    "--raw",
    "--device=@DEFAULT_MONITOR@",
    "--format=s16le",
    f"--rate={RATE_HZ}",
    f"--channels={CHANNELS}",
    f"--latency-msec={LATENCY_MS}",
    "--client-name=fenster-agent",
    "--stream-name=viewers",
)
_READ_BYTES = 64 * 1024


class Recorder:
    """Started when made; ``close`` ends it. Where the server is comes from the environment (XDG_RUNTIME_DIR).

    Raises SoundError when the program cannot be started.
    """

    def __init__(self, argv: Sequence[str] = PAREC) -> None:
        try:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
            )
        except OSError as exc:
            raise SoundError(f"{argv[0]} does not start: {exc}", hint="apt install pulseaudio-utils") from exc
        assert self._process.stdout is not None
        self._fd = self._process.stdout.fileno()
        os.set_blocking(self._fd, False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        return self._fd

    def read(self) -> bytes:
        """What was recorded since; empty when there is nothing. Raises SoundError when the process has ended."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            status = self._process.wait()
            raise SoundError(f"the recorder ended with status {status}", hint="is the sound server running?")
        return data

    def close(self) -> None:
        """Kill it. Idempotent."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
