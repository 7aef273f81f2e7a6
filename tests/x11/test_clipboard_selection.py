"""The clipboard's X side against real programs on a real Xorg: xclip, xsel, and an owner that does as it likes."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import xcffib
import xcffib.xproto as xp

from guest_agent.clipboard.content import Content, Kind, Limits
from guest_agent.clipboard.selection import SelectionWorker
from tests.x11.conftest import XServer
from tests.x11.desk import Programs

pytestmark = [pytest.mark.x11, pytest.mark.timeout(60)]

_xcb: Any = xcffib
MIXED = "Grüße, 世界 🦀\n\tпривет\n" * 20


def png(size: int) -> bytes:
    """A PNG of about so many bytes that cannot be compressed."""
    side = 1024
    rows = size // (side * 3 + 1)
    raw = b"".join(b"\0" + os.urandom(side * 3) for _ in range(rows))

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw, 0)) + chunk(b"IEND", b"")


class Desk:
    """A worker that follows, what it found, and programs beside it."""

    def __init__(self, xserver: XServer, programs: Programs, **options: Any) -> None:
        self.copies: asyncio.Queue[tuple[Content, bool]] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        self.worker = SelectionWorker(
            xserver.display, lambda content, fresh: self.copies.put_nowait((content, fresh)), loop, **options
        )
        self.xserver = xserver
        self.programs = programs
        self.worker.start()
        self.worker.follow(True)

    async def copied(self) -> Content:
        content, _ = await asyncio.wait_for(self.copies.get(), 20)
        return content

    async def own(self, content: Content) -> bool:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.worker.own(content, done.set_result)
        return await asyncio.wait_for(done, 20)

    def copy(self, data: bytes, *options: str) -> None:
        """By xclip, which stays in the background as the owner."""
        program = self.programs.start(["xclip", "-quiet", "-i", *options], stdin=subprocess.PIPE)
        assert program.stdin is not None
        program.stdin.write(data)
        program.stdin.close()
        program.stdin = None

    async def paste(self, argv: Sequence[str]) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *argv, env=self.xserver.env, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            out, _ = await asyncio.wait_for(process.communicate(), 15)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        return out


@pytest.fixture
async def desk(xserver: XServer, tmp_path: Path) -> AsyncIterator[Desk]:
    programs = Programs(xserver, tmp_path)
    desk = Desk(xserver, programs)
    yield desk
    await asyncio.to_thread(desk.worker.close)
    programs.close()


XCLIP = ("xclip", "-o", "-selection", "clipboard")


async def test_a_viewers_text_is_pasted_by_programs(desk: Desk) -> None:
    assert await desk.own(Content.of_text(MIXED))
    assert await desk.paste(XCLIP) == MIXED.encode()
    assert await desk.paste([*XCLIP, "-t", "UTF8_STRING"]) == MIXED.encode()
    assert await desk.paste([*XCLIP, "-t", "text/plain;charset=utf-8"]) == MIXED.encode()
    assert await desk.paste(["xsel", "-b", "-o"]) == MIXED.encode()
    targets = (await desk.paste([*XCLIP, "-t", "TARGETS"])).decode().split()
    assert {"TARGETS", "TIMESTAMP", "UTF8_STRING", "text/plain;charset=utf-8"} <= set(targets)
    assert await desk.paste([*XCLIP, "-t", "image/png"]) == b""
    assert await desk.own(Content.of_text("the next"))
    assert await desk.paste(XCLIP) == b"the next"


async def test_what_programs_copy_is_read(desk: Desk) -> None:
    desk.copy(MIXED.encode(), "-selection", "clipboard")
    assert await desk.copied() == Content.of_text(MIXED)
    desk.copy("Latin-1: é".encode("latin-1"), "-selection", "clipboard", "-t", "STRING")
    assert await desk.copied() == Content.of_text("Latin-1: é")


async def test_a_large_picture_goes_both_ways_in_parts(desk: Desk) -> None:
    picture = Content.checked(Kind.PNG, png(5 << 20))
    desk.copy(picture.data, "-selection", "clipboard", "-t", "image/png")
    assert await desk.copied() == picture
    other = Content.checked(Kind.PNG, png(6 << 20))
    assert await desk.own(other)
    pasting = [desk.paste([*XCLIP, "-t", "image/png"]) for _ in range(3)]
    assert [len(out) for out in await asyncio.gather(*pasting)] == [len(other.data)] * 3
    assert await desk.paste([*XCLIP, "-t", "image/png"]) == other.data


async def test_a_megabyte_of_text_goes_both_ways(desk: Desk) -> None:
    text = Content.of_text("0123456789äöü€\n" * 50_000)
    desk.copy(text.data, "-selection", "clipboard")
    assert await desk.copied() == text
    assert await desk.own(text)
    assert await desk.paste(XCLIP) == text.data
    assert await desk.paste(["xsel", "-b", "-o"]) == text.data


async def test_what_we_own_is_not_found_and_is_given_up_to_who_copies(desk: Desk) -> None:
    assert await desk.own(Content.of_text("the viewer's"))
    desk.copy(b"the guest's", "-selection", "clipboard")
    # The first that is found is the program's: of our own ownership nothing was told.
    assert await desk.copied() == Content.of_text("the guest's")
    assert await desk.paste(XCLIP) == b"the guest's"
    assert await desk.own(Content.of_text("the viewer's again"))
    assert await desk.paste(XCLIP) == b"the viewer's again"


async def test_primary_is_left_alone(desk: Desk) -> None:
    desk.copy(b"selected", "-selection", "primary")
    assert await desk.own(Content.of_text("copied"))

    async def selected() -> bytes:
        return await desk.paste(["xclip", "-o", "-selection", "primary"])

    async with asyncio.timeout(20):
        while await selected() != b"selected":  # xclip has still to become the owner.  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert desk.copies.empty()


async def test_what_is_too_large_or_no_picture_is_not_taken_and_the_next_is(xserver: XServer, tmp_path: Path) -> None:
    programs = Programs(xserver, tmp_path)
    desk = Desk(xserver, programs, limits=Limits(text=1000, png=300_000))
    try:
        for data, kind in (
            (b"x" * 1001, "UTF8_STRING"),
            (b"x" * 5_000_000, "UTF8_STRING"),
            (png(2 << 20), "image/png"),
            (b"no picture", "image/png"),
            (b"\xff\xfe", "UTF8_STRING"),
        ):
            reading, before = desk.worker._reading, desk.worker._reading._time
            desk.copy(data, "-selection", "clipboard", "-t", kind)
            async with asyncio.timeout(20):
                while reading._time == before or reading.deadline is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            # xclip serves one program after the other: it was read to its end, or this would hang.
            assert await desk.paste([*XCLIP, "-t", kind]) == data
        desk.copy(b"x" * 1000, "-selection", "clipboard")
        assert await desk.copied() == Content.of_text("x" * 1000)
        assert desk.copies.empty()
    finally:
        await asyncio.to_thread(desk.worker.close)
        programs.close()


async def test_off_it_reads_nothing_and_on_again_what_is_there_is_no_news(desk: Desk) -> None:
    desk.copy(b"one", "-selection", "clipboard")
    assert await desk.copied() == Content.of_text("one")
    desk.worker.follow(False)
    desk.copy(b"two", "-selection", "clipboard")
    async with asyncio.timeout(20):
        while await desk.paste(XCLIP) != b"two":
            pass
    desk.worker.follow(True)
    assert await asyncio.wait_for(desk.copies.get(), 20) == (Content.of_text("two"), False)


async def test_an_owner_that_never_answers_holds_up_nobody(desk: Desk) -> None:
    conn = _xcb.connect(display=desk.xserver.display)
    root = conn.get_setup().roots[conn.pref_screen].root
    window = conn.generate_id()
    conn.core.CreateWindow(0, window, root, 0, 0, 1, 1, 0, xp.WindowClass.InputOnly, 0, 0, [])
    clipboard = conn.core.InternAtom(False, 9, "CLIPBOARD").reply().atom
    conn.core.SetSelectionOwner(window, clipboard, 0)
    assert conn.core.GetSelectionOwner(clipboard).reply().owner == window
    desk.copy(b"after it", "-selection", "clipboard")
    assert await desk.copied() == Content.of_text("after it")
    assert await desk.own(Content.of_text("and after that"))
    assert await desk.paste(XCLIP) == b"and after that"
    conn.disconnect()


async def test_who_goes_while_it_fetches_parts_disturbs_nothing(desk: Desk) -> None:
    picture = Content.checked(Kind.PNG, png(6 << 20))
    assert await desk.own(picture)
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            *XCLIP, "-t", "image/png", env=desk.xserver.env, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        process.kill()
        await process.communicate()
    assert await desk.paste([*XCLIP, "-t", "image/png"]) == picture.data
