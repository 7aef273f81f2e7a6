"""Before upstream proxies that people run: by name and password, and closed without them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.egress.proxy import EgressConfig
from tests.loopback.egress_upstreams import microsocks, squid, tinyproxy
from tests.loopback.egress_world import (
    NAME,
    OTHER,
    QUICK,
    VM,
    Certificate,
    ScriptedUpstream,
    Web,
    both_ways,
    fails_closed,
    gateway,
    tls_front,
)  # fmt: skip


async def test_tinyproxy_by_name_and_password(web: tuple[Web, int], tmp_path: Path) -> None:
    async with (
        tinyproxy(tmp_path, "anna", "s3cret1") as (first, first_log),
        tinyproxy(tmp_path, "ben", "s3cret2") as (second, second_log),
        gateway() as world,
    ):
        await world.start(VM, f"http://anna:s3cret1@127.0.0.1:{first}")
        await world.start(OTHER, f"http://ben:s3cret2@127.0.0.1:{second}")
        await both_ways(world, VM, web[1])
        assert world.report(VM).state == "ok"
        assert world.report(OTHER).traffic.connections == 0
        log = first_log.read_text()
        assert f"CONNECT {NAME}:{web[1]}" in log
        assert f"GET http://{NAME}:{web[1]}/plain" in log
        assert "Established connection" not in second_log.read_text()
        assert not any(b"proxy-" in head.lower() for head in web[0].requests)

        # Each knows its own user alone.
        await world.start(OTHER, f"http://anna:s3cret1@127.0.0.1:{second}")
        await fails_closed(world, OTHER, web[1], 502, "upstream-auth")
        await both_ways(world, VM, web[1])
    async with gateway() as world:
        await world.start(VM, f"http://anna:s3cret1@127.0.0.1:{first}")
        await fails_closed(world, VM, web[1], 502, "upstream-down")


async def test_squid_knows_each_session_by_its_own_user(web: tuple[Web, int]) -> None:
    users = {"anna": "s3cret1", "ben": "s3cret2"}
    sessions = dict(zip(users, (VM, OTHER), strict=True))
    async with squid(users) as (port, log), gateway() as world:
        for user, vm in sessions.items():
            await world.start(vm, f"http://{user}:{users[user]}@127.0.0.1:{port}")
        await asyncio.gather(*(both_ways(world, vm, web[1]) for vm in sessions.values()))
        for user, vm in sessions.items():
            await world.get(vm, f"http://{NAME}:{web[1]}/of-{user}")
        await world.start(VM, f"http://anna:s3cret2@127.0.0.1:{port}")
        await fails_closed(world, VM, web[1], 502, "upstream-auth")
        await both_ways(world, OTHER, web[1])
        told = await asyncio.to_thread(log.read_text)
        for user in users:
            lines = [
                line.split() for line in told.splitlines() if f"/of-{user} " in line or f":{web[1]} {user} " in line
            ]
            assert {line[7] for line in lines} == {user}
            assert {line[5] for line in lines} == {"GET", "CONNECT"}
    async with gateway() as world:
        await world.start(OTHER, f"http://ben:s3cret2@127.0.0.1:{port}")
        await fails_closed(world, OTHER, web[1], 502, "upstream-down")


async def test_microsocks_by_name_and_password(web: tuple[Web, int], tmp_path: Path) -> None:
    async with microsocks(tmp_path, "anna", "s3cret1") as port, gateway() as world:
        await world.start(VM, f"socks5://anna:s3cret1@127.0.0.1:{port}")
        await both_ways(world, VM, web[1])
        await world.start(OTHER, f"socks5://anna:wrong@127.0.0.1:{port}")
        await fails_closed(world, OTHER, web[1], 502, "upstream-auth")
        await world.start(OTHER, f"socks5://127.0.0.1:{port}")
        await fails_closed(world, OTHER, web[1], 502, "upstream-auth")
        await world.start(VM, f"socks5://anna:s3cret1@127.0.0.1:{port}")
        # A closed port; of a name that it does not know, microsocks says only that it failed.
        answer = await world.get_tunnelled(VM, f"{NAME}:1")
        assert (answer.status, b"target-unreachable" in answer.head) == (502, True)
    async with gateway() as world:
        await world.start(VM, f"socks5://anna:s3cret1@127.0.0.1:{port}")
        await fails_closed(world, VM, web[1], 502, "upstream-down")


async def test_an_https_upstream_and_its_certificate(
    web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int], tmp_path: Path
) -> None:
    certificate = await asyncio.to_thread(Certificate, tmp_path)
    async with tls_front(upstream[1], certificate) as port:
        async with gateway(EgressConfig(times=QUICK, tls=certificate.client())) as world:
            await world.start(VM, f"https://anna:s3cret1@127.0.0.1:{port}")
            await both_ways(world, VM, web[1])
            assert {user for user, _ in upstream[0].users} == {"anna:s3cret1"}
        async with gateway() as world:
            await world.start(VM, f"https://anna:s3cret1@127.0.0.1:{port}")
            await fails_closed(world, VM, web[1], 502, "upstream-down")
            assert "certificate" in world.report(VM).message
    assert len(upstream[0].users) == 2
