"""Guests and clients who mean ill, beside a desktop that somebody watches: they get nothing and disturb nothing.

Agent, viewer, relay and signalling are real; each attack is followed by frames that come, in order, by
the path of before.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from gateway.errors import Conflict
from gateway.signaling.candidates import Endpoint
from gateway.signaling.whep import Whep
from tests.fuzzing import changed
from tests.loopback.framed_tcp import FramedEnd, framed_end, listener
from tests.loopback.hostile_world import LyingGuest, Scene, scene
from tests.loopback.relay_lan import LOOPBACK, UdpEnd, udp_end
from tests.stun_messages import binding_request
from tests.unit.test_signaling_sdp import media, sdp

OFFER = sdp(media("video"))
GUESSES = 2_000
REPLAYS = 400
USE_CANDIDATE = b"\x00\x25\x00\x00"
"""The attribute (RFC 8445 16.1), which has no value."""
JUNK = [
    b"\x80\x60" + bytes(100),
    b"\x80\xc8" + bytes(40),
    b"\x16\xfe\xfd" + bytes(60),
    b"\x15\xfe\xfd" + bytes(11) + b"\x02\x02\x28",
]
"""RTP, RTCP, a DTLS handshake record, a fatal DTLS alert: none of them signed."""


@pytest.fixture
async def world() -> AsyncIterator[Scene]:
    async with scene() as made:
        yield made


def judged(world: Scene) -> int:
    counters = world.dataplane.counters()
    return sum(count for name, count in counters.items() if name.startswith("dropped")) + counters["packets_to_guest"]


async def settled(world: Scene, sent: int, before: int) -> None:
    """Wait until the relay has judged so many of a stranger's datagrams, and handed on or dropped each."""

    async with asyncio.timeout(10):
        while judged(world) - before < sent:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def heard(end: UdpEnd) -> list[bytes]:
    return [end.rcvd.get_nowait()[0] for _ in range(end.rcvd.qsize())]


async def test_a_guest_that_announces_anothers_ufrag(world: Scene) -> None:
    async with udp_end() as its_agent:
        stolen = {"ufrag": world.result.ufrag, "pwd": "x" * 22, "port": its_agent.port}
        guest = LyingGuest("hostile", {"sdp": OFFER, **stolen})
        whep = Whep(world.dataplane)
        for _ in range(3):
            with pytest.raises(Conflict):
                await whep.offer(guest, OFFER, "control", [Endpoint("udp", *world.relay)])
        # After a restart of the gateway guests say which peers they have.
        await whep.recall(guest, [{"peer": "p1", "role": "control", **stolen}])
        await whep.close("hostile", "p1")
        await whep.aclose()
        assert whep.peers("hostile") == []
        await world.still_watches()
        assert heard(its_agent) == []
        assert world.count("mappings_opened") == 1


async def test_a_guest_that_takes_anothers_password_and_port_too(world: Scene) -> None:
    """A ufrag of its own with what it could have overheard leads to its own network, and to nobody else's."""
    async with udp_end() as its_agent, udp_end() as client:
        told = {"sdp": OFFER, "ufrag": "hostile000000000", "pwd": world.result.pwd, "port": its_agent.port}
        whep = Whep(world.dataplane)
        await whep.offer(LyingGuest("hostile", told), OFFER, "control", [Endpoint("udp", *world.relay)])
        client.send(binding_request("hostile000000000", world.result.pwd), world.relay)
        assert await its_agent.get()
        its_agent.send(JUNK[0], (LOOPBACK, world.result.port))
        await world.still_watches()
        await whep.aclose()


async def test_a_client_that_guesses(world: Scene) -> None:
    rng = random.Random(20)
    async with udp_end() as client:
        before = judged(world)
        for number in range(GUESSES):
            ufrag = world.result.ufrag if number % 2 else f"{rng.getrandbits(64):016x}"
            client.send(binding_request(ufrag, f"{rng.getrandbits(128):032x}"), world.relay)
            if number % 100 == 99:
                await asyncio.sleep(0)
        await settled(world, GUESSES, before)
        await world.still_watches()
        assert heard(client) == []
        assert world.count("dropped_unknown_ufrag") == GUESSES // 2
        assert world.count("dropped_bad_integrity") == GUESSES // 2
        assert world.count("mappings_opened") == 1


async def test_media_from_a_foreign_address(world: Scene) -> None:
    async with udp_end() as client:
        before = judged(world)
        for _ in range(100):
            for data in JUNK:
                client.send(data, world.relay)
            await asyncio.sleep(0)
        await settled(world, 100 * len(JUNK), before)
        await world.still_watches()
        assert heard(client) == []
        assert world.count("dropped_not_stun") == 100 * len(JUNK)


async def test_a_client_that_replays_what_it_overheard(world: Scene) -> None:
    """It gets through to the agent, which answers it, as ICE does anybody who can sign; it gets no media."""
    rng = random.Random(20)
    assert any(USE_CANDIDATE in request for request in world.table.heard), "it asks to be the path from now on"
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(udp_end()) for _ in range(40)]
        before = judged(world)
        for number in range(REPLAYS):
            client = clients[number % len(clients)]
            client.send(rng.choice(world.table.heard), world.relay)
            # From where it was let in, junk goes on to the agent, which believes none of it.
            client.send(rng.choice(JUNK), world.relay)
            client.send(changed(rng, rng.choice(world.table.heard)), world.relay)
            await asyncio.sleep(0)
        await settled(world, 3 * REPLAYS, before)
        await world.still_watches()
        got = [data for client in clients for data in heard(client)]
        assert got, "the agent answered"
        assert all(data[0] < 4 for data in got), "with STUN and nothing else"
        assert world.count("mappings_opened") == 32, "one peer has no more"
        assert world.count("dropped_peer_full") > 0


async def test_ice_tcp_that_claims_a_ufrag_and_sends_junk(world: Scene) -> None:
    rng = random.Random(20)
    async with listener(world.dataplane.take) as port:
        for first in (binding_request(world.result.ufrag, "x" * 22), JUNK[0], b"\x00" * 20, b"\xff" * 50):
            async with framed_end(port) as client, asyncio.timeout(10):
                client.send(first)
                assert await client.ended()
        for _ in range(20):
            async with framed_end(port) as client, asyncio.timeout(10):
                client.send(rng.choice(world.table.heard))
                for data in JUNK:
                    client.send(data)
                client.send_raw(b"\xff\xff" + rng.randbytes(300))
                # What comes before it is cut off is the agent's answer to the replayed request, or its own check.
                while (answer := await _next(client)) is not None:
                    assert answer[0] < 4
        await world.still_watches()
        assert world.count("tcp_closed_not_admitted") == 4
        assert world.count("tcp_closed_bad_frame") == 20
        assert world.count("tcp_connections") == 0


async def _next(client: FramedEnd) -> bytes | None:
    try:
        return await client.get()
    except (ConnectionError, EOFError):
        return None
