"""What one session may use of its proxy: bytes, connections, time; and that nobody else pays for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from gateway.egress.limits import Limits
from gateway.egress.proxy import EgressConfig
from gateway.exits import Exit
from tests.loopback.egress_world import NAME, OTHER, QUICK, VM, Gateway, ScriptedUpstream, Web, gateway
from tests.sessions import turns_until


async def test_bodies_go_up_and_large_answers_come_down(world: Gateway, web: tuple[Web, int]) -> None:
    body = b"b" * 300_000
    line = f"POST http://{NAME}:{web[1]}/post HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    got = await world.raw(VM, f"{line}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert got.endswith(b"hello /post" + body)
    assert len((await world.get(VM, f"http://{NAME}:{web[1]}/big")).body) == 3_000_000
    report = world.report(VM)
    assert report.traffic.bytes_up >= len(body)
    assert report.traffic.bytes_down >= 3_000_000
    assert list(report.traffic.hosts) == [NAME]


async def test_a_slow_head_ends(world: Gateway) -> None:
    reader, writer = await world.connect(VM)
    writer.write(b"GET http://a.example/ HTTP/1.1\r\nX: ")
    async with asyncio.timeout(5):
        got = await reader.read()
    assert b"400" in got
    assert b"took longer than" in got
    writer.transport.abort()


async def test_a_thousand_slow_connections_hold_nobody_elses(
    web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    """As many as a session may have are kept, the rest is told so at once; another session goes on as before."""
    async with gateway(EgressConfig(times=replace(QUICK, head_s=6))) as world:
        for vm in (VM, OTHER):
            await world.start(vm, f"http://u:p@127.0.0.1:{upstream[1]}")
        held = [await world.connect(VM) for _ in range(256)]
        for _, writer in held:
            writer.write(b"GET http://a.example/ HTTP/1.1\r\n")
        for _ in range(744):
            reader, writer = await world.connect(VM)
            async with asyncio.timeout(5):
                assert b"egress-limited" in await reader.read()
            writer.transport.abort()
        assert world.report(VM).open == 256
        assert (await world.get(OTHER, f"http://{NAME}:{web[1]}/other")).body == b"hello /other"
        for reader, writer in held:
            async with asyncio.timeout(10):
                assert b"400" in await reader.read()
            writer.transport.abort()
        await turns_until(lambda: world.report(VM).open == 0)
        assert (await world.get(VM, f"http://{NAME}:{web[1]}/again")).body == b"hello /again"


async def test_a_quota_and_a_rate(web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]) -> None:
    limits = Limits(bytes_per_s=4_000_000, quota_bytes=5_000_000, connects_per_s=1000)
    # Whether an answer comes within 0.7 s is the affair of other tests.
    async with gateway(EgressConfig(limits=limits, times=replace(QUICK, connect_s=20, handshake_s=20))) as world:
        await world.start(VM, f"http://u:p@127.0.0.1:{upstream[1]}")
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert len((await world.get_tunnelled(VM, f"{NAME}:{web[1]}", "/big")).body) == 3_000_000
        # Of 3 MB, 1 MB comes at once and the rest at 4 MB/s.
        assert loop.time() - began > 0.4
        with pytest.raises(asyncio.IncompleteReadError):
            await world.get_tunnelled(VM, f"{NAME}:{web[1]}", "/big")
        answer = await world.get(VM, f"http://{NAME}:{web[1]}/")
        assert (answer.status, b"egress-limited" in answer.head) == (503, True)
        # It counts on when the machine comes back.
        await world.dataplane.detach(VM)
        await world.dataplane.attach(VM)
        await world.dataplane.set_upstream(VM, Exit(type="none"), lambda: None)
        assert (await world.get(VM, f"http://{NAME}:{web[1]}/")).status == 503
        assert world.report(VM).traffic.bytes_down > 3_000_000


async def test_too_many_connections_a_second(web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]) -> None:
    async with gateway(EgressConfig(limits=Limits(connects_per_s=0.1), times=QUICK)) as world:
        await world.start(VM, f"http://u:p@127.0.0.1:{upstream[1]}")
        assert (await world.get(VM, f"http://{NAME}:{web[1]}/")).status == 200
        assert (await world.get(VM, f"http://{NAME}:{web[1]}/")).status == 503
    assert len(upstream[0].users) == 1


async def test_a_reader_who_stops_stops_the_sender(world: Gateway, web: tuple[Web, int]) -> None:
    """Nothing piles up in between: what was taken from the far side is what sockets hold, and no more."""
    _, _, writer = await world.tunnel(VM, f"{NAME}:{web[1]}")
    for _ in range(20):
        writer.write(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
    await writer.drain()
    cast(asyncio.Transport, writer.transport).pause_reading()
    last = -1
    async with asyncio.timeout(20):
        # Nothing tells when nothing moves any more.
        while (now := world.report(VM).traffic.bytes_down) != last:
            last = now
            await asyncio.sleep(0.2)
    # 20 answers are 60 MB; loopback's sockets hold a few of them.
    assert last < 30_000_000
    writer.transport.abort()
