"""The proxy inside a VM's namespace: there it is what the guest reaches, and all that it reaches."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.egress.proxy import EgressConfig
from gateway.exits import PROXY_URL, parse_exit
from gateway.local_dataplane import LocalDataPlane
from gateway.netns.lan import NamespaceLan
from gateway.netns.thread import NamespaceThread
from gateway.relay.relay import Relay
from gateway.vm.driver import Command, Lan
from tests.leaks import footprint, grown
from tests.loopback.egress_world import NAME, QUICK, ScriptedUpstream, Web, served


@asynccontextmanager
async def dataplane() -> AsyncIterator[LocalDataPlane]:
    thread = NamespaceThread()
    await thread.start()

    async def open_lan(vm_id: str, pid: int | None) -> Lan:
        return await (NamespaceLan.create(thread) if pid is None else NamespaceLan.of_process(thread, pid))

    made = LocalDataPlane(open_lan, await Relay.open(0, bind=("127.0.0.1",)), EgressConfig(times=QUICK))
    try:
        yield made
    finally:
        await made.close()
        await thread.close()


async def inside(lan: Lan, *argv: str) -> str:
    child = await lan.spawn(Command(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    out, _ = await asyncio.to_thread(child.communicate)
    return out.decode()


async def test_a_guest_reaches_the_web_by_its_proxy_and_nothing_else() -> None:
    await asyncio.to_thread(int)
    before = footprint()
    web = Web()
    async with served(web.serve) as port:
        upstream = ScriptedUpstream(port)
        async with served(upstream.serve) as upstream_port, dataplane() as plane:
            lan, other = await plane.attach("aaaaaaaa"), await plane.attach("bbbbbbbb")
            for one in (lan, other):
                await one.open_loopback_guest()
            for vm in ("aaaaaaaa", "bbbbbbbb"):
                out = parse_exit(f"http://{vm}:word@127.0.0.1:{upstream_port}")
                await plane.set_upstream(vm, out, lambda: None)
            curl = ("curl", "-sS", "--max-time", "10")
            assert await inside(lan, *curl, "-x", PROXY_URL, f"http://{NAME}:{port}/a") == "hello /a"
            assert await inside(other, *curl, "-p", "-x", PROXY_URL, f"http://{NAME}:{port}/b") == "hello /b"
            assert [user for user, _ in upstream.users] == ["aaaaaaaa:word", "bbbbbbbb:word"]
            for direct in (f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{upstream_port}/", "http://192.0.2.1/"):
                assert "curl: (7)" in await inside(lan, *curl, "--noproxy", "*", direct)
            assert "Could not resolve" in await inside(lan, *curl, "--noproxy", "*", f"http://{NAME}:{port}/")
            assert len(web.requests) == 2
    assert grown(before, footprint()) == {}


async def test_the_address_may_come_later_and_a_next_gateway_takes_over() -> None:
    async with dataplane() as first:
        lan = await first.attach("aaaaaaaa")
        # As QEMU does: the tap, and its address with it, are made when the proxy listens already.
        tap = await lan.open_tap()
        assert "no way to the internet" in await inside(lan, "curl", "-sS", "-x", PROXY_URL, f"http://{NAME}/")
        holder = await lan.spawn(Command(("sleep", "60")))
        try:
            await first.detach("aaaaaaaa")
            async with dataplane() as second:
                again = await second.attach("aaaaaaaa", holder.pid)
                assert "no way to the internet" in await inside(
                    again, "curl", "-sS", "-x", PROXY_URL, f"http://{NAME}/"
                )
        finally:
            holder.kill()
            await asyncio.to_thread(holder.wait)
            os.close(tap)
