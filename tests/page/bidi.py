"""A client of WebDriver BiDi (https://w3c.github.io/webdriver-bidi/), which Firefox serves without a driver."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

__all__ = ["Bidi", "BidiError"]

ANSWER_S = 60.0
MAX_MESSAGE_BYTES = 32 << 20
"""A screenshot is base64 in one message."""


class BidiError(AssertionError):
    """The browser refused a command, or a script of ours threw."""


class Bidi:
    """One session, which ends with the connection. It subscribes to no events."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}

    @classmethod
    @asynccontextmanager
    async def connect(cls, sock: socket.socket, port: int) -> AsyncIterator[Bidi]:
        """A new session with the browser that listens on this port of the loopback that ``sock`` was made on."""
        connector = aiohttp.TCPConnector(socket_factory=lambda _: sock)
        url = f"http://127.0.0.1:{port}/session"
        async with (
            aiohttp.ClientSession(connector=connector) as http,
            http.ws_connect(url, max_msg_size=MAX_MESSAGE_BYTES) as connection,
        ):
            bidi = cls(connection)
            reading = asyncio.create_task(bidi._read())
            try:
                await bidi.call("session.new", capabilities={})
                yield bidi
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The command's result. Raises BidiError; TimeoutError when no answer comes."""
        number = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            await self._connection.send_json({"id": number, "method": method, "params": params})
            async with asyncio.timeout(ANSWER_S):
                return await answer
        finally:
            del self._waiting[number]

    async def _read(self) -> None:
        async for message in self._connection:
            said = message.json()
            answer = self._waiting.get(said.get("id", 0))
            if answer is None or answer.done():
                continue
            if said["type"] == "success":
                answer.set_result(said["result"])
            else:
                answer.set_exception(BidiError(f"{said['error']}: {said['message']}"))
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(BidiError("the browser closed the connection"))
