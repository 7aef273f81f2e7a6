"""The gateway on fake machines for a program that speaks HTTP to it from outside and tries everything.

Sessions stand ready whose desktops answer every service, so that calls find what they are about. Calls that end or
change a session have one of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.edge.ratelimit import per_minute
from gateway.routes.services import Rates
from gateway.sessions.manager import Limits
from gateway.sessions.session import Session
from guest_agent.clipboard.content import Content, Ways
from guest_agent.clipboard.exchange import ClipboardExchange
from guest_agent.clipboard.service import ClipboardService
from guest_agent.protocol.stream import CLIPBOARD_PORT, FILES_PORT, SCREEN_PORT, decode_head, encode_head
from tests.contract.api import Api, api_on
from tests.file_service import bridge, file_service

__all__ = ["Furnished", "furnished"]

_PICTURES = {"png": b"\x89PNG\r\n\x1a\n" + bytes(64), "jpeg": b"\xff\xd8\xff\xe0" + bytes(64)}
MOST_SESSIONS = 10_000
"""More than are ever created: no call is refused because the host is full."""
OFTEN = per_minute(1_000_000)
"""More than is ever asked: no call is refused because it comes too often."""


class _Desktop:
    """What is copied is pasted at once."""

    def own(self, content: Content, done: Callable[[bool], object]) -> None:
        done(True)

    def follow(self, on: bool) -> None:
        pass


async def _camera(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    asked = decode_head(await reader.readuntil(b"\n"))
    data = _PICTURES[str(asked["kind"])]
    writer.write(encode_head({"digest": "0" * 32, "width": 2, "height": 2, "length": len(data)}) + data)
    await writer.drain()


@dataclass(frozen=True, slots=True)
class Furnished:
    api: Api
    url: str
    lasting: Session
    """Never ended, put to sleep or changed in its switches."""
    changing: Session
    """For calls that change its switches and its life's length."""
    sleeping: Session
    """For calls that put it to sleep, wake and divide it."""
    ending: Session
    """For the one that ends it."""


@asynccontextmanager
async def furnished(tmp_path: Path) -> AsyncIterator[Furnished]:
    static = tmp_path / "static"
    static.mkdir()
    for page in ("index", "viewer", "embed"):
        (static / f"{page}.html").write_text("<!doctype html>\n<title>a page</title>\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / "file").write_bytes(b"0123456789")
    exchange = ClipboardExchange()
    exchange.join(_Desktop())
    exchange.allow(Ways(True, True))
    clipboard = ClipboardService(exchange, "127.0.0.1", 0)
    await clipboard.start()
    try:
        with file_service(home) as files:
            async with api_on(
                tmp_path, more={"rates": Rates(OFTEN, OFTEN, OFTEN)}, limits=Limits(max_sessions=MOST_SESSIONS)
            ) as api:
                sessions = [await api.stage.ready() for _ in range(4)]
                for session in sessions:
                    ports = api.stage.dataplane.lans[session.id].ports
                    ports.update({FILES_PORT: bridge(files), CLIPBOARD_PORT: bridge(clipboard.port)})
                    ports[SCREEN_PORT] = _camera
                yield Furnished(api, str(api.client.make_url("/")).rstrip("/"), *sessions)
    finally:
        await clipboard.close()
