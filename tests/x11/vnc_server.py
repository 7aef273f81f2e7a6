"""A real x11vnc on a test's X server, run as the guest runs it, and a viewer that speaks RFB by hand."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from struct import pack, unpack

from tests.x11.conftest import XServer
from tests.x11.sysv import remove_segments_of

__all__ = ["PASSWORD", "HandViewer", "VncServer", "key", "pointer", "start_x11vnc"]

PASSWORD = "s3cr3t-x"
BANNER = b"RFB 003.008\n"


@dataclass(frozen=True)
class VncServer:
    port: int

    async def dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


@contextlib.asynccontextmanager
async def start_x11vnc(xserver: XServer, folder: Path, password: str = PASSWORD) -> AsyncIterator[VncServer]:
    """x11vnc prints ``PORT=n`` on its standard output once it listens."""
    passwords = folder / "vnc.passwd"
    passwords.write_text(f"{password}\n")
    with (folder / "x11vnc.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "x11vnc",
            "-display", xserver.display,
            "-listen", "127.0.0.1", "-no6", "-autoport", "5950",
            "-forever", "-shared", "-wait", "50",
            "-passwdfile", str(passwords),
            "-noxdamage", "-noxrecord",
            env=xserver.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        port = 0
        while not port:
            line = await process.stdout.readline()
            assert line, (folder / "x11vnc.log").read_text()[-2000:]
            if line.startswith(b"PORT="):
                port = int(line.removeprefix(b"PORT="))
        yield VncServer(port)
    finally:
        # Not SIGTERM: x11vnc 0.9.16's handler asks Xlib to restore autorepeat, and when the signal comes inside an
        # Xlib call it waits for ever for the lock that call holds.
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        remove_segments_of(process.pid)


def key(keysym: int, down: bool) -> bytes:
    return pack("!BBxxI", 4, down, keysym)


def pointer(mask: int, x: int, y: int) -> bytes:
    return pack("!BBHH", 5, mask, x, y)


class HandViewer:
    """A browser's end of the pump: what it says, and what it was told."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.stream = asyncio.StreamReader()
        self.closed: tuple[int, str] | None = None
        self.size_px = (0, 0)

    async def receive(self) -> bytes | None:
        return await self.inbox.get()

    async def send(self, data: bytes) -> None:
        self.stream.feed_data(data)

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.stream.feed_eof()

    def say(self, data: bytes) -> None:
        self.inbox.put_nowait(data)

    def leave(self) -> None:
        self.inbox.put_nowait(None)

    async def enter(self) -> str:
        """The handshake, with security None and without sharing; the desktop's name."""
        read = self.stream.readexactly
        assert await read(12) == BANNER
        self.say(BANNER)
        assert await read(2) == b"\x01\x01"
        self.say(b"\x01")
        assert await read(4) == b"\0\0\0\0"
        self.say(b"\x00")
        width, height = unpack("!HH", await read(4))
        self.size_px = (width, height)
        await read(16)
        (length,) = unpack("!I", await read(4))
        return (await read(length)).decode()

    async def picture(self) -> bytes:
        """A full raw update; everything said before has been read by x11vnc when it is here."""
        read = self.stream.readexactly
        self.say(pack("!BxHi", 2, 1, 0) + pack("!BBHHHH", 3, 0, 0, 0, *self.size_px))
        kind, count = unpack("!BxH", await read(4))
        assert kind == 0
        pixels = b""
        for _ in range(count):
            _, _, width, height, encoding = unpack("!HHHHi", await read(12))
            assert encoding == 0
            pixels += await read(width * height * 4)
        return pixels
