"""A session's proxy: what passes, what does not, and that every failure says so, and of which session."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from gateway.egress.limits import Limits
from gateway.egress.policy import Policy
from gateway.egress.proxy import EgressConfig
from gateway.exits import Decodo, Exit, parse_exit
from tests.leaks import footprint, grown
from tests.loopback.egress_world import (
    NAME,
    QUICK,
    Certificate,
    Gateway,
    ScriptedUpstream,
    Web,
    gateway,
    microsocks,
    served,
    tinyproxy,
    tls_front,
)
from tests.sessions import turns_until
from tests.unit.test_fuzz_egress import draw

VM, OTHER = "aaaaaaaa", "bbbbbbbb"


@pytest.fixture(autouse=True)
async def _nothing_is_left() -> AsyncIterator[None]:
    await asyncio.to_thread(int)
    before = footprint()
    yield
    assert grown(before, footprint()) == {}


@pytest.fixture
async def web() -> AsyncIterator[tuple[Web, int]]:
    made = Web()
    async with served(made.serve) as port:
        yield made, port


@pytest.fixture
async def upstream(web: tuple[Web, int]) -> AsyncIterator[tuple[ScriptedUpstream, int]]:
    made = ScriptedUpstream(web[1])
    async with served(made.serve) as port:
        yield made, port


@pytest.fixture
async def world(upstream: tuple[ScriptedUpstream, int]) -> AsyncIterator[Gateway]:
    async with gateway() as made:
        await made.start(VM, f"http://anna:pa%3Ass@127.0.0.1:{upstream[1]}")
        yield made


async def both_ways(world: Gateway, vm: str, port: int) -> None:
    """A plain request and one in a tunnel get through."""
    assert (await world.get(vm, f"http://{NAME}:{port}/plain")).body == b"hello /plain"
    assert (await world.get_tunnelled(vm, f"{NAME}:{port}", "/tunnel")).body == b"hello /tunnel"


async def fails_closed(world: Gateway, vm: str, port: int, status: int, kind: str) -> None:
    """Both show a page that says what is wrong, and never ask for a password."""
    for answer in (
        await world.get(vm, f"http://{NAME}:{port}/plain"),
        await world.get_tunnelled(vm, f"{NAME}:{port}"),
    ):
        assert answer.status == status, answer
        assert f'details="{kind}"'.encode() in answer.head
        assert b"authenticate" not in answer.head.lower()
        assert len(answer.body) > 40


# Real upstreams.


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
        assert world.report(OTHER).connections == 0
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


# Sessions.


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
        assert world.report(VM).hosts.keys() & {f"{OTHER}.example.test"} == set()


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


# Failing upstreams.


@pytest.mark.parametrize(
    ("mode", "status", "kind"),
    [
        ("deny", 502, "upstream-auth"),
        ("silent", 504, "upstream-slow"),
        ("cut", 502, "upstream-cut"),
        ("garbage", 502, "upstream-cut"),
    ],
)
async def test_a_failing_upstream(
    world: Gateway, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int], mode: str, status: int, kind: str
) -> None:
    upstream[0].mode = mode
    await fails_closed(world, VM, web[1], status, kind)
    report = world.report(VM)
    assert (report.state, report.kind, report.errors) == ("failing", kind, {kind: 2})
    assert "pa:ss" not in report.message
    assert world.changes == [VM]
    upstream[0].mode = "ok"
    await both_ways(world, VM, web[1])
    assert (world.report(VM).state, world.report(VM).kind) == ("ok", "")
    assert world.changes == [VM, VM]


async def test_an_upstream_that_is_well_is_not_blamed_for_a_target(
    world: Gateway, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    for mode, status, kind in (("forbid", 403, "target-forbidden"), ("unreachable", 502, "target-unreachable")):
        upstream[0].mode = mode
        answer = await world.get_tunnelled(VM, f"{NAME}:{web[1]}")
        assert (answer.status, kind.encode() in answer.head) == (status, True)
        assert world.report(VM).state != "failing"
        # A plain answer is the target's for all that can be known, and goes through as it is.
        assert (await world.get(VM, f"http://{NAME}:{web[1]}/")).status in (403, 502)


async def test_an_answer_that_breaks_off_never_looks_whole(world: Gateway, web: tuple[Web, int]) -> None:
    answer = await world.get(VM, f"http://{NAME}:{web[1]}/cut")
    assert (answer.status, answer.body) == (200, b"half")
    assert b"Content-Length: 1000" in answer.head
    assert world.report(VM).errors == {"upstream-cut": 1}
    # Whoever broke it off, the way there was there.
    assert world.report(VM).state != "failing"


async def test_a_page_for_people_and_one_for_programs(world: Gateway) -> None:
    await world.start(VM, "none")
    for accept, mark in (
        ("text/html,*/*", b"<!doctype html>"),
        ("*/*", b"This desktop has no way to the internet.\n"),
    ):
        got = await world.raw(VM, f"GET http://a.example/ HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n".encode())
        assert mark in got


# What a guest may not do.


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "169.254.169.254", "2130706433", "[::ffff:127.0.0.1]", "localhost", "x"]
)
async def test_no_private_target_by_any_exit(
    world: Gateway, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int], host: str
) -> None:
    for answer in (
        await world.get(VM, f"http://{host}:{web[1]}/"),
        await world.get_tunnelled(VM, f"{host}:{web[1]}"),
    ):
        assert (answer.status, b"target-forbidden" in answer.head) == (403, True)
    assert upstream[0].users == []


async def test_a_name_that_resolves_to_a_private_address_is_not_followed_directly(web: tuple[Web, int]) -> None:
    config = EgressConfig(policy=Policy(direct=True), times=QUICK)
    async with gateway(config) as world:
        await world.start(VM, "direct")
        loop = asyncio.get_running_loop()
        looked_up: list[str] = []

        async def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
            looked_up.append(host)
            public = (2, 1, 6, "", ("93.184.216.34", port))
            return [public, (2, 1, 6, "", ("127.0.0.1", port))]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "getaddrinfo", resolve)
            answer = await world.get_tunnelled(VM, f"rebind.example.test:{web[1]}")
        assert (answer.status, b"target-forbidden" in answer.head) == (403, True)
        assert looked_up == ["rebind.example.test"]
    assert web[0].requests == []


async def test_direct_needs_the_operators_leave() -> None:
    async with gateway() as world:
        await world.start(VM, "direct")
        answer = await world.get(VM, "http://93.184.216.34/")
        assert (answer.status, b"proxy_direct" in answer.body) == (403, True)


async def test_each_request_of_a_connection_is_judged_anew(
    world: Gateway, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    first = f"GET http://{NAME}:{web[1]}/one HTTP/1.1\r\nHost: a\r\n\r\n"
    second = f"GET http://127.0.0.1:{web[1]}/two HTTP/1.1\r\nHost: a\r\n\r\n"
    got = await world.raw(VM, (first + first + second + first).encode())
    assert got.count(b"hello /one") == 2
    assert b"403" in got.split(b"hello /one")[2]
    assert len(upstream[0].users) == 2


async def test_a_smuggled_request_reaches_nobody(world: Gateway, web: tuple[Web, int]) -> None:
    hidden = f"GET http://{NAME}:{web[1]}/hidden HTTP/1.1\r\nHost: a\r\n\r\n"
    for framing in (
        f"Content-Length: {len(hidden) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
        f"Transfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{hidden}",
        f"Content-Length: 0\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}",
        f"X: y\nContent-Length: {len(hidden)}\r\n\r\n{hidden}",
    ):
        got = await world.raw(VM, f"POST http://{NAME}:{web[1]}/x HTTP/1.1\r\nHost: a\r\n{framing}".encode())
        assert got.startswith(b"HTTP/1.1 400 ")
        assert got.count(b"HTTP/1.1 ") == 1
    assert web[0].requests == []


async def test_bodies_go_up_and_large_answers_come_down(world: Gateway, web: tuple[Web, int]) -> None:
    body = b"b" * 300_000
    line = f"POST http://{NAME}:{web[1]}/post HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    got = await world.raw(VM, f"{line}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    assert got.endswith(b"hello /post" + body)
    assert len((await world.get(VM, f"http://{NAME}:{web[1]}/big")).body) == 3_000_000
    report = world.report(VM)
    assert report.bytes_up >= len(body)
    assert report.bytes_down >= 3_000_000
    assert list(report.hosts) == [NAME]


# Limits.


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
    async with gateway(EgressConfig(limits=limits, times=QUICK)) as world:
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
        assert world.report(VM).bytes_down > 3_000_000


async def test_too_many_connections_a_second(web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]) -> None:
    async with gateway(EgressConfig(limits=Limits(connects_per_s=0.1), times=QUICK)) as world:
        await world.start(VM, f"http://u:p@127.0.0.1:{upstream[1]}")
        assert (await world.get(VM, f"http://{NAME}:{web[1]}/")).status == 200
        assert (await world.get(VM, f"http://{NAME}:{web[1]}/")).status == 503
    assert len(upstream[0].users) == 1


async def test_detaching_a_vm_cuts_its_tunnels(world: Gateway, web: tuple[Web, int]) -> None:
    _, reader, writer = await world.tunnel(VM, f"{NAME}:{web[1]}")
    await world.dataplane.detach(VM)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.transport.abort()
    with pytest.raises(ConnectionError):
        await world.connect(VM)


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
        while (now := world.report(VM).bytes_down) != last:
            last = now
            await asyncio.sleep(0.2)
    # 20 answers are 60 MB; loopback's sockets hold a few of them.
    assert last < 30_000_000
    writer.transport.abort()


async def test_fuzzed_requests_through_a_socket(world: Gateway, upstream: tuple[ScriptedUpstream, int]) -> None:
    """Some of the 100,000, in earnest: each is answered or closed, and the proxy serves the next."""
    upstream[0].mode = "forbid"
    rng = random.Random(21)
    for _ in range(400):
        head, body = draw(rng)
        got = await world.raw(VM, head + body + b"\r\n\r\n")
        assert got == b"" or got.startswith(b"HTTP/1.1 ")
    for user, target in upstream[0].users:
        assert user == "anna:pa:ss"
        assert not any(word in target for word in ("169.254", "127.", "localhost", "metadata", "10.0"))


# The exit check.


async def test_the_exit_check_sees_the_exit_and_a_leak(
    web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    config = EgressConfig(times=QUICK, check_url=f"http://{NAME}:{web[1]}/ip", own_addresses=lambda: ["198.51.100.9"])
    async with gateway(config) as world:
        await world.start(VM, f"http://u:p@127.0.0.1:{upstream[1]}")
        await world.until(lambda: world.report(VM).check is not None)
        check = world.report(VM).check
        assert check is not None
        assert (check.address, check.ours, check.kind, world.report(VM).state) == ("203.0.113.50", False, "", "ok")
        assert check.latency_ms > 0

        web[0].address = "198.51.100.9"
        await world.start(VM, f"http://u2:p@127.0.0.1:{upstream[1]}")
        await world.until(lambda: world.report(VM).check is not None)
        check = world.report(VM).check
        assert check is not None
        assert check.ours

        upstream[0].mode = "deny"
        await world.start(VM, f"http://u3:p@127.0.0.1:{upstream[1]}")
        await world.until(lambda: world.report(VM).check is not None)
        check = world.report(VM).check
        assert check is not None
        assert (check.address, check.kind) == ("", "upstream-auth")
        assert world.report(VM).state == "failing"
