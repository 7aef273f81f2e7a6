"""Pictures of the display for the gateway's HTTP, on TCP port 5904 (protocol/stream.py)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal

from guest_agent.errors import DisplayError
from guest_agent.protocol.stream import SCREEN_PORT, BadHead, encode_head
from guest_agent.screenshot import Shot, shoot
from guest_agent.service import GUEST_IP, Refused, Service

__all__ = ["ScreenService"]

MAX_CONNECTIONS = 8
"""Those that wait included: pictures are taken one after the other, so that the stream keeps its processor."""
MAX_WIDTH_PX = 8192


class ScreenService(Service):
    """Args:
    address, port: where it listens; port 0 takes a free one.
    """

    def __init__(self, display: str, address: str = GUEST_IP, port: int = SCREEN_PORT) -> None:
        super().__init__("screen", MAX_CONNECTIONS, address, port)
        self._display = display
        self._turn = asyncio.Lock()

    async def answer(
        self, head: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if head.get("op") != "shot":
            raise BadHead("no such op")
        kind: Literal["png", "jpeg"]
        match head.get("kind"):
            case "png":
                kind = "png"
            case "jpeg":
                kind = "jpeg"
            case _:
                raise BadHead("kind is png or jpeg")
        width = head.get("width")
        if not isinstance(width, int) or isinstance(width, bool) or not 0 <= width <= MAX_WIDTH_PX:
            raise BadHead(f"width is not 0 to {MAX_WIDTH_PX}")
        shot = await self._shoot(kind, width, str(head.get("known") or ""))
        answer = {
            "digest": shot.digest, "width": shot.width_px, "height": shot.height_px, "length": len(shot.data)
        }  # fmt: skip
        writer.write(encode_head(answer) + shot.data)

    async def _shoot(self, kind: Literal["png", "jpeg"], width: int, known: str) -> Shot:
        async with self._turn:
            try:
                return await asyncio.to_thread(shoot, self._display, kind, width, known)
            except DisplayError as exc:
                raise Refused("io", str(exc)) from exc
