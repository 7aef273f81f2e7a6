"""Viewers by ICE-TCP on real sockets: who gets through, what ends a connection, and that nothing stays open."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.errors import NetnsError
from gateway.relay.flows import MAX_WAITING, Flows
from gateway.relay.framing import MAX_FRAME_BYTES
from gateway.relay.relay import Relay
from gateway.relay.table import RelayTable
from gateway.relay.tcp import MAX_OUT_BYTES, TcpSide
from tests.loopback.framed_tcp import FramedEnd, framed_end, listener
from tests.loopback.relay_lan import LOOPBACK, LoopbackLan, UdpEnd, open_files, udp_end
from tests.loopback.relay_world import MEDIA, PWD, REQUEST, one_peer
from tests.stun_messages import binding_request


class World:
    """A relay, one admitted peer, the guest's agent behind it, and a port for viewers."""

    def __init__(self, relay: Relay, lan: LoopbackLan, guest: UdpEnd, port: int) -> None:
        self.relay, self.lan, self.guest, self.port = relay, lan, guest, port

    async def connect(self, viewer: FramedEnd, request: bytes = REQUEST) -> tuple[str, int]:
        """Send a binding request; gives where the guest sees this viewer."""
        viewer.send(request)
        data, inner = await self.guest.rcvd.get()
        assert data == request
        return inner

    async def turn(self, viewer: FramedEnd) -> None:
        """A datagram of a connected viewer to the guest: what others sent before it has been seen to."""
        viewer.send(MEDIA)
        assert await self.guest.get() == MEDIA

    def count(self, name: str) -> int:
        return self.relay.counters()[name]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with one_peer() as (relay, lan, guest), listener(relay.take) as port:
        yield World(relay, lan, guest, port)


async def test_both_ways_and_counted(world: World) -> None:
    async with framed_end(world.port) as viewer:
        inner = await world.connect(viewer)
        for size in (1, 1200, MAX_FRAME_BYTES):
            viewer.send(b"\x80" * size)
            assert await world.guest.get() == b"\x80" * size
        for size in (1, 1200, 9000, 60000):
            world.guest.send(b"\x17" * size, inner)
            assert await viewer.get() == b"\x17" * size
        assert world.count("tcp_connections") == 1
    assert world.count("tcp_packets_to_guest") == world.count("packets_to_guest") == 4
    assert world.count("tcp_bytes_to_guest") == world.count("bytes_to_guest") == 1201 + MAX_FRAME_BYTES + len(REQUEST)
    assert world.count("tcp_packets_to_viewer") == world.count("packets_to_viewer") == 4
    assert world.count("tcp_bytes_to_viewer") == world.count("bytes_to_viewer") == 70201


async def test_udp_and_tcp_viewers_of_one_peer_are_kept_apart_and_counted_apart(world: World) -> None:
    async with framed_end(world.port) as one, udp_end() as two:
        inner_one = await world.connect(one)
        two.send(REQUEST, (LOOPBACK, world.relay.port))
        _, inner_two = await world.guest.rcvd.get()
        world.guest.send(b"for two", inner_two)
        world.guest.send(b"for one", inner_one)
        assert await one.get() == b"for one"
        assert await two.get() == b"for two"
    assert world.count("packets_to_viewer") == 2
    assert world.count("tcp_packets_to_viewer") == 1


async def test_datagrams_in_pieces_and_in_heaps(world: World) -> None:
    async with framed_end(world.port) as viewer:
        await world.connect(viewer)
        stream = b"".join(len(d).to_bytes(2, "big") + d for d in (b"\x80one", b"\x80two", b"", b"\x80three"))
        for at in range(len(stream)):
            viewer.send_raw(stream[at : at + 1])
            await viewer.writer.drain()
        viewer.send_raw(stream)
        assert [await world.guest.get() for _ in range(6)] == [b"\x80one", b"\x80two", b"\x80three"] * 2


async def test_many_at_once_reach_the_viewer_in_order(world: World) -> None:
    async with framed_end(world.port) as viewer:
        inner = await world.connect(viewer)
        sent = [b"\x80" + number.to_bytes(2, "big") + bytes(1000) for number in range(150)]
        for datagram in sent:
            world.guest.send(datagram, inner)
        assert [await viewer.get() for _ in sent] == sent


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (MEDIA, "not_stun"),
        (b"hello", "not_stun"),
        (binding_request("ufragtwo", PWD), "unknown_ufrag"),
        (binding_request("ufragone", "q" * 22), "bad_integrity"),
        (REQUEST[:-1] + b"\0", "malformed"),
    ],
)
async def test_a_stranger_is_sent_away_and_reaches_nobody(world: World, first: bytes, reason: str) -> None:
    async with framed_end(world.port) as stranger, framed_end(world.port) as viewer:
        stranger.send(first)
        stranger.send(REQUEST)
        assert await stranger.ended()
        await world.connect(viewer)
        assert world.lan.opened == 1
        assert world.guest.rcvd.empty()
    assert world.count(f"dropped_{reason}") == 1
    assert world.count("tcp_closed_not_admitted") == 1
    assert world.count("tcp_accepted") == 2


@pytest.mark.parametrize("known", [False, True])
async def test_an_oversized_frame_ends_the_connection(world: World, known: bool) -> None:
    async with framed_end(world.port) as viewer:
        if known:
            await world.connect(viewer)
        viewer.send_raw((MAX_FRAME_BYTES + 1).to_bytes(2, "big"))
        assert await viewer.ended()
    assert world.count("tcp_closed_bad_frame") == 1
    assert world.count("tcp_connections") == 0


async def test_who_leaves_takes_the_mapping_along(world: World) -> None:
    async with framed_end(world.port) as other:
        await world.connect(other)
        async with framed_end(world.port) as viewer:
            await world.connect(viewer)
            files = open_files()
        await world.turn(other)
        # The viewer's two ends and the socket into the guest.
        assert len(files - open_files()) == 3
        assert world.count("tcp_connections") == 1


async def test_a_reset_connection_harms_nobody(world: World) -> None:
    async with framed_end(world.port) as viewer:
        inner = await world.connect(viewer)
        async with framed_end(world.port) as gone:
            inner_gone = await world.connect(gone)
            sock = gone.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.writer.transport.abort()
        for _ in range(3):
            world.guest.send(MEDIA, inner_gone)
            world.guest.send(b"frame", inner)
            assert await viewer.get() == b"frame"
        assert world.count("tcp_connections") == 1


async def test_a_silent_client_expires(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with framed_end(world.port) as viewer:
        await world.connect(viewer)
        world.relay.sweep(loop.time() + 59)
        viewer.send(MEDIA)
        assert await world.guest.get() == MEDIA
        world.relay.sweep(loop.time() + 61)
        assert await viewer.ended()
    assert world.count("mappings_expired") == 1


async def test_revoked_means_closed(world: World) -> None:
    async with framed_end(world.port) as viewer, framed_end(world.port) as late:
        await world.connect(viewer)
        world.relay.revoke("vm1", "ufragone")
        assert await viewer.ended()
        late.send(REQUEST)
        assert await late.ended()
    assert world.count("dropped_unknown_ufrag") == 1


async def test_addresses_of_one_peer_are_capped(world: World) -> None:
    async with contextlib.AsyncExitStack() as stack:
        viewers = [await stack.enter_async_context(framed_end(world.port)) for _ in range(4)]
        for viewer in viewers[:3]:
            await world.connect(viewer)
        viewers[3].send(REQUEST)
        assert await viewers[3].ended()
    assert world.count("dropped_peer_full") == 1
    assert world.lan.opened == 3


async def test_a_few_datagrams_wait_for_the_socket(world: World) -> None:
    async with framed_end(world.port) as viewer, framed_end(world.port) as other:
        await world.connect(other)
        world.lan.gate.clear()
        viewer.send(REQUEST)
        for number in range(10):
            viewer.send(b"\x80%d" % number)
        await world.turn(other)
        assert world.count("dropped_waiting_full") == 11 - MAX_WAITING
        world.lan.gate.set()
        waited = [await world.guest.get() for _ in range(MAX_WAITING)]
        assert waited == [REQUEST, *(b"\x80%d" % number for number in range(MAX_WAITING - 1))]


async def test_gone_while_its_socket_is_made(world: World) -> None:
    async with framed_end(world.port) as other:
        await world.connect(other)
        world.lan.gate.clear()
        async with framed_end(world.port) as viewer:
            viewer.send(REQUEST)
            await world.turn(other)
            assert world.count("mappings_opened") == 2
        await world.turn(other)
        assert world.count("tcp_connections") == 1
        world.lan.gate.set()
        await world.turn(other)
        assert world.lan.opened == 2
        assert world.guest.rcvd.empty()


async def test_no_socket_into_the_guest_ends_the_connection(world: World) -> None:
    world.lan.udp_error = NetnsError("no room")
    async with framed_end(world.port) as viewer:
        viewer.send(REQUEST)
        assert await viewer.ended()
    assert world.count("dropped_open_failed") == 1


async def test_a_viewer_that_does_not_read_loses_whole_datagrams(world: World) -> None:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((LOOPBACK, world.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    slow = FramedEnd(reader, writer)
    inner = await world.connect(slow)
    async with framed_end(world.port) as other:
        inner_other = await world.connect(other)
        number = 0
        while not world.count("dropped_tcp_buffer_full"):
            for _ in range(20):
                world.guest.send(b"\x80" + number.to_bytes(4, "big") + bytes(1000), inner)
                number += 1
            world.guest.send(b"frame", inner_other)
            assert await other.get() == b"frame"
    # Much was taken before anything was dropped, and what the viewer gets is whole and in order.
    assert number * 1005 > MAX_OUT_BYTES
    kept = world.count("tcp_packets_to_viewer") - number // 20
    got = [await slow.get() for _ in range(kept)]
    assert all(len(datagram) == 1005 for datagram in got)
    numbers = [int.from_bytes(datagram[1:5], "big") for datagram in got]
    assert numbers == sorted(set(numbers))
    world.guest.send(b"\x80 again", inner)
    assert await slow.get() == b"\x80 again"
    writer.close()
    await writer.wait_closed()


@contextlib.asynccontextmanager
async def strangers(**limits: float) -> AsyncIterator[tuple[TcpSide, int]]:
    before = open_files()
    flows = Flows(RelayTable())
    side = TcpSide(flows, **limits)  # type: ignore[arg-type]
    async with listener(side.take) as port:
        yield side, port
    side.close()
    side.close()
    await flows.close()
    await asyncio.sleep(0)
    assert open_files() == before


@pytest.mark.parametrize("said", [b"", b"\x00", len(REQUEST).to_bytes(2, "big") + REQUEST[:-1]])
async def test_a_stranger_has_a_time_limit(said: bytes) -> None:
    async with strangers(first_request_s=0.05) as (side, port), framed_end(port) as stranger:
        stranger.send_raw(said)
        assert await stranger.ended()
        assert side.counters()["tcp_closed_too_late"] == 1


async def test_strangers_are_capped_and_the_oldest_gives_way() -> None:
    async with strangers(max_strangers=2) as (side, port), contextlib.AsyncExitStack() as stack:
        first, second, third = [await stack.enter_async_context(framed_end(port)) for _ in range(3)]
        assert await first.ended()
        second.send(b"junk")
        assert await second.ended()
        assert side.counters()["tcp_connections"] == 1
        assert side.counters()["tcp_closed_crowded_out"] == 1
        third.send_raw(b"\xff\xff")
        assert await third.ended()
        assert side.counters()["tcp_closed_bad_frame"] == 1
