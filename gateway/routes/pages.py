"""The web client: pages and their assets, as Vite built them into gateway/static."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from gateway.errors import NotFound
from gateway.routes.access import Access, Caller, route
from gateway.routes.middleware import content_policy
from gateway.routes.services import SERVICES
from gateway.tokens import framers

__all__ = ["routes"]

_NOT_BUILT = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Fenster</title></head>
<body>
<h1>Fenster is running</h1>
<p>The web client has not been built. In the source tree, run <code>make web</code> and load this page again.</p>
<p>The API works without it; <a href="/openapi.json">/openapi.json</a> describes it.</p>
</body>
</html>
"""

_FOREVER = "public, max-age=31536000, immutable"
"""Asset names carry a hash of their content."""


async def _page(request: web.Request, name: str) -> web.StreamResponse:
    path = request.app[SERVICES].static_dir / name
    if not await asyncio.to_thread(path.is_file):
        return web.Response(status=503, text=_NOT_BUILT, content_type="text/html")
    return web.FileResponse(path, headers={"Cache-Control": "no-cache"})


async def index(request: web.Request, caller: Caller) -> web.StreamResponse:
    return await _page(request, "index.html")


async def viewer(request: web.Request, caller: Caller) -> web.StreamResponse:
    return await _page(request, "viewer.html")


async def embed(request: web.Request, caller: Caller) -> web.StreamResponse:
    """The page for frames. Who may frame it says the grant in the query, and the settings."""
    services = request.app[SERVICES]
    key, sid = services.keys.signing_key, request.match_info["sid"]
    granted = framers(key, request.query.get("frame", ""), sid=sid, now=services.clock())
    response = await _page(request, "embed.html")
    response.headers["Content-Security-Policy"] = content_policy({*granted, *services.embed_origins})
    # A page that isolates itself (HTML standard, COEP) takes only frames that do, and that may be taken.
    response.headers["Cross-Origin-Embedder-Policy"] = "require-corp"
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


async def asset(request: web.Request, caller: Caller) -> web.StreamResponse:
    """A file below assets/, or one that lies beside the pages (an icon)."""
    root = request.app[SERVICES].static_dir
    relative = request.match_info["name"]
    hashed = request.path.startswith("/assets/")
    path = await asyncio.to_thread(_inside, root / "assets" if hashed else root, relative)
    if path is None:
        raise NotFound("no such file")
    return web.FileResponse(path, headers={"Cache-Control": _FOREVER if hashed else "no-cache"})


def _inside(folder: Path, relative: str) -> Path | None:
    """The file, when it is one and its real place is below ``folder``. Blocking."""
    try:
        path = (folder / relative).resolve()
        inside = path.is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError):
        return None
    return path if inside else None


def routes() -> list[web.RouteDef]:
    return [
        route("GET", "/", index, Access.PUBLIC),
        route("GET", "/s/{sid}", viewer, Access.PUBLIC),
        route("GET", "/embed/{sid}", embed, Access.PUBLIC),
        route("GET", "/assets/{name:.+}", asset, Access.PUBLIC),
        route("GET", "/{name:[A-Za-z0-9_-]+\\.(?:svg|ico|png|txt|webmanifest)}", asset, Access.PUBLIC),
    ]
