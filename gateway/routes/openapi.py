"""The OpenAPI 3.1 document, built from the models that check the bodies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, get_args

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.routes import (
    api,
    clipboard,
    control,
    events,
    files,
    marker,
    metrics,
    models,
    screenshot,
    tickets,
    vnc,
    whep,
)
from gateway.routes.access import SCOPE, Access, Caller, route
from gateway.routes.api import KEY_HEADER, KEY_PATTERN
from gateway.routes.control import VIEWER_HEADER
from gateway.routes.files import BYTES_TYPE
from gateway.routes.middleware import PROBLEM_TYPE
from gateway.routes.screenshot import MAX_WIDTH_PX
from gateway.sessions.control import VIEWER_ID
from gateway.sessions.view import ControlView, DisplayView, SessionView
from gateway.signaling.candidates import Transport

__all__ = ["document", "routes"]


_Content = type[BaseModel] | str | tuple[type[BaseModel] | str, ...] | None
"""Of a body: a model, the media type of what is not JSON, or several of them that it may be."""


@dataclass(frozen=True, slots=True)
class _Call:
    summary: str
    status: int = 200
    body: _Content = None
    answer: _Content = None
    errors: tuple[int, ...] = ()
    security: tuple[str, ...] = field(default=("apiKey",))
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Optional parameters: what stands beside their name."""
    headers: tuple[str, ...] = ()
    """Of _HEADERS, optional all."""
    also: Mapping[int, _Content] = field(default_factory=dict)
    """Other statuses of success, with their answers."""


_VIEWER = ("apiKey", "viewerToken")
_TRANSPORT = {
    "transport": {
        "schema": {"type": "string", "enum": list(get_args(Transport))},
        "description": "narrows the answer's candidates: udp, or tcp (ICE-TCP on HTTP's port); both unless given",
    }
}

_PICTURE = {
    "format": {"schema": {"type": "string", "enum": ["png", "jpeg"]}, "description": "png unless given"},
    "width": {
        "schema": {"type": "integer", "minimum": 0, "maximum": MAX_WIDTH_PX},
        "description": "px, to make it smaller; 0 is as it is",
    },
}
_FRAME = {
    "frame": {"schema": {"type": "string"}, "description": "signed grant by which other origins may frame the page"}
}
_UNBUILT: Mapping[int, _Content] = {503: "text/html"}
"""The source tree without its web client says so in a page."""
_HEADERS: Mapping[str, Mapping[str, Any]] = {
    KEY_HEADER: {
        "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
        "description": "a repetition with the same key and body gives the session of the first",
    },
    VIEWER_HEADER: {
        "schema": {"type": "string", "pattern": f"^{VIEWER_ID.pattern}$"},
        "description": "which viewer calls: 16 random bytes, drawn by each page",
    },
    "If-None-Match": {"schema": {"type": "string"}, "description": "RFC 9110 13.1.2"},
    "If-Range": {"schema": {"type": "string"}, "description": "RFC 9110 13.1.5"},
    "Prefer": {"schema": {"type": "string"}, "description": "wait=N (RFC 7240 4.3), in s"},
    "Range": {"schema": {"type": "string"}, "description": "bytes=, one range (RFC 9110 14.2)"},
}

_CALLS: Mapping[tuple[str, str], _Call] = {
    ("post", "/v1/sessions"): _Call(
        "Start a session; answers at once", 201, models.CreateSession, models.Created,
        (400, 403, 409, 413, 415, 503, 507), headers=(KEY_HEADER,),
    ),
    ("get", "/v1/sessions"): _Call("List the sessions, oldest first", 200, None, models.SessionList),
    ("get", "/v1/sessions/{sid}"): _Call("Show a session", 200, None, SessionView, (403, 404), _VIEWER),
    ("delete", "/v1/sessions/{sid}"): _Call("End a session; idempotent", 204, errors=(404,)),
    ("patch", "/v1/sessions/{sid}"): _Call(
        "Extend or shorten its life, change its exit and what viewers may carry", 200, models.UpdateSession,
        SessionView, (400, 403, 404, 409, 413, 415, 502, 504, 507),
    ),
    ("get", "/v1/sessions/{sid}/egress"): _Call(
        "Show what went through a session's proxy", 200, None, models.EgressTraffic, (404,)
    ),
    ("post", "/v1/sessions/{sid}/suspend"): _Call(
        "Write it to disk and free its memory; answers at once", 202, None, SessionView, (404, 409)
    ),
    ("post", "/v1/sessions/{sid}/resume"): _Call(
        "Go on with a suspended session; answers at once", 202, None, SessionView, (403, 404, 409, 503), _VIEWER
    ),
    ("post", "/v1/sessions/{sid}/fork"): _Call(
        "Make a second session of what it is now", 201, models.ForkSession, models.Created,
        (400, 404, 409, 413, 415, 500, 503, 507),
    ),
    ("post", "/v1/sessions/{sid}/template"): _Call(
        "Make a template of what it is now", 201, models.SaveTemplate, models.TemplateView,
        (400, 404, 409, 413, 415, 500, 503, 507),
    ),
    ("post", "/v1/sessions/{sid}/tokens"): _Call(
        "Make a viewer token", 201, models.CreateToken, models.TokenView, (400, 404, 413, 415)
    ),
    ("post", "/v1/sessions/{sid}/tickets"): _Call(
        "Make a one-time ticket for a URL, good for 30 s", 201, models.CreateTicket, models.TicketView,
        (400, 404, 413, 415, 503),
    ),
    ("post", "/v1/tickets/exchange"): _Call(
        "Make a viewer token of a ticket, once", 201, None, models.TokenView, (403, 404), ("ticket",)
    ),
    ("post", "/v1/sessions/{sid}/marks"): _Call(
        "Report a stage that only the viewer sees", 204, models.Mark, None, (400, 403, 404, 413, 415), _VIEWER
    ),
    ("post", "/v1/sessions/{sid}/control"): _Call(
        "Ask for control, grant or deny what another asks, or release it; the header Fenster-Viewer says who",
        200, models.ControlAction, ControlView, (400, 403, 404, 409, 413, 415), _VIEWER,
        headers=(VIEWER_HEADER,),
    ),
    ("put", "/v1/sessions/{sid}/display"): _Call(
        "Set the display's size, as the viewer who controls (Fenster-Viewer) or by the API key",
        200, models.DisplaySize, DisplayView, (400, 403, 404, 409, 413, 415, 502, 504, 507), _VIEWER,
        headers=(VIEWER_HEADER,),
    ),
    ("post", "/v1/sessions/{sid}/latency"): _Call(
        "Report how long presses took to be seen, for /metrics", 204, models.LatencyReport, None,
        (400, 403, 404, 413, 415), _VIEWER,
    ),
    ("put", "/v1/sessions/{sid}/marker"): _Call(
        "Show or keep a window that answers presses, to measure latency by", 200, models.ShowMarker,
        models.MarkerView, (400, 404, 409, 413, 415, 502, 504),
    ),
    ("delete", "/v1/sessions/{sid}/marker"): _Call(
        "Take that window away; idempotent", 204, errors=(404, 409, 502, 504)
    ),
    ("get", "/v1/sessions/{sid}/events"): _Call(
        "Follow a session: server-sent events named state, each with the whole session",
        200, None, "text/event-stream", (403, 404, 503), _VIEWER,
    ),
    ("post", "/v1/sessions/{sid}/whep"): _Call(
        "Offer a WebRTC connection (WHEP)", 201, "application/sdp", "application/sdp",
        (400, 403, 404, 409, 413, 415, 500, 502, 503, 504), _VIEWER, _TRANSPORT, (VIEWER_HEADER,),
    ),
    ("patch", "/v1/sessions/{sid}/whep/{peer}"): _Call(
        "Trickle candidates; accepted and ignored", 204, errors=(403, 404), security=_VIEWER
    ),
    ("delete", "/v1/sessions/{sid}/whep/{peer}"): _Call(
        "Close a WebRTC connection; idempotent", 204, errors=(403, 404), security=_VIEWER
    ),
    ("get", "/v1/sessions/{sid}/files/{path}"): _Call(
        "A file below the desktop user's home, Range included; a path that ends in / lists a folder (FileList)",
        200, None, (BYTES_TYPE, models.FileList), (400, 403, 404, 409, 416, 502, 503), _VIEWER,
        headers=("Range", "If-Range"), also={206: BYTES_TYPE},
    ),
    ("head", "/v1/sessions/{sid}/files/{path}"): _Call(
        "Whether a file is there, and how large it is", 200, None, BYTES_TYPE, (400, 403, 404, 409, 502, 503), _VIEWER
    ),
    ("put", "/v1/sessions/{sid}/files/{path}"): _Call(
        "Write a file, whole or not at all, 200 when it replaced one; If-None-Match: * replaces none", 201,
        BYTES_TYPE, models.FileView, (400, 403, 404, 409, 411, 412, 413, 502, 503, 507), _VIEWER,
        headers=("If-None-Match",), also={200: models.FileView},
    ),
    ("delete", "/v1/sessions/{sid}/files/{path}"): _Call(
        "Delete a file", 204, errors=(400, 403, 404, 409, 502, 503), security=_VIEWER
    ),
    ("get", "/v1/sessions/{sid}/clipboard"): _Call(
        "What the desktop's programs would paste: text or a PNG. With If-None-Match, 304 while it is that, and "
        "Prefer: wait=N waits for another; 204 when there is nothing known", 200, None,
        ("text/plain", "image/png"), (400, 403, 404, 409, 502), _VIEWER,
        headers=("If-None-Match", "Prefer", VIEWER_HEADER), also={204: None, 304: None},
    ),
    ("put", "/v1/sessions/{sid}/clipboard"): _Call(
        "Have the desktop's programs paste this text or PNG; answers when they can", 204,
        ("text/plain", "image/png"), errors=(400, 403, 404, 409, 411, 413, 415, 502), security=_VIEWER,
        headers=(VIEWER_HEADER,),
    ),
    ("get", "/v1/sessions/{sid}/screenshot"): _Call(
        "A picture of the desktop, at most a second old; ?width=320 makes it smaller, ?format=jpeg a JPEG of it",
        200, None, ("image/png", "image/jpeg"), (400, 403, 404, 409, 502, 503), _VIEWER, _PICTURE,
        ("If-None-Match",), {304: None},
    ),
    ("get", "/v1/sessions/{sid}/vnc"): _Call(
        "WebSocket that carries RFB; offer the subprotocols binary and fenster.token.<token>",
        101, errors=(400, 403, 404, 409, 502), security=("socketToken", *_VIEWER),
    ),
    ("get", "/v1/host"): _Call("What this host can do and how full it is", 200, None, models.HostView),
    ("get", "/v1/templates"): _Call("List the templates", 200, None, models.TemplateList),
    ("get", "/metrics"): _Call("Prometheus metrics", 200, None, "text/plain"),
    ("get", "/healthz"): _Call("The gateway lives", 200, None, "application/json", security=()),
    ("get", "/readyz"): _Call("The gateway can start sessions", 200, None, "application/json", (500, 503), ()),
    ("get", "/openapi.json"): _Call("This document", 200, None, "application/json", security=()),
    ("get", "/"): _Call("Dashboard", 200, None, "text/html", security=(), also=_UNBUILT),
    ("get", "/s/{sid}"): _Call("Viewer page, whatever the id", 200, None, "text/html", security=(), also=_UNBUILT),
    ("get", "/embed/{sid}"): _Call(
        "The same for frames", 200, None, "text/html", security=(), query=_FRAME, also=_UNBUILT
    ),
}  # fmt: skip

_HEALTH = ("/healthz", "/readyz")
"""Asked by load balancers, by any name and without a credential."""
_OPTIONAL = {
    models.CreateSession, models.CreateTicket, models.CreateToken, models.ForkSession, models.ShowMarker, BYTES_TYPE,
}  # fmt: skip
"""Bodies that may be left out; a file without any is empty."""

_KEY = "opens the calls of its scopes, which stand with each call, on its owner's sessions; with admin, all calls"

_REF = "#/components/schemas/{model}"


@cache
def document() -> dict[str, Any]:
    """The document. Shared: do not change it."""
    bodies = [body for call in _CALLS.values() for body in (call.body, call.answer, *call.also.values())]
    used = {part for body in bodies for part in _parts(body) if isinstance(part, type)} | {models.Problem}
    ordered = sorted(used, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in ordered], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    scopes = _scopes()
    for (method, path), call in _CALLS.items():
        paths.setdefault(path, {})[method] = _operation(path, call, scopes.get((method, path), ""))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Fenster", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "apiKey": {"type": "http", "scheme": "bearer", "description": _KEY},
                "viewerToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "ticket": {"type": "http", "scheme": "bearer", "description": "opens its own exchange, once"},
                "socketToken": {"type": "apiKey", "in": "header", "name": "Sec-WebSocket-Protocol"},
            },
        },
    }


def _scopes() -> dict[tuple[str, str], str]:
    """What an API key needs for each call, as the routes say it."""
    modules = (api, clipboard, control, events, files, marker, metrics, screenshot, tickets, vnc, whep)
    found = [one for module in modules for one in module.routes()]
    return {
        (one.method.lower(), re.sub(r"\{(\w+):[^}]*\}", r"{\1}", one.path)): str(one.handler.__dict__[SCOPE])
        for one in found
    }


def _operation(path: str, call: _Call, scope: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": call.summary,
        "security": [{scheme: [scope] if scheme == "apiKey" else []} for scheme in call.security],
        "responses": {
            str(status): {"description": "done", **_content(answer)}
            for status, answer in {call.status: call.answer, **call.also}.items()
        },
    }
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
    parameters += [{"name": name, "in": "query", **about} for name, about in call.query.items()]
    parameters += [{"name": name, "in": "header", **_HEADERS[name]} for name in call.headers]
    if parameters:
        operation["parameters"] = parameters
    if call.body is not None:
        operation["requestBody"] = {"required": call.body not in _OPTIONAL, **_content(call.body)}
    trouble = {"content": {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}}
    everywhere = {401, 403, 429} if call.security else set()
    body = {408, 413} if call.body is not None else set()
    for status in sorted({400, 421, *call.errors, *everywhere, *body} if path not in _HEALTH else call.errors):
        operation["responses"][str(status)] = {"description": "a problem", **trouble}
    return operation


def _parts(body: _Content) -> tuple[type[BaseModel] | str, ...]:
    return () if body is None else body if isinstance(body, tuple) else (body,)


def _content(body: _Content) -> dict[str, Any]:
    content = dict(map(_media, _parts(body)))
    return {"content": content} if content else {}


def _media(part: type[BaseModel] | str) -> tuple[str, dict[str, Any]]:
    if isinstance(part, type):
        return "application/json", {"schema": {"$ref": _REF.format(model=part.__name__)}}
    if part == BYTES_TYPE or part.startswith("image/"):
        # Bytes are described by no schema (OpenAPI 3.1, 4.8.14.3).
        return part, {"schema": {}}
    return part, {"schema": {"type": "object" if part == "application/json" else "string"}}


async def openapi(request: web.Request, caller: Caller) -> web.Response:
    return web.json_response(document())


def routes() -> list[web.RouteDef]:
    return [route("GET", "/openapi.json", openapi, Access.PUBLIC)]
