"""An upstream that fails: the guest sees a page that says so, the session's health too, and nothing else suffers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.egress.proxy import EgressConfig
from tests.loopback.egress_world import (
    LOOPBACK,
    NAME,
    OTHER,
    QUICK,
    VM,
    Gateway,
    ScriptedUpstream,
    Web,
    both_ways,
    fails_closed,
    gateway,
    served,
)  # fmt: skip


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
    assert (report.state, report.kind, report.traffic.errors) == ("failing", kind, {kind: 2})
    assert "pa:ss" not in report.message
    assert world.changes == [VM]
    upstream[0].mode = "ok"
    await both_ways(world, VM, web[1])
    assert (world.report(VM).state, world.report(VM).kind) == ("ok", "")
    assert world.changes == [VM, VM]


async def test_an_upstream_that_fails_holds_no_other_session(
    web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    """While one session's requests hang in their upstream, another's go through, and its health stays."""
    silent = ScriptedUpstream(web[1], mode="silent")
    # They hang for longer than the other's take on a busy host.
    async with gateway(EgressConfig(times=replace(QUICK, answer_s=5))) as world, served(silent.serve) as port:
        await world.start(VM, f"http://anna:pa%3Ass@{LOOPBACK}:{upstream[1]}")
        await world.start(OTHER, f"http://ben:word@{LOOPBACK}:{port}")
        hanging = [asyncio.create_task(world.get(OTHER, f"http://{NAME}:{web[1]}/{n}")) for n in range(50)]
        await silent.came.wait()
        await both_ways(world, VM, web[1])
        assert not any(task.done() for task in hanging)
        assert {answer.status for answer in await asyncio.gather(*hanging)} == {504}
        assert (world.report(OTHER).state, world.report(VM).state) == ("failing", "ok")
        assert world.changes == [VM, OTHER]


async def test_an_upstream_that_takes_the_connection_and_says_nothing_in_tls(
    world: Gateway, web: tuple[Web, int]
) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)

    async with served(silent) as port:
        await world.start(VM, f"https://anna:word@{LOOPBACK}:{port}")
        await fails_closed(world, VM, web[1], 504, "upstream-slow")
        assert world.report(VM).kind == "upstream-slow"


async def test_an_upstream_that_cuts_a_tunnel_ends_it_for_the_guest(
    world: Gateway, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    upstream[0].cut_after = 1000
    answer, reader, writer = await world.tunnel(VM, f"{NAME}:{web[1]}")
    assert answer.status == 200
    writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        got = await reader.read(-1)
    assert 0 < len(got) <= 1000
    writer.transport.abort()
    upstream[0].cut_after = None
    await both_ways(world, VM, web[1])


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
    assert world.report(VM).traffic.errors == {"upstream-cut": 1}
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
