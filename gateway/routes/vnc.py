"""noVNC's WebSocket: RFB to the guest's x11vnc, through the filter of gateway/vnc."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from aiohttp import WSMsgType, web

from gateway.edge.apikeys import Scope
from gateway.errors import BadRequest
from gateway.routes.access import Access, Caller, note, route
from gateway.routes.control import new_viewer, viewer_of
from gateway.routes.limits import MAX_MESSAGE_BYTES
from gateway.routes.services import SERVICES
from gateway.vnc.pump import Ended, InputSwitch, Report, ViewerSocket, serve
from guest_agent.protocol.link import VNC_PORT

__all__ = ["HEARTBEAT_S", "Socket", "routes"]

logger = logging.getLogger(__name__)

HEARTBEAT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
TEST_PROTOCOL = "fenster.test"
"""Subprotocol of a socket that a page opens only to learn whether WebSockets get through."""


class Socket:
    """aiohttp's WebSocket as the pump wants it."""

    def __init__(self, ws: web.WebSocketResponse) -> None:
        self._ws = ws

    async def receive(self) -> bytes | None:
        message = await self._ws.receive()
        if message.type is WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is WSMsgType.TEXT:
            # RFC 6455 7.4.1, 1003: a kind of data it cannot accept.
            await self.close(1003, "binary messages only")
        return None

    async def send(self, data: bytes) -> None:
        if self._ws.closed:
            raise ConnectionResetError("the viewer has gone")
        await self._ws.send_bytes(data)

    async def tell(self, controls: bool) -> None:
        """A text message, which is none of RFB's: as the agent's Control (guest_agent/protocol/messages.py)."""
        if not self._ws.closed:
            with contextlib.suppress(ConnectionError):
                await self._ws.send_json({"controls": controls})

    async def close(self, code: int, reason: str) -> None:
        await self._ws.close(code=code, message=reason.encode()[:123])


class _Switch:
    """A viewer's input, and the news for its page: of several that come while one is sent, the last."""

    def __init__(self) -> None:
        self.input = InputSwitch()
        self._controls = False
        self._news = asyncio.Event()

    def turn(self, on: bool) -> None:
        self.input.turn(on)
        self._controls = on
        self._news.set()

    async def tell(self, socket: Socket) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await socket.tell(self._controls)


async def vnc(request: web.Request, caller: Caller) -> web.StreamResponse:
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    ws = web.WebSocketResponse(
        protocols=("binary", TEST_PROTOCOL),
        compress=False,
        heartbeat=HEARTBEAT_S,
        # aiohttp takes fewer bytes than it is told.
        max_msg_size=MAX_MESSAGE_BYTES + 1,
        timeout=CLOSE_TIMEOUT_S,
    )
    ready = ws.can_prepare(request)
    if not ready.ok:
        raise BadRequest("this is a WebSocket", hint="offer the subprotocols binary and fenster.token.<token>")
    if ready.protocol == TEST_PROTOCOL:
        # Before it is anybody's viewer.
        await ws.prepare(request)
        await ws.close()
        return ws
    named = viewer_of(request, caller)
    session.require_ready()
    reader, writer = await session.vm.dial(VNC_PORT)
    try:
        await ws.prepare(request)
    except BaseException:
        writer.close()
        raise
    note(request, caller, "desktop.connect", "ok", "novnc")
    socket, switch = Socket(ws), _Switch()
    pump = asyncio.create_task(
        serve(socket, reader, writer, role=caller.role, password=session.vnc_password, switch=switch.input),
        name=f"vnc-{session.id}",
    )
    # A program that does not name itself may not know what a text message would be.
    telling = asyncio.create_task(switch.tell(socket), name=f"vnc-{session.id} control") if named else None
    try:
        with session.pumping(pump, named or new_viewer(caller), switch.turn):
            # Not awaited itself: the session's end cancels the pump, and that is no cancellation of this request.
            await asyncio.wait({pump})
    finally:
        ends = {pump, telling} if telling else {pump}
        for task in ends:
            task.cancel()
        await asyncio.wait(ends)
        # A pump that was cancelled before its first step closed neither.
        writer.close()
        await ws.close(code=Ended.CANCELLED.value)
    _log(session.id, pump)
    return ws


def _log(sid: str, pump: asyncio.Task[Report]) -> None:
    if pump.cancelled():
        return
    if (error := pump.exception()) is not None:
        # The answer has begun: the caller can be told no more than the close code.
        logger.error("! vnc %s", sid, exc_info=error)
    else:
        report = pump.result()
        logger.debug("x vnc %s: %s %s", sid, report.ended.name, report.reason)


def routes() -> list[web.RouteDef]:
    return [route("GET", "/v1/sessions/{sid}/vnc", vnc, Access.SOCKET, Scope.DESKTOPS_USE)]


_: type[ViewerSocket] = Socket
