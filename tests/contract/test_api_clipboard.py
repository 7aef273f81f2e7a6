"""The clipboard over HTTP: the real route, the agent's real service and exchange, a scripted desktop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from guest_agent.clipboard.content import Content, Kind, Ways
from guest_agent.clipboard.exchange import ClipboardExchange
from guest_agent.clipboard.service import ClipboardService
from guest_agent.protocol.stream import CLIPBOARD_PORT, encode_head
from tests.contract.api import Api
from tests.file_service import bridge
from tests.sessions import turns_until, until

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Desktop:
    def __init__(self) -> None:
        self.owned: list[Content] = []

    def own(self, content: Content, done: Callable[[bool], object]) -> None:
        self.owned.append(content)
        done(True)

    def follow(self, on: bool) -> None:
        pass


@pytest.fixture
def desktop() -> Desktop:
    return Desktop()


@pytest.fixture
async def exchange(desktop: Desktop) -> ClipboardExchange:
    exchange = ClipboardExchange()
    exchange.join(desktop)
    exchange.allow(Ways(True, True))
    return exchange


@pytest.fixture
async def session(api: Api, exchange: ClipboardExchange) -> AsyncIterator[Session]:
    service = ClipboardService(exchange, "127.0.0.1", 0)
    await service.start()
    session = await api.stage.ready()
    api.stage.dataplane.lans[session.id].ports[CLIPBOARD_PORT] = bridge(service.port)
    yield session
    await service.close()


def url(session: Session) -> str:
    return f"/v1/sessions/{session.id}/clipboard"


async def test_text_and_pictures_go_both_ways(
    api: Api, session: Session, exchange: ClipboardExchange, desktop: Desktop
) -> None:
    assert (await api.call("GET", url(session), 204)).content_length in (0, None)
    await api.call("PUT", url(session), 204, data="Grüße, 世界 🦀\r\n".encode(), headers=TEXT)
    assert desktop.owned == [Content.of_text("Grüße, 世界 🦀\n")]
    await api.call("PUT", url(session), 204, data=PNG, headers={"Content-Type": "image/png"})
    assert desktop.owned[-1] == Content(Kind.PNG, PNG)
    answer = await api.call("GET", url(session), 200)
    assert (answer.content_type, await answer.read()) == ("image/png", PNG)

    exchange.copied(Content.of_text("äöü"), True)
    answer = await api.call("GET", url(session), 200)
    assert (answer.content_type, answer.charset, await answer.text()) == ("text/plain", "utf-8", "äöü")
    assert answer.headers["Content-Security-Policy"] == "sandbox"
    await api.call("GET", url(session), 304, headers={"If-None-Match": answer.headers["ETag"]})


async def test_who_waits_gets_the_next(api: Api, session: Session, exchange: ClipboardExchange) -> None:
    exchange.copied(Content.of_text("one"), True)
    known = (await api.call("GET", url(session), 200)).headers["ETag"]
    headers = {"If-None-Match": known, "Prefer": "wait=25"}
    waiting = asyncio.create_task(api.call("GET", url(session), 200, headers=headers))
    await turns_until(lambda: bool(exchange._changed._waiters))
    exchange.copied(Content.of_text("two"), True)
    assert await (await waiting).text() == "two"


async def test_who_waits_when_the_session_is_suspended_is_told(
    api: Api, session: Session, exchange: ClipboardExchange
) -> None:
    waiting = asyncio.create_task(api.client.get(url(session), headers={**api.admin, "Prefer": "wait=25"}))
    await turns_until(lambda: bool(exchange._changed._waiters))
    session.suspend()
    assert (await waiting).status == 409
    await until(session, State.SUSPENDED)


@pytest.mark.parametrize(
    ("switch", "role", "up", "down"),
    [
        ("both", "control", True, True),
        ("to_guest", "control", True, False),
        ("to_viewer", "control", False, True),
        ("off", "control", False, False),
        ("both", "view", False, False),
    ],
)
async def test_who_may(api: Api, session: Session, switch: str, role: Any, up: bool, down: bool) -> None:
    await api.call("PATCH", f"/v1/sessions/{session.id}", 200, json={"clipboard": switch})
    viewer = api.viewer(session, role)
    answer = await api.client.put(url(session), headers={**viewer, **TEXT}, data=b"x")
    assert answer.status == (204 if up else 403)
    answer = await api.client.get(url(session), headers=viewer)
    assert answer.status == ((200 if up else 204) if down else 403)


async def test_what_is_refused(api: Api, session: Session, desktop: Desktop) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"x"

    # A body that was not read ends its connection.
    alone = {**api.admin, "Connection": "close"}
    as_text, as_png = {**alone, **TEXT}, {**alone, "Content-Type": "image/png"}
    for status, kind, more in (
        (415, "unsupported-media", {"headers": {**api.admin, "Content-Type": "text/html"}, "data": b"x"}),
        (411, "length-required", {"headers": as_text, "data": endless()}),
        (413, "too-large", {"headers": {**as_png, "Content-Length": str((8 << 20) + 1)}}),
        (413, "too-large", {"headers": {**as_text, "Content-Length": str((1 << 20) + 1)}}),
        (400, "bad-request", {"headers": as_png, "data": b"GIF"}),
        (400, "bad-request", {"headers": as_text, "data": b"\xff\xfe"}),
    ):
        await api.refused("PUT", url(session), status, kind, **more)
    assert desktop.owned == []


@pytest.mark.parametrize(
    "answer",
    [
        encode_head({"digest": "no digest", "kind": "text", "length": 0}),
        encode_head({"digest": "0" * 32, "kind": "html", "length": 0}),
        encode_head({"digest": "0" * 32, "kind": "text", "length": 1 << 40}),
        encode_head({"digest": "0" * 32, "kind": "text", "length": 5}) + b"less",
    ],
)
async def test_a_guest_that_speaks_nonsense(api: Api, answer: bytes) -> None:
    session = await api.stage.ready()

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)

    api.stage.dataplane.lans[session.id].ports[CLIPBOARD_PORT] = nonsense
    await api.refused("GET", url(session), 502, "guest-service", headers=api.admin)
