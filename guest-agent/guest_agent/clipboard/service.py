"""The clipboard for the gateway's HTTP, on TCP port 5903 (protocol/stream.py): for who watches by noVNC, and for
programs. The agent serves it, since there can be one owner of the clipboard only.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping
from typing import Any

from guest_agent.clipboard.content import LIMITS, BadContent, Content, Kind
from guest_agent.clipboard.exchange import ClipboardExchange
from guest_agent.protocol.stream import CLIPBOARD_PORT, BadHead, encode_head
from guest_agent.service import GUEST_IP, SILENCE_S, Refused, Service

__all__ = ["ClipboardService"]

MAX_CONNECTIONS = 32
MAX_WAIT_S = 30.0
_KINDS = {"text": Kind.TEXT, "png": Kind.PNG}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class ClipboardService(Service):
    """Args:
    address, port: where it listens; port 0 takes a free one.
    """

    def __init__(self, exchange: ClipboardExchange, address: str = GUEST_IP, port: int = CLIPBOARD_PORT) -> None:
        super().__init__("clipboard", MAX_CONNECTIONS, address, port)
        self._exchange = exchange

    async def answer(
        self, head: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
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
            raise Refused("off", "nothing may be copied from this desktop")
        wait = min(float(wait_s), MAX_WAIT_S) if isinstance(wait_s, int | float) and wait_s > 0 else 0.0
        content = await self._while_heard(self._exchange.get(known, wait), reader)
        if content is None:
            writer.write(encode_head({}))
            return
        data = b"" if content.digest == known else content.data
        head = {
            "kind": _NAMES[content.kind], "digest": content.digest, "length": len(data),
            "copied": not self._exchange.from_viewer,
        }  # fmt: skip
        writer.write(encode_head(head) + data)

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
            raise Refused("off", "nothing may be copied to this desktop")
        known = _KINDS.get(str(kind))
        if known is None or not isinstance(length, int) or isinstance(length, bool) or length < 0:
            raise BadHead("kind or length is missing")
        if length > LIMITS.of(known):
            raise Refused("too-large", f"{length} bytes, at most {LIMITS.of(known)}")
        writer.write(encode_head({}))
        async with asyncio.timeout(SILENCE_S):
            data = await reader.readexactly(length)
        try:
            content = Content.checked(known, data)
        except BadContent as exc:
            raise Refused("bad-request", str(exc)) from exc
        if not await self._exchange.put(content):
            raise Refused("io", "another program took the clipboard meanwhile")
