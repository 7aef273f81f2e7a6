"""The desktop's clipboard over HTTP: for who watches by noVNC, whose own way knows Latin-1 only, and for programs.

Viewers by WebRTC have a data channel for it; both ends are the same clipboard in the guest (port CLIPBOARD_PORT).
"""

from __future__ import annotations

import re

from aiohttp import web

from gateway.edge.apikeys import Scope
from gateway.errors import GuestServiceError, LengthRequired, TooLarge, UnsupportedMedia
from gateway.guest_stream import CHUNK_BYTES, asking, whole
from gateway.routes.access import Access, Caller, route
from gateway.routes.body import chunks
from gateway.routes.control import viewer_of
from gateway.routes.services import SERVICES
from gateway.routes.sharing import carried, may_copy
from gateway.sessions.session import Session
from guest_agent.protocol.stream import CLIPBOARD_PORT

__all__ = ["MAX_CLIPBOARD_BYTES", "routes"]

MAX_CLIPBOARD_BYTES = 8 << 20
"""Of the largest kind; the guest has a limit for each."""
MAX_WAIT_S = 25.0
ORIGIN_HEADER = "Fenster-Copied-By"
"""desktop or viewer: what came from a viewer is no news to one."""
_KINDS = {"text/plain": "text", "image/png": "png"}
_TYPES = {"text": "text/plain", "png": "image/png"}
_DIGEST = re.compile(r"[0-9a-f]{32}")
_WAIT = re.compile(r"\bwait=(\d{1,3})\b")


async def get(request: web.Request, caller: Caller) -> web.Response:
    """What is copied there; ``If-None-Match`` with ``Prefer: wait=N`` (RFC 7240 4.3) waits until it is another."""
    session = _ready(request)
    may_copy(session, caller, viewer_of(request, caller), "to_viewer")
    known = request.headers.get("If-None-Match", "").strip().strip('"')
    wait = _WAIT.search(request.headers.get("Prefer", ""))
    wait_s = min(float(wait[1]), MAX_WAIT_S) if wait is not None else 0.0
    return await carried(session, _get(session, known, wait_s))


async def put(request: web.Request, caller: Caller) -> web.Response:
    """Have programs paste this; answers when they can."""
    session = _ready(request)
    may_copy(session, caller, viewer_of(request, caller), "to_guest")
    session.touch()
    kind, length = _KINDS.get(request.content_type), request.content_length
    if kind is None:
        raise UnsupportedMedia("a clipboard holds text or a PNG", hint="send Content-Type: text/plain or image/png")
    if length is None:
        raise LengthRequired("the size is said beforehand", hint="send Content-Length")
    if length > MAX_CLIPBOARD_BYTES:
        raise TooLarge(f"a clipboard has at most {MAX_CLIPBOARD_BYTES >> 20} MiB", hint="upload it as a file")

    async def send() -> None:
        async with asking(session.vm.dial, CLIPBOARD_PORT, op="put", kind=kind, length=length) as guest:
            await guest.send(chunks(request, CHUNK_BYTES))

    await carried(session, send())
    return web.Response(status=204)


def _ready(request: web.Request) -> Session:
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    session.require_ready()
    return session


async def _get(session: Session, known: str, wait_s: float) -> web.Response:
    async with asking(session.vm.dial, CLIPBOARD_PORT, op="get", known=known, wait_s=wait_s) as guest:
        if "digest" not in guest.answer:
            return web.Response(status=204)
        digest, kind = str(guest.answer["digest"]), str(guest.answer.get("kind"))
        length = whole(guest.answer, "length", MAX_CLIPBOARD_BYTES)
        if not _DIGEST.fullmatch(digest) or kind not in _TYPES:
            raise GuestServiceError("the desktop's answer makes no sense")
        origin = "desktop" if guest.answer.get("copied") is True else "viewer"
        headers = {"ETag": f'"{digest}"', ORIGIN_HEADER: origin, "Content-Security-Policy": "sandbox"}
        if digest == known:
            return web.Response(status=304, headers=headers)
        data = b"".join([part async for part in guest.body(length)])
    charset = "utf-8" if kind == "text" else None
    return web.Response(body=data, headers=headers, content_type=_TYPES[kind], charset=charset)


def routes() -> list[web.RouteDef]:
    path = "/v1/sessions/{sid}/clipboard"
    return [
        route("GET", path, get, Access.VIEWER, Scope.DESKTOPS_USE),
        route("PUT", path, put, Access.VIEWER, Scope.DESKTOPS_USE),
    ]
