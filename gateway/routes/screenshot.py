"""A picture of a desktop for those who look at many (the dashboard) and for programs; the guest makes it.

It holds no session awake: a dashboard that stands open would keep every desktop from its rest.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import Literal
from weakref import WeakKeyDictionary

from aiohttp import web

from gateway.edge.apikeys import Scope
from gateway.errors import BadRequest, GuestServiceError
from gateway.guest_stream import asking, whole
from gateway.routes.access import Access, Caller, note_seldom, route
from gateway.routes.services import SERVICES
from gateway.routes.sharing import carried
from gateway.sessions.session import Session
from guest_agent.protocol.stream import SCREEN_PORT

__all__ = ["FRESH_S", "routes"]

Kind = Literal["png", "jpeg"]

FRESH_S = 1.0
"""A picture this young is given out again: however many ask, a guest makes one a second of each kind and size."""
MAX_KEPT = 4
"""Kinds and sizes kept for a session; the least recently asked goes."""
MAX_PICTURE_BYTES = 32 << 20
MAX_WIDTH_PX = 3840
_START = {"png": b"\x89PNG\r\n\x1a\n", "jpeg": b"\xff\xd8\xff"}
_DIGEST = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class _Picture:
    digest: str
    data: bytes
    at_s: float
    """When it was taken, by the loop's clock."""


@dataclass(slots=True)
class _Album:
    """Of one session."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    pictures: OrderedDict[tuple[Kind, int], _Picture] = field(default_factory=OrderedDict)


class _Photographer:
    def __init__(self) -> None:
        self._albums: WeakKeyDictionary[Session, _Album] = WeakKeyDictionary()

    async def picture(self, session: Session, kind: Kind, width_px: int) -> _Picture:
        """One at most FRESH_S old. Raises GatewayError."""
        album = self._albums.setdefault(session, _Album())
        async with album.turn:
            known = album.pictures.get((kind, width_px))
            if known is None or asyncio.get_running_loop().time() - known.at_s >= FRESH_S:
                known = await _ask(session, kind, width_px, known)
                album.pictures[kind, width_px] = known
            album.pictures.move_to_end((kind, width_px))
            while len(album.pictures) > MAX_KEPT:
                album.pictures.popitem(last=False)
            return known


async def _ask(session: Session, kind: Kind, width_px: int, known: _Picture | None) -> _Picture:
    digest = known.digest if known is not None else ""
    async with asking(session.vm.dial, SCREEN_PORT, op="shot", kind=kind, width=width_px, known=digest) as guest:
        length = whole(guest.answer, "length", MAX_PICTURE_BYTES)
        data = b"".join([part async for part in guest.body(length)])
        found = str(guest.answer.get("digest"))
    if known is not None and found == digest and not data:
        data = known.data
    if not _DIGEST.fullmatch(found) or not data.startswith(_START[kind]):
        raise GuestServiceError("the desktop's answer makes no sense")
    return _Picture(found, data, asyncio.get_running_loop().time())


async def get(photographer: _Photographer, request: web.Request, caller: Caller) -> web.Response:
    """PNG, or JPEG with ``format=jpeg``; ``width`` makes it smaller. Any role may: it shows what a viewer sees."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    session.require_ready()
    kind, width_px = _wanted(request)
    shot = await carried(session, photographer.picture(session, kind, width_px))
    note_seldom(request, caller, "desktop.screenshot")
    headers = {"ETag": f'"{shot.digest}"', "Content-Security-Policy": "sandbox"}
    if request.headers.get("If-None-Match", "").strip() == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=shot.data, headers=headers, content_type=f"image/{kind}")


def _wanted(request: web.Request) -> tuple[Kind, int]:
    kinds: dict[str, Kind] = {"png": "png", "jpeg": "jpeg"}
    kind = kinds.get(request.query.get("format", "png"))
    width = request.query.get("width", "0")
    if kind is None:
        raise BadRequest("format is png or jpeg")
    if not re.fullmatch(r"\d{1,4}", width, re.ASCII) or int(width) > MAX_WIDTH_PX:
        raise BadRequest(f"width is a number of px, at most {MAX_WIDTH_PX}")
    return kind, int(width)


def routes() -> list[web.RouteDef]:
    handler = partial(get, _Photographer())
    return [route("GET", "/v1/sessions/{sid}/screenshot", handler, Access.VIEWER, Scope.DESKTOPS_USE)]
