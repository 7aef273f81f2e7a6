"""The desktop user's files: listed, read, written and deleted below the home, streamed through (RFC 9110).

A path that ends in "/" (or is empty) is a folder's listing. What is in a file is the guest's word: it is given out as
bytes to be saved, which no browser opens as a page of this origin.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import quote

from aiohttp import web
from pydantic import ValidationError

from gateway.edge.apikeys import Scope
from gateway.errors import BadRequest, GatewayError, GuestServiceError, LengthRequired, TooLarge
from gateway.guest_stream import CHUNK_BYTES, GuestStream, asking, whole
from gateway.routes.access import Access, Caller, route
from gateway.routes.body import chunks
from gateway.routes.models import FileList, FileView
from gateway.routes.services import SERVICES
from gateway.routes.sharing import carried, may_transfer
from gateway.sessions.session import Session
from guest_agent.protocol.plainjson import load
from guest_agent.protocol.stream import FILES_PORT, BadHead, parts_of

__all__ = ["routes"]

logger = logging.getLogger(__name__)

MAX_LISTING_BYTES = 8 << 20
"""10,000 entries with the longest names."""


async def get(request: web.Request, caller: Caller) -> web.StreamResponse:
    """A file, or a part of it; a folder's listing."""
    session, path = _ready(request)
    may_transfer(session, caller, "download")
    if path == "" or path.endswith("/"):
        return await carried(session, _list(session, path.rstrip("/")))
    return await carried(session, _download(request, session, path))


async def head(request: web.Request, caller: Caller) -> web.Response:
    """Whether a file is there, and how large it is."""
    session, path = _ready(request)
    may_transfer(session, caller, "download")
    view = await carried(session, _stat(session, path.rstrip("/")))
    headers = {"Accept-Ranges": "bytes", "ETag": _etag(view), "Last-Modified": _http_date(view.modified_at)}
    return web.Response(headers={**headers, "Content-Length": str(view.size)}, content_type=BYTES_TYPE)


async def put(request: web.Request, caller: Caller) -> web.Response:
    """Write a file, whole or not at all; with ``If-None-Match: *`` only where there is none."""
    session, path = _ready(request)
    may_transfer(session, caller, "upload")
    size, most = request.content_length, request.app[SERVICES].max_upload_bytes
    if size is None:
        raise LengthRequired("an upload says its size beforehand", hint="send Content-Length")
    if size > most:
        raise TooLarge(f"an upload has at most {most >> 20} MiB", hint="max_upload_mib in the settings says so")
    exclusive = request.headers.get("If-None-Match", "").strip() == "*"
    view, created = await carried(session, _upload(request, session, path, size, exclusive=exclusive))
    return web.Response(status=201 if created else 200, text=view.model_dump_json(), content_type="application/json")


async def delete(request: web.Request, caller: Caller) -> web.Response:
    """Delete a file; no folder."""
    session, path = _ready(request)
    may_transfer(session, caller, "upload")

    async def ask() -> None:
        async with asking(session.vm.dial, FILES_PORT, op="delete", path=path):
            pass

    await carried(session, ask())
    return web.Response(status=204)


BYTES_TYPE = "application/octet-stream"


def _ready(request: web.Request) -> tuple[Session, str]:
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    session.require_ready()
    session.touch()
    path = request.match_info["path"]
    try:
        parts_of(path.rstrip("/"))
    except BadHead as exc:
        raise BadRequest(str(exc), hint="paths begin at the desktop user's home") from None
    return session, path


async def _list(session: Session, path: str) -> web.Response:
    async with asking(session.vm.dial, FILES_PORT, op="list", path=path) as guest:
        length = whole(guest.answer, "length", MAX_LISTING_BYTES)
        raw = b"".join([part async for part in guest.body(length)])
    try:
        rows = load(raw)
        files = [FileView(name=n, kind=k, size=s, modified_at=_time(m)) for n, k, s, m in rows]
        listing = FileList(path=path, files=files, truncated=guest.answer.get("truncated") is True)
    except (ValueError, TypeError, ValidationError, RecursionError, OverflowError) as exc:
        raise GuestServiceError("the desktop's listing makes no sense") from exc
    return web.Response(text=listing.model_dump_json(), content_type="application/json")


async def _stat(session: Session, path: str) -> FileView:
    async with asking(session.vm.dial, FILES_PORT, op="stat", path=path) as guest:
        return _view(guest, path, guest.answer.get("kind"))


async def _download(request: web.Request, session: Session, path: str) -> web.StreamResponse:
    start, stop = await _wanted(request, session, path)
    async with asking(session.vm.dial, FILES_PORT, op="read", path=path, start=start, stop=stop) as guest:
        return await _stream(request, session, path, guest, partial=start is not None)


async def _wanted(request: web.Request, session: Session, path: str) -> tuple[int | None, int | None]:
    """The one range that was asked for (RFC 9110 14.2), as a slice; all of it where the file is another by now."""
    try:
        wanted = request.http_range
    except ValueError:
        # More than one, or another unit: a server may ignore it.
        return None, None
    if wanted.start is None and wanted.stop is None:
        return None, None
    condition = request.headers.get("If-Range")
    if condition is not None and condition != _etag(await _stat(session, path)):
        return None, None
    return wanted.start, wanted.stop


async def _stream(
    request: web.Request, session: Session, path: str, guest: GuestStream, *, partial: bool
) -> web.StreamResponse:
    view = _view(guest, path, "file")
    first, length = (whole(guest.answer, name, view.size) for name in ("start", "length"))
    response = web.StreamResponse(
        status=206 if partial else 200,
        headers={
            "Accept-Ranges": "bytes",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(view.name, safe='')}",
            "Content-Security-Policy": "sandbox",
            "ETag": _etag(view),
            "Last-Modified": _http_date(view.modified_at),
        },
    )
    response.content_type = BYTES_TYPE
    response.content_length = length
    if partial:
        response.headers["Content-Range"] = f"bytes {first}-{first + length - 1}/{view.size}"
    await response.prepare(request)
    try:
        async for part in guest.body(length):
            session.touch()
            await response.write(part)
        await response.write_eof()
    except BaseException as exc:
        # The head has gone out: only a cut connection can still say that this is not all.
        if request.transport is not None:
            request.transport.abort()
        if not isinstance(exc, (GatewayError, ConnectionError)):
            raise
        logger.info("x the download of %s ended early: %s", session.id, exc)
    return response


async def _upload(
    request: web.Request, session: Session, path: str, size: int, *, exclusive: bool
) -> tuple[FileView, bool]:
    async def body() -> AsyncIterator[bytes]:
        async for part in chunks(request, CHUNK_BYTES):
            session.touch()
            yield part

    async with asking(session.vm.dial, FILES_PORT, op="write", path=path, size=size, exclusive=exclusive) as guest:
        done = await guest.send(body())
    view = FileView(name=_name(path), kind="file", size=whole(done, "size"), modified_at=_time(done.get("mtime_ns")))
    return view, done.get("created") is True


def _view(guest: GuestStream, path: str, kind: object) -> FileView:
    size, modified_at = whole(guest.answer, "size"), _time(guest.answer.get("mtime_ns"))
    try:
        return FileView.model_validate({"name": _name(path), "kind": kind, "size": size, "modified_at": modified_at})
    except ValidationError as exc:
        raise GuestServiceError("the desktop's answer makes no sense") from exc


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _time(mtime_ns: object) -> datetime:
    if not isinstance(mtime_ns, int) or isinstance(mtime_ns, bool):
        raise GuestServiceError("the desktop's answer makes no sense")
    # A guest's clock may say what no calendar has.
    return datetime.fromtimestamp(min(max(mtime_ns, 0), 253_402_300_799 * 10**9) // 1000 / 1e6, UTC)


def _etag(view: FileView) -> str:
    return f'"{int(view.modified_at.timestamp() * 1e6):x}-{view.size:x}"'


def _http_date(time: datetime) -> str:
    return format_datetime(time, usegmt=True)


def routes() -> list[web.RouteDef]:
    path = "/v1/sessions/{sid}/files/{path:.*}"
    return [
        route("GET", path, get, Access.VIEWER, Scope.DESKTOPS_USE, audit="file.download"),
        route("HEAD", path, head, Access.VIEWER, Scope.DESKTOPS_USE),
        route("PUT", path, put, Access.VIEWER, Scope.DESKTOPS_USE, audit="file.upload"),
        route("DELETE", path, delete, Access.VIEWER, Scope.DESKTOPS_USE, audit="file.delete"),
    ]
