"""Typing over RFB through a real x11vnc that hands its input to vncpipe, and its password file."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.errors import VncError
from gateway.vnc.handshake import log_in
from guest_agent.assign import VNC_PASSWORD_FILE, assign
from guest_agent.requests import Assignment
from tests.x11.conftest import XServer
from tests.x11.desk import KeyWindow, Programs, Terminal, mixed
from tests.x11.sysv import remove_segments_of
from tests.x11.vnc_server import key, pointer
from tests.zygote_host import ROOT

pytestmark = [pytest.mark.x11, pytest.mark.timeout(120)]

PIPE = f"reopen:{sys.executable} -m guest_agent.input.vncpipe"
OPTIONS = ["-repeat", "-skip_lockkeys", "-pipeinput", PIPE]


@pytest.fixture
def programs(xserver: XServer, tmp_path: Path) -> Iterator[Programs]:
    programs = Programs(xserver, tmp_path)
    yield programs
    programs.close()


def session(password: str) -> Assignment:
    return Assignment("s", 0, password, None, (1280, 720))


@asynccontextmanager
async def x11vnc(programs: Programs) -> AsyncIterator[int]:
    """As the guest's unit starts it; the port it listens on."""
    folder = programs.folder
    assign(session("s3cr3t!x"), folder / "etc")
    process = await asyncio.create_subprocess_exec(
        "x11vnc",
        "-display", programs.xserver.display,
        "-listen", "127.0.0.1", "-no6", "-autoport", "5960",
        "-rfbauth", str(folder / "etc" / VNC_PASSWORD_FILE),
        "-forever", "-shared", "-wait", "50",
        *OPTIONS,
        env={**programs.env, "PYTHONPATH": str(ROOT / "guest-agent")},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        while not (line := await process.stdout.readline()).startswith(b"PORT="):
            assert line, "x11vnc did not start"
        yield int(line.removeprefix(b"PORT="))
    finally:
        process.kill()
        await process.communicate()
        remove_segments_of(process.pid)


@asynccontextmanager
async def viewer(port: int, password: str = "s3cr3t!x") -> AsyncIterator[asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await log_in(reader, writer, password)
        writer.write(b"\x01")
        yield writer
    finally:
        writer.close()
        await writer.wait_closed()


async def type_out(writer: asyncio.StreamWriter, text: str, rate_hz: float) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    for at, char in enumerate(text, 1):
        keysym = ord(char) if ord(char) < 0x100 else 0x01000000 | ord(char)
        writer.write(key(keysym, True) + key(keysym, False))
        await writer.drain()
        await asyncio.sleep(max(0.0, start + at / rate_hz - loop.time()))


async def test_500_mixed_characters_at_50_a_second(programs: Programs) -> None:
    await asyncio.to_thread(programs.window_manager)
    terminal = await asyncio.to_thread(Terminal, programs)
    text = mixed(500)
    try:
        async with x11vnc(programs) as port, viewer(port) as writer:
            await type_out(writer, text, 50)
            assert await asyncio.to_thread(terminal.read, len(text)) == text
    finally:
        terminal.close()


async def test_keys_are_held_repeated_and_ignored_as_over_webrtc(programs: Programs) -> None:
    window = KeyWindow(programs.xserver.display)
    shift, caps, a = 0xFFE1, 0xFFE5, 0x61
    async with x11vnc(programs) as port, viewer(port) as writer:
        writer.write(key(caps, True) + key(caps, False))
        writer.write(key(a, True) + key(a, True) + key(a, False) + key(shift, True) + key(shift, False))
        assert await asyncio.to_thread(window.keys, 6) == [
            ("press", a, False),
            ("release", a, False),
            ("press", a, False),
            ("release", a, False),
            ("press", shift, False),
            ("release", shift, True),
        ]
        writer.write(pointer(0, 11, 22) + pointer(1, 33, 44) + pointer(0, 55, 66) + pointer(16, 55, 66))
        clicks: list[tuple[str, int, int, int]] = []
        while len(clicks) < 4:
            clicks += [e for e in await asyncio.to_thread(window.pointer, 1) if e[0] != "move"]
        assert clicks == [
            ("press", 1, 33, 44),
            ("release", 1, 55, 66),
            ("press", 5, 55, 66),
            ("release", 5, 55, 66),
        ]
        writer.write(key(a, True))
        assert await asyncio.to_thread(window.keys, 1) == [("press", a, False)]
    # A viewer that leaves is the gateway's business; with x11vnc itself everything is let go of.
    assert await asyncio.to_thread(window.keys, 1) == [("release", a, False)]
    window.close()


async def test_the_password_is_read_at_every_connection(programs: Programs) -> None:
    async with x11vnc(programs) as port:
        async with viewer(port):
            pass
        assign(session("another1"), programs.folder / "etc")
        async with viewer(port, "another1"):
            pass
        with pytest.raises(VncError):
            async with viewer(port, "s3cr3t!x"):
                pass
