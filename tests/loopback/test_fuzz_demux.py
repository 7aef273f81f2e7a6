"""The one TCP port: whatever a connection begins with, it is one of HTTP's, the relay's, or closed; others go on."""

from __future__ import annotations

import asyncio
import contextlib
import random

from tests.fuzzing import drawn
from tests.loopback.framed_tcp import framed_end
from tests.loopback.test_demux import serving
from tests.stun_messages import binding_request

CONNECTIONS = 1_500
AT_ONCE = 50
BEGINNINGS = [
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
    b"GET /socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40),
    len(request := binding_request("ufragone", "p" * 22)).to_bytes(2, "big") + request,
    b"\x00\x00" * 40,
    b"\xff" * 100,
]


async def test_beginnings() -> None:
    rng = random.Random(20)
    inputs = list(drawn(rng, BEGINNINGS, CONNECTIONS))
    async with serving() as site:

        async def visit(data: bytes) -> None:
            async with framed_end(site.port) as end, asyncio.timeout(20):
                with contextlib.suppress(ConnectionError):
                    # In two parts, as the second byte may be long in coming; then nothing more.
                    cut = rng.randint(0, len(data))
                    end.send_raw(data[:cut])
                    await asyncio.sleep(0)
                    end.send_raw(data[cut:])
                    end.writer.write_eof()
                    # Every one of them is answered or not, and closed.
                    while await end.reader.read(65536):
                        pass

        for at in range(0, CONNECTIONS, AT_ONCE):
            await asyncio.gather(*(visit(data) for data in inputs[at : at + AT_ONCE]))
            assert await site.answers()
        counters = site.demux.counters()
        assert counters["silent"] == 0
        assert site.media.counters()["tcp_connections"] == 0
        assert counters["media"] > CONNECTIONS / 10
        assert counters["http"] > CONNECTIONS / 3
        assert counters["left"] > 0
