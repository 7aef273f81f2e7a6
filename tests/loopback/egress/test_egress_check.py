"""The exit check: what is seen of a session from outside, whose address that is, and how often it is asked."""

from __future__ import annotations

import json

from gateway.egress.checking import CheckConfig
from gateway.egress.proxy import EgressConfig
from gateway.exits import ExitCheck
from tests.loopback.egress_world import NAME, QUICK, VM, Gateway, ScriptedUpstream, Web, gateway


def config(port: int, every_s: float = 900) -> EgressConfig:
    return EgressConfig(
        times=QUICK,
        check=CheckConfig(f"http://{NAME}:{port}/ip", every_s=every_s, timeout_s=5),
        public_addresses=("198.51.100.8/30",),
    )


async def checked(world: Gateway, exit_url: str) -> ExitCheck:
    await world.start(VM, exit_url)
    await world.until(lambda: world.report(VM).check is not None)
    check = world.report(VM).check
    assert check is not None
    return check


async def test_each_new_exit_is_looked_at(web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]) -> None:
    async with gateway(config(web[1])) as world:
        check = await checked(world, f"http://u:p@127.0.0.1:{upstream[1]}")
        assert (check.address, check.ours, check.kind, world.report(VM).state) == ("203.0.113.50", False, "", "ok")
        assert check.latency_ms > 0

        web[0].address = "198.51.100.9"
        assert (await checked(world, f"http://u2:p@127.0.0.1:{upstream[1]}")).ours

        # Behind a NAT, an address of the other family says nothing.
        web[0].address = json.dumps({"ip": "2606:4700::1", "country": "de", "timezone": "Europe/Berlin"})
        check = await checked(world, f"http://u3:p@127.0.0.1:{upstream[1]}")
        assert (check.address, check.ours) == ("2606:4700::1", None)
        assert (check.country, check.timezone) == ("DE", "Europe/Berlin")

        upstream[0].mode = "deny"
        check = await checked(world, f"http://u4:p@127.0.0.1:{upstream[1]}")
        assert (check.address, check.ours, check.kind) == ("", None, "upstream-auth")
        assert world.report(VM).state == "failing"
        # It is the gateway's own look, and none of the session's requests.
        assert world.report(VM).traffic.errors == {}
        assert [user for user, _ in upstream[0].users] == ["u:p", "u2:p", "u3:p", "u4:p"]


async def test_an_exit_is_looked_at_again_and_again_until_there_is_another(
    web: tuple[Web, int], upstream: tuple[ScriptedUpstream, int]
) -> None:
    async with gateway(config(web[1], every_s=0.01)) as world:
        await checked(world, f"http://u:p@127.0.0.1:{upstream[1]}")
        web[0].address = "198.51.100.9"
        await world.until(lambda: bool((check := world.report(VM).check) and check.ours))
        upstream[0].mode = "cut"
        await world.until(lambda: world.report(VM).state == "failing")
        upstream[0].mode = "ok"
        await world.until(lambda: world.report(VM).state == "ok")
        await world.start(VM, "none")
        asked = len(upstream[0].users)
        assert (await world.get(VM, f"http://{NAME}/")).status == 503
        assert (len(upstream[0].users), world.report(VM).check) == (asked, None)
