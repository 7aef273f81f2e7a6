"""A real file service of this host on a port of its own, and a fake guest's port that leads to it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guest_agent.fileserver.operations import Home
from guest_agent.fileserver.server import MAX_CONNECTIONS, FileServer
from tests.fakes import PortHandler

__all__ = ["bridge", "file_service"]


@contextmanager
def file_service(folder: Path, *, peer: str = "") -> Iterator[int]:
    """The port it listens on, on the loopback address."""
    home = Home(str(folder))
    listener = socket.create_server(("127.0.0.1", 0), backlog=MAX_CONNECTIONS)
    server = FileServer(home, listener, peer=peer)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.close()
        thread.join()
        home.close()


def bridge(port: int) -> PortHandler:
    """For FakeLan.ports."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        there = asyncio.create_task(carry(reader, inner_writer))
        back = asyncio.create_task(carry(inner_reader, writer))
        try:
            await asyncio.wait({there, back})
        finally:
            # Before anything is awaited: whoever ends the machine meanwhile cancels this a second time, here.
            inner_writer.transport.abort()
            there.cancel()
            back.cancel()
            await asyncio.wait({there, back})

    return run
