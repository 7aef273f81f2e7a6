"""noVNC's WebSocket: credentials, origins, bytes, ends."""

from __future__ import annotations

import asyncio
from struct import pack
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from gateway.sessions.lifecycle import State
from gateway.sessions.session import Session
from gateway.vnc.handshake import vnc_auth_response
from tests.contract.api import Api
from tests.fakes import RFB_BANNER
from tests.sessions import until

CHALLENGE = bytes(range(16))
KEY_A = pack("!BBxxI", 4, 1, 0x61)
KEY_A_UP = pack("!BBxxI", 4, 0, 0x61)
UPDATE_REQUEST = pack("!BBHHHH", 3, 0, 0, 0, 1280, 720)


class Vnc:
    """A guest's x11vnc: logs in whoever knows the password, and keeps what it is sent."""

    def __init__(self) -> None:
        self.password = ""
        self.received = bytearray()
        self.heard = asyncio.Event()
        self.writer: asyncio.StreamWriter | None = None
        self.gone = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(RFB_BANNER)
        if await reader.read(12) != RFB_BANNER:
            return
        writer.write(b"\x01\x02")
        assert await reader.readexactly(1) == b"\x02"
        writer.write(CHALLENGE)
        if await reader.readexactly(16) != vnc_auth_response(CHALLENGE, self.password):
            writer.write(b"\0\0\0\1" + pack("!I", 3) + b"bad")
            return
        writer.write(b"\0\0\0\0")
        assert await reader.readexactly(1) == b"\x01"
        self.writer = writer
        writer.write(b"ServerInit")
        while data := await reader.read(65536):
            self.received += data
            self.heard.set()
        self.gone.set()

    async def until_received(self, data: bytes) -> None:
        async with asyncio.timeout(20):
            while data not in self.received:
                self.heard.clear()
                await self.heard.wait()


async def with_vnc(api: Api) -> tuple[Session, Vnc]:
    session = await api.stage.ready()
    vnc = Vnc()
    vnc.password = session.vnc_password
    api.stage.dataplane.lans[session.id].ports[5901] = vnc
    return session, vnc


async def connect(api: Api, session: Session, token: str, **headers: str) -> ClientWebSocketResponse:
    return await api.client.ws_connect(
        f"/v1/sessions/{session.id}/vnc", protocols=("binary", f"fenster.token.{token}"), headers=headers
    )


async def log_in(ws: ClientWebSocketResponse) -> None:
    """The viewer's handshake: no password is asked for."""
    got = b""
    for answer, size in ((RFB_BANNER, 12), (b"\x01", 14), (b"\x00", 18)):
        while len(got) < size:
            got += await ws.receive_bytes(timeout=20)
        await ws.send_bytes(answer)
    while len(got) < 28:
        got += await ws.receive_bytes(timeout=20)
    assert got == RFB_BANNER + b"\x01\x01" + b"\0\0\0\0" + b"ServerInit"


async def refused(api: Api, session: Session, status: int, token: str, **headers: str) -> None:
    with pytest.raises(WSServerHandshakeError) as caught:
        await connect(api, session, token, **headers)
    assert caught.value.status == status


async def test_a_viewer_sees_and_types_and_is_counted(api: Api) -> None:
    session, vnc = await with_vnc(api)
    async with await connect(api, session, api.token(session)) as ws:
        assert ws.protocol == "binary"
        await log_in(ws)
        assert session.view().viewers == 1
        await ws.send_bytes(UPDATE_REQUEST + KEY_A)
        await vnc.until_received(UPDATE_REQUEST + KEY_A)
    await vnc.gone.wait()
    assert KEY_A_UP in vnc.received, "a key that the viewer held is released when it leaves"
    async with asyncio.timeout(20):
        with session.updates.watch() as updates:
            while (view := await updates.get()) is not None and view.viewers:
                pass


async def test_a_view_token_types_nothing(api: Api) -> None:
    session, vnc = await with_vnc(api)
    async with await connect(api, session, api.token(session, "view")) as ws:
        await log_in(ws)
        await ws.send_bytes(KEY_A + UPDATE_REQUEST)
        await vnc.until_received(UPDATE_REQUEST)
    assert KEY_A not in vnc.received


async def test_wrong_credentials(api: Api) -> None:
    session, _ = await with_vnc(api)
    other = await api.stage.ready()
    await refused(api, session, 401, "")
    await refused(api, session, 401, "x.y.z")
    await refused(api, session, 403, api.token(other))
    expired = api.token(session, lifetime_s=60)
    api.clock.now += 60
    await refused(api, session, 401, expired)


async def test_origins(api: Api) -> None:
    session, _ = await with_vnc(api)
    own = f"http://{api.client.host}:{api.client.port}"
    token = api.token(session, origins=("https://a.example",))
    for origin in (own, "https://a.example"):
        async with await connect(api, session, token, Origin=origin) as ws:
            await log_in(ws)
    for origin in ("https://b.example", "http://a.example", "null", "https://a.example.evil.test", "file://", ""):
        await refused(api, session, 403, token, Origin=origin)


async def test_a_plain_get_is_told_that_this_is_a_websocket(api: Api) -> None:
    session, _ = await with_vnc(api)
    await api.refused("GET", f"/v1/sessions/{session.id}/vnc", 400, "bad-request", headers=api.viewer(session))


async def test_a_session_that_is_not_ready(api: Api) -> None:
    api.stage.driver.gate.clear()
    session = await api.stage.manager.create()
    await refused(api, session, 409, api.token(session))
    api.stage.driver.gate.set()
    await until(session, State.READY)


async def test_an_x11vnc_that_is_down(api: Api) -> None:
    session = await api.stage.ready()
    del api.stage.dataplane.lans[session.id].ports[5901]
    await refused(api, session, 500, api.token(session))


async def test_an_x11vnc_that_does_not_know_the_password(api: Api) -> None:
    session, vnc = await with_vnc(api)
    vnc.password = "other"
    async with await connect(api, session, api.token(session)) as ws:
        message = await closing(ws)
    assert message == 1011


async def closing(ws: ClientWebSocketResponse) -> int | None:
    """The code with which the gateway closes."""
    async with asyncio.timeout(20):
        while (message := await ws.receive()).type is WSMsgType.BINARY:
            pass
    assert message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED), message
    return ws.close_code


@pytest.mark.parametrize("how", ["destroy", "crash"])
async def test_the_sessions_end_closes_the_socket(api: Api, how: str) -> None:
    session, _ = await with_vnc(api)
    async with await connect(api, session, api.token(session)) as ws:
        await log_in(ws)
        ending = asyncio.create_task(
            api.stage.manager.destroy(session.id) if how == "destroy" else api.stage.vm(session).crash()
        )
        assert await closing(ws) in (1001, 1012)
        await ending
    await session.wait_ended()
    assert api.stage.left() == []


@pytest.mark.parametrize(
    ("send", "code"),
    [(b"\xff" * 16, 1002), ("text", 1003), (b"\0" * ((1 << 20) + 1), 1009)],
    ids=["not-rfb", "text", "oversize"],
)
async def test_nonsense_ends_its_own_socket_only(api: Api, send: Any, code: int) -> None:
    session, _ = await with_vnc(api)
    async with await connect(api, session, api.token(session)) as other:
        await log_in(other)
        async with await connect(api, session, api.token(session)) as ws:
            await log_in(ws)
            await (ws.send_str(send) if isinstance(send, str) else ws.send_bytes(send))
            assert await closing(ws) == code
        assert session.state is State.READY
        assert not other.closed


async def test_the_gateways_shutdown_closes_the_socket(api: Api) -> None:
    session, _ = await with_vnc(api)
    async with await connect(api, session, api.token(session)) as ws:
        await log_in(ws)
        assert api.client.server.runner is not None
        ending = asyncio.create_task(api.client.server.runner.shutdown())
        assert await closing(ws) == 1001
        await ending
    assert session.state is State.STOPPED


async def test_a_socket_that_is_only_tried_ends_at_once_and_is_no_viewer(api: Api) -> None:
    session = await api.stage.ready()
    token = api.token(session)
    path = f"/v1/sessions/{session.id}/vnc"
    ws = await api.client.ws_connect(path, protocols=("fenster.test", f"fenster.token.{token}"))
    assert ws.protocol == "fenster.test"
    message = await ws.receive(timeout=20)
    assert (message.type, ws.close_code) == (WSMsgType.CLOSE, 1000)
    assert session.viewers == 0
    with pytest.raises(WSServerHandshakeError) as refused:
        await api.client.ws_connect(path, protocols=("fenster.test", "fenster.token.forged"))
    assert refused.value.status == 401
