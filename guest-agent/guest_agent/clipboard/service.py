"""The clipboard for the gateway's HTTP, on TCP port 5903 (protocol/stream.py): for who watches by noVNC, and for
programs. The agent serves it, since there can be one owner of the clipboard only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Coroutine

from guest_agent.clipboard.content import LIMITS, BadContent, Content, Kind
from guest_agent.clipboard.exchange import ClipboardExchange
from guest_agent.protocol.stream import CLIPBOARD_PORT, MAX_HEAD_BYTES, BadHead, decode_head, encode_head

__all__ = ["ClipboardService"]

logger = logging.getLogger(__name__)

GUEST_IP = "169.254.0.21"
MAX_CONNECTIONS = 32
MAX_WAIT_S = 30.0
SILENCE_S = 30.0
IP_FREEBIND = 15
"""ip(7): the address may come later than we do."""
_KINDS = {"text": Kind.TEXT, "png": Kind.PNG}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class _Refused(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ClipboardService:
    """Args:
    address, port: where it listens; port 0 takes a free one.
    """

    def __init__(self, exchange: ClipboardExchange, address: str = GUEST_IP, port: int = CLIPBOARD_PORT) -> None:
        self._exchange = exchange
        self._address = address
        self.port = port
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. One that cannot is told in the log: viewers by WebRTC need it not."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            sock.bind((self._address, self.port))
        except OSError as exc:
            sock.close()
            logger.error("! no clipboard for noVNC: port %d: %s", self.port, exc.strerror)
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
        if len(self._serving) >= MAX_CONNECTIONS:
            writer.write(encode_head({"error": "busy", "message": f"{MAX_CONNECTIONS} wait for the clipboard"}))
            writer.close()
            return
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="clipboard request")
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                await self._request(reader, writer)
            except _Refused as exc:
                writer.write(encode_head({"error": exc.kind, "message": str(exc)}))
            except (BadHead, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
                writer.write(encode_head({"error": "bad-request", "message": f"no request: {exc}"[:200]}))
            async with asyncio.timeout(SILENCE_S):
                await writer.drain()
        except (OSError, TimeoutError) as exc:
            logger.info("x a clipboard request ended early: %s", exc)
        finally:
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(SILENCE_S):
            head = decode_head(await reader.readuntil(b"\n"))
        match head.get("op"):
            case "get":
                await self._get(str(head.get("known") or ""), head.get("wait_s"), reader, writer)
            case "put":
                await self._put(head.get("kind"), head.get("length"), reader, writer)
                writer.write(encode_head({}))
            case _:
                raise BadHead("no such op")

    async def _get(
        self, known: str, wait_s: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not self._exchange.ways.to_viewer:
            raise _Refused("off", "nothing may be copied from this desktop")
        wait = min(float(wait_s), MAX_WAIT_S) if isinstance(wait_s, int | float) and wait_s > 0 else 0.0
        content = await self._while_heard(self._exchange.get(known, wait), reader)
        if content is None:
            writer.write(encode_head({}))
        elif content.digest == known:
            writer.write(encode_head({"kind": _NAMES[content.kind], "digest": content.digest, "length": 0}))
        else:
            head = {"kind": _NAMES[content.kind], "digest": content.digest, "length": len(content.data)}
            writer.write(encode_head(head) + content.data)

    async def _while_heard(
        self, getting: Coroutine[None, None, Content | None], reader: asyncio.StreamReader
    ) -> Content | None:
        """The content, as long as the gateway stays to hear it."""
        asked = asyncio.create_task(getting)
        leaving = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait({asked, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not asked.done():
                raise ConnectionResetError("nobody waits for it any more")
            return asked.result()
        finally:
            for task in (asked, leaving):
                task.cancel()
            with contextlib.suppress(OSError):
                await asyncio.wait({asked, leaving})

    async def _put(
        self, kind: object, length: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not self._exchange.ways.to_guest:
            raise _Refused("off", "nothing may be copied to this desktop")
        known = _KINDS.get(str(kind))
        if known is None or not isinstance(length, int) or isinstance(length, bool) or length < 0:
            raise BadHead("kind or length is missing")
        if length > LIMITS.of(known):
            raise _Refused("too-large", f"{length} bytes, at most {LIMITS.of(known)}")
        writer.write(encode_head({}))
        async with asyncio.timeout(SILENCE_S):
            data = await reader.readexactly(length)
        try:
            content = Content.checked(known, data)
        except BadContent as exc:
            raise _Refused("bad-request", str(exc)) from exc
        if not await self._exchange.put(content):
            raise _Refused("io", "another program took the clipboard meanwhile")
