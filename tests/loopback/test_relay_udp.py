"""The relay on real sockets: who gets through, what is dropped and counted, and that nothing stays open."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from functools import partial

import pytest

from gateway.dataplane import IceCredentials
from gateway.errors import ConfigError, Conflict, NetnsError, NotFound
from gateway.local_dataplane import LocalDataPlane
from gateway.relay.flows import MAX_WAITING, OpenSocket
from gateway.relay.relay import Relay
from gateway.vm.driver import Lan
from tests.loopback.relay_lan import LOOPBACK, LoopbackLan, UdpEnd, open_files, udp_end
from tests.loopback.relay_world import MEDIA, PWD, REQUEST, one_peer
from tests.stun_messages import binding_request


class World:
    """A relay, one admitted peer, and the guest's agent behind it."""

    def __init__(self, relay: Relay, lan: LoopbackLan, guest: UdpEnd) -> None:
        self.relay, self.lan, self.guest = relay, lan, guest
        self.public = (LOOPBACK, relay.port)

    async def connect(self, viewer: UdpEnd, request: bytes = REQUEST) -> tuple[str, int]:
        """Send a binding request; gives where the guest sees this viewer."""
        viewer.send(request, self.public)
        data, inner = await self.guest.rcvd.get()
        assert data == request
        return inner

    def count(self, name: str) -> int:
        return self.relay.counters()[name]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with one_peer() as (relay, lan, guest):
        yield World(relay, lan, guest)


async def test_both_ways_and_counted(world: World) -> None:
    async with udp_end() as viewer:
        inner = await world.connect(viewer)
        for size in (1, 1200, 9000, 60000):
            viewer.send(b"\x80" * size, world.public)
            assert await world.guest.get() == b"\x80" * size
            world.guest.send(b"\x17" * size, inner)
            assert await viewer.get() == b"\x17" * size
    assert world.count("packets_to_guest") == 5
    assert world.count("bytes_to_guest") == 70201 + len(REQUEST)
    assert world.count("packets_to_viewer") == 4
    assert world.count("bytes_to_viewer") == 70201


async def test_viewers_are_kept_apart(world: World) -> None:
    async with udp_end() as one, udp_end() as two:
        inner_one, inner_two = await world.connect(one), await world.connect(two)
        assert inner_one != inner_two
        world.guest.send(b"for two", inner_two)
        world.guest.send(b"for one", inner_one)
        assert await one.get() == b"for one"
        assert await two.get() == b"for two"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (MEDIA, "not_stun"),
        (binding_request("ufragtwo", PWD), "unknown_ufrag"),
        (binding_request("ufragone", "q" * 22), "bad_integrity"),
        (REQUEST[:-1] + b"\0", "malformed"),
    ],
)
async def test_a_stranger_reaches_nobody(world: World, data: bytes, reason: str) -> None:
    async with udp_end() as stranger, udp_end() as viewer:
        stranger.send(data, world.public)
        stranger.send(MEDIA, world.public)
        await world.connect(viewer)
        assert world.lan.opened == 1
        assert world.guest.rcvd.empty()
    assert world.count(f"dropped_{reason}") == (2 if reason == "not_stun" else 1)
    assert world.count("mappings_opened") == 1


async def test_a_flood_of_garbage_disturbs_nobody(world: World) -> None:
    sent = 0
    async with udp_end() as viewer, udp_end() as flooder:
        inner = await world.connect(viewer)
        for round_number in range(50):
            for _ in range(100):
                flooder.send(os.urandom(64), world.public)
                flooder.send(binding_request("ufragone", "q" * 22), world.public)
                sent += 2
            viewer.send(MEDIA, world.public)
            assert await world.guest.get() == MEDIA
            world.guest.send(b"%d" % round_number, inner)
            assert await viewer.get() == b"%d" % round_number
    counters = world.relay.counters()
    dropped = sum(counters[f"dropped_{reason}"] for reason in ("not_stun", "not_request", "bad_integrity"))
    # Fewer arrive than were sent only where the kernel's buffer for this socket is small.
    assert 0 < dropped <= sent
    assert counters["mappings_opened"] == 1
    assert world.lan.opened == 1


async def test_addresses_of_one_peer_are_capped(world: World) -> None:
    async with udp_end() as one, udp_end() as two, udp_end() as three, udp_end() as four:
        for viewer in (one, two, three):
            await world.connect(viewer)
        four.send(REQUEST, world.public)
        one.send(MEDIA, world.public)
        assert await world.guest.get() == MEDIA
    assert world.count("dropped_peer_full") == 1
    assert world.lan.opened == 3


async def test_a_silent_client_expires_and_may_come_back(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with udp_end() as viewer:
        inner = await world.connect(viewer)
        world.relay.sweep(loop.time() + 59)
        viewer.send(MEDIA, world.public)
        assert await world.guest.get() == MEDIA
        world.relay.sweep(loop.time() + 61)
        assert world.count("mappings_expired") == 1
        viewer.send(MEDIA, world.public)
        assert await world.connect(viewer) != inner
        assert world.count("dropped_not_stun") == 1


async def test_a_viewer_roams_to_another_address(world: World) -> None:
    async with udp_end() as wifi, udp_end() as cable:
        inner_wifi, inner_cable = await world.connect(wifi), await world.connect(cable)
        world.guest.send(b"old path", inner_wifi)
        world.guest.send(b"new path", inner_cable)
        assert await wifi.get() == b"old path"
        assert await cable.get() == b"new path"


async def test_revoked_means_gone(world: World) -> None:
    async with udp_end() as viewer, udp_end() as other:
        await world.connect(viewer)
        files = open_files()
        world.relay.revoke("vm1", "ufragone")
        assert len(files - open_files()) == 1
        viewer.send(REQUEST, world.public)
        world.relay.admit("vm1", IceCredentials("ufragtwo", PWD, 1), partial(world.lan.udp, world.guest.port))
        await world.connect(other, binding_request("ufragtwo", PWD))
        assert world.guest.rcvd.empty()
        assert world.count("dropped_unknown_ufrag") == 1


async def test_a_few_datagrams_wait_for_the_socket(world: World) -> None:
    async with udp_end() as viewer, udp_end() as other:
        world.relay.admit("vm2", IceCredentials("ufragtwo", PWD, 1), _ready(world.guest.port))
        world.lan.gate.clear()
        viewer.send(REQUEST, world.public)
        for number in range(10):
            viewer.send(b"\x80%d" % number, world.public)
        await world.connect(other, binding_request("ufragtwo", PWD))
        world.lan.gate.set()
        waited = [await world.guest.get() for _ in range(MAX_WAITING)]
        assert waited == [REQUEST, *(b"\x80%d" % number for number in range(MAX_WAITING - 1))]
        assert world.count("dropped_waiting_full") == 11 - MAX_WAITING
        viewer.send(MEDIA, world.public)
        assert await world.guest.get() == MEDIA


def _ready(port: int) -> OpenSocket:
    """A way into the guest that is never held back."""
    return partial(LoopbackLan().udp, port)


async def test_revoked_while_its_socket_is_made(world: World) -> None:
    async with udp_end() as viewer, udp_end() as other:
        world.relay.admit("vm2", IceCredentials("ufragtwo", PWD, 1), _ready(world.guest.port))
        world.lan.gate.clear()
        viewer.send(REQUEST, world.public)
        await world.connect(other, binding_request("ufragtwo", PWD))
        files = open_files()
        world.relay.revoke("vm1", "ufragone")
        world.lan.gate.set()
        viewer.send(MEDIA, world.public)
        other.send(MEDIA, world.public)
        assert await world.guest.get() == MEDIA
        assert world.lan.opened == 1
        assert open_files() == files


async def test_a_socket_that_cannot_be_made_is_tried_again(world: World) -> None:
    async with udp_end() as viewer, udp_end() as other:
        world.relay.admit("vm2", IceCredentials("ufragtwo", PWD, 1), _ready(world.guest.port))
        world.lan.udp_error = NetnsError("no room")
        viewer.send(REQUEST, world.public)
        await world.connect(other, binding_request("ufragtwo", PWD))
        assert world.count("dropped_open_failed") == 1
        world.lan.udp_error = None
        await world.connect(viewer)


async def test_a_guest_port_with_nobody_there_is_counted(world: World) -> None:
    async with udp_end() as nobody:
        port = nobody.port
    world.relay.admit("vm2", IceCredentials("ufragtwo", PWD, port), _ready(port))
    async with udp_end() as lost, udp_end() as viewer:
        inner = await world.connect(viewer)
        for _ in range(3):
            lost.send(binding_request("ufragtwo", PWD), world.public)
            viewer.send(MEDIA, world.public)
            assert await world.guest.get() == MEDIA
        world.guest.send(b"still here", inner)
        assert await viewer.get() == b"still here"
    assert world.count("dropped_guest_refused") >= 1


async def test_a_client_that_closed_its_socket_harms_nobody(world: World) -> None:
    async with udp_end() as gone:
        inner_gone = await world.connect(gone)
    async with udp_end() as viewer:
        inner = await world.connect(viewer)
        for _ in range(3):
            world.guest.send(MEDIA, inner_gone)
            world.guest.send(b"frame", inner)
            assert await viewer.get() == b"frame"


async def test_answers_leave_from_the_address_that_was_asked() -> None:
    lan = LoopbackLan()
    async with udp_end() as guest, udp_end(host="0.0.0.0") as viewer:
        relay = await Relay.open(0, bind=("0.0.0.0", "::", "127.0.0.2"))
        relay.admit("vm1", IceCredentials("ufragone", PWD, guest.port), partial(lan.udp, guest.port))
        try:
            for host in ("127.0.0.1", "127.0.0.2"):
                viewer.send(REQUEST, (host, relay.port))
                _, inner = await guest.rcvd.get()
                guest.send(b"answer", inner)
                assert await viewer.rcvd.get() == (b"answer", (host, relay.port))
        finally:
            await relay.close()


async def test_over_ipv6(world: World) -> None:
    relay = await Relay.open(0)
    relay.admit("vm1", IceCredentials("ufragone", PWD, 1), partial(world.lan.udp, world.guest.port))
    try:
        async with udp_end(host="::1") as viewer:
            viewer.send(REQUEST, ("::1", relay.port))
            _, inner = await world.guest.rcvd.get()
            world.guest.send(b"answer", inner)
            assert await viewer.get() == b"answer"
    finally:
        await relay.close()


@pytest.mark.parametrize("bind", [(LOOPBACK,), ("0.0.0.0", "::")])
async def test_a_port_in_use_says_so(world: World, bind: tuple[str, ...]) -> None:
    files = open_files()
    with pytest.raises(ConfigError, match=f"UDP port {world.relay.port} cannot be opened") as caught:
        await Relay.open(world.relay.port, bind=bind)
    assert "another gateway" in caught.value.hint
    assert open_files() == files


@pytest.mark.parametrize("bind", [("203.0.113.77",), ()])
async def test_an_address_of_another_host(bind: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError):
        await Relay.open(0, bind=bind)


async def test_the_data_plane_composes_networks_and_relay() -> None:
    before = open_files()
    lans: dict[str, LoopbackLan] = {}

    async def open_lan(vm_id: str, pid: int | None) -> Lan:
        if vm_id == "bad":
            raise NetnsError("no namespace")
        lans[vm_id] = LoopbackLan()
        return lans[vm_id]

    async with udp_end() as guest, udp_end() as viewer:
        dataplane = LocalDataPlane(open_lan, await Relay.open(0, bind=(LOOPBACK,)))
        ice = IceCredentials("ufragone", PWD, guest.port)
        for call in (dataplane.admit("vm1", ice), dataplane.dial("vm1", 5901)):
            with pytest.raises(NotFound):
                await call
        with pytest.raises(NetnsError):
            await dataplane.attach("bad")
        with pytest.raises(NetnsError):
            await dataplane.attach("bad")
        assert await dataplane.attach("vm1") is lans["vm1"]
        with pytest.raises(Conflict):
            await dataplane.attach("vm1")
        await dataplane.admit("vm1", ice)
        with pytest.raises(Conflict):
            await dataplane.admit("vm1", ice)
        viewer.send(REQUEST, (LOOPBACK, dataplane.media_port))
        assert await guest.get() == REQUEST
        assert dataplane.counters()["packets_to_guest"] == 1
        assert dataplane.counters()["lans"] == 1
        await dataplane.detach("vm1")
        await dataplane.detach("vm1")
        assert lans["vm1"].closed
        await dataplane.attach("vm1")
        await dataplane.admit("vm1", ice)
        await dataplane.revoke("vm1", "ufragone")
        await dataplane.revoke("vm1", "ufragone")
        await dataplane.close()
        await dataplane.close()
    await asyncio.sleep(0)
    assert open_files() == before


async def test_dial_gives_streams_into_the_guest() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"RFB 003.008\n")
        await writer.drain()
        writer.close()

    async def open_lan(vm_id: str, pid: int | None) -> Lan:
        return LoopbackLan()

    server = await asyncio.start_server(greet, LOOPBACK, 0)
    dataplane = LocalDataPlane(open_lan, await Relay.open(0, bind=(LOOPBACK,)))
    await dataplane.attach("vm1")
    reader, writer = await dataplane.dial("vm1", server.sockets[0].getsockname()[1])
    assert await reader.read() == b"RFB 003.008\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()
    await dataplane.close()
