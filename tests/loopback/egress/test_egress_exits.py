"""Each session leaves by its own exit, which may become another at any time; what it carried is its own, too."""

from __future__ import annotations

import asyncio

import pytest

from gateway.exits import Decodo, Traffic, parse_exit
from tests.loopback.egress_world import (
    NAME,
    OTHER,
    VM,
    Gateway,
    ScriptedUpstream,
    Web,
    both_ways,
    fails_closed,
    gateway,
)  # fmt: skip


async def test_two_sessions_never_mix(upstream: tuple[ScriptedUpstream, int], web: tuple[Web, int]) -> None:
    async with gateway() as world:
        for vm in (VM, OTHER):
            await world.start(vm, f"http://user-{vm}:word-{vm}@127.0.0.1:{upstream[1]}")

        async def ask(vm: str, number: int) -> None:
            if number % 2:
                await world.get(vm, f"http://{NAME}:{web[1]}/{vm}")
            else:
                await world.get_tunnelled(vm, f"{vm}.example.test:443", f"/{vm}")

        await asyncio.gather(*(ask(vm, number) for number in range(20) for vm in (VM, OTHER)))
        assert len(upstream[0].users) == 40
        for user, target in upstream[0].users:
            vm = VM if VM in target else OTHER
            assert user == f"user-{vm}:word-{vm}"
        assert world.report(VM).traffic.hosts.keys() & {f"{OTHER}.example.test"} == set()


async def test_decodo_keeps_an_address_for_each_session(upstream: tuple[ScriptedUpstream, int]) -> None:
    async with gateway() as world:
        out = parse_exit(f"http://sp1:word@127.0.0.1:{upstream[1]}")
        for vm in (VM, OTHER):
            await world.start(vm, out.model_copy(update={"decodo": Decodo(country="de", duration_min=60)}))
            await world.get(vm, f"http://{NAME}/")
        assert [user for user, _ in upstream[0].users] == [
            f"user-sp1-country-de-session-{vm}-sessionduration-60:word" for vm in (VM, OTHER)
        ]


async def test_another_exit_at_once_cuts_what_went_by_the_last(
    world: Gateway, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    answer, reader, writer = await world.tunnel(VM, f"{NAME}:{web[1]}")
    assert answer.status == 200
    await world.start(VM, f"http://ben:other@127.0.0.1:{upstream[1]}")
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.transport.abort()
    await world.get(VM, f"http://{NAME}:{web[1]}/")
    assert [user for user, _ in upstream[0].users] == ["anna:pa:ss", "ben:other"]
    await world.start(VM, "none")
    await fails_closed(world, VM, web[1], 503, "no-exit")
    assert world.report(VM).state == "off"
    assert len(upstream[0].users) == 2


async def test_detaching_a_vm_cuts_its_tunnels(world: Gateway, web: tuple[Web, int]) -> None:
    _, reader, writer = await world.tunnel(VM, f"{NAME}:{web[1]}")
    await world.dataplane.detach(VM)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.transport.abort()
    with pytest.raises(ConnectionError):
        await world.connect(VM)


async def test_a_session_counts_on_with_the_next_gateway_whose_own_counters_begin_anew(
    upstream: tuple[ScriptedUpstream, int], web: tuple[Web, int]
) -> None:
    async with gateway() as world:
        await world.start(VM, f"http://anna:word@127.0.0.1:{upstream[1]}")
        await both_ways(world, VM, web[1])
        first = world.report(VM).traffic
        assert first.connections == 2
        # Asleep, it has no proxy.
        await world.dataplane.detach(VM)
        assert world.report(VM).traffic == first
    async with gateway() as world:
        world.dataplane.recall_traffic(VM, first)
        assert world.report(VM).traffic == first
        await world.start(VM, f"http://anna:word@127.0.0.1:{upstream[1]}")
        await both_ways(world, VM, web[1])
        second = world.report(VM).traffic
        assert (second.connections, second.bytes_down) == (4, 2 * first.bytes_down)
        assert second.hosts == {NAME: 2 * first.hosts[NAME]}
        carried = world.dataplane.egress_counters()
        assert (carried["egress_connections"], carried["egress_bytes_down"]) == (2, first.bytes_down)
        await world.dataplane.detach(VM)
        world.dataplane.forget_traffic(VM)
        assert world.report(VM).traffic == Traffic()
        assert world.dataplane.egress_counters() == carried
