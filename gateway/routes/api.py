"""The JSON API: sessions, tokens, marks, host and templates (DESIGN 6)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

from aiohttp import web
from pydantic import BaseModel

from gateway import __version__
from gateway.edge.apikeys import Scope
from gateway.errors import BadRequest, Forbidden, GatewayError
from gateway.exits import Exit
from gateway.routes.access import AUDITED, Access, Caller, route, spend_create, spend_token
from gateway.routes.models import (
    Created,
    CreateSession,
    CreateToken,
    EgressTraffic,
    ForkSession,
    HostView,
    Mark,
    SaveTemplate,
    SessionList,
    TemplateList,
    TemplateView,
    TokenView,
    UpdateSession,
    read_json,
)
from gateway.routes.services import SERVICES, Services
from gateway.sessions.exits_health import exits_health
from gateway.sessions.record import Lifetime, Place, Sharing, Template
from gateway.sessions.session import Session
from gateway.sessions.view import ErrorView
from gateway.tokens import Role, mint, mint_frame

__all__ = ["embed_path", "routes", "viewer_token"]

KEY_HEADER = "Idempotency-Key"
"""draft-ietf-httpapi-idempotency-key-header."""
MAX_KEY_LENGTH = 255
KEY_PATTERN = f"[!-~]([ -~]{{0,{MAX_KEY_LENGTH - 2}}}[!-~])?"
"""Printable ASCII; HTTP takes spaces off both ends."""


def _json(body: BaseModel, status: int = 200) -> web.Response:
    return web.Response(status=status, text=body.model_dump_json(), content_type="application/json")


def viewer_token(
    services: Services,
    sid: str,
    *,
    role: Role = "control",
    lifetime_s: int | None = None,
    origins: tuple[str, ...] = (),
) -> TokenView:
    """A new token for a session, and the URL that carries it."""
    lifetime_s = lifetime_s if lifetime_s is not None else services.token_lifetime_s
    token, claims = mint(
        services.keys.signing_key,
        sid=sid,
        role=role,
        now=services.clock(),
        lifetime_s=lifetime_s,
        origins=origins,
    )
    return TokenView(
        token=token,
        role=role,
        expires_at=datetime.fromtimestamp(claims.exp, UTC),
        viewer_url=f"/s/{sid}#token={token}",
        embed_url=f"{embed_path(services, sid, lifetime_s, origins)}#token={token}",
    )


def embed_path(services: Services, sid: str, lifetime_s: int, origins: tuple[str, ...]) -> str:
    """Path and query of the page for frames, with the grant by which these origins may frame it."""
    if not origins:
        return f"/embed/{sid}"
    grant = mint_frame(
        services.keys.signing_key, sid=sid, now=services.clock(), lifetime_s=lifetime_s, origins=origins
    )
    return f"/embed/{sid}?frame={grant}"


async def create(request: web.Request, caller: Caller) -> web.Response:
    """Answers at once; the session boots by itself and its events tell."""
    services = request.app[SERVICES]
    body = await read_json(request, CreateSession, optional=True)
    spend_create(request, caller)
    begin = partial(
        services.manager.create,
        template=body.template,
        display_px=(body.display.width, body.display.height) if body.display is not None else None,
        lifetime=_lifetime(services, body),
        metadata=body.metadata,
        sharing=Sharing(clipboard=body.clipboard, files=body.files),
        out=_exit(services, body.proxy),
        timezone=body.timezone,
        locale=body.locale,
        owner=caller.owner,
    )
    key = request.headers.get(KEY_HEADER)
    if key is None:
        return _created(request, caller, await begin())
    if not re.fullmatch(KEY_PATTERN, key):
        raise BadRequest(f"{KEY_HEADER} is not 1 to {MAX_KEY_LENGTH} printable ASCII characters")
    asked = hashlib.sha256(body.model_dump_json().encode()).hexdigest()
    # Two owners may draw the same key: it is each one's own.
    key = f"{caller.owner.name} {key}"
    return _created(request, caller, await services.manager.create_once(key, asked, begin))


def _exit(services: Services, wanted: Exit | None) -> Exit:
    out = wanted if wanted is not None else services.exits.out
    if out.type == "direct" and not services.exits.direct:
        raise Forbidden(
            "this gateway lets no session out directly",
            hint="name an upstream proxy; its operator can set proxy_direct",
        )
    return out


def _lifetime(services: Services, body: CreateSession) -> Lifetime:
    default = services.lifetime
    ttl_s = body.ttl_s if body.ttl_s is not None else default.ttl_s
    return Lifetime(
        ends_at=None if ttl_s is None else services.clock() + ttl_s,
        idle_timeout_s=body.idle_timeout_s if body.idle_timeout_s is not None else default.idle_timeout_s,
        idle_action=body.idle_action or default.idle_action,
    )


def _created(request: web.Request, caller: Caller, session: Session) -> web.Response:
    request[AUDITED] = session.id
    token = viewer_token(request.app[SERVICES], session.id) if caller.may(Scope.TOKENS_ISSUE) else None
    created = Created(
        **dict(session.view()),
        viewer_url=token.viewer_url if token is not None else None,
        token=token.token if token is not None else None,
        expires_at=token.expires_at if token is not None else None,
    )
    response = _json(created, 201)
    response.headers["Location"] = f"/v1/sessions/{session.id}"
    return response


async def list_sessions(request: web.Request, caller: Caller) -> web.Response:
    sessions = request.app[SERVICES].manager.list()
    return _json(SessionList(sessions=[session.view() for session in sessions if caller.sees(session.owner)]))


async def show(request: web.Request, caller: Caller) -> web.Response:
    return _json(request.app[SERVICES].manager.get(request.match_info["sid"]).view())


async def update(request: web.Request, caller: Caller) -> web.Response:
    """Extend or shorten its life, change its exit and what viewers may carry; what the body leaves out stays."""
    services = request.app[SERVICES]
    session = services.manager.get(request.match_info["sid"])
    body = await read_json(request, UpdateSession)
    given, life = body.model_fields_set, session.lifetime
    changes: dict[str, object] = {}
    if "ttl_s" in given:
        changes["ends_at"] = None if body.ttl_s is None else services.clock() + body.ttl_s
    changes |= {name: getattr(body, name) for name in ("idle_timeout_s", "idle_action") if name in given}
    sharing: dict[str, object] = {name: getattr(body, name) for name in ("clipboard", "files") if name in given}
    out = _exit(services, body.proxy) if "proxy" in given else session.out
    session.touch()
    if out != session.out:
        await session.leave_by(out)
    if {"timezone", "locale"} & given:
        await session.be_taken_for(_place(session, body))
    await session.live_as(
        life.model_copy(update=changes),
        body.metadata if "metadata" in given else session.metadata,
        session.sharing.model_copy(update=sharing),
    )
    return _json(session.view())


def _place(session: Session, body: UpdateSession) -> Place:
    """What is left out stays; null is the template's."""
    names = {"timezone", "locale"} & body.model_fields_set
    wanted = {name: getattr(body, name) or getattr(session.template.place, name) for name in names}
    return session.place.model_copy(update=wanted)


async def egress(request: web.Request, caller: Caller) -> web.Response:
    """What went through the session's proxy, and where it leaves."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    report = session.traffic()
    return _json(
        EgressTraffic(
            upstream=str(session.out),
            username=session.out.username,
            egress=session.view().egress,
            open=report.open,
            **asdict(report.traffic),
        )
    )


async def suspend(request: web.Request, caller: Caller) -> web.Response:
    """Answers at once; its events tell when it is suspended."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    session.suspend()
    return _json(session.view(), 202)


async def resume(request: web.Request, caller: Caller) -> web.Response:
    """Answers at once; a viewer may ask too, since opening a desktop wakes it."""
    spend_create(request, caller)
    manager = request.app[SERVICES].manager
    session = await manager.resume(request.match_info["sid"], max_live=caller.owner.max_live)
    return _json(session.view(), 202)


async def fork(request: web.Request, caller: Caller) -> web.Response:
    """Answers when the second session's memory and disk are its own; it then resumes by itself."""
    services = request.app[SERVICES]
    body = await read_json(request, ForkSession, optional=True)
    spend_create(request, caller)
    child = await services.manager.fork(
        request.match_info["sid"], metadata=body.metadata, max_live=caller.owner.max_live
    )
    return _created(request, caller, child)


async def save_template(request: web.Request, caller: Caller) -> web.Response:
    """Answers when sessions can be started from it."""
    manager = request.app[SERVICES].manager
    body = await read_json(request, SaveTemplate)
    spend_create(request, caller)
    saved = await manager.save_template(request.match_info["sid"], body.name)
    return _json(_template_view(manager.templates[saved.name]), 201)


async def destroy(request: web.Request, caller: Caller) -> web.Response:
    """Answers when nothing of the session is left."""
    await request.app[SERVICES].manager.destroy(request.match_info["sid"])
    return web.Response(status=204)


async def make_token(request: web.Request, caller: Caller) -> web.Response:
    services = request.app[SERVICES]
    session = services.manager.get(request.match_info["sid"])
    body = await read_json(request, CreateToken, optional=True)
    spend_token(request, caller)
    token = viewer_token(
        services, session.id, role=body.role, lifetime_s=body.lifetime_s, origins=tuple(body.origins)
    )
    return _json(token, 201)


async def mark(request: web.Request, caller: Caller) -> web.Response:
    """Record what only the viewer can know; the first report counts."""
    session = request.app[SERVICES].manager.get(request.match_info["sid"])
    body = await read_json(request, Mark)
    session.mark(body.mark)
    return web.Response(status=204)


async def host(request: web.Request, caller: Caller) -> web.Response:
    services = request.app[SERVICES]
    facts, trouble = None, None
    try:
        facts = await services.facts()
    except GatewayError as exc:
        trouble = ErrorView(kind=exc.kind, message=exc.message, hint=exc.hint)
    room = await asyncio.to_thread(services.room)
    return _json(
        HostView(
            version=__version__,
            driver=facts.name if facts is not None else None,
            accelerator=facts.accelerator if facts is not None else None,
            why=facts.why if facts is not None else "",
            isolated=facts.isolated if facts is not None else False,
            versions=dict(facts.versions) if facts is not None else {},
            problem=trouble,
            sessions=services.manager.live(),
            max_sessions=services.manager.limits.max_sessions,
            free_memory_mib=room.memory_mib,
            free_disk_mib=room.disk_mib,
            media_port=services.dataplane.media_port,
            parked=services.manager.pool.parked,
            egress=exits_health(
                services.exits.out, [(one.out, one.view().egress) for one in services.manager.list()]
            ),
            counters={
                **services.dataplane.counters(),
                **services.dataplane.egress_counters(),
                **services.manager.pool.counters,
                **(facts.counters if facts is not None else {}),
            },
            limits=list(facts.limits) if facts is not None else [],
            limits_why=facts.limits_why if facts is not None else "",
        )
    )


async def templates(request: web.Request, caller: Caller) -> web.Response:
    return _json(
        TemplateList(
            templates=[
                _template_view(one)
                for one in (await asyncio.to_thread(lambda: request.app[SERVICES].manager.templates)).values()
            ]
        )
    )


def _template_view(template: Template) -> TemplateView:
    return TemplateView(
        name=template.name,
        profile=template.profile,
        vcpus=template.vcpus,
        memory_mib=template.memory_mib,
        browser=template.browser,
        saved=bool(template.saved),
    )


def routes() -> list[web.RouteDef]:
    sessions, one, write = "/v1/sessions", "/v1/sessions/{sid}", Scope.SESSIONS_WRITE
    return [
        route("POST", sessions, create, Access.ADMIN, write, audit="session.create"),
        route("GET", sessions, list_sessions, Access.ADMIN, Scope.SESSIONS_READ),
        route("GET", one, show, Access.VIEWER, Scope.SESSIONS_READ),
        route("PATCH", one, update, Access.ADMIN, write, audit="session.update"),
        route("DELETE", one, destroy, Access.ADMIN, write, audit="session.destroy"),
        route("GET", f"{one}/egress", egress, Access.ADMIN, Scope.SESSIONS_READ),
        route("POST", f"{one}/suspend", suspend, Access.ADMIN, write, audit="session.suspend"),
        route("POST", f"{one}/resume", resume, Access.VIEWER, write, audit="session.resume"),
        route("POST", f"{one}/fork", fork, Access.ADMIN, write, audit="session.fork"),
        route("POST", f"{one}/template", save_template, Access.ADMIN, write, audit="template.save"),
        route("POST", f"{one}/tokens", make_token, Access.ADMIN, Scope.TOKENS_ISSUE, audit="token.issue"),
        route("POST", f"{one}/marks", mark, Access.VIEWER, Scope.DESKTOPS_USE),
        route("GET", "/v1/host", host, Access.ADMIN, Scope.HOST_READ),
        route("GET", "/v1/templates", templates, Access.ADMIN, Scope.SESSIONS_READ),
    ]
