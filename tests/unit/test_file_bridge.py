"""The bridge from a fake guest's port to a real service keeps no connection, whenever it is ended."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.file_service import bridge

TURNS = 24
"""Of the loop; a bridge whose two sides have gone is at its end well before."""


@pytest.mark.parametrize("turns", range(TURNS))
async def test_a_bridge_that_is_ended_while_it_ends_lets_go(turns: int) -> None:
    connected: asyncio.Queue[asyncio.StreamReader] = asyncio.Queue()

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        connected.put_nowait(reader)

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=theirs)
    bridging = asyncio.ensure_future(bridge(server.sockets[0].getsockname()[1])(reader, writer))
    far = await connected.get()
    ours.close()
    for _ in range(turns):
        await asyncio.sleep(0)
    bridging.cancel()
    await asyncio.wait({bridging})
    async with asyncio.timeout(5):
        while await far.read(1 << 16):
            pass
    writer.close()
    server.close()
    await server.wait_closed()
