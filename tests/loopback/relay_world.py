"""A relay with one admitted peer, whose guest is a socket of the test's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial

from gateway.dataplane import IceCredentials
from gateway.relay.relay import Relay
from gateway.relay.table import RelayTable
from tests.loopback.relay_lan import LOOPBACK, LoopbackLan, UdpEnd, open_files, udp_end
from tests.stun_messages import binding_request

__all__ = ["MEDIA", "PWD", "REQUEST", "one_peer"]

PWD = "p" * 22
REQUEST = binding_request("ufragone", PWD)
"""Of the one peer's viewers."""
MEDIA = b"\x80" + bytes(200)


@contextlib.asynccontextmanager
async def one_peer() -> AsyncIterator[tuple[Relay, LoopbackLan, UdpEnd]]:
    """The relay, the network behind it and the guest's agent; at the end nothing may be left open."""
    before = open_files()
    lan = LoopbackLan()
    async with udp_end() as guest:
        relay = await Relay.open(0, bind=(LOOPBACK,), table=RelayTable(max_per_peer=3))
        relay.admit("vm1", IceCredentials("ufragone", PWD, guest.port), partial(lan.udp, guest.port))
        yield relay, lan, guest
        await relay.close()
        await relay.close()
    await asyncio.sleep(0)
    assert open_files() == before
