"""A session's exit, which can go away, fall silent, and come back at the same address."""

from __future__ import annotations

import asyncio
import socket

from tests.loopback.relay_lan import LOOPBACK

__all__ = ["Upstream"]

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class Upstream:
    """An HTTP proxy that answers everything itself. Made by :meth:`begin`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{LOOPBACK}:{port}"
        self.mute = False
        """It takes connections, and says nothing."""
        self._port = port
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    @classmethod
    async def begin(cls) -> Upstream:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            made = cls(probe.getsockname()[1])
        await made.start()
        return made

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self._port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._clients):
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            await reader.readuntil(b"\r\n\r\n")
            if not self.mute:
                writer.write(ANSWER)
                await writer.drain()
                return
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._clients.discard(writer)
            writer.close()
