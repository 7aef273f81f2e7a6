"""The pump between a scripted viewer and a scripted x11vnc on a socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from struct import pack

import pytest

from gateway.vnc.handshake import vnc_auth_response
from gateway.vnc.pump import CHUNK_BYTES, Ended, InputSwitch, Report, ViewerSocket, serve
from gateway.vnc.rfb import Role
from tests.sessions import turns_until

BANNER = b"RFB 003.008\n"
CHALLENGE = bytes(range(16))
UPDATE = pack("!BBHHHH", 3, 1, 0, 0, 1280, 720)
MUCH = UPDATE * 6554
"""64 KiB."""
KEY_DOWN, KEY_UP = pack("!BBxxI", 4, 1, 0x61), pack("!BBxxI", 4, 0, 0x61)


class Viewer:
    """A WebSocket by hand: ``inbox`` is what the browser sends, ``sent`` what it was sent."""

    def __init__(self, *messages: bytes) -> None:
        self.inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.says(BANNER, b"\x01", b"\x00", *messages)
        self.sent: asyncio.Queue[bytes] = asyncio.Queue()
        self.takes = asyncio.Event()
        self.takes.set()
        self.gone = False
        self.closed: tuple[int, str] | None = None

    def says(self, *messages: bytes | None) -> None:
        for message in messages:
            self.inbox.put_nowait(message)

    async def receive(self) -> bytes | None:
        return await self.inbox.get()

    async def send(self, data: bytes) -> None:
        await self.takes.wait()
        if self.gone:
            raise ConnectionResetError("gone")
        self.sent.put_nowait(data)

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    async def read(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            got += await self.sent.get()
        return got


_viewer: type[ViewerSocket] = Viewer


@dataclass
class Server:
    """x11vnc's end, and the gateway's streams to it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    gateway: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    raw: socket.socket
    tasks: list[asyncio.Task[Report]] = field(default_factory=list)

    def serve(self, viewer: Viewer, role: Role = "control", *, timeout_s: float = 10.0) -> asyncio.Task[Report]:
        task = asyncio.create_task(
            serve(viewer, *self.gateway, role=role, password="secret", handshake_timeout_s=timeout_s)
        )
        self.tasks.append(task)
        return task

    async def accept(self) -> None:
        """The handshake up to and with ClientInit."""
        self.writer.write(BANNER)
        assert await self.reader.readexactly(12) == BANNER
        self.writer.write(b"\x01\x02")
        assert await self.reader.readexactly(1) == b"\x02"
        self.writer.write(CHALLENGE)
        assert await self.reader.readexactly(16) == vnc_auth_response(CHALLENGE, "secret")
        self.writer.write(b"\0\0\0\0")
        assert await self.reader.readexactly(1) == b"\x01", "the session is shared whatever the viewer asks"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    ours, theirs = socket.socketpair()
    gateway = await asyncio.open_connection(sock=ours)
    reader, writer = await asyncio.open_connection(sock=theirs)
    made = Server(reader, writer, gateway, theirs)
    yield made
    for task in made.tasks:
        task.cancel()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    for end in (writer, gateway[1]):
        end.close()
    for end in (writer, gateway[1]):
        await asyncio.gather(end.wait_closed(), return_exceptions=True)


async def test_bytes_go_both_ways_and_the_viewer_ends_it(server: Server) -> None:
    viewer = Viewer(UPDATE)
    serving = server.serve(viewer)
    await server.accept()
    assert await viewer.read(12 + 2 + 4) == BANNER + b"\x01\x01" + b"\0\0\0\0"
    server.writer.write(b"ServerInit")
    assert await viewer.read(10) == b"ServerInit"
    assert await server.reader.readexactly(10) == UPDATE
    viewer.inbox.put_nowait(None)
    report = await serving
    assert await server.reader.read() == b""
    assert report == Report(Ended.VIEWER, "The viewer left.", bytes_to_guest=10, bytes_to_viewer=10)
    assert viewer.closed == (1000, "The viewer left.")


async def test_messages_may_come_with_the_handshake_and_in_pieces(server: Server) -> None:
    viewer = Viewer()
    viewer.inbox = asyncio.Queue()
    viewer.inbox.put_nowait(BANNER + b"\x01" + b"\x00" + UPDATE[:3])
    viewer.inbox.put_nowait(UPDATE[3:])
    serving = server.serve(viewer)
    await server.accept()
    assert await server.reader.readexactly(10) == UPDATE
    assert not serving.done()


async def test_what_a_viewer_typed_before_it_left_arrives(server: Server) -> None:
    viewer = Viewer()
    serving = server.serve(viewer)
    await server.accept()
    assert await viewer.read(12 + 2 + 4)
    viewer.gone = True
    server.writer.write(b"frame")
    await server.writer.drain()
    # The pump hears that the viewer takes no more while this is still on its way.
    asyncio.get_running_loop().call_later(0.05, viewer.says, KEY_DOWN, KEY_UP, None)
    assert await server.reader.read() == KEY_DOWN + KEY_UP
    assert (await serving).ended is Ended.VIEWER


@pytest.mark.parametrize("how", ["leaves", "breaks", "cancelled", "nonsense"])
async def test_held_keys_are_released_however_it_ends(server: Server, how: str) -> None:
    viewer = Viewer(KEY_DOWN)
    serving = server.serve(viewer)
    await server.accept()
    assert await server.reader.readexactly(8) == KEY_DOWN
    match how:
        case "leaves":
            viewer.inbox.put_nowait(None)
        case "breaks":
            viewer.gone = True
            server.writer.write(b"frame")
        case "nonsense":
            viewer.inbox.put_nowait(b"\x63")
        case _:
            serving.cancel()
    assert await server.reader.read() == KEY_UP
    await asyncio.wait([serving])
    assert serving.cancelled() == (how == "cancelled")
    code = {"leaves": 1000, "breaks": 1000, "cancelled": 1001, "nonsense": 1002}[how]
    assert viewer.closed is not None
    assert viewer.closed[0] == code


async def test_view_sends_no_key(server: Server) -> None:
    viewer = Viewer(KEY_DOWN, KEY_UP, UPDATE)
    serving = server.serve(viewer, "view")
    await server.accept()
    assert await server.reader.readexactly(10) == UPDATE
    viewer.inbox.put_nowait(None)
    report = await serving
    assert report.messages_dropped == 2
    assert await server.reader.read() == b""


async def test_a_key_held_at_the_hand_over_goes_up_at_once(server: Server) -> None:
    switch, viewer = InputSwitch(), Viewer(KEY_DOWN)
    switch.turn(True)
    serving = asyncio.create_task(serve(viewer, *server.gateway, role="control", password="secret", switch=switch))
    server.tasks.append(serving)
    await server.accept()
    assert await server.reader.readexactly(8) == KEY_DOWN
    switch.turn(False)
    assert await server.reader.readexactly(8) == KEY_UP
    viewer.inbox.put_nowait(KEY_UP + KEY_DOWN + UPDATE)
    assert await server.reader.readexactly(10) == UPDATE
    switch.turn(True)
    viewer.inbox.put_nowait(KEY_DOWN)
    assert await server.reader.readexactly(8) == KEY_DOWN


@pytest.mark.parametrize("turned", [None, False])
async def test_a_switch_that_is_off_lets_nothing_through(server: Server, turned: bool | None) -> None:
    switch, viewer = InputSwitch(), Viewer(KEY_DOWN, UPDATE)
    if turned is not None:
        switch.turn(turned)
    server.tasks.append(
        asyncio.create_task(serve(viewer, *server.gateway, role="control", password="secret", switch=switch))
    )
    await server.accept()
    assert await server.reader.readexactly(10) == UPDATE


async def test_a_page_that_falls_silent_keeps_no_key(server: Server) -> None:
    viewer, report, lease_s = Viewer(b"", KEY_DOWN), Report(), 0.05
    serving = asyncio.create_task(
        serve(viewer, *server.gateway, role="control", password="secret", lease_s=lease_s, report=report)
    )
    server.tasks.append(serving)
    await server.accept()
    assert await server.reader.readexactly(8) == KEY_DOWN
    assert await server.reader.readexactly(8) == KEY_UP
    assert report.leases_ended == 1
    viewer.inbox.put_nowait(KEY_DOWN)
    assert await server.reader.readexactly(8) == KEY_DOWN, "it came back"
    viewer.inbox.put_nowait(None)
    assert await server.reader.readexactly(8) == KEY_UP
    assert (await serving).ended is Ended.VIEWER


@pytest.mark.parametrize("beats", [True, False])
async def test_a_key_stays_while_there_are_heartbeats_or_none_was_promised(server: Server, beats: bool) -> None:
    viewer = Viewer(b"", KEY_DOWN) if beats else Viewer(KEY_DOWN)
    server.tasks.append(
        asyncio.create_task(serve(viewer, *server.gateway, role="control", password="secret", lease_s=0.5))
    )
    await server.accept()
    assert await server.reader.readexactly(8) == KEY_DOWN
    loop = asyncio.get_running_loop()
    until = loop.time() + 1.2
    while (left_s := until - loop.time()) > 0:
        if beats:
            viewer.inbox.put_nowait(b"")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(min(left_s, 0.05)):
                await server.reader.read(1)
    viewer.inbox.put_nowait(UPDATE)
    assert await server.reader.readexactly(10) == UPDATE


async def test_what_came_while_the_server_was_stuck_counts_as_heard(server: Server) -> None:
    viewer, report, lease_s = Viewer(b"", KEY_DOWN), Report(), 0.05
    serving = asyncio.create_task(
        serve(viewer, *server.gateway, role="control", password="secret", lease_s=lease_s, report=report)
    )
    server.tasks.append(serving)
    await server.accept()
    assert await server.reader.readexactly(8) == KEY_DOWN
    server.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(200):
        viewer.inbox.put_nowait(MUCH)
    clock, stuck = asyncio.get_running_loop().time, server.gateway[1].transport
    await turns_until(lambda: stuck.get_write_buffer_size() > CHUNK_BYTES)
    over = clock() + lease_s
    await turns_until(lambda: clock() >= over)
    assert not viewer.inbox.empty()
    viewer.inbox.put_nowait(KEY_UP)
    server.writer.transport.resume_reading()  # type: ignore[attr-defined]
    while (await server.reader.readexactly(8))[:1] != KEY_UP[:1]:
        # Of 10 bytes each.
        await server.reader.readexactly(2)
    assert report.leases_ended == 0


async def test_the_server_ends_it(server: Server) -> None:
    viewer = Viewer()
    serving = server.serve(viewer)
    await server.accept()
    server.writer.write(b"last frame")
    server.writer.close()
    report = await serving
    assert report.ended is Ended.SERVER
    assert await viewer.read(18 + 10) == BANNER + b"\x01\x01\0\0\0\0last frame"
    assert viewer.closed == (1012, "x11vnc closed the connection.")


@pytest.mark.parametrize(
    ("speech", "words"),
    [
        (b"SSH-2.0-OpenSSH_10\r\n", "does not speak RFB"),
        (BANNER + b"\x00\0\0\0\x04busy", "busy"),
        (BANNER + b"\x01\x02" + CHALLENGE + b"\0\0\0\x01\0\0\0\x03bad", "password: bad"),
        (BANNER + b"\x00\0\0\0\xf0" + "\u3042".encode() * 80, "refused the connection"),
        (BANNER, "bytes read"),
    ],
)
async def test_a_server_that_refuses(server: Server, speech: bytes, words: str) -> None:
    viewer = Viewer()
    serving = server.serve(viewer)
    server.writer.write(speech)
    server.writer.write_eof()
    report = await serving
    assert report.ended is Ended.REFUSED
    assert words in report.reason
    assert viewer.closed is not None
    assert viewer.closed[0] == 1011
    assert len(viewer.closed[1].encode()) <= 123
    assert viewer.sent.empty(), "the viewer hears of nothing but the close"


@pytest.mark.parametrize("silent", ["server", "viewer"])
async def test_a_silent_handshake_ends(server: Server, silent: str) -> None:
    viewer = Viewer()
    if silent == "viewer":
        viewer.inbox = asyncio.Queue()
    serving = server.serve(viewer, timeout_s=0.05)
    if silent == "viewer":
        server.writer.write(BANNER + b"\x01\x02" + CHALLENGE + b"\0\0\0\0")
    report = await serving
    assert report.ended is (Ended.REFUSED if silent == "server" else Ended.MALFORMED)
    assert "in time" in report.reason


@pytest.mark.parametrize("messages", [(None,), (b"RFB 003.003\n",), (BANNER, b"\x02")])
async def test_a_viewer_that_fails_the_handshake(server: Server, messages: tuple[bytes | None, ...]) -> None:
    viewer = Viewer()
    viewer.inbox = asyncio.Queue()
    for message in messages:
        viewer.inbox.put_nowait(message)
    server.writer.write(BANNER + b"\x01\x02" + CHALLENGE + b"\0\0\0\0")
    report = await server.serve(viewer)
    assert report.ended is (Ended.VIEWER if messages == (None,) else Ended.MALFORMED)


def fill(sock: socket.socket, written: int) -> int:
    """Write until the kernel takes no more."""
    while True:
        try:
            written += sock.send(b"x" * CHUNK_BYTES)
        except BlockingIOError:
            return written


async def test_a_viewer_that_takes_nothing_stops_the_server(server: Server) -> None:
    viewer = Viewer()
    serving = server.serve(viewer)
    await server.accept()
    await viewer.read(18)
    viewer.takes.clear()
    raw = server.raw.dup()
    try:
        written = 0
        for _ in range(300):
            written = fill(raw, written)
            await asyncio.sleep(0)
        assert written < 4 * 1024 * 1024
        viewer.takes.set()
        assert len(await viewer.read(written)) == written
        assert not serving.done()
    finally:
        raw.close()


async def test_a_server_that_takes_nothing_stops_the_viewer(server: Server) -> None:
    viewer = Viewer()
    serving = server.serve(viewer)
    await server.accept()
    server.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(200):
        viewer.inbox.put_nowait(MUCH)
    for _ in range(600):
        await asyncio.sleep(0)
    assert viewer.inbox.qsize() > 100
    serving.cancel()
    await asyncio.wait([serving])
    assert viewer.closed is not None
    await server.gateway[1].wait_closed()


async def test_a_stuck_server_is_not_waited_for_with_keys_held(server: Server) -> None:
    viewer = Viewer(KEY_DOWN)
    serving = asyncio.create_task(
        serve(viewer, *server.gateway, role="control", password="secret", release_timeout_s=0.05)
    )
    server.tasks.append(serving)
    await server.accept()
    assert await server.reader.readexactly(8) == KEY_DOWN
    server.writer.transport.pause_reading()  # type: ignore[attr-defined]
    for _ in range(200):
        viewer.inbox.put_nowait(MUCH)
    for _ in range(600):
        await asyncio.sleep(0)
    assert server.gateway[1].transport.get_write_buffer_size() > CHUNK_BYTES
    serving.cancel()
    await asyncio.wait([serving])
    assert viewer.closed == (1001, "")
    await server.gateway[1].wait_closed()
