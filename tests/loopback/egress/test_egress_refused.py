"""What a guest may not reach, by any exit, any spelling and any request of a connection."""

from __future__ import annotations

import asyncio

import pytest

from gateway.egress.policy import Policy
from gateway.egress.proxy import EgressConfig
from tests.loopback.egress_world import NAME, QUICK, VM, Gateway, ScriptedUpstream, Web, gateway


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


async def test_a_redirect_leads_to_no_private_address(
    world: Gateway, web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    answer = await world.get(VM, f"http://{NAME}:{web[1]}/away")
    place = answer.head.split(b"Location: ")[1].split(b"\r\n")[0].decode()
    assert (answer.status, place) == (302, "http://169.254.169.254/")
    followed = await world.get(VM, place)
    assert (followed.status, b"target-forbidden" in followed.head) == (403, True)
    assert len(upstream[0].users) == 1
