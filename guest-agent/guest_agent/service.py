"""A TCP service of the agent that speaks protocol/stream.py: one request on a connection, so many at once."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from typing import Any

from guest_agent.protocol.stream import MAX_HEAD_BYTES, BadHead, decode_head, encode_head

__all__ = ["GUEST_IP", "SILENCE_S", "Refused", "Service"]

logger = logging.getLogger(__name__)

GUEST_IP = "169.254.0.21"
SILENCE_S = 30.0
IP_FREEBIND = 15
"""ip(7): the address may come later than we do."""


class Refused(Exception):
    """It cannot be done. ``kind`` is one of stream.ERRORS."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Service:
    """Args:
    name: for the log.
    most: connections at once; the next is told that the service is busy.
    address, port: where it listens; port 0 takes a free one.
    """

    def __init__(self, name: str, most: int, address: str, port: int) -> None:
        self.port = port
        self._name = name
        self._most = most
        self._address = address
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def answer(
        self, head: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one request. Raises Refused, BadHead."""
        raise NotImplementedError

    async def start(self) -> None:
        """Listen. One that cannot is told in the log: viewers by WebRTC need it not."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            sock.bind((self._address, self.port))
        except OSError as exc:
            sock.close()
            logger.error("! no %s over TCP: port %d: %s", self._name, self.port, exc.strerror)
            return
        self.port = sock.getsockname()[1]
        self._server = await asyncio.start_server(self._accept, sock=sock, limit=2 * MAX_HEAD_BYTES)

    async def close(self) -> None:
        """Idempotent."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        if self._serving:
            await asyncio.wait(self._serving)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._serving) >= self._most:
            writer.write(encode_head({"error": "busy", "message": f"{self._most} wait for the {self._name}"}))
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name=f"{self._name} request")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                async with asyncio.timeout(SILENCE_S):
                    head = decode_head(await reader.readuntil(b"\n"))
                await self.answer(head, reader, writer)
            except Refused as exc:
                writer.write(encode_head({"error": exc.kind, "message": str(exc)}))
            except (BadHead, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
                writer.write(encode_head({"error": "bad-request", "message": f"no request: {exc}"[:200]}))
            async with asyncio.timeout(SILENCE_S):
                await writer.drain()
        except (OSError, TimeoutError) as exc:
            logger.info("x a %s request ended early: %s", self._name, exc)
        finally:
            writer.close()
