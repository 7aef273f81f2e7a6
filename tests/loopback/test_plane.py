"""The data plane in this process and in one of its own: the same to all who use it; and what the second outlives."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest

from gateway.dataplane import DataPlane, IceCredentials
from gateway.errors import ConfigError, Conflict, NetnsError, NotFound
from gateway.exits import ExitReport
from gateway.netns.thread import NamespaceThread
from gateway.plane import client, process
from gateway.plane.channel import connect
from gateway.plane.client import RemoteDataPlane
from gateway.plane.compose import PlaneSettings, open_plane
from gateway.plane.process import SOCKET_NAME, pid_of, reach, wait_for
from gateway.relay.framing import put_header
from tests.loopback.plane_world import ECHO_PORT, guest_in, upstream
from tests.loopback.relay_lan import LOOPBACK, UdpEnd, udp_end
from tests.processes import ended
from tests.stun_messages import binding_request

pytestmark = pytest.mark.timeout(120)

VM, OTHER = "aaaaaaaa", "bbbbbbbb"
ICE = IceCredentials("ufragone", "p" * 22, ECHO_PORT)
REQUEST = binding_request(ICE.ufrag, ICE.pwd)
MEDIA = b"\x80" + bytes(200)
SETTINGS = PlaneSettings(media_port=0, bind=(LOOPBACK,))


@pytest.fixture
async def namespaces() -> AsyncIterator[NamespaceThread]:
    thread = NamespaceThread()
    await thread.start()
    yield thread
    await thread.close()


class Apart:
    """Control planes of one data plane, which is gone at the end."""

    def __init__(self, folder: Path, namespaces: NamespaceThread) -> None:
        self.path = folder / SOCKET_NAME
        self.log = folder / "dataplane.log"
        self._namespaces = namespaces

    async def connect(self, settings: PlaneSettings = SETTINGS) -> RemoteDataPlane:
        return await RemoteDataPlane.connect(partial(reach, self.path, self.log), settings, self._namespaces)

    def abandon(self, plane: RemoteDataPlane) -> None:
        """As a control plane that is killed."""
        plane._closed = True
        assert plane._pulse is not None
        plane._pulse.cancel()
        plane._hang_up()


@pytest.fixture
async def apart(tmp_path: Path, namespaces: NamespaceThread) -> AsyncIterator[Apart]:
    made = Apart(tmp_path, namespaces)
    yield made
    if (pid := pid_of(made.path)) is not None:
        os.kill(pid, signal.SIGTERM)
        await ended(pid)
    assert not made.path.exists()


@pytest.fixture(params=["inside", "apart"])
async def plane(
    request: pytest.FixtureRequest, apart: Apart, namespaces: NamespaceThread
) -> AsyncIterator[DataPlane]:
    made = await (apart.connect() if request.param == "apart" else open_plane(SETTINGS, namespaces))
    pid = pid_of(apart.path)
    yield made
    await made.close()
    if pid is not None:
        await ended(pid)


async def answered(viewer: UdpEnd, data: bytes, to: tuple[str, int]) -> None:
    """Send until the guest's echo comes: the first datagram may find its mapping not made yet."""
    async with asyncio.timeout(10):
        while True:
            viewer.send(data, to)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    while await viewer.get() != data:
                        pass
                    return


class Changes:
    """Counts what an exit tells, and lets a test wait for what it looks for."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane
        self._news = asyncio.Event()

    def __call__(self) -> None:
        self._news.set()

    async def until(self, good: Callable[[ExitReport], bool]) -> ExitReport:
        async with asyncio.timeout(10):
            while not good(report := self._plane.egress(VM)):
                self._news.clear()
                await self._news.wait()
            return report


async def test_a_guest_is_reached_and_reaches_its_exit(plane: DataPlane) -> None:
    lan = await plane.attach(VM)
    changes = Changes(plane)
    async with guest_in(lan) as guest, upstream() as out:
        reader, writer = await plane.dial(VM, ECHO_PORT)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()
        assert await guest.says("open") == "HTTP/1.1 503 Service Unavailable"

        await plane.set_upstream(VM, out, changes)
        await changes.until(lambda report: report.state == "unknown")
        assert (await guest.says("open")).endswith("200 Connection established")
        await changes.until(lambda report: report.state == "ok")
        await plane.detach(VM)
        assert await guest.says("anybody?") in ("cut", "ConnectionResetError")
    with pytest.raises(NotFound):
        await plane.dial(VM, ECHO_PORT)


async def test_errors_are_the_same(plane: DataPlane) -> None:
    for name in (VM, OTHER):
        await (await plane.attach(name)).open_loopback_guest()
    with pytest.raises(NetnsError, match="Connection refused"):
        await plane.dial(VM, ECHO_PORT)
    await plane.admit(VM, ICE)
    with pytest.raises(Conflict):
        await plane.admit(OTHER, ICE)
    await plane.revoke(VM, ICE.ufrag)
    await plane.admit(OTHER, ICE)
    for name in (VM, OTHER, OTHER, "cccccccc"):
        await plane.detach(name)
    with pytest.raises(NotFound):
        await plane.admit(VM, ICE)


async def test_viewers_pass_by_udp_and_by_tcp(plane: DataPlane) -> None:
    lan = await plane.attach(VM)
    async with guest_in(lan), udp_end() as viewer:
        await plane.admit(VM, ICE)
        await answered(viewer, REQUEST, (LOOPBACK, plane.media_port))
        await answered(viewer, MEDIA, (LOOPBACK, plane.media_port))
        with socket.create_server((LOOPBACK, 0)) as listening:
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            accepted, _ = listening.accept()
            accepted.setblocking(False)
            plane.take(accepted)
            frame = bytearray(2)
            put_header(frame, len(REQUEST))
            writer.write(bytes(frame) + REQUEST)
            assert await asyncio.wait_for(reader.readexactly(len(REQUEST) + 2), 10) == bytes(frame) + REQUEST
            writer.close()
            await writer.wait_closed()
        await plane.detach(VM)


async def test_a_restart_of_the_control_plane_cuts_nothing(apart: Apart) -> None:
    first = await apart.connect()
    lan = await first.attach(VM)
    async with guest_in(lan) as guest, udp_end() as viewer, upstream() as out:
        await first.admit(VM, ICE)
        await first.set_upstream(VM, out, lambda: None)
        await answered(viewer, REQUEST, (LOOPBACK, first.media_port))
        assert (await guest.says("open")).endswith("200 Connection established")
        assert await guest.says("one") == "one"
        traffic = (await Changes(first).until(lambda report: True)).traffic
        apart.abandon(first)
        # Nobody is there to ask, and both go on.
        assert await guest.says("two") == "two"
        viewer.send(MEDIA, (LOOPBACK, first.media_port))
        assert await viewer.get() == MEDIA

        second = await apart.connect()
        assert (second.pid, second.media_port) == (first.pid, first.media_port)
        changes = Changes(second)
        await second.attach(VM, guest.pid)
        await second.admit(VM, ICE)
        await second.set_upstream(VM, out, changes)
        await second.settle()
        report = await changes.until(lambda report: report.state == "ok")
        assert report.traffic.connections == traffic.connections == 1
        assert await guest.says("three") == "three"
        viewer.send(MEDIA, (LOOPBACK, first.media_port))
        assert await viewer.get() == MEDIA
        await second.detach(VM)
        await second.close()
        await ended(second.pid)
    await lan.close()


async def test_what_the_next_control_plane_does_not_want_goes(apart: Apart) -> None:
    first = await apart.connect()
    lan = await first.attach(VM)
    await first.attach(OTHER)
    async with guest_in(lan) as guest, upstream() as out:
        gone_peer = IceCredentials("ufraggone", "q" * 22, ECHO_PORT)
        for ice in (ICE, gone_peer):
            await first.admit(VM, ice)
        await first.set_upstream(VM, out, lambda: None)
        apart.abandon(first)
        second = await apart.connect()
        await second.attach(VM, guest.pid)
        await second.admit(VM, ICE)
        await second.settle()
        # Its name is free again, and so is the other's place.
        await (await second.attach(OTHER)).open_loopback_guest()
        await second.admit(OTHER, gone_peer)
        with pytest.raises(Conflict):
            await second.admit(OTHER, ICE)
        await second.close()
    await lan.close()


async def test_one_that_leaves_its_vms_lets_them_go_on(apart: Apart) -> None:
    first = await apart.connect()
    lan = await first.attach(VM)
    async with guest_in(lan) as guest, upstream() as out:
        await first.admit(VM, ICE)
        await first.set_upstream(VM, out, lambda: None)
        assert (await guest.says("open")).endswith("200 Connection established")
        await first.leave(VM)
        # What its sessions say on their way out changes nothing.
        await first.revoke(VM, ICE.ufrag)
        await first.detach(VM)
        await first.close()
        assert await guest.says("still") == "still"
        second = await apart.connect()
        assert second.pid == first.pid
        await second.attach(VM, guest.pid)
        await second.admit(VM, ICE)
        assert await guest.says("there") == "there"
        await second.close()


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_data_plane_that_dies_or_hangs_is_followed_by_the_next(
    apart: Apart, sign: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PULSE_S", 0.2)
    monkeypatch.setattr(client, "PULSE_ANSWER_S", 0.3)
    plane = await apart.connect()
    lan = await plane.attach(VM)
    changes = Changes(plane)
    async with guest_in(lan) as guest, udp_end() as viewer, upstream() as out:
        await plane.admit(VM, ICE)
        await plane.set_upstream(VM, out, changes)
        await answered(viewer, REQUEST, (LOOPBACK, plane.media_port))
        assert (await guest.says("open")).endswith("200 Connection established")
        died = plane.pid
        os.kill(died, sign)
        assert await guest.says("one") in ("cut", "ConnectionResetError")
        await changes.until(lambda report: plane.pid != died and report.state == "unknown")
        assert plane.counters()["restarts"] == 1
        assert plane.counters()["hangs"] == (sign is signal.SIGSTOP)
        assert (await guest.says("open")).endswith("200 Connection established")
        await answered(viewer, REQUEST, (LOOPBACK, plane.media_port))
        reader, writer = await plane.dial(VM, ECHO_PORT)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.close()
        await writer.wait_closed()
        await plane.close()
        await ended(plane.pid)


async def test_one_that_hangs_when_a_control_plane_comes_is_ended(
    apart: Apart, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "GREET_S", 1.0)
    first = await apart.connect()
    hung = first.pid
    apart.abandon(first)
    os.kill(hung, signal.SIGSTOP)
    plane = await apart.connect()
    assert plane.pid != hung
    await plane.close()
    await ended(plane.pid)


async def test_it_says_that_it_lives(plane: DataPlane) -> None:
    await asyncio.wait_for(plane.ping(), 10)


async def test_one_that_is_gone_does_not(apart: Apart) -> None:
    plane = await apart.connect()
    plane._hang_up()
    with pytest.raises(NetnsError):
        await plane.ping()


async def test_one_that_a_service_starts_is_waited_for(
    apart: Apart, namespaces: NamespaceThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = asyncio.create_task(wait_for(apart.path))
    await asyncio.sleep(0)
    assert not waiting.done()
    started = await apart.connect()
    with await waiting:
        pass
    await started.close()
    await ended(started.pid)
    monkeypatch.setattr(process, "WAIT_S", 0.05)
    with pytest.raises(ConfigError, match="no data plane listens"):
        await wait_for(apart.path)


async def test_other_settings_are_refused_and_change_nothing(apart: Apart) -> None:
    first = await apart.connect()
    await first.attach(VM)
    apart.abandon(first)
    with pytest.raises(ConfigError, match="other settings"):
        await apart.connect(SETTINGS.model_copy(update={"proxy_connections": 7}))
    second = await apart.connect()
    assert second.pid == first.pid
    await second.close()


async def test_a_port_that_is_taken_is_a_start_up_error(apart: Apart) -> None:
    async with udp_end() as other:
        with pytest.raises(ConfigError, match="port"):
            await apart.connect(SETTINGS.model_copy(update={"media_port": other.port}))


async def test_nonsense_ends_no_data_plane(apart: Apart) -> None:
    first = await apart.connect()
    apart.abandon(first)
    sock = connect(apart.path)
    assert sock is not None
    with sock:
        for data in (b"{", b"[]", b'{"id": 1, "call": "none"}', b'{"id": 2, "call": "attach"}', b'{"news": "x"}'):
            sock.send(data)
    second = await apart.connect()
    assert second.pid == first.pid
    await second.attach(VM)
    await second.close()
