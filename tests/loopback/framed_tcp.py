"""Viewers by ICE-TCP, and a listening port that gives their connections to a relay."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

from tests.loopback.relay_lan import LOOPBACK, UdpEnd, udp_end

__all__ = ["FramedEnd", "framed_end", "listener", "tunnel"]


class FramedEnd:
    """A viewer's connection: datagrams in, datagrams out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, datagram: bytes) -> None:
        self.writer.write(len(datagram).to_bytes(2, "big") + datagram)

    def send_raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def get(self) -> bytes:
        """The next datagram. Raises IncompleteReadError or ConnectionError at the end."""
        return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "big"))

    async def ended(self) -> bool:
        """Wait until the other side closes; True when nothing came before that."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True


@contextlib.asynccontextmanager
async def framed_end(port: int, host: str = LOOPBACK) -> AsyncIterator[FramedEnd]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield FramedEnd(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def listener(take: Callable[[socket.socket], None]) -> AsyncIterator[int]:
    """A loopback port whose connections go to ``take``; gives its number."""
    loop = asyncio.get_running_loop()
    with socket.create_server((LOOPBACK, 0)) as listening:
        listening.setblocking(False)
        loop.add_reader(listening, lambda: take(listening.accept()[0]))
        try:
            yield listening.getsockname()[1]
        finally:
            loop.remove_reader(listening)


@contextlib.asynccontextmanager
async def tunnel(port: int) -> AsyncIterator[int]:
    """A UDP port for an ICE agent without ICE-TCP; its datagrams go through one framed connection to ``port``."""
    async with udp_end() as end, framed_end(port) as viewer:
        client: list[tuple[str, int]] = []

        async def out() -> None:
            while True:
                datagram, address = await end.rcvd.get()
                client[:] = [address]
                viewer.send(datagram)

        async def back(end: UdpEnd) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    datagram = await viewer.get()
                    end.send(datagram, client[0])

        tasks = [asyncio.create_task(out()), asyncio.create_task(back(end))]
        try:
            yield end.port
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
