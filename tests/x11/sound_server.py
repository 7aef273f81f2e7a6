"""The guest's sound server as the development driver starts it, on this host, in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from gateway.vm.local_sound import sound_argv, sound_env, write_sound_config
from tests.e2e.guest import eventually

__all__ = ["RAW", "SoundServer", "running_sound_server"]

RAW = ("--raw", "--format=s16le", "--rate=48000", "--channels=2")
"""What tests.tones makes, for pacat(1)."""


class SoundServer:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        runtime = folder / "xdg"
        runtime.mkdir(mode=0o700)
        self.env = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(runtime)}
        self.env.pop("PULSE_SERVER", None)
        write_sound_config(folder)
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when programs can play."""
        self._spawn()
        await eventually(self._sink_is_default, "a default sink")

    def _spawn(self) -> None:
        with (self._folder / "sound.log").open("ab") as log:
            self._process = subprocess.Popen(
                sound_argv(self._folder), env=sound_env(self._folder, self.env), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """With who links its programs, as a crash does. Idempotent."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def play(self, *options: str) -> subprocess.Popen[bytes]:
        """pacat of raw sound from its standard input, or from a file among the options."""
        return subprocess.Popen(["pacat", *RAW, *options], env=self.env, stdin=subprocess.PIPE, bufsize=0)

    async def sink_state(self) -> str:
        """RUNNING, SUSPENDED, or IDLE where it is only recorded."""
        return (await self._pactl("list", "short", "sinks")).split()[-1]

    async def _sink_is_default(self) -> bool | None:
        return "Default Sink: desktop" in await self._pactl("info") or None

    async def _pactl(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            "pactl", *words, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        out, _ = await process.communicate()
        return out.decode()


@contextlib.asynccontextmanager
async def running_sound_server(folder: Path) -> AsyncIterator[SoundServer]:
    server = SoundServer(folder)
    try:
        await server.start()
        yield server
    finally:
        server.kill()
